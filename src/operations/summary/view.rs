//! What a summary holds.

use serde::Serialize;

use super::steps::{Step, Tone};
use crate::beckn::text::Text;

/// An event in words.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct SummaryView {
    /// What it is about: `order`, `tracking`, `contract`, or empty.
    pub(crate) about: &'static str,
    pub(crate) id: Option<Text>,
    pub(crate) state: Option<Text>,
    pub(crate) tone: Tone,
    /// The way of an order; empty for a state that is on none.
    pub(crate) steps: Vec<Step>,
    pub(crate) provider: Option<Text>,
    pub(crate) created_at: Option<Moment>,
    pub(crate) updated_at: Option<Moment>,
    pub(crate) fulfillments: Rows<FulfillmentSummary>,
    pub(crate) items: Rows<ItemSummary>,
    pub(crate) quote: Option<QuoteSummary>,
    pub(crate) payments: Rows<PaymentSummary>,
    pub(crate) cancellation: Option<CancellationSummary>,
    pub(crate) documents: Rows<DocumentSummary>,
    pub(crate) tracking: Option<TrackingSummary>,
    pub(crate) error: Option<ErrorSummary>,
    /// Whether something was left out because it tells of a person.
    pub(crate) holds_back: bool,
}

/// The beginning of a list.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// How many there are beyond them.
    pub(crate) more: usize,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), more: 0 }
    }
}

/// A time as the seller wrote it, and what it means.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Moment {
    pub(crate) text: Text,
    /// In RFC 3339; `None`: the text is no time.
    pub(crate) utc: Option<Text>,
}

/// An amount: its text is never rounded.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Money {
    pub(crate) value: Text,
    pub(crate) currency: Option<Text>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct FulfillmentSummary {
    pub(crate) id: Option<Text>,
    pub(crate) kind: Option<Text>,
    pub(crate) category: Option<Text>,
    pub(crate) state: Option<Text>,
    pub(crate) tone: Tone,
    pub(crate) steps: Vec<Step>,
    /// Who brings it: a firm.
    pub(crate) provider: Option<Text>,
    /// Whether it can be tracked.
    pub(crate) tracking: Option<bool>,
    /// Who brings it: a person.
    pub(crate) agent: Option<Text>,
    pub(crate) vehicle: Option<Text>,
    pub(crate) from: Option<StopSummary>,
    pub(crate) to: Option<StopSummary>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct StopSummary {
    /// The town and its postal code, or with bodies the whole address.
    pub(crate) place: Option<Text>,
    pub(crate) person: Option<Text>,
    pub(crate) gps: Option<Text>,
    /// When it was there.
    pub(crate) at: Option<Moment>,
    /// When it is meant to be there.
    pub(crate) since: Option<Moment>,
    pub(crate) until: Option<Moment>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ItemSummary {
    pub(crate) id: Option<Text>,
    pub(crate) name: Option<Text>,
    /// How many.
    pub(crate) count: Option<Text>,
    /// What one costs, from the item or the quote.
    pub(crate) price: Option<Money>,
    pub(crate) fulfillments: Vec<Text>,
    /// Whether it belongs to another item.
    pub(crate) is_part: bool,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct QuoteSummary {
    pub(crate) total: Option<Money>,
    pub(crate) lines: Rows<QuoteLine>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct QuoteLine {
    pub(crate) title: Option<Text>,
    pub(crate) kind: Option<Text>,
    pub(crate) count: Option<Text>,
    pub(crate) price: Option<Money>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct PaymentSummary {
    pub(crate) kind: Option<Text>,
    pub(crate) status: Option<Text>,
    pub(crate) collected_by: Option<Text>,
    pub(crate) amount: Option<Money>,
    pub(crate) transaction_id: Option<Text>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct CancellationSummary {
    pub(crate) by: Option<Text>,
    pub(crate) reason: Option<Text>,
    pub(crate) at: Option<Moment>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct DocumentSummary {
    pub(crate) label: Option<Text>,
    pub(crate) url: Option<Text>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct TrackingSummary {
    /// Which fulfilment it follows.
    pub(crate) fulfillment: Option<Text>,
    pub(crate) status: Option<Text>,
    pub(crate) url: Option<Text>,
    pub(crate) gps: Option<Text>,
    pub(crate) at: Option<Moment>,
}

/// What the seller says went wrong.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ErrorSummary {
    pub(crate) code: Option<Text>,
    pub(crate) path: Option<Text>,
    pub(crate) message: Option<Text>,
}
