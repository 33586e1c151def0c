//! What a callback tells of an order's states, and whether that goes backwards.
//!
//! Nothing is refused for it: sellers send late, twice and out of order. The tables are ONDC's;
//! a value that it does not publish is never judged, nor is a step that skips others. Returns and
//! deliveries back to the seller are fulfilments of their own, so steps between these kinds are
//! not judged either.

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::order::Order;
use super::scalar::Timestamp;
use super::text::Text;
use super::vocabulary::KnownFulfillmentCode as Code;
use super::vocabulary::{FulfillmentCode, KnownOrderState, OrderState};

/// So many fulfilments of an order are followed.
const FULFILLMENTS: usize = 32;

/// Ids that are longer are not followed; those of the network are shorter.
const ID_BYTES: usize = 64;

/// What a callback tells of an order, as it is at rest too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The order's id.
    pub(crate) order_id: Text,
    /// Its state, when it is one that is published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    state: Option<Text>,
    /// The published codes of its fulfilments, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    fulfillments: Vec<(Text, Text)>,
    /// When the order was last changed, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    updated_at: Option<i64>,
    /// When the callback was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stamped_at: Option<i64>,
}

impl Told {
    /// Reads what an order tells; `None` without an id to file it under.
    pub(crate) fn of(order: &Order, context: &Context) -> Option<Self> {
        let short = |id: &&Text| id.len() <= ID_BYTES;
        let micros = |at: &Timestamp| at.utc().map(|at| at.timestamp_micros());
        let code = |one: &super::order::Fulfillment| {
            let code = one.code().filter(|code| code.known().is_some())?;
            Some((one.id.as_ref().filter(short)?.clone(), code.as_str().into()))
        };
        let state = order.state().filter(|state| state.known().is_some());
        Some(Self {
            order_id: order.id.as_ref().filter(short)?.clone(),
            state: state.map(|state| state.as_str().into()),
            fulfillments: order.fulfillments.iter().filter_map(code).take(FULFILLMENTS).collect(),
            updated_at: order.updated_at.as_ref().and_then(micros),
            stamped_at: context.timestamp.as_ref().and_then(micros),
        })
    }
}

/// What is wrong with the order of what was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// It is older than what was told before.
    pub(crate) out_of_order: bool,
    /// A state goes back.
    pub(crate) regressed: bool,
}

/// What is known of an order: what was told last, save by what came out of order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    state: Option<KnownOrderState>,
    fulfillments: Vec<(Box<str>, Code)>,
    updated_at: Option<i64>,
    stamped_at: Option<i64>,
}

impl Known {
    /// Returns how many bytes it takes besides its own.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.fulfillments.capacity() * size_of::<(Box<str>, Code)>();
        rows + self.fulfillments.iter().map(|(id, _)| id.len()).sum::<usize>()
    }

    /// Judges what is told by what is known, and takes it up.
    pub(crate) fn judge(&mut self, told: &Told) -> Judgement {
        let older = |told: Option<i64>, known: Option<i64>| {
            told.zip(known).map(|(told, known)| told < known)
        };
        // Like with like: the stamp of a callback says nothing of when the order was changed.
        let out_of_order = older(told.updated_at, self.updated_at)
            .or_else(|| older(told.stamped_at, self.stamped_at))
            .unwrap_or(false);
        let state = told.state();
        let mut regressed =
            self.state.zip(state).is_some_and(|(from, to)| order_goes_back(from, to));
        for (id, code) in told.codes() {
            let has_room = self.fulfillments.len() < FULFILLMENTS;
            let known = self.fulfillments.iter_mut().find(|(known, _)| **known == *id);
            let before = known.as_ref().map(|(_, code)| *code);
            regressed |= before.is_some_and(|from| fulfillment_goes_back(from, code));
            match known {
                Some((_, known)) if !out_of_order => *known = code,
                None if has_room => {
                    self.fulfillments.push((id.into(), code));
                }
                Some(_) | None => {}
            }
        }
        if !out_of_order || self.state.is_none() {
            self.state = state.or(self.state);
        }
        self.updated_at = self.updated_at.max(told.updated_at);
        self.stamped_at = self.stamped_at.max(told.stamped_at);
        Judgement { out_of_order, regressed }
    }

    /// Takes up what was told before anything that is known.
    pub(crate) fn precede(&mut self, told: &Told) {
        self.state = self.state.or(told.state());
        for (id, code) in told.codes() {
            let is_known = self.fulfillments.iter().any(|(known, _)| **known == *id);
            if !is_known && self.fulfillments.len() < FULFILLMENTS {
                self.fulfillments.push((id.into(), code));
            }
        }
        self.updated_at = self.updated_at.max(told.updated_at);
        self.stamped_at = self.stamped_at.max(told.stamped_at);
    }
}

