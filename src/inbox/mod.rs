//! The inbox: the durable log of accepted callbacks, and the only thing that both halves share.
//!
//! # Contract
//! What every engine promises, and the contract suite checks:
//!
//! - *Durable before the answer.* [`Inbox::append`] answers only after the record is on disk. An
//!   error means that the record was not kept, as far as the engine can know; a retry of the
//!   seller then is a new event, or a duplicate of what was kept after all.
//! - *Duplicates.* A record is a duplicate when a byte-identical body of the same action and
//!   seller lies in the window, or when the latest record under the same ids (action, seller,
//!   bap, transaction, message) has the same content (raw bytes of `message` and `error`). A
//!   duplicate is answered after its original is durable and is not delivered again. Another
//!   content under known ids is a new event with [`Flag::IdReused`](crate::event::Flag::IdReused).
//!   Records without a transaction or message id are compared by their bytes only. A rejected
//!   record was never delivered: one that is accepted later is no duplicate of it, but a new event.
//! - *Order.* The engine gives each record a [`Seq`]. Within a lane, first rounds are claimed in
//!   the order of seq, one at a time: while a claim is out, or its event waits for a retry, the
//!   later events of the lane wait. Done or dead frees the lane.
//! - *Handlers.* Each event is for one handler, which its address decides; a claim names the handler
//!   that it is for, and gets no event of another. One that an operator has paused gets none.
//!   The lane is one for all: an event waits for those before it, whoever takes them.
//! - *At least once.* A claim ends by [`Inbox::settle`], or by being dropped, which hands the
//!   event back. An event is settled as done or dead exactly once a round. After a restart, what
//!   was not settled is pending again.
//! - *Cancel safety.* Dropping the future of `append` neither loses nor duplicates: the record is
//!   kept or it is not, as if the answer had been lost. Dropping the future of `claim` hands back
//!   what it had taken.
//! - *Bounds.* The queue, the tail, the window and the number of unsettled events are bounded;
//!   beyond them `append` fails at once and waits for nothing.

#[cfg(test)]
pub(crate) mod contract;
mod erased;
pub(crate) mod expectations;
#[cfg(test)]
mod model;
mod notes;
mod outcome;
pub(crate) mod outlets;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod prints;
pub(crate) mod reader;
mod refused;
pub(crate) mod sqlite;
mod stored;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::outlets::{Outlet, Outlets};
use crate::event::{EventId, Flags, OrderEvent};

/// An event's place in the log, given by the writer; grows with the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Seq(pub(crate) i64);

/// What is kept of a callback besides its event.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Where in the body the values of `message` and `error` lie: the content that tells a new
    /// event from a retry whose context was stamped again. Both `None`: the whole body counts.
    pub(crate) message: Option<Range<usize>>,
    /// See `message`.
    pub(crate) error: Option<Range<usize>>,
    /// Whether the event is to be handed to the handler.
    pub(crate) standing: Standing,
}

/// Whether an appended event is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is pending at once.
    Pending,
    /// It was refused by a rule and `ACKed` all the same: kept, visible, replayable, not delivered.
    Rejected,
}

/// The proof that a record is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It is a new event.
    New {
        /// The event's id.
        id: EventId,
        /// Its place in the log.
        seq: Seq,
    },
    /// It repeats an event that is durable already.
    Duplicate {
        /// The id of the original.
        of: EventId,
    },
}

/// A callback that was refused, kept so that "why do you NACK us" has an answer.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// When it came.
    pub(crate) at: DateTime<Utc>,
    /// The last segment of the path, as far as there was one.
    pub(crate) route: String,
    /// Who it says it is from; see [`OrderEvent::seller`].
    pub(crate) seller: String,
    /// Whether the sender's signature was verified.
    pub(crate) verified: bool,
    /// Why, as a name from a bounded set.
    pub(crate) cause: &'static str,
    /// The JSON Pointer and the message that the seller was told.
    pub(crate) path: String,
    /// What the seller was told.
    pub(crate) message: String,
    /// The transaction, where the callback could be read.
    pub(crate) transaction_id: Option<String>,
    /// The HTTP status that it was answered with.
    pub(crate) status: u16,
    /// The body; the inbox cuts it.
    pub(crate) body: bytes::Bytes,
    /// How long the body is, uncut.
    pub(crate) body_bytes: usize,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The handler has taken it.
    Done,
    /// It is tried again at `at`; `error` is the chain of causes.
    Retry {
        /// The earliest time of the next attempt.
        at: DateTime<Utc>,
        /// Why this attempt failed.
        error: String,
    },
    /// It is given up and kept as a dead letter.
    Dead {
        /// Why.
        error: String,
    },
}

/// How much is not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Events that are pending, with the handler, or waiting for a retry.
    pub(crate) unsettled: u64,
    /// Whether what waited at the start is still being read: then there may be more of them.
    pub(crate) is_counting: bool,
}

/// Why the inbox did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The writer's queue is full: it is behind.
    #[error("the inbox's queue is full")]
    QueueFull,
    /// There are too many events that nobody has taken.
    #[error("the inbox holds its limit of unsettled events")]
    TooManyUnsettled,
    /// The disk is full, or has less room than `inbox.min_free_bytes`.
    #[error("the inbox's disk has too little room")]
    NoSpace,
    /// The engine failed.
    #[error("the inbox could not be written or read")]
    Engine(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The inbox is closed.
    #[error("the inbox is closed")]
    Closed,
}

/// Takes an event back that was claimed and not settled.
pub(crate) trait TakeBack: fmt::Debug + Send + Sync {
    /// Makes the event of `ticket` pending again; never waits.
    fn take_back(&self, ticket: Ticket, event: Box<OrderEvent>);
}

