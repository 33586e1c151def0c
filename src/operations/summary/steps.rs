//! Where a state stands on the way that orders and fulfilments go.

use serde::Serialize;

use crate::beckn::vocabulary::{
    FulfillmentCode, KnownFulfillmentCode as Code, KnownOrderState, OrderState,
};

/// How a state looks to who waits for the order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tone {
    /// Nothing is known of it.
    #[default]
    Plain,
    /// It has begun.
    Begun,
    /// It is under way.
    Going,
    /// It has ended as it should.
    Good,
    /// It has not.
    Bad,
}

/// A step of the way.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// `past`, `now` or `ahead`.
    pub(crate) reached: &'static str,
}

/// Returns how a state of an order, a fulfilment, a contract or a tracking looks.
pub(crate) fn tone_of(state: &str) -> Tone {
    match state {
        "active" => return Tone::Going,
        "DRAFT" => return Tone::Begun,
        _ => {}
    }
    let of_order = OrderState::new(state).known().map(|known| match known {
        KnownOrderState::Created | KnownOrderState::Accepted => Tone::Begun,
        KnownOrderState::InProgress | KnownOrderState::Active => Tone::Going,
        KnownOrderState::Completed => Tone::Good,
        KnownOrderState::Cancelled => Tone::Bad,
    });
    of_order.or_else(|| FulfillmentCode::new(state).known().map(tone_of_code)).unwrap_or_default()
}

fn tone_of_code(code: Code) -> Tone {
    match code {
        Code::Pending | Code::SearchingForAgent | Code::ReturnInitiated => Tone::Begun,
        Code::Packed
        | Code::AgentAssigned
        | Code::OutForPickup
        | Code::AtPickup
        | Code::OrderPickedUp
        | Code::InTransit
        | Code::AtDestinationHub
        | Code::OutForDelivery
        | Code::AtDelivery
        | Code::ReturnApproved
        | Code::ReturnPicked => Tone::Going,
        Code::OrderDelivered | Code::ReturnDelivered | Code::Liquidated => Tone::Good,
        Code::PickupFailed
        | Code::DeliveryFailed
        | Code::Cancelled
        | Code::Rto
        | Code::RtoInitiated
        | Code::RtoDelivered
        | Code::RtoDisposed
        | Code::ReturnRejected
        | Code::ReturnPickFailed
        | Code::ReturnFailed => Tone::Bad,
    }
}

/// Returns the steps of an order in this state; none when it is on no way that is known, or left it.
pub(super) fn of_order(state: Option<&str>) -> Vec<Step> {
    let Some(state) = state else { return Vec::new() };
    let retail = ["Created", "Accepted", "In-progress", "Completed"];
    match (state, OrderState::new(state).known()) {
        ("ACTIVE" | "COMPLETE" | "DRAFT", _) => {
            along(&["DRAFT", "ACTIVE", "COMPLETE"], state, state)
        }
        (_, Some(KnownOrderState::Cancelled) | None) => Vec::new(),
        (
            _,
            Some(
                KnownOrderState::Created
                | KnownOrderState::Accepted
                | KnownOrderState::InProgress
                | KnownOrderState::Completed
                | KnownOrderState::Active,
            ),
        ) => along(&retail, state.trim(), state),
    }
}

/// Returns the steps of a fulfilment in this state. A state between two steps stands in the place
/// of the earlier one.
pub(super) fn of_fulfillment(state: Option<&str>) -> Vec<Step> {
    let delivery = [
        "Pending",
        "Packed",
        "Agent-assigned",
        "Order-picked-up",
        "Out-for-delivery",
        "Order-delivered",
    ];
    let back = ["Return_Initiated", "Return_Approved", "Return_Picked", "Return_Delivered"];
    let Some(state) = state else { return Vec::new() };
    let Some(code) = FulfillmentCode::new(state).known() else { return Vec::new() };
    let (way, step): (&[&str], usize) = match code {
        Code::Pending | Code::SearchingForAgent => (&delivery, 0),
        Code::Packed => (&delivery, 1),
        Code::AgentAssigned | Code::OutForPickup | Code::AtPickup => (&delivery, 2),
        Code::OrderPickedUp | Code::InTransit | Code::AtDestinationHub => (&delivery, 3),
        Code::OutForDelivery | Code::AtDelivery => (&delivery, 4),
        Code::OrderDelivered => (&delivery, 5),
        Code::ReturnInitiated => (&back, 0),
        Code::ReturnApproved => (&back, 1),
        Code::ReturnPicked => (&back, 2),
        Code::ReturnDelivered => (&back, 3),
        Code::PickupFailed
        | Code::DeliveryFailed
        | Code::Cancelled
        | Code::Rto
        | Code::RtoInitiated
        | Code::RtoDelivered
        | Code::RtoDisposed
        | Code::ReturnRejected
        | Code::ReturnPickFailed
        | Code::ReturnFailed
        | Code::Liquidated => return Vec::new(),
    };
    along(way, way[step], state)
}

/// Returns the steps of `way` where `now` has the place of `at`.
fn along(way: &[&str], at: &str, now: &str) -> Vec<Step> {
    let Some(place) = way.iter().position(|step| *step == at) else { return Vec::new() };
    let step = |(index, name): (usize, &&str)| match index.cmp(&place) {
        std::cmp::Ordering::Less => Step { name: (*name).to_owned(), reached: "past" },
        std::cmp::Ordering::Equal => Step { name: now.to_owned(), reached: "now" },
        std::cmp::Ordering::Greater => Step { name: (*name).to_owned(), reached: "ahead" },
    };
    way.iter().enumerate().map(step).collect()
}