impl Told {
    fn state(&self) -> Option<KnownOrderState> {
        self.state.as_deref().and_then(|state| OrderState::new(state).known())
    }

    fn codes(&self) -> impl Iterator<Item = (&str, Code)> {
        let known = |code: &str| FulfillmentCode::new(code).known();
        self.fulfillments.iter().filter_map(move |(id, code)| Some((id.as_str(), known(code)?)))
    }
}

/// Returns whether an order in the state `from` cannot come to the state `to`.
fn order_goes_back(from: KnownOrderState, to: KnownOrderState) -> bool {
    let rank = |state| match state {
        KnownOrderState::Created => Some(0),
        KnownOrderState::Accepted => Some(1),
        KnownOrderState::InProgress => Some(2),
        KnownOrderState::Completed | KnownOrderState::Cancelled => Some(3),
        // Beckn 1.x's says only that it is none of the last two.
        KnownOrderState::Active => None,
    };
    match (rank(from), rank(to)) {
        (Some(3), Some(3)) => from != to,
        (Some(from), Some(to)) => to < from,
        (None, _) | (_, None) => false,
    }
}

/// Returns whether a fulfilment with the code `from` cannot come to the code `to`.
fn fulfillment_goes_back(from: Code, to: Code) -> bool {
    let kind = kind(from);
    kind.is_some() && kind == self::kind(to) && from != to && !reaches(from, to)
}

/// What a fulfilment is for; only steps within one kind are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Delivery,
    BackToSeller,
    Return,
}

fn kind(code: Code) -> Option<Kind> {
    match code {
        Code::Pending
        | Code::Packed
        | Code::AgentAssigned
        | Code::OutForPickup
        | Code::AtPickup
        | Code::PickupFailed
        | Code::OrderPickedUp
        | Code::InTransit
        | Code::AtDestinationHub
        | Code::OutForDelivery
        | Code::AtDelivery
        | Code::DeliveryFailed
        | Code::OrderDelivered
        | Code::Cancelled => Some(Kind::Delivery),
        Code::RtoInitiated | Code::RtoDelivered | Code::RtoDisposed => Some(Kind::BackToSeller),
        Code::ReturnInitiated
        | Code::ReturnApproved
        | Code::ReturnRejected
        | Code::ReturnPicked
        | Code::ReturnPickFailed
        | Code::ReturnDelivered
        | Code::Liquidated => Some(Kind::Return),
        // In none of ONDC's tables of what follows what.
        Code::SearchingForAgent | Code::Rto | Code::ReturnFailed => None,
    }
}

/// Returns what may follow a code at once; ONDC's table of fulfilment states.
const fn next(code: Code) -> &'static [Code] {
    use Code::{
        AgentAssigned, AtDelivery, AtDestinationHub, AtPickup, Cancelled, DeliveryFailed,
        InTransit, Liquidated, OrderDelivered, OrderPickedUp, OutForDelivery, OutForPickup, Packed,
        Pending, PickupFailed, ReturnApproved, ReturnDelivered, ReturnFailed, ReturnInitiated,
        ReturnPickFailed, ReturnPicked, ReturnRejected, Rto, RtoDelivered, RtoDisposed,
        RtoInitiated, SearchingForAgent,
    };
    match code {
        Pending => &[Packed, Cancelled],
        Packed => &[AgentAssigned, AtPickup, OutForPickup, OrderPickedUp, Cancelled],
        AgentAssigned => &[AtPickup, OutForPickup, OrderPickedUp, Cancelled],
        AtPickup => &[OrderPickedUp, Cancelled],
        // The table leaves the arrival out, here and at the delivery; sellers tell of both.
        OutForPickup => &[AtPickup, PickupFailed, OrderPickedUp, Cancelled],
        PickupFailed => &[OutForPickup, OrderPickedUp, Cancelled],
        OrderPickedUp => &[AtDelivery, InTransit, OutForDelivery, OrderDelivered, Cancelled],
        AtDelivery => &[OrderDelivered, Cancelled],
        InTransit => &[AtDestinationHub, Cancelled],
        AtDestinationHub => &[OutForDelivery, Cancelled],
        OutForDelivery => &[AtDelivery, DeliveryFailed, OrderDelivered, Cancelled],
        DeliveryFailed => &[OutForDelivery, OrderDelivered, Cancelled],
        RtoInitiated => &[RtoDelivered, RtoDisposed],
        ReturnInitiated => &[ReturnApproved, ReturnRejected, Liquidated],
        ReturnApproved => &[ReturnPicked, ReturnPickFailed, Liquidated],
        ReturnPickFailed => &[ReturnApproved, ReturnPicked],
        ReturnPicked => &[ReturnDelivered],
        OrderDelivered | Cancelled | RtoDelivered | RtoDisposed | ReturnRejected
        | ReturnDelivered | Liquidated | SearchingForAgent | Rto | ReturnFailed => &[],
    }
}

