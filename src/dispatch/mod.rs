//! The second half of a callback's life: claim → attempt → settle.
//!
//! # Constraints
//! - Handlers run on a runtime of the dispatcher's own. One that may block has a thread for each of
//!   its places, those that only wait for the network share a few, and there is one more: a handler
//!   that blocks its thread, or that panics, stops neither the ACKs nor the loops nor the attempts
//!   of other lanes; see [`pulse`] for their timers.
//! - A claim ends in exactly one of three ways: settled by its attempt, dropped by an abort at
//!   shutdown (which hands it back), or still held by a blocked thread when the process ends
//!   (then the next start finds it pending).
//! - Each handler has a loop of its own ([`work`]): at most its `concurrency` attempts are out, and
//!   one that is slow, paused or down is not in the way of another. The inbox gives one claim a
//!   lane.

mod attempt;
mod health;
mod pace;
mod pulse;
mod states;
#[cfg(test)]
mod tests;
mod work;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::handler::ErasedHandler;
use crate::inbox::{Inbox, Outlet};
use crate::metrics::{Metrics, OfHandler};
use crate::retry::Policy;
use crate::trace::Sampling;

/// A handler, and how it is called.
#[derive(Debug, Clone)]
pub(crate) struct Callee {
    /// Its name, as routes, logs and operators know it.
    pub(crate) name: String,
    /// What takes the events.
    pub(crate) handler: Arc<dyn ErasedHandler>,
    /// Attempts that run side by side.
    pub(crate) concurrency: usize,
    /// Attempts that begin in a second, at most.
    pub(crate) rate_per_s: Option<NonZeroU32>,
    /// Whether it may block its thread: then it has a thread for each attempt.
    pub(crate) may_block: bool,
}

/// How long attempts take, and how often they are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How long an attempt may take before it counts as failed.
    pub(crate) attempt_timeout: Duration,
    /// Which traces are sampled.
    pub(crate) sampling: Sampling,
    /// How long [`Dispatcher::shutdown`] waits for attempts.
    pub(crate) drain_timeout: Duration,
    /// When a failed attempt is repeated.
    pub(crate) retry: Policy,
}

/// What an attempt needs.
#[derive(Debug)]
struct Desk {
    inbox: Arc<dyn Inbox>,
    callee: Callee,
    /// Its place among those that the inbox knows.
    outlet: Outlet,
    clock: Arc<dyn Clock>,
    options: Options,
    /// Shared by all handlers: a lane may have events for several.
    states: Arc<states::States>,
    metrics: OfHandler,
}

/// Hands events to the handlers until it is shut down.
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
    /// Starts the runtime and a loop for each handler, in the order of their outlets.
    ///
    /// # Errors
    /// The threads could not be started.
    pub(crate) fn start(
        inbox: Arc<dyn Inbox>,
        callees: Vec<Callee>,
        clock: Arc<dyn Clock>,
        options: Options,
        metrics: &Metrics,
    ) -> Result<Self, std::io::Error> {
        let callees: Vec<_> =
            callees.into_iter().map(|callee| (metrics.handler(&callee.name), callee)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(callees.iter().map(|(_, callee)| threads(callee)).sum::<usize>() + 1)
            .thread_name("handler")
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let ended = CancellationToken::new();
        let (stopping, guard) = (stop.clone(), ended.clone().drop_guard());
        let work = runtime.spawn(async move {
            // Dropped also when a loop panics.
            let _guard = guard;
            let states = Arc::<states::States>::default();
            states.warm_up(&*inbox).await;
            let mut loops = JoinSet::new();
            for (outlet, (metrics, callee)) in (0..).map(Outlet).zip(callees) {
                let (inbox, clock) = (Arc::clone(&inbox), Arc::clone(&clock));
                let states = Arc::clone(&states);
                let desk =
                    Arc::new(Desk { inbox, callee, outlet, clock, options, states, metrics });
                loops.spawn(work::work(desk, stopping.clone()));
            }
            // Without one of them its events would wait unseen: all end, and the process with them.
            while let Some(ended) = loops.join_next().await {
                if ended.is_err() {
                    tracing::error!("the loop of a handler ended by a panic");
                    return;
                }
            }
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
            tracing::error!("the dispatcher ended by a panic");
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

/// Returns how many threads a handler gets.
fn threads(callee: &Callee) -> usize {
    // What never blocks shares a few: an attempt of it is mostly a wait for the network.
    if callee.may_block { callee.concurrency } else { callee.concurrency.min(2) }
}
