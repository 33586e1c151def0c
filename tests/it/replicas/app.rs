//! The buyer's app that all receivers forward to: it notes what comes, and whether two attempts of
//! a transaction are with it at a time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// An attempt, as the app sees it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// The delivery id.
    pub(super) id: String,
    pub(super) transaction: String,
    pub(super) message: String,
    pub(super) began: Instant,
    /// `None`: its connection broke before it was answered.
    pub(super) answered: bool,
}

#[derive(Debug, Default)]
struct Notes {
    attempts: Vec<Attempt>,
    /// How many are with the app, by transaction.
    out: HashMap<String, usize>,
    overlaps: usize,
}

/// How long the app has an event: by its number from 1.
type Takes = dyn Fn(usize) -> Duration + Send + Sync;

/// The app; it ends with this.
pub(super) struct App {
    pub(super) address: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    _serving: JoinSet<()>,
}

impl App {
    pub(super) async fn start(takes: impl Fn(usize) -> Duration + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let notes: Arc<Mutex<Notes>> = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&notes), Arc::new(takes)));
        Self { address, notes, _serving: serving }
    }

    /// Returns the settings that have everything forwarded here.
    pub(super) fn settings(&self) -> String {
        format!(
            "[dispatch]\nhandler = \"app\"\nretry_initial_ms = 50\nretry_cap_ms = 200\n\
             retry_attempts = 1000\npoll_ms = 100\n\
             [handlers.app]\nkind = \"forward\"\nurl = \"http://{}/events\"\n",
            self.address
        )
    }

    /// Returns every attempt so far, in the order of their beginnings.
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.notes.lock().unwrap().attempts.clone()
    }

    /// Returns how often an attempt began while another of its transaction was out.
    pub(super) fn overlaps(&self) -> usize {
        self.notes.lock().unwrap().overlaps
    }
}

async fn serve(listener: TcpListener, notes: Arc<Mutex<Notes>>, takes: Arc<Takes>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        let (notes, takes) = (Arc::clone(&notes), Arc::clone(&takes));
        let service = service_fn(move |request: Request<Incoming>| {
            let (notes, takes) = (Arc::clone(&notes), Arc::clone(&takes));
            async move {
                take(request, &notes, &*takes).await;
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        connections.spawn(async move {
            // A receiver that is killed breaks its connections, and with them what it had out.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(request: Request<Incoming>, notes: &Arc<Mutex<Notes>>, takes: &Takes) {
    // Whoever asks whether somebody is there brings none.
    let Some(id) = request.headers().get("webhook-id") else { return };
    let id = id.to_str().unwrap().to_owned();
    let Ok(body) = request.into_body().collect().await else { return };
    let envelope: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    let text = |member: &str| envelope[member].as_str().unwrap().to_owned();
    let (transaction, message) = (text("transaction_id"), text("message_id"));
    let (place, out) = {
        let mut locked = notes.lock().unwrap();
        let count = locked.out.entry(transaction.clone()).or_default();
        *count += 1;
        locked.overlaps += usize::from(locked.out[&transaction] > 1);
        let began = Instant::now();
        let attempt =
            Attempt { id, transaction: transaction.clone(), message, began, answered: false };
        locked.attempts.push(attempt);
        (locked.attempts.len(), Out { transaction, notes: Arc::clone(notes) })
    };
    tokio::time::sleep(takes(place)).await;
    drop(out);
    notes.lock().unwrap().attempts[place - 1].answered = true;
}

/// An attempt that is with the app; it ends, too, when its connection does.
struct Out {
    transaction: String,
    notes: Arc<Mutex<Notes>>,
}

impl Drop for Out {
    fn drop(&mut self) {
        *self.notes.lock().unwrap().out.get_mut(&self.transaction).unwrap() -= 1;
    }
}
