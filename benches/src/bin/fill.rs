//! Fills an inbox with many callbacks, through the receiver's own way of accepting them but without
//! sockets: for measuring what a large inbox costs at a start and to those who read it.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::Request;
use beckn_receiver::{Action, Config, HandlerError, OrderEvent, OrderEventHandler, Receiver};
use beckn_receiver_benches::accept::action_of;
use beckn_receiver_benches::answer::ACK;
use beckn_receiver_benches::template::Template;
use bytes::Bytes;
use clap::Parser;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Fills an inbox.
#[derive(Debug, Parser)]
struct Arguments {
    /// The inbox's directory.
    inbox: PathBuf,
    /// How many callbacks are accepted.
    count: u64,
    /// Leave every event pending; without it each is settled.
    #[arg(long)]
    pending: bool,
    /// The callback; its `transaction_id` and `message_id` are replaced.
    #[arg(long, default_value = "examples/payloads/on_status_beckn_0_9.json")]
    payload: PathBuf,
}

/// So many callbacks wait for their ACK at the same time: a commit holds as many.
const AT_ONCE: u64 = 512;

/// An order is told of so many times.
const PER_TRANSACTION: u64 = 4;

/// Sets one filling apart from the runs of the load generator, which begin at the time of day.
const RUN: u64 = 0xF111;

/// What the handler does with an event.
#[derive(Clone)]
enum Handler {
    /// Takes it, and lets another be posted: what is unsettled stays in memory.
    Take(Arc<Semaphore>),
    /// Never comes to an end.
    Hold,
}

impl OrderEventHandler for Handler {
    async fn handle(&self, _event: &OrderEvent) -> Result<(), HandlerError> {
        match self {
            Handler::Take(room) => room.add_permits(1),
            Handler::Hold => std::future::pending().await,
        }
        Ok(())
    }
}

impl Handler {
    /// Waits until the handler has room for another event.
    async fn wait_for_room(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Handler::Take(room) = self {
            room.acquire().await?.forget();
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let action = action_of(&arguments.payload)?;
    let body = fs::read_to_string(&arguments.payload)?;
    let path = format!("/{action}");
    let template = Template::new("localhost", &path, &body, None)?;
    let mut config = Config::default();
    config.inbox.path.clone_from(&arguments.inbox);
    // As many as are asked for, and what comes after them.
    config.inbox.unsettled_limit = usize::try_from(arguments.count)?.saturating_mul(2).max(1);
    config.inbox.retention_bytes = 1 << 50;
    config.dispatch.drain_timeout = Duration::ZERO;
    let room = Arc::new(Semaphore::new(2 * usize::try_from(AT_ONCE)?));
    let handler = if arguments.pending { Handler::Hold } else { Handler::Take(Arc::clone(&room)) };
    let receiver = Receiver::builder(config).start(handler.clone()).await?;
    let next = Arc::new(AtomicU64::new(0));
    let mut posters = JoinSet::new();
    for _ in 0..AT_ONCE {
        let poster = Poster {
            router: receiver.router(),
            template: template.clone(),
            action,
            handler: handler.clone(),
            next: Arc::clone(&next),
            count: arguments.count,
        };
        posters.spawn(poster.run());
    }
    while let Some(posted) = posters.join_next().await {
        posted?.map_err(|error| -> Box<dyn Error> { error })?;
    }
    if !arguments.pending {
        // All the room is free again when every event was taken.
        drop(room.acquire_many(u32::try_from(2 * AT_ONCE)?).await?);
    }
    receiver.shutdown().await;
    Ok(())
}

/// Posts one callback after the other.
struct Poster {
    router: Router,
    template: Template,
    action: Action,
    handler: Handler,
    next: Arc<AtomicU64>,
    count: u64,
}

impl Poster {
    async fn run(mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(());
            }
            self.handler.wait_for_room().await?;
            let body = self.template.patched_body(RUN, number / PER_TRANSACTION, number);
            let body = Body::from(Bytes::copy_from_slice(body));
            let request = Request::post(format!("/{}", self.action)).body(body)?;
            let answer = self.router.clone().oneshot(request).await?;
            // A NACK has the same status; by its length it is told apart without being read.
            if answer.body().size_hint().exact() != Some(ACK.len() as u64) {
                return Err(format!("{} is not an ACK", answer.status()).into());
            }
        }
    }
}
