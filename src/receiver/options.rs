//! What the settings mean for each part.

use axum::http::StatusCode;

use crate::config::{Config, OtherActions};
use crate::dispatch;
use crate::http::callbacks;
use crate::inbox::sqlite;
use crate::intake::Rejected;
use crate::retry::Policy;

pub(super) fn rejected(config: &Config) -> Rejected {
    match (config.answer.always_ack, config.answer.deliver_rejected) {
        (false, _) => Rejected::Nack,
        (true, false) => Rejected::Keep,
        (true, true) => Rejected::Deliver,
    }
}

pub(super) fn callback_options(config: &Config) -> callbacks::Options {
    callbacks::Options {
        base_path: config.http.base_path.clone(),
        refuse_other_actions: config.http.other_actions == OtherActions::Refuse,
        body_limit: config.http.body_limit_bytes,
        in_flight_bytes: config.http.in_flight_bytes,
        in_flight_requests: config.http.in_flight_requests,
        request_timeout: config.http.request_timeout,
        nack_status: StatusCode::from_u16(config.answer.nack_status)
            .expect("the settings allow only statuses"),
        retry_after: config.http.retry_after_s,
    }
}

pub(super) fn dispatch_options(config: &Config) -> dispatch::Options {
    let dispatch = &config.dispatch;
    dispatch::Options {
        concurrency: dispatch.concurrency,
        attempt_timeout: dispatch.attempt_timeout,
        drain_timeout: dispatch.drain_timeout,
        retry: Policy {
            initial: dispatch.retry_initial,
            cap: dispatch.retry_cap,
            attempts: dispatch.retry_attempts,
            give_up_after: dispatch.retry_window,
        },
    }
}

pub(super) fn inbox_options(config: &Config) -> sqlite::Options {
    let inbox = &config.inbox;
    sqlite::Options {
        path: inbox.path.clone(),
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
        poll: config.dispatch.poll,
        longest_wait: config.dispatch.retry_cap,
    }
}
