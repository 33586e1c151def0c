//! The accept loop: bounds connections and the time for a header, and ends gracefully.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at a time; more wait in the kernel's queue.
    pub(crate) connections: usize,
    /// How long a request's header may take, and how long a connection may be idle.
    pub(crate) header_timeout: Duration,
    /// How long requests in flight may take after the stop.
    pub(crate) grace: Duration,
    /// Whether who sends no more is still answered. A seller that has sent everything and hangs up
    /// has posted a callback all the same; who hangs up on a stream is gone.
    pub(crate) half_close: bool,
}

/// The most that is buffered of a connection before its header is whole.
const HEADER_BYTES: usize = 64 * 1024;

/// How long to wait after accept failed: mostly file handles are out, and come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves on `listener` until `stop` ends; then waits for the requests in flight. `router_for` gives
/// what the peer of a connection is served.
///
/// # Cancel safety
/// Dropped, it closes the listener and every connection at once.
pub(crate) async fn serve(
    listener: TcpListener,
    router_for: impl Fn(IpAddr) -> Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let stopping = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            (listener.accept().await, place)
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, place) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let router = router_for(peer.ip());
                    let connection = connection(stream, router, bounds, stopping.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopping.cancel();
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.grace, all).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closed connections with requests in flight"
        );
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    bounds: Bounds,
    stopping: CancellationToken,
) {
    // Answers are small and written whole: waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "could not set TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(HEADER_BYTES)
        .half_close(bounds.half_close)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}
