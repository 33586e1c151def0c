//! Callbacks that the buyer app waits for: registered before they come, or just after.
//!
//! # Contract
//! - The first callback with the action and the message id meets it, and of the transaction and the
//!   seller where these are named. It is marked as solicited.
//! - A callback that came in the last 15 minutes before the registering meets it, too.
//! - What is not met when its time is over is told once, by an event of the inbox's own; a callback
//!   that comes within a day after that is late.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Error, Receipt, Record, Seq};
use crate::beckn::action::Action;
use crate::event::{OrderEvent, UNVERIFIED};
use crate::words::SubscriberId;

/// How long before its registering a callback may have come.
pub(crate) const LOOK_BACK: TimeDelta = TimeDelta::minutes(15);

/// What is to be expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewExpectation {
    /// Which callback.
    pub(crate) action: Action,
    /// The message id of the request that it answers.
    pub(crate) message_id: String,
    /// The transaction, if it is to be looked at.
    pub(crate) transaction_id: Option<String>,
    /// The buyer app, as the silence says it.
    pub(crate) bap_id: Option<String>,
    /// The seller, if it is to be looked at.
    pub(crate) bpp_id: Option<String>,
    /// The domain, as the silence says it.
    pub(crate) domain: Option<String>,
    /// Who registers it.
    pub(crate) by: String,
    /// When it is registered.
    pub(crate) at: DateTime<Utc>,
    /// When it counts as silence.
    pub(crate) due_at: DateTime<Utc>,
}

/// What an expectation looks at of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The action's name.
    pub(crate) action: &'a str,
    /// The message's id.
    pub(crate) message_id: &'a str,
    /// The transaction's id.
    pub(crate) transaction_id: Option<&'a str>,
    /// As [`OrderEvent::seller`](crate::event::OrderEvent::seller) says it.
    pub(crate) seller: &'a str,
}

impl NewExpectation {
    /// Returns whether an event meets it.
    pub(crate) fn is_met_by(&self, event: Candidate<'_>) -> bool {
        let seller = event.seller.strip_prefix(UNVERIFIED).unwrap_or(event.seller);
        let is_seller = |id: &str| SubscriberId::bare(id) == SubscriberId::bare(seller);
        self.action.as_str() == event.action
            && self.message_id == event.message_id
            && self.transaction_id.as_deref().is_none_or(|id| event.transaction_id == Some(id))
            && self.bpp_id.as_deref().is_none_or(is_seller)
    }
}

/// An expectation that is registered.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// Its place among them.
    pub(crate) seq: i64,
    /// Its id.
    pub(crate) id: Uuid,
    /// What is expected.
    pub(crate) new: NewExpectation,
    /// Whether the log was looked through for what came before it was registered.
    pub(crate) looked: AtomicBool,
}

/// The proof that an expectation is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Its id.
    pub(crate) id: Uuid,
    /// The event that had come already.
    pub(crate) met: Option<Seq>,
}

/// Why an expectation was not registered.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ExpectError {
    /// There are `inbox.expectations_limit` of them.
    #[error("the inbox holds its limit of open expectations")]
    TooMany,
    /// The inbox.
    #[error(transparent)]
    Inbox(#[from] Error),
}

/// What is expected, beside what comes: every engine has both.
pub(crate) trait Expecting: fmt::Debug + Send + Sync {
    /// Registers an expectation; durable when it answers. What came in the last minutes meets it.
    ///
    /// # Cancel safety
    /// It is registered or it is not.
    fn expect(&self, new: NewExpectation) -> BoxFuture<'_, Result<Expected, ExpectError>>;

    /// Lets go of an expectation that was withdrawn.
    fn forget_expectation(&self, id: Uuid);

    /// Looks for what came while no process was there to see it, or before it was looked for.
    ///
    /// # Cancel safety
    /// What it has not come to is looked for again.
    fn look_for_expected(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Returns expectations whose time is over and that nothing has met, a few at a time.
    ///
    /// # Cancel safety
    /// They are returned again.
    fn overdue(&self, now: DateTime<Utc>) -> BoxFuture<'_, Result<Vec<Arc<Expectation>>, Error>>;

    /// Keeps the event that tells the handler of a silence, and that it was told, in one commit;
    /// `None` when something has met the expectation meanwhile, or somebody withdrew it.
    ///
    /// # Cancel safety
    /// It is told or it is not; told again, it is not delivered twice.
    fn tell_silence<'a>(
        &'a self,
        of: &'a Expectation,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'a, Result<Option<Receipt>, Error>>;

    /// Returns when the next expectation is due, where that is known.
    fn next_silence(&self) -> Option<DateTime<Utc>>;

    /// Returns how many expectations are open.
    fn open_expectations(&self) -> usize;

    /// Returns what this process has counted.
    fn expectation_counts(&self) -> Arc<Counts>;
}

/// How many expectations this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    registered: AtomicU64,
    met: AtomicU64,
    silent: AtomicU64,
}

impl Counts {
    /// Adds to them.
    pub(super) fn add(&self, registered: usize, met: usize, silent: usize) {
        self.registered.fetch_add(registered as u64, Ordering::Relaxed);
        self.met.fetch_add(met as u64, Ordering::Relaxed);
        self.silent.fetch_add(silent as u64, Ordering::Relaxed);
    }

    /// Returns how many were registered, met, and ended in silence.
    pub(crate) fn read(&self) -> [u64; 3] {
        [&self.registered, &self.met, &self.silent].map(|count| count.load(Ordering::Relaxed))
    }
}
