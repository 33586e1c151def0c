//! One call of the handler: time-out, panic, and what the outcome means for the event.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, Span};

use super::Desk;
use crate::event::{EventId, OrderEvent};
use crate::handler::HandlerError;
use crate::inbox::{Claim, Settlement};
use crate::metrics;
use crate::retry::Failed;
use crate::trace;
use crate::words::Outside;

/// How much of an error's text is kept with its event, in bytes.
const ERROR_BYTES: usize = 2_000;

/// How a call of the handler ended; nothing in it is the handler's any more.
enum Outcome {
    Taken,
    Failed { error: String, unreached: bool, asked: Option<Duration> },
    Permanent { error: String },
    Panicked(String),
    TimedOut,
}

/// What an attempt says of its handler, and when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ended {
    /// The handler has taken the event, or refused it for good.
    Answered(DateTime<Utc>),
    /// It did neither.
    Failed {
        /// When.
        at: DateTime<Utc>,
        /// Whether it said, or its silence says, that nothing behind it was reached.
        unreached: bool,
    },
    /// The claim was lost: whoever has the event now will say.
    Lost,
}

/// Calls the handler with a claimed event and settles the claim.
///
/// # Cancel safety
/// Dropped before its end, it drops the claim, which hands the event back.
pub(super) async fn attempt(desk: Arc<Desk>, mut claim: Claim) -> Ended {
    desk.states.judge(&mut claim);
    let span = trace::delivery(&desk.callee.name, claim.event(), desk.options.sampling);
    pin!(attempt_within(desk, claim, &span)).instrument(span.clone()).await
}

/// Calls and settles; how it ended is noted in the span.
async fn attempt_within(desk: Arc<Desk>, claim: Claim, span: &Span) -> Ended {
    let began = desk.clock.now();
    let Some(outcome) = call(&desk, &claim, began).await else {
        let (id, handler) = (claim.event().id, &desk.callee.name);
        span.record("outcome", "lost");
        tracing::warn!(
            event.id = %id, handler,
            "ended an attempt of event `{id}`: its lease could not be renewed"
        );
        return Ended::Lost;
    };
    let unreached = match &outcome {
        Outcome::Taken | Outcome::Permanent { .. } => None,
        Outcome::Failed { unreached, .. } => Some(*unreached),
        Outcome::Panicked(_) => Some(false),
        Outcome::TimedOut => Some(true),
    };
    let broken = match &outcome {
        Outcome::Taken | Outcome::Permanent { .. } | Outcome::Failed { .. } => None,
        Outcome::Panicked(_) => Some(metrics::Ended::Panic),
        Outcome::TimedOut => Some(metrics::Ended::TimeOut),
    };
    let settlement = judge(&desk, &claim, began, outcome);
    let at = desk.clock.now();
    let ended = measure(&desk, claim.event(), &settlement, (began, at, broken));
    span.record("outcome", ended.as_str());
    tell(&desk, &claim, &settlement);
    desk.inbox.settle(claim, settlement);
    unreached.map_or(Ended::Answered(at), |unreached| Ended::Failed { at, unreached })
}

/// Calls the handler. All that is its code runs inside the guard: the making of the future, its
/// polls, its drop at a time-out, and the text of its error. `None`: the claim was lost meanwhile.
async fn call(desk: &Desk, claim: &Claim, began: DateTime<Utc>) -> Option<Outcome> {
    let deadline = began + desk.options.attempt_timeout;
    let guarded = async {
        let handled = desk.callee.handler.handle(claim.event());
        tokio::select! {
            biased;
            outcome = handled => Some(match outcome {
                Ok(()) => Outcome::Taken,
                Err(error) => told(&error),
            }),
            () = desk.clock.sleep_until(deadline) => Some(Outcome::TimedOut),
            () = claim.lost() => None,
        }
    };
    AssertUnwindSafe(guarded)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Some(Outcome::Panicked(panic_text(&*panic))))
}

fn told(error: &HandlerError) -> Outcome {
    if error.is_permanent() {
        Outcome::Permanent { error: error.chain() }
    } else {
        Outcome::Failed {
            error: error.chain(),
            unreached: error.is_unreached(),
            asked: error.delay(),
        }
    }
}

fn judge(desk: &Desk, claim: &Claim, began: DateTime<Utc>, outcome: Outcome) -> Settlement {
    let (error, asked) = match outcome {
        Outcome::Taken => return Settlement::Done,
        Outcome::Permanent { error } => return Settlement::Dead { error: cut(error) },
        Outcome::Failed { error, asked, .. } => (error, asked),
        Outcome::Panicked(text) => (format!("the handler panicked: {text}"), None),
        Outcome::TimedOut => {
            let limit = desk.options.attempt_timeout.as_millis();
            (format!("the handler took longer than {limit} ms"), None)
        }
    };
    let error = cut(error);
    let now = desk.clock.now();
    let first = claim.first_attempt_at().unwrap_or(began);
    let failed = Failed {
        attempt: claim.event().attempt,
        since_first: (now - first).to_std().unwrap_or_default(),
        asked,
    };
    match desk.options.retry.next(failed, chance(claim.event().id, failed.attempt)) {
        Some(wait) => Settlement::Retry { at: now + wait, error },
        None => Settlement::Dead { error: format!("given up: {error}") },
    }
}

/// Counts the attempt and returns how it ended; `broken` is how the handler failed to answer.
fn measure(
    desk: &Desk,
    event: &OrderEvent,
    settlement: &Settlement,
    (began, at, broken): (DateTime<Utc>, DateTime<Utc>, Option<metrics::Ended>),
) -> metrics::Ended {
    let since = |then: DateTime<Utc>| (at - then).to_std().unwrap_or_default();
    let (ended, settled) = match settlement {
        Settlement::Done => (metrics::Ended::Done, true),
        Settlement::Retry { .. } => (metrics::Ended::Retry, false),
        Settlement::Dead { .. } => (metrics::Ended::Dead, true),
    };
    let ended = broken.unwrap_or(ended);
    desk.metrics.attempted(ended, since(began));
    if settled && event.replay == 0 {
        desk.metrics.settled_after(since(event.received_at));
    }
    ended
}

/// Says on the log what became of the attempt; the only place where a handler's error is logged.
fn tell(desk: &Desk, claim: &Claim, settlement: &Settlement) {
    let (event, handler) = (claim.event(), &desk.callee.name);
    let (id, attempt) = (event.id, event.attempt);
    match settlement {
        Settlement::Done => {
            tracing::debug!(event.id = %id, handler, attempt, "settled event `{id}` as done");
        }
        Settlement::Retry { at, error } => tracing::warn!(
            event.id = %id, handler, attempt, error = %Outside(error), next = %at,
            "the handler did not take event `{id}`, it is tried again"
        ),
        Settlement::Dead { error } => tracing::error!(
            event.id = %id, handler, attempt, error = %Outside(error),
            "settled event `{id}` as dead: see `beckn-receiver dead-letters`"
        ),
    }
}

/// Returns a number in 0..1 that differs between events and attempts.
///
/// The tail of a UUID v7 is random, so no generator is needed for spreading retries.
fn chance(event: EventId, attempt: u32) -> f64 {
    let [.., a, b, c, d] = *event.uuid().as_bytes();
    let tail = u32::from_be_bytes([a, b, c, d]).rotate_left(attempt % 32);
    f64::from(tail) / (f64::from(u32::MAX) + 1.0)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ERROR_BYTES));
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
