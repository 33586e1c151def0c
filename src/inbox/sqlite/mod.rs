//! The embedded engine: SQLite, one writer thread, group commit.
//!
//! # Constraints
//! - Only the writer's thread writes, so that duplicates are decided where writes are in line.
//! - An append is answered after the commit that holds it; its settlement rides in a later one.
//! - What is at rest: wide rows that are only inserted, narrow rows that change ([`schema`]).
//!
//! # Layout
//! `mailbox` what callers ask of the writer · `writer` the thread · `pace` how soon it commits
//! again · `batch` one commit · `publish` what follows it · `checkpoint` the log written back ·
//! `window` and `packs` the duplicates · `lanes` what is pending, in which order · `pages` reading
//! back · `house` with `replays`, `pauses`, `retention`, `refusals`, `notes` what the writer does
//! between batches · `attempts` those that failed · `opening` a start ·
//! `originals` what a duplicate repeats · `expecting`, `expect`, `looking` what is waited for ·
//! `erase` what is emptied ·
//! `threads` how they start and end · `lock` the directory.
//!
//! # When it breaks
//! A full disk fails the batch. Another error at a commit fails it too; the file is opened again
//! and what is really there is read before the next append. Three such failures in a row, and
//! [`SqliteInbox::failed`] says so, as it does when a thread panics. After a crash, what was not
//! settled is pending again, and an event whose attempts keep ending the process is given up on
//! the third time.

mod attempts;
mod batch;
mod checkpoint;
mod erase;
mod expect;
mod expecting;
#[cfg(test)]
pub(crate) mod faults;
mod hand_out;
mod house;
mod lanes;
mod loader;
pub(in crate::inbox) mod lock;
pub(in crate::inbox) mod looking;
mod low_water;
mod mailbox;
pub(in crate::inbox) mod notes;
pub(crate) mod open_error;
mod opening;
mod options;
mod originals;
mod pace;
mod packs;
pub(in crate::inbox) mod pages;
mod pauses;
mod publish;
pub(in crate::inbox) mod refusals;
mod replays;
mod retention;
pub(in crate::inbox) mod schema;
mod threads;
mod window;
mod writer;

#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod outlet_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble_tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use self::options::Options;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use self::hand_out::{Held, hand_out};
use self::lanes::{Lanes, Look, Settled, Waits};
use self::mailbox::{Append, Mailbox};
use self::pages::Pages;
use super::expectations::Counts;
use super::refused;
use super::{
    Claim, Depth, Error, Inbox, Outlet, Receipt, Record, Refusal, Settlement, StatesAtRest,
    TakeBack, Ticket,
};
use crate::clock::Clock;
use crate::event::OrderEvent;
use crate::inbox::prints::{Prints, Secret};
use crate::metrics::Metrics;

/// What the handle, the claims and the threads share.
#[derive(Debug)]
struct Shared {
    mailbox: Mailbox,
    lanes: Lanes,
    pages: Pages,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// How long an event waits that could not be read back.
    poll: Duration,
    /// True when the engine has failed for good.
    failed: watch::Sender<bool>,
    /// True when the writer has ended.
    ended: watch::Sender<bool>,
    /// The greatest seq that is durable.
    arrived: watch::Sender<i64>,
    /// What the buyer app waits for.
    open: Mutex<expecting::Open>,
    counts: Arc<Counts>,
    #[cfg(test)]
    faults: faults::Faults,
}

/// The inbox in a directory, open for writing.
#[derive(Debug)]
pub(crate) struct SqliteInbox {
    shared: Arc<Shared>,
    secret: Secret,
    options: Options,
    /// The writer and the loader, joined when the handle is dropped.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteInbox {
    /// Ends as if the process had been killed; for tests.
    #[cfg(test)]
    pub(crate) fn abandon(&self) {
        self.end_threads();
    }

    /// Lets a fault strike the next commit; for tests.
    #[cfg(test)]
    pub(crate) fn plant(&self, fault: faults::Fault) {
        self.shared.faults.plant(fault);
    }

    fn end_threads(&self) {
        self.shared.mailbox.abandon();
        self.shared.lanes.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic of the thread has been printed; there is nobody to hand it to.
            let _ = thread.join();
        }
    }

    async fn append_record(
        &self,
        record: Record,
        event: Box<OrderEvent>,
        silence_of: Option<i64>,
    ) -> Result<Option<Receipt>, Error> {
        let shared = &self.shared;
        let waiting = shared.mailbox.waiting() as u64;
        if shared.lanes.unsettled() + waiting >= self.options.unsettled_limit as u64 {
            return Err(Error::TooManyUnsettled);
        }
        let seller = event.seller();
        let prints = Prints::of(&self.secret, &record, &event, &seller);
        let outlet = self.options.outlets.of(&event.address());
        let (answer, receipt) = oneshot::channel();
        let queued = Instant::now();
        let append = Append { event, record, seller, prints, outlet, answer, queued, silence_of };
        shared.mailbox.append(append)?;
        // The writer drops an answer only when it is abandoned.
        receipt.await.unwrap_or(Err(Error::Closed))
    }

    async fn claim_events(&self, outlet: Outlet, limit: usize) -> Result<Vec<Claim>, Error> {
        let shared = &self.shared;
        loop {
            let mut woken = std::pin::pin!(shared.lanes.notified());
            // Registered before the look, so that what comes in between is not missed.
            woken.as_mut().enable();
            if let Some(error @ (Error::Closed | Error::Engine(_))) = shared.mailbox.trouble() {
                return Err(error);
            }
            let now = shared.clock.now();
            let look = shared.lanes.take(outlet, limit.max(1), now);
            let (next_at, held) = shared.hold(look);
            let mut woken_by = Some(woken);
            if !held.is_empty() {
                let handed_out = hand_out(shared, held).await;
                if !handed_out.claims.is_empty() {
                    return Ok(handed_out.claims);
                }
                if !handed_out.stuck {
                    continue;
                }
                // What could not be marked is ready again: it must not spin.
                woken_by = None;
            }
            let poll = now + self.options.poll;
            let until = next_at.map_or(poll, |at| at.min(poll));
            match woken_by {
                Some(woken) => tokio::select! {
                    () = woken => {}
                    () = shared.clock.sleep_until(until) => {}
                },
                None => shared.clock.sleep_until(poll).await,
            }
        }
    }
}

