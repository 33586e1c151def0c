//! One callback of the caller's choice.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::MockBpp;
use super::bodies::{self, Moment};
use crate::beckn::action::Action;

/// What a seller reports in one callback.
#[derive(Debug, Clone, Copy)]
pub enum Report<'a> {
    /// An `on_status` with this state of the fulfilment; the order's own state follows from it.
    Status(&'a str),
    /// An `on_update` with this state of the fulfilment, and with an item fewer.
    Update(&'a str),
    /// An `on_track` of this position on the way, from 0; it stays at the last.
    Position(usize),
}

impl Report<'_> {
    /// The states of a fulfilment: how it goes well, in order, and at last how it does not.
    pub const STATES: [&'static str; 7] = [
        "Pending",
        "Packed",
        "Agent-assigned",
        "Order-picked-up",
        "Out-for-delivery",
        "Order-delivered",
        "Cancelled",
    ];

    /// Returns the state of a fulfilment that goes well after so many reports, from 0; delivered,
    /// it stays so.
    pub fn state_at(turn: usize) -> &'static str {
        let delivered = Report::STATES.len() - 2;
        Report::STATES[turn.min(delivered)]
    }
}

impl MockBpp {
    /// Sets when the order was created; for callbacks that are older than the seller.
    #[must_use]
    pub fn started(mut self, started: DateTime<Utc>) -> MockBpp {
        self.started = started;
        self
    }

    /// Returns where one report is posted and its body, under a message id of its own.
    pub fn report(&self, report: Report<'_>, timestamp: DateTime<Utc>) -> (Action, Bytes) {
        let order =
            |fulfillment, extras| bodies::order(self, Moment { fulfillment, extras }, timestamp);
        let (action, message) = match report {
            Report::Status(state) => (Action::OnStatus, order(state, 2)),
            Report::Update(state) => (Action::OnUpdate, order(state, 1)),
            Report::Position(turn) => (Action::OnTrack, bodies::tracking(self, turn, timestamp)),
        };
        let context = bodies::context(self, action, &Uuid::new_v4().to_string(), timestamp);
        (action, bodies::callback(&context, &message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{MockBpp, Report};
    use crate::mock::Dialect;

    #[track_caller]
    fn check(dialect: Dialect, state: &str, place: &str, expected: &str) {
        let seller = MockBpp::new("http://127.0.0.1").unwrap().dialect(dialect);
        let (_, body) = seller.report(Report::Status(state), seller.started);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let code = "/message/order/fulfillments/0/state/descriptor/code";
        assert_eq!(body.pointer(code).unwrap(), state);
        assert_eq!(body.pointer(place).unwrap(), expected, "{state}");
    }

    #[test]
    fn the_orders_state_follows_from_its_fulfilments() {
        let old = |state, order| check(Dialect::Ondc125, state, "/message/order/state", order);
        old("Pending", "Accepted");
        old("Packed", "In-progress");
        old("Order-delivered", "Completed");
        old("Cancelled", "Cancelled");
        old("At-the-moon", "In-progress");
        let new = |state, order| check(Dialect::Ondc20, state, "/message/order/status", order);
        new("Pending", "ACTIVE");
        new("Order-delivered", "COMPLETE");
        new("Cancelled", "CANCELLED");
    }

    #[test]
    fn a_fulfilment_ends_delivered_and_stays_there() {
        let life: Vec<_> = (0..8).map(Report::state_at).collect();
        assert_eq!(life[..6], Report::STATES[..6]);
        assert_eq!(life[6..], ["Order-delivered"; 2]);
    }

    #[test]
    fn two_reports_have_two_message_ids() {
        let seller = MockBpp::new("http://127.0.0.1").unwrap();
        let bodies = [0, 9].map(|turn| seller.report(Report::Position(turn), seller.started).1);
        let [first, second] = bodies.map(|body| serde_json::from_slice::<Value>(&body).unwrap());
        assert_ne!(first["context"]["message_id"], second["context"]["message_id"]);
        assert_eq!(first["context"]["transaction_id"], second["context"]["transaction_id"]);
        assert_eq!(second["message"]["tracking"]["status"], "inactive");
    }
}
