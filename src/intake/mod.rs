//! The first half of a callback's life: verify → parse → check → append.
//!
//! # Constraints
//! - Nothing here speaks HTTP: a [`Rejection`] says why, `http::callbacks` says it to the seller.
//! - The answer waits for the append and for nothing that comes after it.
//! - The typed models are parsed before the ACK, once; the event moves into the inbox with them.

mod refused;
#[cfg(test)]
mod tests;
pub(crate) mod trust;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::buyer_rule::ErasedRule;
use crate::event::{Flag, OrderEvent};
use crate::inbox::{self, Inbox, Receipt, Record, Refusal, Standing};
use crate::metrics::Metrics;
use crate::rules::{self, Findings, Rules};
use crate::trace::Arriving;
use crate::words::{Sender, Violation};

pub(crate) use refused::Refused;
use refused::{Origin, turned_back};
use trust::{Presented, Trust};

/// Takes callbacks in.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) trust: Trust,
    pub(crate) rules: Rules,
    pub(crate) buyer_rules: Vec<Arc<dyn ErasedRule>>,
    /// How long all buyer's rules together may take.
    pub(crate) deadline: Duration,
    pub(crate) rejected: Rejected,
    pub(crate) metrics: Arc<Metrics>,
}

/// What becomes of a callback that a rule refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It is answered with a NACK.
    Nack,
    /// It is answered ACK and kept, not delivered.
    Keep,
    /// It is answered ACK, kept and delivered.
    Deliver,
}

/// Why a callback is not accepted.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// It does not satisfy a rule; the body comes back with it.
    Refused(Box<Refused>, Bytes),
    /// Its signature is missing or not good; the body comes back with it.
    Untrusted(Box<Refused>, Bytes),
    /// The sender's key could not be looked up; the seller may try again.
    KeyUnavailable {
        /// When.
        retry_after: Duration,
        /// What the seller is told.
        message: String,
    },
    /// It could not be kept; the seller may try again.
    Unavailable(inbox::Error),
}

/// What stands behind the HTTP side. It is the [`Intake`], but where HTTP alone is measured.
pub(crate) trait Accept: fmt::Debug + Send + Sync + 'static {
    /// Takes one callback in: when this returns a receipt, the callback is durable. Its span begins
    /// when its transaction is known.
    ///
    /// # Errors
    /// Its signature is not good, a rule refuses it, or the inbox cannot keep it.
    ///
    /// # Cancel safety
    /// Dropped, it has kept the callback or it has not; see the inbox's contract.
    fn accept(
        &self,
        posted: Posted<'_>,
        arriving: &Arriving<'_>,
    ) -> impl Future<Output = Result<Receipt, Rejection>> + Send;

    /// Keeps a refusal, best effort; never waits.
    fn refuse(&self, refusal: Refusal);

    /// Returns what counts callbacks and answers.
    fn metrics(&self) -> &Arc<Metrics>;
}

impl Accept for Intake {
    async fn accept(
        &self,
        posted: Posted<'_>,
        arriving: &Arriving<'_>,
    ) -> Result<Receipt, Rejection> {
        let Posted { action, presented, body, now } = posted;
        let sender = match self.trust.verify(presented, &body, now).await {
            Ok(sender) => sender,
            Err(distrust) => return Err(turned_back(distrust, body)),
        };
        let arrival = Arrival { action, sender, body, now };
        let callback = match Callback::parse(&arrival.body) {
            Ok(callback) => Box::new(callback),
            Err(malformed) => {
                let refused = Box::new(refused::as_malformed(&malformed, arrival.sender.as_ref()));
                return self.turn_away(refused, arrival.into_entry(Box::default())).await;
            }
        };
        if let Some(sender) = &arrival.sender
            && let Err(distrust) =
                self.trust.check_seller(sender, callback.context.bpp_id.as_deref(), now)
        {
            return Err(turned_back(distrust, arrival.body));
        }
        let span = arriving.belongs_to(callback.context.transaction_id.as_deref());
        pin!(self.judge(arrival, callback)).instrument(span).await
    }

