//! A span while it is open, and what is exported of it.

use std::fmt;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::field::{Field, Visit};
use uuid::Uuid;

use crate::trace::{self, CALLBACK};

/// A span that is open.
#[derive(Debug)]
pub(super) struct Draft {
    began: SystemTime,
    trace: Option<trace::TraceId>,
    span: Option<SpanId>,
    parent: SpanId,
    link: Option<(trace::TraceId, trace::SpanId)>,
    is_failed: bool,
    attributes: Vec<KeyValue>,
}

impl Draft {
    /// Begins a span now.
    pub(super) fn begin() -> Self {
        Self {
            began: SystemTime::now(),
            trace: None,
            span: None,
            parent: SpanId::INVALID,
            link: None,
            is_failed: false,
            attributes: Vec::with_capacity(6),
        }
    }

    /// Ends it now; `None` for one that belongs to no trace.
    pub(super) fn finish(self, name: &'static str) -> Option<SpanData> {
        let trace = self.trace?;
        let trace_id = TraceId::from_bytes(trace.0.to_be_bytes());
        let context = |trace_id, span_id, is_remote| {
            SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, is_remote, TraceState::NONE)
        };
        let mut links = SpanLinks::default();
        links.links = self
            .link
            .map(|(trace, span)| {
                let theirs = SpanId::from_bytes(span.0.to_be_bytes());
                let trace = TraceId::from_bytes(trace.0.to_be_bytes());
                Link::with_context(context(trace, theirs, true))
            })
            .into_iter()
            .collect();
        Some(SpanData {
            span_context: context(trace_id, self.span.unwrap_or_else(any_span), false),
            parent_span_id: self.parent,
            parent_span_is_remote: false,
            span_kind: if name == CALLBACK { SpanKind::Server } else { SpanKind::Producer },
            name: name.into(),
            start_time: self.began,
            end_time: SystemTime::now(),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: if self.is_failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder("beckn-receiver").build(),
        })
    }

    fn take(&mut self, name: &'static str, text: &str) {
        match name {
            "trace_id" => self.trace = u128::from_str_radix(text, 16).ok().map(trace::TraceId),
            "span_id" => self.span = SpanId::from_hex(text).ok(),
            "parent_id" => self.parent = SpanId::from_hex(text).unwrap_or(SpanId::INVALID),
            "link" => self.link = trace::parse(text),
            // A callback that the seller has to mend is no failure of ours.
            "answer" => {
                self.is_failed = matches!(text, "unavailable" | "error");
                self.set(name, text.to_owned());
            }
            "outcome" => {
                self.is_failed = text != "done";
                self.set(name, text.to_owned());
            }
            _ => self.set(name, text.to_owned()),
        }
    }

    fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }
}

impl Visit for Draft {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "before_us" {
            let earlier = self.began.checked_sub(Duration::from_micros(value));
            self.began = earlier.unwrap_or(self.began);
        }
        self.set(field.name(), i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), &format!("{value:?}"));
    }
}

/// Returns the id of a span that nobody has to find again.
fn any_span() -> SpanId {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    SpanId::from_bytes(low.max(1).to_be_bytes())
}
