//! The second half of a callback's life: claim → attempt → settle.
//!
//! # Constraints
//! - Handlers run on a runtime of the dispatcher's own, with one thread more than there are
//!   places for attempts: a handler that blocks its thread, or that panics, stops neither the
//!   ACKs nor this loop nor the attempts of other lanes; see [`pulse`] for their timers.
//! - A claim ends in exactly one of three ways: settled by its attempt, dropped by an abort at
//!   shutdown (which hands it back), or still held by a blocked thread when the process ends
//!   (then the next start finds it pending).
//! - At most `concurrency` attempts are out; the inbox gives one claim a lane.

mod attempt;
mod pulse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::EventId;
use crate::handler::ErasedHandler;
use crate::inbox::{self, Claim, Inbox};
use crate::retry::Policy;

/// How many attempts, and how long each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Attempts that run side by side.
    pub(crate) concurrency: usize,
    /// How long an attempt may take before it counts as failed.
    pub(crate) attempt_timeout: Duration,
    /// How long [`Dispatcher::shutdown`] waits for attempts.
    pub(crate) drain_timeout: Duration,
    /// When a failed attempt is repeated.
    pub(crate) retry: Policy,
}

/// What an attempt needs.
#[derive(Debug)]
struct Desk {
    inbox: Arc<dyn Inbox>,
    handler: Arc<dyn ErasedHandler>,
    clock: Arc<dyn Clock>,
    options: Options,
}

/// Hands events to the handler until it is shut down.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    /// `None` only while it is taken down.
    runtime: Option<Runtime>,
    stop: CancellationToken,
    ended: CancellationToken,
    work: Option<JoinHandle<()>>,
    /// Ends before the runtime that it wakes.
    pulse: Option<pulse::Pulse>,
}

impl Dispatcher {
    /// Starts the runtime and the loop.
    ///
    /// # Errors
    /// The threads could not be started.
    pub(crate) fn start(
        inbox: Arc<dyn Inbox>,
        handler: Arc<dyn ErasedHandler>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, std::io::Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.concurrency + 1)
            .thread_name("handler")
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let desk = Arc::new(Desk { inbox, handler, clock, options });
        let ended = CancellationToken::new();
        let (stopping, guard) = (stop.clone(), ended.clone().drop_guard());
        let work = runtime.spawn(async move {
            // Dropped also when the loop panics.
            let _guard = guard;
            work(desk, stopping).await;
        });
        let pulse = Some(pulse::Pulse::start(runtime.handle().clone())?);
        Ok(Self { runtime: Some(runtime), stop, ended, work: Some(work), pulse })
    }

    /// Returns a token that is cancelled when nothing is handed over any more: after a shutdown,
    /// or by a bug.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Stops claiming, waits for the attempts that are out (at most the drain time-out, then they
    /// are aborted and their events handed back), and ends the runtime.
    ///
    /// # Cancel safety
    /// Dropped, it aborts what is with the handler at once; those events come again.
    pub(crate) async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(work) = self.work.take()
            && let Err(error) = work.await
            && error.is_panic()
        {
            tracing::error!("the dispatcher's loop ended by a panic");
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.stop.cancel();
        drop(self.pulse.take());
        if let Some(runtime) = self.runtime.take() {
            // Never waits: a blocked handler would hold its thread for as long as it likes.
            runtime.shutdown_background();
        }
    }
}

/// The attempts that are out.
#[derive(Debug, Default)]
struct Out {
    /// Each returns when it failed, `None` when the handler answered for its event.
    tasks: JoinSet<Option<DateTime<Utc>>>,
    since: HashMap<Id, Since>,
    /// Attempts that failed since the last one that did not.
    failures: usize,
    failed_at: Option<DateTime<Utc>>,
}

/// Since when an attempt is out, so that one that outlives its time-out is named.
#[derive(Debug)]
struct Since {
    event: EventId,
    at: DateTime<Utc>,
    named: bool,
}

impl Out {
    fn begin(&mut self, desk: &Arc<Desk>, claim: Claim) {
        let since = Since { event: claim.event().id, at: desk.clock.now(), named: false };
        let task = self.tasks.spawn(attempt::attempt(Arc::clone(desk), claim));
        self.since.insert(task.id(), since);
    }