/// Computes the fingerprints of an event as an append does, and returns one of them.
#[cfg(feature = "bench")]
pub(crate) fn fingerprint(record: &Record, event: &OrderEvent) -> u64 {
    Prints::of(&Secret::new([7; 32]), record, event, &event.seller()).lane
}

impl Shared {
    /// Guards what a look has taken, and writes what it has given up.
    fn hold(self: &Arc<Self>, look: Look) -> (Option<DateTime<Utc>>, Vec<Held>) {
        for (seq, _) in &look.given_up {
            tracing::error!(seq, "gave up an event: its attempts ended the process three times");
            self.metrics.gave_up();
        }
        if !look.given_up.is_empty() {
            self.mailbox.settle(look.given_up);
        }
        let hold = |taken| Held::new(taken, Arc::clone(self));
        (look.next_at, look.taken.into_iter().map(hold).collect())
    }

    fn put_back(&self, ticket: Ticket, event: Option<Box<OrderEvent>>) {
        self.lanes.put_back(ticket, event, |seq, outcome| self.mailbox.settle([(seq, outcome)]));
    }

    /// Puts an event back that could not be read, not to be tried before `at`.
    fn postpone(&self, ticket: Ticket, now: DateTime<Utc>, at: DateTime<Utc>) {
        let write = |seq, outcome| self.mailbox.settle([(seq, outcome)]);
        self.lanes.postpone(ticket, Waits { now, at }, write);
    }

    fn settle(&self, settled: Settled, now: DateTime<Utc>) {
        self.lanes.settle(settled, now, |seq, outcome| self.mailbox.settle([(seq, outcome)]));
    }
}

impl TakeBack for Shared {
    fn take_back(&self, ticket: Ticket, event: Box<OrderEvent>) {
        self.put_back(ticket, Some(event));
    }
}

impl Inbox for SqliteInbox {
    fn append(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let receipt = self.append_record(record, event, None).await?;
            Ok(receipt.expect("only of a silence there is none"))
        })
    }

    fn refuse(&self, mut refusal: Refusal) {
        refused::cut(&mut refusal, self.options.refusal_body_bytes);
        if !self.shared.mailbox.refuse(refusal) {
            self.options.metrics.inbox.refusal_dropped();
        }
    }

    fn claim(&self, outlet: Outlet, limit: usize) -> BoxFuture<'_, Result<Vec<Claim>, Error>> {
        Box::pin(self.claim_events(outlet, limit))
    }

    fn settle(&self, claim: Claim, settlement: Settlement) {
        let (event, ticket, found) = claim.into_parts();
        let now = self.shared.clock.now();
        if let Settlement::Dead { .. } = settlement {
            self.options.metrics.gave_up();
        }
        self.shared.settle(Settled { ticket, event: Some(event), settlement, found }, now);
    }

    fn states(&self, limit: usize) -> BoxFuture<'_, Result<Vec<StatesAtRest>, Error>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || shared.pages.states(limit)).await;
            let read = read.expect("reading does not panic and is not aborted");
            read.map_err(|error| Error::Engine(Arc::new(open_error::EngineError::chain(&error))))
        })
    }

    fn depth(&self) -> Depth {
        // Asked first: what is read in between is counted, and never the other way round.
        let is_counting = self.shared.lanes.is_loading();
        Depth { unsettled: self.shared.lanes.unsettled(), is_counting }
    }

    fn trouble(&self) -> Option<Error> {
        let full = self.shared.lanes.unsettled() >= self.options.unsettled_limit as u64;
        self.shared.mailbox.trouble().or_else(|| full.then_some(Error::TooManyUnsettled))
    }

    fn failed(&self) -> BoxFuture<'static, ()> {
        let mut failed = self.shared.failed.subscribe();
        Box::pin(async move {
            // The sender lives as long as the inbox; without it nobody is left to fail.
            if failed.wait_for(|failed| *failed).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn arrivals(&self) -> watch::Receiver<i64> {
        self.shared.arrived.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.mailbox.close();
        self.shared.lanes.close();
        let mut ended = self.shared.ended.subscribe();
        Box::pin(async move {
            // An error means that the writer is gone: that is what is waited for.
            let _ = ended.wait_for(|ended| *ended).await;
        })
    }
}

impl Drop for SqliteInbox {
    fn drop(&mut self) {
        self.end_threads();
    }
}
