//! A target on loopback that answers as the test says and notes what came.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What a target does with a request.
pub(super) enum Does {
    /// Answers, and keeps the connection.
    Answers(String),
    /// Closes the connection after this; it may be nothing.
    Ends(String),
    /// Begins like this and then writes without an end, until nobody reads.
    Floods(String),
    /// Begins like this and then writes nothing more.
    Stalls(String),
}

/// Returns an answer of this status with these further header lines, each with its line end.
pub(super) fn status(status: u16, headers: &str) -> Does {
    Does::Answers(format!("HTTP/1.1 {status} Said\r\n{headers}content-length: 4\r\n\r\nhush"))
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Returns the next request of a connection; `None` when it is closed instead.
    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let mut body = read.split_off(end);
        let mut request = Self { head: String::from_utf8(read).unwrap(), body: Vec::new() };
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        while body.len() < length {
            if stream.read_buf(&mut body).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        request.body = body;
        Some(request)
    }
}

type Behaviour = dyn Fn(usize) -> Does + Send + Sync;

pub(super) struct Target {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    _work: JoinSet<()>,
}

impl Target {
    /// Starts one that is told the number of the request, from 1.
    pub(super) async fn start(does: impl Fn(usize) -> Does + Send + Sync + 'static) -> Self {
        Self::start_tls(None, does).await
    }

    pub(super) async fn start_tls(
        tls: Option<TlsAcceptor>,
        does: impl Fn(usize) -> Does + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
        let does: Arc<Behaviour> = Arc::new(does);
        let mut work = JoinSet::new();
        let (noted, counted) = (Arc::clone(&seen), Arc::clone(&connections));
        work.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _peer)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (tls, seen, does) = (tls.clone(), Arc::clone(&noted), Arc::clone(&does));
                served.spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &*does).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &seen, &*does).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, connections, _work: work }
    }

    /// Starts one that takes everything.
    pub(super) async fn taking() -> Self {
        Self::start(|_| status(200, "")).await
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/events?token=hush", self.address)
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<Request>>,
    does: &Behaviour,
) {
    while let Some(request) = Request::read(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            seen.len()
        };
        let mut say = async |text: &[u8]| {
            stream.write_all(text).await.is_ok() && stream.flush().await.is_ok()
        };
        match does(number) {
            Does::Answers(text) => _ = say(text.as_bytes()).await,
            Does::Ends(text) => {
                say(text.as_bytes()).await;
                return;
            }
            Does::Floods(text) => {
                let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
                let mut is_read = say(text.as_bytes()).await;
                while is_read {
                    is_read = say(chunk.as_bytes()).await;
                }
            }
            Does::Stalls(text) => {
                say(text.as_bytes()).await;
                std::future::pending::<()>().await;
            }
        }
    }
}
