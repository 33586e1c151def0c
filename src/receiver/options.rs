//! What the settings mean for each part.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};

use crate::config::{Config, OtherActions, SignatureMode};
use crate::dispatch;
use crate::event::Flag;
use crate::http::{callbacks, serve};
#[cfg(feature = "postgres")]
use crate::inbox::postgres;
use crate::inbox::{Outlets, sqlite};
use crate::intake::Rejected;
use crate::intake::trust::Demand;
use crate::metrics::{Labels, Metrics};
use crate::retry::Policy;
use crate::rules;
use crate::signature::{COVERED, Window};
use crate::trace::Sampling;
use crate::words::SubscriberId;

/// Makes the metrics, with the values of their labels.
pub(crate) fn metrics(config: &Config) -> Arc<Metrics> {
    Arc::new(Metrics::new(&Labels {
        rules: rules::CATALOGUE.iter().map(|rule| rule.name).collect(),
        causes: callbacks::CAUSES.into_iter().chain([rules::MALFORMED]).collect(),
        flags: Flag::ALL.into_iter().map(Flag::as_str).collect(),
        sellers: config.operations.seller_metrics,
    }))
}

pub(super) fn rejected(config: &Config) -> Rejected {
    match (config.answer.always_ack, config.answer.deliver_rejected) {
        (false, _) => Rejected::Nack,
        (true, false) => Rejected::Keep,
        (true, true) => Rejected::Deliver,
    }
}

pub(crate) fn callback_options(config: &Config) -> callbacks::Options {
    callbacks::Options {
        base_path: config.http.base_path.clone(),
        refuse_other_actions: config.http.other_actions == OtherActions::Refuse,
        body_limit: config.http.body_limit_bytes,
        in_flight_bytes: config.http.in_flight_bytes,
        in_flight_requests: config.http.in_flight_requests,
        request_timeout: config.http.request_timeout,
        sampling: Sampling::share(config.trace.sample_ratio),
        nack_status: StatusCode::from_u16(config.answer.nack_status)
            .expect("the settings allow only statuses"),
        retry_after: config.http.retry_after_s,
        challenge: challenge(config),
    }
}

/// Returns the bounds of the callbacks' listener.
pub(crate) fn callback_bounds(config: &Config) -> serve::Bounds {
    serve::Bounds {
        connections: config.http.connections,
        header_timeout: config.http.header_timeout,
        grace: config.http.request_timeout,
        half_close: true,
    }
}

/// Returns what a 401 asks for, as BECKN-006 writes it.
fn challenge(config: &Config) -> HeaderValue {
    let ours = config.subscriber_ids.first().map_or("beckn-receiver", SubscriberId::as_str);
    // A quote would end the realm early; ids have none.
    let realm: String = ours.chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
    let text = format!(r#"Signature realm="{realm}",headers="{COVERED}""#);
    HeaderValue::from_str(&text).expect("ASCII without controls is a header's value")
}

pub(super) fn demand(config: &Config) -> Demand {
    match config.signature.mode {
        SignatureMode::Required => Demand::Required,
        SignatureMode::Optional => Demand::Optional,
        SignatureMode::Off => Demand::Off,
    }
}

pub(crate) fn window(config: &Config) -> Window {
    let signature = &config.signature;
    Window {
        skew: i64::from(signature.skew_s),
        max_age: 3_600 * i64::from(signature.max_age_hours),
    }
}

pub(super) fn dispatch_options(config: &Config) -> dispatch::Options {
    let dispatch = &config.dispatch;
    dispatch::Options {
        attempt_timeout: dispatch.attempt_timeout,
        sampling: Sampling::share(config.trace.sample_ratio),
        drain_timeout: dispatch.drain_timeout,
        retry: Policy {
            initial: dispatch.retry_initial,
            cap: dispatch.retry_cap,
            attempts: dispatch.retry_attempts,
            give_up_after: dispatch.retry_window,
        },
    }
}

/// Returns what the settings mean for the inbox in PostgreSQL.
#[cfg(feature = "postgres")]
pub(super) fn database_options(
    config: &Config,
    server: postgres::Server,
    outlets: Outlets,
    metrics: &Arc<Metrics>,
) -> postgres::Options {
    let inbox = &config.inbox;
    postgres::Options {
        server,
        outlets,
        batch_limit: inbox.batch_limit,
        queue_limit: inbox.queue_limit,
        // What waits for the writer was in flight: a seller that hung up does not widen the bound.
        queue_bytes: config.http.in_flight_bytes,
        unsettled_limit: inbox.unsettled_limit,
        retention_days: inbox.retention_days,
        retention_bytes: inbox.retention_bytes,
        dead_letter_days: inbox.dead_letter_days,
        expectations_limit: inbox.expectations_limit,
        refusals_kept: inbox.refusals_kept,
        refusal_body_bytes: inbox.refusal_body_bytes,
        refusal_queue: inbox.refusal_queue,
        refusals_per_seller_and_cause: inbox.refusals_per_seller,
        poll: config.dispatch.poll,
        lease: config.postgres.lease,
        metrics: Arc::clone(metrics),
    }
}

/// Returns what the settings mean for the inbox in files.
pub(crate) fn inbox_options(
    config: &Config,
    outlets: Outlets,
    metrics: &Arc<Metrics>,
) -> sqlite::Options {
    let inbox = &config.inbox;
    sqlite::Options {
        path: inbox.path.clone(),
        outlets,
        batch_limit: inbox.batch_limit,
        queue_limit: inbox.queue_limit,
        // What waits for the writer was in flight: a seller that hung up does not widen the bound.
        queue_bytes: config.http.in_flight_bytes,
        window_days: inbox.duplicate_window_days,
        window_events: inbox.duplicate_window_events,
        tail_events: inbox.tail_events,
        tail_bytes: inbox.tail_bytes,
        unsettled_limit: inbox.unsettled_limit,
        min_free_bytes: inbox.min_free_bytes,
        retention_days: inbox.retention_days,
        retention_bytes: inbox.retention_bytes,
        dead_letter_days: inbox.dead_letter_days,
        refusals_kept: inbox.refusals_kept,
        refusal_body_bytes: inbox.refusal_body_bytes,
        refusal_queue: inbox.refusal_queue,
        refusals_per_seller_and_cause: inbox.refusals_per_seller,
        expectations_limit: inbox.expectations_limit,
        poll: config.dispatch.poll,
        longest_wait: config.dispatch.retry_cap,
        metrics: Arc::clone(metrics),
        #[cfg(test)]
        window_held: false,
    }
}
