//! Sellers that post until they are told to end, each callback again until it is ACKed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use super::SOME;
use crate::harness::{on_status, try_request, wait_until};

/// How many post at a time.
const SELLERS: usize = 8;

/// How many transactions each has, in turn.
const TRANSACTIONS: usize = 4;

/// Between two posts of a seller: what waits while a broker starts is not to be the test's length.
const PAUSE: Duration = Duration::from_millis(20);

/// What sellers share.
struct Shared {
    receiver: Mutex<SocketAddr>,
    acked: AtomicUsize,
    stop: AtomicBool,
}

/// Sellers at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    sellers: JoinSet<BTreeMap<String, Vec<String>>>,
}

impl Load {
    /// Starts the sellers.
    pub(super) fn start(receiver: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            receiver: Mutex::new(receiver),
            acked: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let sellers = (0..SELLERS).map(|seller| sell(seller, Arc::clone(&shared))).collect();
        Self { shared, sellers }
    }

    /// Returns how many were ACKed so far.
    pub(super) fn acked(&self) -> usize {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// Waits until some more were ACKed.
    pub(super) async fn some_are_acked(&self) {
        let enough = self.acked() + SOME;
        wait_until("some are ACKed", async || self.acked() >= enough).await;
    }

    /// Says where the receiver is now.
    pub(super) fn go_on_at(&self, receiver: SocketAddr) {
        *self.shared.receiver.lock().unwrap() = receiver;
    }

    /// Lets every seller end its post, and returns what was ACKed: by transaction, the message ids
    /// in order.
    pub(super) async fn end(self) -> BTreeMap<String, Vec<String>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.sellers.join_all().await.into_iter().flatten().collect()
    }
}

async fn sell(seller: usize, shared: Arc<Shared>) -> BTreeMap<String, Vec<String>> {
    let mut acked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let transaction = format!("t{seller}-{}", number % TRANSACTIONS);
        let message = format!("m{number}");
        let body = on_status(&transaction, &message, "Accepted");
        // As a seller does whose post had no answer: it may have been kept all the same.
        while !is_acked(&shared, &body).await {
            tokio::time::sleep(PAUSE).await;
        }
        acked.entry(transaction).or_default().push(message);
        shared.acked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    acked
}

async fn is_acked(shared: &Shared, body: &str) -> bool {
    let receiver = *shared.receiver.lock().unwrap();
    let head = "POST /on_status HTTP/1.1\r\n";
    try_request(receiver, head, body.as_bytes()).await.is_ok_and(|answer| answer.is_ack())
}
