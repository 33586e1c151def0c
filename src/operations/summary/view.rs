//! What a summary holds.

use serde::Serialize;

use super::steps::{Step, Tone};

/// An event in words.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct SummaryView {
    /// What it is about: `order`, `tracking`, `contract`, or empty.
    pub(crate) about: &'static str,
    pub(crate) id: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) tone: Tone,
    /// The way of an order; empty for a state that is on none.
    pub(crate) steps: Vec<Step>,
    pub(crate) provider: Option<String>,
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
    pub(crate) text: String,
    /// In RFC 3339; `None`: the text is no time.
    pub(crate) utc: Option<String>,
}

/// An amount: its text is never rounded.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Money {
    pub(crate) value: String,
    pub(crate) currency: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct FulfillmentSummary {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) tone: Tone,
    pub(crate) steps: Vec<Step>,
    /// Who brings it: a firm.
    pub(crate) provider: Option<String>,
    /// Whether it can be tracked.
    pub(crate) tracking: Option<bool>,
    /// Who brings it: a person.
    pub(crate) agent: Option<String>,
    pub(crate) vehicle: Option<String>,
    pub(crate) from: Option<StopSummary>,
    pub(crate) to: Option<StopSummary>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct StopSummary {
    /// The town and its postal code, or with bodies the whole address.
    pub(crate) place: Option<String>,
    pub(crate) person: Option<String>,
    pub(crate) gps: Option<String>,
    /// When it was there.
    pub(crate) at: Option<Moment>,
    /// When it is meant to be there.
    pub(crate) since: Option<Moment>,
    pub(crate) until: Option<Moment>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ItemSummary {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// How many.
    pub(crate) count: Option<String>,
    /// What one costs, from the item or the quote.
    pub(crate) price: Option<Money>,
    pub(crate) fulfillments: Vec<String>,
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
    pub(crate) title: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) count: Option<String>,
    pub(crate) price: Option<Money>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct PaymentSummary {
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) collected_by: Option<String>,
    pub(crate) amount: Option<Money>,
    pub(crate) transaction_id: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct CancellationSummary {
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) at: Option<Moment>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct DocumentSummary {
    pub(crate) label: Option<String>,
    pub(crate) url: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct TrackingSummary {
    /// Which fulfilment it follows.
    pub(crate) fulfillment: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) gps: Option<String>,
    pub(crate) at: Option<Moment>,
}

/// What the seller says went wrong.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ErrorSummary {
    pub(crate) code: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) message: Option<String>,
}
