//! Which trace a callback and its deliveries belong to, as <https://www.w3.org/TR/trace-context/>
//! writes it, and the spans of both.
//!
//! # Constraints
//! - The trace id is made from the transaction id and nothing else, so that all of a transaction is
//!   one trace, whoever makes it: another replica, the next process, or an app that knows the
//!   transaction. Whether it is sampled is made from the trace id.
//! - A trace that a seller names is not believed: it is noted as a link.
//! - A span holds ids, the action and how it ended; never a body, a name or an address.
//! - At the default level of the log no span is made but of what is sampled: whether that is so is
//!   known before, and what is not exported costs a hash.

use std::fmt;
use std::sync::OnceLock;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tracing::{Level, Span, field};

use crate::event::OrderEvent;
use crate::words::Outside;

/// The target of spans that are sampled, for filters.
pub(crate) const TARGET: &str = "beckn_receiver::trace";

/// The target of the others: only a log that is talkative wants them.
const UNSAMPLED: &str = "beckn_receiver::unsampled";

/// The name of the span of a callback.
pub(crate) const CALLBACK: &str = "callback";

/// The name of the span of an attempt.
pub(crate) const DELIVERY: &str = "delivery";

/// The id of a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) u128);

/// The id of a span; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(pub(crate) u64);

impl TraceId {
    /// Returns the trace of a transaction: the first half of the SHA-256 of its id.
    pub(crate) fn of_transaction(id: &str) -> Self {
        let hash = Sha256::digest(id);
        let (first, _) = hash.split_at(16);
        let number = u128::from_be_bytes(first.try_into().expect("it is cut there"));
        Self(number.max(1))
    }

    /// Returns the trace of an event; without a transaction id it has one for itself.
    pub(crate) fn of(event: &OrderEvent) -> Self {
        match event.context.transaction_id.as_deref() {
            Some(id) => Self::of_transaction(id),
            None => Self::of_transaction(&event.id.to_string()),
        }
    }
}

impl SpanId {
    /// Returns the span of a text that is used for one span only.
    fn of_text(text: &str) -> Self {
        let hash = Sha256::digest(text);
        let (first, _) = hash.split_at(8);
        Self(u64::from_be_bytes(first.try_into().expect("it is cut there")).max(1))
    }

    /// Returns the span in which the callback came that is the event of this id.
    pub(crate) fn of_callback(event_id: &str) -> Self {
        Self::of_text(event_id)
    }

    /// Returns the span of an attempt.
    pub(crate) fn of_delivery(event: &OrderEvent) -> Self {
        Self::of_text(&format!("{}/{}", event.delivery_id(), event.attempt))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which traces are sampled: a share of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// The least random part, of 56 bits, of a trace id that is sampled.
    from: u64,
}

/// The random part of a trace id, as OpenTelemetry's consistent sampling takes it: so an app that
/// samples a larger share by the same rule has all that we have.
const RANDOM_BITS: u32 = 56;

impl Sampling {
    /// Samples this share of all traces, of 0 to 1.
    pub(crate) fn share(ratio: f64) -> Self {
        let all = 1_u64 << RANDOM_BITS;
        // Within 0 to 2^56, where every whole number up to 2^53 is exact.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let from = ((1.0 - ratio.clamp(0.0, 1.0)) * all as f64) as u64;
        Self { from }
    }

    /// Returns whether a trace is sampled.
    pub(crate) fn takes(self, trace: TraceId) -> bool {
        // The low 64 bits hold the random part.
        #[allow(clippy::cast_possible_truncation)]
        let low = trace.0 as u64;
        low & ((1 << RANDOM_BITS) - 1) >= self.from
    }
}

/// Returns the header that tells who takes this attempt of an event which trace it belongs to.
pub(crate) fn traceparent(event: &OrderEvent, sampling: Sampling) -> String {
    let (trace, span) = (TraceId::of(event), SpanId::of_delivery(event));
    let flags = u8::from(sampling.takes(trace));
    format!("00-{trace}-{span}-{flags:02x}")
}

/// Reads a `traceparent`; `None` for one that is not valid, which is as if there were none.
pub(crate) fn parse(text: &str) -> Option<(TraceId, SpanId)> {
    let mut parts = text.split('-');
    let [version, trace, span, flags] = std::array::from_fn(|_| parts.next().unwrap_or(""));
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    // A later version may have more parts, this one has none.
    let is_whole = version != "00" || parts.next().is_none();
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && is_whole;
    if !is_valid {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    Some((TraceId(trace), SpanId(span)))
}

/// Returns whether anybody takes our spans: those that are sampled, and the others.
fn wanted() -> (bool, bool) {
    let sampled = tracing::enabled!(target: TARGET, Level::DEBUG);
    (sampled, tracing::enabled!(target: UNSAMPLED, Level::DEBUG))
}

/// A callback that is served; its span is made when its transaction is known.
#[derive(Debug)]
pub(crate) struct Arriving<'a> {
    began: Instant,
    action: Option<&'static str>,
    traceparent: Option<&'a str>,
    sampling: Sampling,
    span: OnceLock<Span>,
}

impl<'a> Arriving<'a> {
    /// A callback that has begun to come; `traceparent` is what its sender says of its own trace.
    pub(crate) fn new(
        sampling: Sampling,
        began: Instant,
        action: Option<&'static str>,
        traceparent: Option<&'a str>,
    ) -> Self {
        Self { began, action, traceparent, sampling, span: OnceLock::new() }
    }

