//! How late a handler is called, from the acceptance of a callback, while one transaction always
//! fails and while none does: for `benches/lanes`.
//!
//! An open loop: callbacks come at a fixed rate, whatever became of those before them. The router
//! is called without a socket, so that only the way from the acceptance to the handler is in it.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::{Body, HttpBody};
use axum::http::Request;
use beckn_receiver::{Config, HandlerError, OrderEvent, OrderEventHandler, Receiver, Text};
use beckn_receiver_benches::accept::action_of;
use beckn_receiver_benches::answer::ACK;
use beckn_receiver_benches::template::Template;
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Posts callbacks at a fixed rate and prints how late the handler was called.
#[derive(Debug, Parser)]
struct Arguments {
    /// The inbox's directory, which is not there yet.
    inbox: PathBuf,
    /// The handler fails for every event of the first transaction.
    #[arg(long)]
    failing: bool,
    /// How many transactions there are.
    #[arg(long, default_value_t = 100)]
    transactions: u32,
    /// How many callbacks each of them gets; the first is for warming up.
    #[arg(long, default_value_t = 51)]
    each: u32,
    /// How many callbacks come in a second.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// The callback; its `transaction_id` and `message_id` are replaced.
    #[arg(long, default_value = "examples/payloads/on_status_beckn_0_9.json")]
    payload: PathBuf,
}

/// Notes how late it is called, save for the first transaction that it sees: whether that one
/// fails or not, it is the others that are measured.
struct Noting {
    failing: bool,
    first: OnceLock<Option<Text>>,
    /// Events up to here are for warming up.
    warm_up: u64,
    late: Arc<Mutex<Histogram<u64>>>,
    taken: Arc<Semaphore>,
}

impl OrderEventHandler for Noting {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        let late = SystemTime::now().duration_since(event.received_at.into());
        let transaction = &event.context.transaction_id;
        if self.first.get_or_init(|| transaction.clone()) == transaction {
            let failed = HandlerError::transient("this transaction fails");
            return if self.failing { Err(failed) } else { Ok(()) };
        }
        if event.seq > self.warm_up {
            let micros = late.unwrap_or_default().as_micros();
            let mut histogram = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
        }
        self.taken.add_permits(1);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    // Microseconds up to a minute, to three digits.
    let late = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?));
    let taken = Arc::new(Semaphore::new(0));
    let handler = Noting {
        failing: arguments.failing,
        first: OnceLock::new(),
        warm_up: u64::from(arguments.transactions),
        late: Arc::clone(&late),
        taken: Arc::clone(&taken),
    };
    let mut config = Config::default();
    config.inbox.path.clone_from(&arguments.inbox);
    config.dispatch.drain_timeout = Duration::ZERO;
    let receiver = Receiver::builder(config).start(handler).await?;
    post(&receiver, &arguments).await?;
    let measured = arguments.transactions.saturating_sub(1) * arguments.each;
    taken.acquire_many(measured).await?.forget();
    receiver.shutdown().await;
    let late = late.lock().map_err(|_panic| "the handler panicked")?;
    let at = |quantile| late.value_at_quantile(quantile);
    println!(
        "{}",
        json!({ "p50_us": at(0.5), "p99_us": at(0.99), "max_us": late.max(), "events": late.len() })
    );
    Ok(())
}

/// Posts every callback at its time, and waits for the ACKs.
async fn post(receiver: &Receiver, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let action = action_of(&arguments.payload)?;
    let path = format!("/{action}");
    let body = fs::read_to_string(&arguments.payload)?;
    let mut template = Template::new("localhost", &path, &body, None)?;
    // Those that are late are made up for at once: the rate does not follow the receiver's.
    let mut times = tokio::time::interval(Duration::from_secs(1) / arguments.rate.max(1));
    let mut answers = JoinSet::new();
    for number in 0..u64::from(arguments.transactions) * u64::from(arguments.each) {
        times.tick().await;
        let transaction = number % u64::from(arguments.transactions);
        let body = template.patched_body(1, transaction, number);
        let request = Request::post(&path).body(Body::from(Bytes::copy_from_slice(body)))?;
        answers.spawn(receiver.router().oneshot(request));
    }
    while let Some(answer) = answers.join_next().await {
        let answer = answer??;
        // A NACK has the same status; by its length it is told apart without being read.
        if answer.body().size_hint().exact() != Some(ACK.len() as u64) {
            return Err(format!("{} is not an ACK", answer.status()).into());
        }
    }
    Ok(())
}
