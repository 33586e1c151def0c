//! The floor: a server that reads the body and answers the static ACK, and does nothing else.
//!
//! Bare axum by default, hyper without a router with `--hyper`. What the receiver costs above it is
//! what the receiver does. With `--silent` it never answers: a target of `forward` that hangs.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, Response};
use axum::routing::post;
use beckn_receiver_benches::answer::ACK;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Answers every POST with the static ACK.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:18081")]
    listen: SocketAddr,
    /// Serve with hyper alone, without axum.
    #[arg(long)]
    hyper: bool,
    /// Take every connection and never answer.
    #[arg(long, conflicts_with = "hyper")]
    silent: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    match (arguments.silent, arguments.hyper) {
        (true, _) => hold(listener).await,
        (false, true) => serve_hyper(listener).await,
        (false, false) => serve_axum(listener).await,
    }
}

async fn hold(listener: TcpListener) -> std::io::Result<()> {
    let mut held = Vec::new();
    loop {
        held.push(listener.accept().await?);
    }
}

async fn serve_axum(listener: TcpListener) -> std::io::Result<()> {
    use axum::serve::ListenerExt;
    let answer = async |_: Bytes| ([(CONTENT_TYPE, "application/json")], ACK);
    let app = Router::new().route("/{*path}", post(answer));
    // A socket that refuses the option is slower, not wrong.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or(()));
    axum::serve(listener, app).await
}

async fn serve_hyper(listener: TcpListener) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Its error is the client's end of the connection, which the client reports.
        let connection = http1::Builder::new();
        let connection = connection.serve_connection(TokioIo::new(stream), service_fn(answer));
        connections.spawn(connection);
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off leaves nobody to answer to.
    let _body = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(ACK.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