/// What the engine needs to find a claim's event again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The event's place.
    pub(crate) seq: Seq,
    /// The engine's own number for the lane.
    pub(crate) lane: u64,
}

/// What the dispatcher found out about an event before it handed it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What else is to be known of it.
    pub(crate) flags: Flags,
    /// The states that it tells of, in the dispatcher's own words.
    pub(crate) states: String,
}

/// What an earlier event of a lane told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToldBefore {
    /// Its place.
    pub(crate) seq: Seq,
    /// See [`Found::states`].
    pub(crate) states: String,
}

/// What was found out about an event, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatesAtRest {
    /// The engine's own number for its lane.
    pub(crate) lane: u64,
    /// Whether it was older than others that came before it.
    pub(crate) out_of_order: bool,
    /// See [`Found::states`].
    pub(crate) states: String,
}

/// An event that was taken for delivery.
///
/// [`Inbox::settle`] consumes it; dropping it hands the event back and never waits.
#[must_use = "a claim that is dropped is delivered again"]
#[derive(Debug)]
pub(crate) struct Claim {
    event: Option<Box<OrderEvent>>,
    ticket: Ticket,
    first_attempt_at: Option<DateTime<Utc>>,
    found: Option<Found>,
    /// Cancelled when the event may soon be another receiver's.
    lost: Option<CancellationToken>,
    told_before: Vec<ToldBefore>,
    home: Arc<dyn TakeBack>,
}

impl Claim {
    /// Makes the claim of `event`; `first_attempt_at` is when this round's first attempt began,
    /// `None` for the first attempt.
    pub(crate) fn new(
        event: Box<OrderEvent>,
        ticket: Ticket,
        first_attempt_at: Option<DateTime<Utc>>,
        home: Arc<dyn TakeBack>,
    ) -> Self {
        Self {
            event: Some(event),
            ticket,
            first_attempt_at,
            found: None,
            lost: None,
            told_before: Vec::new(),
            home,
        }
    }

    /// Adds what an engine knows that several receivers share: when the claim is lost, and what the
    /// last events of the lane told, the oldest first.
    #[cfg(feature = "postgres")]
    fn shared(mut self, lost: CancellationToken, told_before: Vec<ToldBefore>) -> Self {
        self.lost = Some(lost);
        self.told_before = told_before;
        self
    }

    /// Waits until the event may soon be another receiver's: an attempt has to end before that.
    pub(crate) async fn lost(&self) {
        match &self.lost {
            Some(lost) => lost.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Returns what other receivers may have found out about the lane's last events, the oldest
    /// first.
    pub(crate) fn told_before(&self) -> &[ToldBefore] {
        &self.told_before
    }

    /// Returns the event.
    pub(crate) fn event(&self) -> &OrderEvent {
        self.event.as_deref().expect("only `into_parts` takes the event, and it consumes the claim")
    }

    /// Returns a number that events have in common that are serial.
    pub(crate) fn lane(&self) -> u64 {
        self.ticket.lane
    }

    /// Returns when this round's first attempt began; `None` at the first attempt.
    pub(crate) fn first_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.first_attempt_at
    }

    /// Marks the event by what was found out about it; it is kept with the settlement.
    pub(crate) fn find(&mut self, found: Found) {
        if let Some(event) = &mut self.event {
            found.flags.iter().for_each(|flag| event.flags.insert(flag));
        }
        self.found = Some(found);
    }

    /// Takes the claim apart; for engines, when they settle.
    pub(crate) fn into_parts(mut self) -> (Box<OrderEvent>, Ticket, Option<Found>) {
        let event =
            self.event.take().expect("only this takes the event, and it consumes the claim");
        (event, self.ticket, self.found.take())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.home.take_back(self.ticket, event);
        }
    }
}

/// The durable log of accepted callbacks; the module's documentation is its contract.
pub(crate) trait Inbox: fmt::Debug + Send + Sync {
    /// Keeps a callback, or finds that it repeats one that is kept.
    ///
    /// # Cancel safety
    /// See the contract.
    fn append(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'_, Result<Receipt, Error>>;

    /// Keeps a refusal, best effort: dropped when its queue is full, never waits.
    fn refuse(&self, refusal: Refusal);

    /// Takes up to `limit` events (at least 1) for delivery to a handler; waits until there is one.
    ///
    /// # Cancel safety
    /// See the contract.
    fn claim(&self, outlet: Outlet, limit: usize) -> BoxFuture<'_, Result<Vec<Claim>, Error>>;

    /// Says what became of a claim. The lane is freed at once; the settlement is durable with the
    /// writer's next commit. Until then a crash delivers the event again.
    fn settle(&self, claim: Claim, settlement: Settlement);

    /// Returns what was found out about the newest events, at most `limit`, the newest first; it
    /// looks back a bounded part of the log.
    ///
    /// # Cancel safety
    /// It only reads.
    fn states(&self, limit: usize) -> BoxFuture<'_, Result<Vec<StatesAtRest>, Error>>;

    /// Returns how much is not settled.
    fn depth(&self) -> Depth;

    /// Returns why `append` would be refused now, if it would be.
    fn trouble(&self) -> Option<Error>;

    /// Waits until the engine cannot go on by itself; for ever when it can.
    fn failed(&self) -> BoxFuture<'static, ()>;

    /// Returns the place of the newest event that is durable, and wakes whoever waits for the next.
    fn arrivals(&self) -> watch::Receiver<i64>;

    /// Writes what waits and closes the files; later calls fail with [`Error::Closed`].
    ///
    /// # Cancel safety
    /// The closing goes on when the future is dropped.
    fn close(&self) -> BoxFuture<'_, ()>;
}
