//! Watches a receiver as a team does: a program on the stream of events, a browser with the console
//! open, Prometheus, and a collector that its spans go to.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use clap::Parser;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Watches until its time is over, then says in one line of JSON what it saw.
#[derive(Debug, Parser)]
struct Arguments {
    /// The operations listener of the receiver.
    #[arg(long)]
    operations: SocketAddr,
    /// Where the receiver exports spans to; nothing listens there without it.
    #[arg(long)]
    collector: Option<SocketAddr>,
    /// For how long.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    events: AtomicU64,
    scrapes: AtomicU64,
    pages: AtomicU64,
    span_bytes: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let seen = Arc::new(Seen::default());
    if let Some(collector) = arguments.collector {
        let listener = TcpListener::bind(collector).await?;
        let router = Router::new().fallback(collect).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    let at = arguments.operations;
    let watching = async {
        tokio::try_join!(
            // The program that wants every event, and the console that a person has open.
            stream(at, "/v1/stream", &seen),
            stream(at, "/v1/stream?only=ids", &seen),
            repeat(at, "/metrics", Duration::from_secs(1), &seen.scrapes),
            // As often as the console asks while events come.
            repeat(at, "/console/events/rows", Duration::from_secs(1), &seen.pages),
            repeat(at, "/console/events", Duration::from_secs(2), &seen.pages),
        )
    };
    let limit = Duration::from_secs_f64(arguments.seconds);
    if let Ok(ended) = tokio::time::timeout(limit, watching).await {
        ended?;
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let Seen { events, scrapes, pages, span_bytes } = &*seen;
    println!(
        "{}",
        json!({
            "events": count(events), "scrapes": count(scrapes), "pages": count(pages),
            "span_bytes": count(span_bytes),
        })
    );
    Ok(())
}

async fn collect(State(seen): State<Arc<Seen>>, spans: Bytes) {
    seen.span_bytes.fetch_add(spans.len() as u64, Ordering::Relaxed);
}

/// Reads a stream of events from now on and counts what it says.
async fn stream(at: SocketAddr, path: &str, seen: &Seen) -> Result<(), std::io::Error> {
    let mut connection = TcpStream::connect(at).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut is_first = true;
    loop {
        let length = connection.read(&mut buffer).await?;
        let read = &buffer[..length];
        if length == 0 || is_first && !read.starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other("the stream was not given, or ended"));
        }
        is_first = false;
        // One that lies across two reads is not counted: the figure says that events came.
        let events = read.windows(5).filter(|five| five == b"\nid: ").count();
        seen.events.fetch_add(events as u64, Ordering::Relaxed);
    }
}

async fn repeat(
    at: SocketAddr,
    path: &str,
    pause: Duration,
    seen: &AtomicU64,
) -> Result<(), std::io::Error> {
    loop {
        let mut connection = TcpStream::connect(at).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other(format!("{path} was not given")));
        }
        seen.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
    }
}
