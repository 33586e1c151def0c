//! What is counted of a callback, and noted in its span.

use std::time::Instant;

use axum::http::HeaderMap;

use super::body;
use super::callbacks::Trouble;
use crate::beckn::action::Action;
use crate::inbox::{self, Receipt};
use crate::intake::Rejection;
use crate::metrics::{Answer, Busy, Metrics};
use crate::trace::{Arriving, Sampling};

/// Counts an answer that is no ACK.
pub(super) fn count(metrics: &Metrics, route: &str, trouble: &Trouble) {
    metrics.answered(Action::from_name(route), answer(trouble));
    if let Some(busy) = busy(trouble) {
        metrics.turned_away(busy);
    }
}

/// Returns what will be noted in the span of a callback that comes now.
pub(super) fn arriving<'a>(
    sampling: Sampling,
    began: Instant,
    route: &str,
    headers: &'a HeaderMap,
) -> Arriving<'a> {
    let action = Action::from_name(route).map(Action::as_str);
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    Arriving::new(sampling, began, action, traceparent)
}

/// Notes what became of it.
pub(super) fn note_receipt(arriving: &Arriving<'_>, answer: Answer, receipt: Receipt) {
    arriving.note_answer(answer.as_str());
    match receipt {
        Receipt::New { id, .. } => arriving.note_event(id),
        Receipt::Duplicate { of } => arriving.note_original(of),
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
