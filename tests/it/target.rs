//! An app that events are forwarded to: on a port that stays its own, up or down.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

/// What a target does with an event that came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// Answers with this status.
    Answers(u16),
    /// Closes the connection: the answer is lost.
    Drops,
    /// Never answers.
    Hangs,
}

/// An event as it came.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Delivery {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// Returns the names of the headers that begin so.
    pub(crate) fn names_with(&self, start: &str) -> BTreeSet<String> {
        let names = self.headers.keys().map(ToString::to_string);
        names.filter(|name| name.starts_with(start)).collect()
    }

    /// Returns the delivery id.
    #[track_caller]
    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// Returns what is known of the event, with the callback inside.
    #[track_caller]
    pub(crate) fn envelope(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("an envelope")
    }
}

type Behaviour = dyn Fn(usize, &Delivery) -> Does + Send + Sync;

/// Notes every event that comes, then behaves as the test said.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Bound and not listening: nobody else gets the port while the target is down.
    _port: TcpSocket,
    seen: Arc<Mutex<Vec<Delivery>>>,
    behaviour: Arc<Behaviour>,
    /// The listener and its connections: they end with it.
    up: Option<JoinSet<()>>,
}

impl Target {
    /// Makes one that is down. It is told the number of the event, from 1.
    pub(crate) fn down(
        behaviour: impl Fn(usize, &Delivery) -> Does + Send + Sync + 'static,
    ) -> Self {
        let port = socket("127.0.0.1:0".parse().unwrap());
        let address = port.local_addr().unwrap();
        let behaviour = Arc::new(behaviour);
        Self { address, _port: port, seen: Arc::default(), behaviour, up: None }
    }

    /// Starts one.
    pub(crate) fn start(
        behaviour: impl Fn(usize, &Delivery) -> Does + Send + Sync + 'static,
    ) -> Self {
        let mut target = Self::down(behaviour);
        target.come_up();
        target
    }

    /// Starts one that takes everything.
    pub(crate) fn taking() -> Self {
        Self::start(|_, _| Does::Answers(200))
    }

    /// Listens from now on.
    pub(crate) fn come_up(&mut self) {
        let listener = socket(self.address).listen(1024).unwrap();
        let mut up = JoinSet::new();
        up.spawn(serve(listener, Arc::clone(&self.seen), Arc::clone(&self.behaviour)));
        self.up = Some(up);
    }

    /// Returns the settings of a handler `app` that forwards here.
    pub(crate) fn settings(&self) -> String {
        format!("[handlers.app]\nkind = \"forward\"\nurl = \"http://{}/events\"\n", self.address)
    }

    /// Returns every event that came, again and again where it came so, in the order of coming.
    pub(crate) fn seen(&self) -> Vec<Delivery> {
        self.seen.lock().unwrap().clone()
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<Delivery>>>, behaviour: Arc<Behaviour>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        let (seen, behaviour) = (Arc::clone(&seen), Arc::clone(&behaviour));
        let service = service_fn(move |request: Request<Incoming>| {
            let (seen, behaviour) = (Arc::clone(&seen), Arc::clone(&behaviour));
            async move { take(request, &seen, &*behaviour).await }
        });
        connections.spawn(async move {
            // A receiver that is killed breaks its connections.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    seen: &Mutex<Vec<Delivery>>,
    behaviour: &Behaviour,
) -> Result<Response<Empty<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let delivery = Delivery { headers: head.headers, body };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(delivery.clone());
        seen.len()
    };
    match behaviour(number, &delivery) {
        Does::Answers(status) => Ok(Response::builder().status(status).body(Empty::new()).unwrap()),
        Does::Drops => Err(io::Error::other("it ends the connection")),
        Does::Hangs => std::future::pending().await,
    }
}
