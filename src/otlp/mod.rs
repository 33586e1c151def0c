//! Exports the spans of `trace` to a collector, by OTLP over HTTP.
//!
//! # Constraints
//! - Our spans only, and only those of traces that are sampled, which `trace` has decided; ids are
//!   those of `trace`, so what is exported and what `traceparent` says to others is the same trace.
//! - Nothing waits for the collector: spans wait in a queue with a bound, behind which they are
//!   dropped, and one thread of the exporter's own sends them, when no other has work to do.
//!
//! # Why a layer of ours
//! A general bridge from `tracing` gives a trace an id of its own when a span begins. Ours is known
//! only when the callback was read, and is made from the transaction.

mod client;
mod draft;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor as _};
use tracing::Subscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use self::client::Client;
use self::draft::Draft;
use crate::config::Trace;
use crate::registry::tls::TlsError;
use crate::registry::url::BadUrl;
use crate::trace::TARGET;

/// How long spans wait for company.
const COMPANY: Duration = Duration::from_secs(2);

/// The most that one request holds.
const BATCH: usize = 512;

/// Why spans cannot be exported. Does not show the endpoint, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("trace.endpoint cannot be used")]
    Url(#[from] BadUrl),
    #[error("there is nothing to trust the collector by (trace.ca_file)")]
    Trust(#[from] TlsError),
    #[error("the HTTP client for trace.endpoint cannot be set up")]
    Http(#[source] reqwest::Error),
    #[error("the thread that exports spans cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the exporter of spans cannot be set up")]
    Exporter(#[source] ExporterBuildError),
}

/// Where spans go.
struct Options {
    endpoint: String,
    ca_file: Option<PathBuf>,
    timeout: Duration,
}

/// The layer that exports our spans.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    processor: Arc<BatchSpanProcessor>,
}

impl Spans {
    /// Makes the layer that the settings describe; `None` without an endpoint. Connects to nothing.
    ///
    /// # Errors
    /// The endpoint, the certificates or the client cannot be used.
    pub(crate) fn open(trace: &Trace) -> Result<Option<Self>, OpenError> {
        if trace.endpoint.is_empty() {
            return Ok(None);
        }
        let client = Client::open(&Options {
            endpoint: trace.endpoint.clone(),
            ca_file: (!trace.ca_file.as_os_str().is_empty()).then(|| trace.ca_file.clone()),
            timeout: trace.timeout,
        })?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&trace.endpoint)
            .with_timeout(trace.timeout)
            .build()
            .map_err(OpenError::Exporter)?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(trace.queue_limit)
            .with_max_export_batch_size(BATCH.min(trace.queue_limit))
            .with_scheduled_delay(COMPANY)
            .build();
        let mut processor = BatchSpanProcessor::new(exporter, batches);
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder_empty()
            .with_service_name("beckn-receiver")
            .with_attribute(version)
            .build();
        processor.set_resource(&resource);
        Ok(Some(Self { processor: Arc::new(processor) }))
    }

    /// Sends what waits; waits for it, within the exporter's time-out.
    fn flush(&self) {
        if let Err(error) = self.processor.force_flush() {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Sends the spans that wait, if the process exports any.
///
/// # Cancel safety
/// Dropped, the sending goes on.
pub(crate) async fn flush() {
    let spans = tracing::dispatcher::get_default(|log| log.downcast_ref::<Spans>().cloned());
    if let Some(spans) = spans {
        // Blocking: it waits for the exporter's thread.
        if let Err(error) = tokio::task::spawn_blocking(move || spans.flush()).await {
            tracing::error!(%error, "sending the last spans ended early");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id).filter(|span| span.metadata().target() == TARGET) else {
            return;
        };
        let mut draft = Draft::begin();
        attributes.record(&mut draft);
        span.extensions_mut().insert(draft);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(draft) = span.extensions_mut().get_mut::<Draft>() {
            values.record(draft);
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let Some(draft) = span.extensions_mut().remove::<Draft>() else { return };
        if let Some(data) = draft.finish(span.name()) {
            self.processor.on_end(data);
        }
    }
}