    /// Begins the span of this transaction, if anybody takes it.
    pub(crate) fn belongs_to(&self, transaction: Option<&str>) -> Span {
        self.span.get_or_init(|| self.make(transaction)).clone()
    }

    /// Notes how it was answered.
    pub(crate) fn note_answer(&self, answer: &str) {
        if let Some(span) = self.span.get() {
            span.record("answer", answer);
        }
    }

    /// Notes that it has become the event of this id.
    pub(crate) fn note_event(&self, id: impl fmt::Display) {
        if let Some(span) = self.taken() {
            let id = id.to_string();
            span.record("event.id", id.as_str());
            span.record("span_id", field::display(SpanId::of_callback(&id)));
        }
    }

    /// Notes that it is a repetition of the event of this id, whose span has the id made of it.
    pub(crate) fn note_original(&self, id: impl fmt::Display) {
        if let Some(span) = self.taken() {
            span.record("event.id", field::display(id));
        }
    }

    fn taken(&self) -> Option<&Span> {
        self.span.get().filter(|span| !span.is_disabled())
    }

    fn make(&self, transaction: Option<&str>) -> Span {
        let (sampled, unsampled) = wanted();
        if !sampled && !unsampled {
            return Span::none();
        }
        let trace = transaction.map(TraceId::of_transaction);
        let takes = trace.is_some_and(|trace| self.sampling.takes(trace));
        // What was done before it was known whose span it is: reading, verifying, parsing.
        let before_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        macro_rules! span {
            ($target:expr) => {
                tracing::debug_span!(
                    target: $target,
                    CALLBACK,
                    action = self.action,
                    before_us,
                    transaction_id = transaction.map(Outside).map(field::display),
                    trace_id = trace.map(field::display),
                    answer = field::Empty,
                    event.id = field::Empty,
                    span_id = field::Empty,
                    link = field::Empty,
                )
            };
        }
        let span = match (takes, sampled, unsampled) {
            (true, true, _) => span!(TARGET),
            (false, _, true) => span!(UNSAMPLED),
            _ => Span::none(),
        };
        // Written anew: behind what we know of, a later version may hold any text.
        if let Some((trace, parent)) = self.traceparent.and_then(parse) {
            span.record("link", format!("00-{trace}-{parent}-00"));
        }
        span
    }
}

/// Makes the span of an attempt.
pub(crate) fn delivery(handler: &str, event: &OrderEvent, sampling: Sampling) -> Span {
    let (sampled, unsampled) = wanted();
    if !sampled && !unsampled {
        return Span::none();
    }
    let trace = TraceId::of(event);
    macro_rules! span {
        ($target:expr) => {{
            let (id, transaction) = (event.id.to_string(), event.context.transaction_id.as_deref());
            tracing::debug_span!(
                target: $target,
                DELIVERY,
                handler = %Outside(handler),
                attempt = event.attempt,
                outcome = field::Empty,
                event.id = %id,
                transaction_id = %Outside(transaction.unwrap_or("")),
                trace_id = %trace,
                span_id = %SpanId::of_delivery(event),
                parent_id = %SpanId::of_callback(&id),
            )
        }};
    }
    match (sampling.takes(trace), sampled, unsampled) {
        (true, true, _) => span!(TARGET),
        (false, _, true) => span!(UNSAMPLED),
        _ => Span::none(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Sampling, SpanId, TraceId, parse, traceparent};
    use crate::beckn::action::Action;
    use crate::event::OrderEvent;

    fn event(transaction: &str) -> OrderEvent {
        let body = format!(r#"{{"context":{{"transaction_id":"{transaction}"}}}}"#);
        OrderEvent::parse(Action::OnStatus, body).unwrap()
    }

    #[test]
    fn a_transaction_is_one_trace_that_anyone_can_compute() {
        // printf %s T-1 | sha256sum
        let trace = TraceId::of_transaction("T-1").to_string();
        assert_eq!(trace, "cd4a8a25abc253aa3ce196fd7f16cac5");
        let (mut first, mut other) = (event("T-1"), event("T-1"));
        (first.attempt, other.attempt) = (1, 2);
        assert_eq!(TraceId::of(&first), TraceId::of(&other));
        assert_ne!(SpanId::of_delivery(&first), SpanId::of_delivery(&other));
        assert_ne!(TraceId::of(&first), TraceId::of(&event("T-2")));
    }

    #[test]
    fn what_is_sent_is_valid_and_says_whether_it_is_sampled() {
        for (ratio, flags) in [(0.0, "00"), (1.0, "01")] {
            let header = traceparent(&event("T-1"), Sampling::share(ratio));
            let (trace, span) = parse(&header).unwrap();
            assert_eq!(trace, TraceId::of_transaction("T-1"));
            assert_eq!(header, format!("00-{trace}-{span}-{flags}"));
        }
    }

    #[test]
    fn what_comes_is_believed_only_when_it_is_valid() {
        let check = |text: &str, is_valid: bool| {
            assert_eq!(parse(text).is_some(), is_valid, "{text}");
        };
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false);
        check("", false);
    }

    #[test]
    fn the_share_that_is_sampled_is_the_one_that_is_set() {
        let count = |ratio: f64| {
            let sampling = Sampling::share(ratio);
            let ids = (0..10_000).map(|number| TraceId::of_transaction(&format!("T-{number}")));
            ids.filter(|trace| sampling.takes(*trace)).count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 10_000));
        assert!((900..1_100).contains(&count(0.1)), "{}", count(0.1));
    }
}