    fn refuse(&self, refusal: Refusal) {
        self.inbox.refuse(refusal);
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl Intake {
    /// Checks the rules, ours and then the buyer's, and keeps what they let through.
    async fn judge(&self, arrival: Arrival, callback: Box<Callback>) -> Result<Receipt, Rejection> {
        let Arrival { action, now, .. } = arrival;
        let findings = self.rules.check(action, &callback, now);
        let origin = Origin::of(arrival.sender.as_ref(), &callback);
        let mut refused = refused::by_ours(&findings, origin);
        let mut skipped = false;
        if refused.is_none() && !self.buyer_rules.is_empty() {
            (refused, skipped) = self.ask_buyer(action, &callback, origin).await;
        }
        let mut entry = arrival.into_entry(callback);
        self.count(&findings, &entry.event);
        entry.event.warnings = findings.enforced;
        entry.event.warnings.extend(findings.warnings);
        if skipped {
            entry.event.flags.insert(Flag::RuleSkipped);
        }
        match refused {
            Some(refused) => self.turn_away(refused, entry).await,
            None => self.append(entry).await,
        }
    }

    /// Counts the rules that only warn, and the shapes that nobody publishes.
    fn count(&self, findings: &Findings, event: &OrderEvent) {
        for warning in &findings.warnings {
            self.metrics.warned(&warning.rule);
        }
        for oddity in &event.oddities {
            self.metrics.odd(oddity.kind, oddity.count);
        }
    }

    async fn append(&self, entry: Entry) -> Result<Receipt, Rejection> {
        self.inbox.append(entry.record, entry.event).await.map_err(Rejection::Unavailable)
    }

    /// Refuses a callback, or keeps it as rejected when everything is to be `ACKed`.
    async fn turn_away(
        &self,
        mut refused: Box<Refused>,
        mut entry: Entry,
    ) -> Result<Receipt, Rejection> {
        entry.record.standing = match self.rejected {
            Rejected::Nack => {
                refused.transaction_id =
                    entry.event.context.transaction_id.clone().map(String::from);
                return Err(Rejection::Refused(refused, entry.event.body));
            }
            Rejected::Keep => Standing::Rejected,
            Rejected::Deliver => Standing::Pending,
        };
        entry.event.flags.insert(Flag::Rejected);
        if entry.event.warnings.iter().all(|warning| warning.rule != refused.cause) {
            let Refused { cause, path, message, .. } = *refused;
            entry.event.warnings.insert(0, Violation::new(cause, path, message));
        }
        self.append(entry).await
    }

    /// Asks the buyer's rules one after the other, until one refuses or the deadline is over.
    /// Returns the refusal, and whether a rule was passed over.
    async fn ask_buyer(
        &self,
        action: Action,
        callback: &Callback,
        origin: Origin<'_>,
    ) -> (Option<Box<Refused>>, bool) {
        let mut skipped = false;
        let deadline = tokio::time::Instant::now() + self.deadline;
        for rule in &self.buyer_rules {
            let answer = std::panic::AssertUnwindSafe(async { rule.check(action, callback).await });
            match tokio::time::timeout_at(deadline, answer.catch_unwind()).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(refuse))) => {
                    let refused = refused::by_buyer(rule.name(), refuse, origin);
                    return (Some(Box::new(refused)), skipped);
                }
                Ok(Err(_panic)) => {
                    tracing::error!(
                        rule = rule.name(),
                        "a buyer's rule panicked, it was passed over"
                    );
                    skipped = true;
                }
                Err(_elapsed) => {
                    tracing::warn!(rule = rule.name(), "a buyer's rule did not answer in time");
                    return (None, true);
                }
            }
        }
        (None, skipped)
    }
}

/// What was posted.
#[derive(Debug)]
pub(crate) struct Posted<'a> {
    pub(crate) action: Action,
    /// What it brings to say who it is from.
    pub(crate) presented: Presented<'a>,
    pub(crate) body: Bytes,
    pub(crate) now: DateTime<Utc>,
}

/// A callback that came from someone who may post.
struct Arrival {
    action: Action,
    /// Who signed it; `None` for one that is accepted unverified.
    sender: Option<Sender>,
    body: Bytes,
    now: DateTime<Utc>,
}

/// A callback on its way into the inbox.
struct Entry {
    record: Record,
    event: Box<OrderEvent>,
}

impl Arrival {
    fn into_entry(self, callback: Box<Callback>) -> Entry {
        let record = Record {
            message: callback.content.message.clone(),
            error: callback.content.error.clone(),
            standing: Standing::Pending,
        };
        let repaired = callback.shape.bom || callback.shape.trailing_comma.is_some();
        let other_payload = rules::carries_another_payload(self.action, &callback);
        let mut event = Box::new(OrderEvent::new(self.action, *callback, self.body, self.now));
        event.sender = self.sender;
        if repaired {
            event.flags.insert(Flag::Repaired);
        }
        if other_payload {
            event.flags.insert(Flag::OtherPayload);
        }
        Entry { record, event }
    }
}
