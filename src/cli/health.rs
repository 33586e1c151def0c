//! `health`: asks a running receiver by its operations listener, as a container's health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Failure;
use crate::config::Config;

/// How long the answer may take: a health check that hangs is a failed one.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most that is read of an answer.
const ANSWER_BYTES: usize = 4 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Ask only whether the process lives, not whether it can take callbacks
    #[arg(long)]
    live: bool,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let path = if arguments.live { "/livez" } else { "/readyz" };
    let address = reachable(config.operations.listen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(address, path)).await });
    let (healthy, text) =
        asked.map_err(|_elapsed| format!("no answer from {address} in {PATIENCE:?}"))??;
    print!("{text}");
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A listener on all addresses is asked at the loopback one.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

pub(super) async fn ask(address: SocketAddr, path: &str) -> Result<(bool, String), Failure> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("no receiver at {address} (operations.listen): {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let healthy = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Failure::from(error.to_string()))?.to_bytes();
        Ok::<_, Failure>((healthy, String::from_utf8_lossy(&body).into_owned()))
    };
    // The connection has to be driven beside the exchange; the exchange decides.
    tokio::select! {
        biased;
        answer = exchange => answer,
        ended = connection => Err(match ended {
            Ok(()) => "the receiver closed the connection".into(),
            Err(error) => error.into(),
        }),
    }
}