/// Returns whether `to` may come after `from`, with any steps between them.
fn reaches(from: Code, to: Code) -> bool {
    let mut seen = vec![from];
    let mut at = 0;
    while let Some(code) = seen.get(at).copied() {
        if next(code).contains(&to) {
            return true;
        }
        for following in next(code) {
            if !seen.contains(following) {
                seen.push(*following);
            }
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{Known, Text, Told};

    fn told(state: Option<&str>, code: Option<&str>, at: Option<i64>) -> Told {
        Told {
            order_id: "O1".into(),
            state: state.map(Text::from),
            fulfillments: code.map(|code| ("F1".into(), code.into())).into_iter().collect(),
            updated_at: at,
            stamped_at: None,
        }
    }

    #[track_caller]
    fn check(steps: &[(Option<&str>, Option<&str>)], last_regresses: bool) {
        let mut known = Known::default();
        for (number, (state, code)) in steps.iter().enumerate() {
            let judgement = known.judge(&told(*state, *code, None));
            let expected = last_regresses && number + 1 == steps.len();
            assert_eq!(judgement.regressed, expected, "{steps:?} at {number}");
        }
    }

    #[test]
    fn a_state_that_cannot_follow_the_last_one_regresses() {
        let states = |states: &[&'static str], regresses| {
            let steps: Vec<_> = states.iter().map(|state| (Some(*state), None)).collect();
            check(&steps, regresses);
        };
        states(&["Created", "Accepted", "In-progress", "In-progress", "Completed"], false);
        states(&["Created", "Completed"], false);
        states(&["In-progress", "Accepted"], true);
        states(&["Accepted", "Cancelled"], false);
        states(&["Cancelled", "In-progress"], true);
        states(&["Completed", "Cancelled"], true);
        states(&["Completed", "ON-HOLD", "ACTIVE", "Completed"], false);
    }

    #[test]
    fn a_fulfilment_that_goes_back_regresses_and_one_that_skips_does_not() {
        let codes = |codes: &[&'static str], regresses| {
            let steps: Vec<_> = codes.iter().map(|code| (None, Some(*code))).collect();
            check(&steps, regresses);
        };
        codes(
            &["Pending", "Packed", "Agent-assigned", "Order-picked-up", "Order-delivered"],
            false,
        );
        codes(&["Pending", "Order-delivered"], false);
        codes(&["Out-for-delivery", "Delivery-failed", "Out-for-delivery"], false);
        codes(&["Order-delivered", "Out-for-delivery"], true);
        codes(&["Order-picked-up", "Packed"], true);
        codes(&["Cancelled", "Packed"], true);
        codes(&["Order-delivered", "RIDE_STARTED", "Order-delivered"], false);
        codes(&["Order-delivered", "Return_Initiated", "Return_Picked"], false);
        codes(&["Return_Picked", "Return_Initiated"], true);
        codes(&["Cancelled", "RTO-Initiated", "RTO-Delivered"], false);
    }

    #[test]
    fn what_is_older_is_out_of_order_and_does_not_take_the_place_of_what_is_newer() {
        let mut known = Known::default();
        assert!(!known.judge(&told(Some("In-progress"), Some("Packed"), Some(20))).out_of_order);
        let late = known.judge(&told(Some("Accepted"), Some("Pending"), Some(10)));
        assert!(late.out_of_order && late.regressed);
        let next = known.judge(&told(Some("In-progress"), Some("Packed"), Some(20)));
        assert!(!next.out_of_order && !next.regressed);
        let unstamped = known.judge(&told(Some("Completed"), None, None));
        assert!(!unstamped.out_of_order, "without a time nothing is older");
    }

    #[test]
    fn what_is_at_rest_is_read_back() {
        let told = told(Some("Accepted"), Some("Packed"), Some(7));
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), told);
    }
}
