//! What is counted of a callback, and noted in its span.

use axum::http::HeaderMap;
use tracing::Span;

use super::body;
use super::callbacks::Trouble;
use crate::beckn::action::Action;
use crate::inbox::{self, Receipt};
use crate::intake::Rejection;
use crate::metrics::{Answer, Busy, Metrics};
use crate::trace;

/// Counts an answer that is no ACK.
pub(super) fn count(metrics: &Metrics, route: &str, trouble: &Trouble) {
    metrics.answered(Action::from_name(route), answer(trouble));
    if let Some(busy) = busy(trouble) {
        metrics.turned_away(busy);
    }
}

/// Notes which callback it is, and the trace that the seller says it belongs to.
pub(super) fn note_request(span: &Span, route: &str, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    if let Some(action) = Action::from_name(route) {
        span.record("action", action.as_str());
    }
    let link = headers.get("traceparent").and_then(|value| value.to_str().ok());
    if let Some((trace, parent)) = link.and_then(trace::parse) {
        // Written anew: behind what we know of, a later version may hold any text.
        span.record("link", format!("00-{trace}-{parent}-00"));
    }
}

/// Notes what became of it.
pub(super) fn note_receipt(span: &Span, answer: Answer, receipt: Receipt) {
    if span.is_disabled() {
        return;
    }
    span.record("answer", answer.as_str());
    match receipt {
        Receipt::New { id, .. } => trace::note_event(span, &id.to_string()),
        // The span of the original has the id that is made of this.
        Receipt::Duplicate { of } => {
            span.record("event.id", of.to_string());
        }
    }
}

/// Returns how the metrics call the answer.
pub(super) fn answer(trouble: &Trouble) -> Answer {
    match trouble {
        Trouble::UnknownPath
        | Trouble::Method(_)
        | Trouble::Encoding
        | Trouble::Body(body::Error::TooLong { .. }) => Answer::Refused,
        Trouble::Rejected(Rejection::Refused(..)) => Answer::Nack,
        Trouble::Rejected(Rejection::Untrusted(..)) => Answer::Unauthorized,
        Trouble::Rejected(Rejection::KeyUnavailable { .. } | Rejection::Unavailable(_))
        | Trouble::Body(body::Error::NoRoom | body::Error::Broken(_))
        | Trouble::TooManyRequests
        | Trouble::Draining
        | Trouble::Late => Answer::Unavailable,
    }
}

/// Returns why a callback is turned away that the seller may post again.
fn busy(trouble: &Trouble) -> Option<Busy> {
    match trouble {
        Trouble::Body(body::Error::NoRoom) => Some(Busy::Bytes),
        Trouble::Body(body::Error::Broken(_)) => Some(Busy::Broken),
        Trouble::TooManyRequests => Some(Busy::Requests),
        Trouble::Draining | Trouble::Rejected(Rejection::Unavailable(inbox::Error::Closed)) => {
            Some(Busy::Stopping)
        }
        Trouble::Late => Some(Busy::Late),
        Trouble::Rejected(Rejection::KeyUnavailable { .. }) => Some(Busy::Registry),
        Trouble::Rejected(Rejection::Unavailable(inbox::Error::QueueFull)) => Some(Busy::Queue),
        Trouble::Rejected(Rejection::Unavailable(inbox::Error::TooManyUnsettled)) => {
            Some(Busy::Unsettled)
        }
        Trouble::Rejected(Rejection::Unavailable(inbox::Error::NoSpace)) => Some(Busy::Disk),
        Trouble::Rejected(Rejection::Unavailable(inbox::Error::Engine(_))) => Some(Busy::Engine),
        Trouble::UnknownPath
        | Trouble::Method(_)
        | Trouble::Encoding
        | Trouble::Body(body::Error::TooLong { .. })
        | Trouble::Rejected(Rejection::Refused(..) | Rejection::Untrusted(..)) => None,
    }
}