    /// Waits until an attempt has ended; for ever when none is out.
    async fn ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, failed_at))) => {
                self.failures = if failed_at.is_some() { self.failures + 1 } else { 0 };
                self.failed_at = failed_at;
                id
            }
            // A panic of ours or an abort: the claim was dropped, so its event is handed back.
            Some(Err(error)) => {
                if error.is_panic() {
                    tracing::error!("an attempt ended by a panic outside its handler");
                }
                error.id()
            }
            None => std::future::pending().await,
        };
        self.since.remove(&id);
    }

    /// Returns until when no event is handed out, because as many attempts as there are places
    /// have failed in a row.
    fn rest_until(&self, places: usize) -> Option<DateTime<Utc>> {
        self.failed_at.filter(|_| self.failures >= places).map(|at| at + REST)
    }

    /// Names, once each, the attempts that run on although their time is over: an await would
    /// have ended them, so their handler blocks its thread.
    fn name_the_blocked(&mut self, now: DateTime<Utc>, limit: Duration) {
        for since in self.since.values_mut().filter(|since| !since.named) {
            let out = (now - since.at).to_std().unwrap_or_default();
            if out > limit + BLOCKED_AFTER {
                since.named = true;
                tracing::warn!(
                    event.id = %since.event,
                    seconds = out.as_secs(),
                    "the handler blocks its thread: its place and its transaction wait for it"
                );
            }
        }
    }
}

/// How long after its time-out an attempt that still runs is called blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// How long handing out rests while every attempt fails: a handler that takes nothing would else
/// be called thousands of times a second, on the cores that answer the sellers.
const REST: Duration = Duration::from_millis(100);

/// How often the attempts that are out are looked through.
const LOOK_THROUGH: Duration = Duration::from_secs(1);

async fn work(desk: Arc<Desk>, stop: CancellationToken) {
    let mut out = Out::default();
    let mut look = tokio::time::interval(LOOK_THROUGH);
    // Kept until it answers: dropped whenever something else happens, a look that has to read
    // back for longer than that would begin again for ever. Places only become free meanwhile,
    // so its limit holds.
    let mut claiming = None;
    let places = desk.options.concurrency;
    loop {
        let free = places - out.tasks.len();
        if claiming.is_none() && free > 0 {
            claiming = Some(Box::pin(claim(&desk, free, out.rest_until(places))));
        }
        let claimed = async {
            match claiming.as_mut() {
                Some(claim) => claim.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = out.ended(), if !out.tasks.is_empty() => {}
            _ = look.tick() => {
                out.name_the_blocked(desk.clock.now(), desk.options.attempt_timeout);
            }
            claims = claimed => {
                claiming = None;
                match claims {
                    Ok(claims) => claims.into_iter().for_each(|claim| out.begin(&desk, claim)),
                    Err(inbox::Error::Closed) => break,
                    Err(error) => {
                        tracing::error!(error = %error, "could not claim events, trying again");
                        tokio::time::sleep(LOOK_THROUGH).await;
                    }
                }
            }
        }
    }
    // What it may have taken is handed back before the drain.
    drop(claiming);
    drain(out, desk.options.drain_timeout).await;
}

async fn claim(
    desk: &Desk,
    free: usize,
    rest_until: Option<DateTime<Utc>>,
) -> Result<Vec<Claim>, inbox::Error> {
    if let Some(at) = rest_until {
        desk.clock.sleep_until(at).await;
    }
    desk.inbox.claim(free).await
}

/// Waits for the attempts that are out, then aborts them: a dropped claim is handed back.
async fn drain(mut out: Out, patience: Duration) {
    let all = async {
        while !out.tasks.is_empty() {
            out.ended().await;
        }
    };
    if tokio::time::timeout(patience, all).await.is_ok() {
        return;
    }
    tracing::warn!(
        attempts = out.tasks.len(),
        "attempts outlived the drain time-out: their events are handed back"
    );
    out.tasks.abort_all();
    let aborted = async {
        while !out.tasks.is_empty() {
            out.ended().await;
        }
    };
    // Only a blocked thread is still out after this; it ends with the process.
    let _ = tokio::time::timeout(LOOK_THROUGH, aborted).await;
    out.tasks.detach_all();
}
