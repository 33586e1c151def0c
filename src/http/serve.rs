//! The accept loop: bounds connections and the time for a header, and ends gracefully.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

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

/// Serves on `listener` until `stop` ends; then waits for the requests in flight. `service_for`
/// gives what the peer of a connection is served by.
///
/// # Cancel safety
/// Dropped, it closes the listener and every connection at once.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service_for: impl Fn(IpAddr) -> S,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
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
                    let service = service_for(peer.ip());
                    let connection = connection(stream, service, bounds, stopping.clone());
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

async fn connection<S, B>(
    stream: TcpStream,
    service: S,
    bounds: Bounds,
    stopping: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    // Answers are small and written whole: waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "could not set TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(HEADER_BYTES)
        .half_close(bounds.half_close)
        // Head and body of an answer in one piece: both are small.
        .writev(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
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
