//! The order as sellers send it, in the dialects A and B, with ONDC's extensions.
//!
//! One type for all: keys that differ unite in one field, values that two keys may hold in one
//! accessor. What a callback leaves out is absent: an `on_update` is often a part of an order.

mod fulfillment;
mod item;
mod payment;

use super::lax::model;
use super::place::{Address, Descriptor, Location, Place, Time};
use super::scalar::{Decimal, Timestamp};
use super::tags::Tags;
use super::vocabulary::OrderState;
use crate::beckn::text::Text;

pub use fulfillment::{
    Agent, Authorization, Contact, Customer, Fulfillment, FulfillmentState, Person,
    StateDescriptor, Stop, Vehicle,
};
pub use item::{Breakup, BreakupItem, Count, Item, ItemQuantity, Measure, Price, Quantity, Quote};
pub use payment::{Payment, PaymentParams, SettlementDetail};

model! {
    /// An order.
    pub struct Order [seen = note_singular] {
        /// Its id at the seller.
        id: Option<Text> = "id" | "beckn:id",
        /// Its state in the words of dialect A; see [`Order::state`].
        state: Option<OrderState> = "state",
        /// Its state in the words of dialect B; see [`Order::state`].
        status: Option<OrderState> = "status" | "beckn:orderStatus",
        /// What kind of order it is (dialect B).
        r#type: Option<Text> = "type",
        /// Who sells.
        provider: Option<Provider> = "provider",
        /// From which of the provider's locations (Beckn 0.9).
        provider_location: Option<Box<Location>> = "provider_location",
        /// What is ordered.
        items: Vec<Item> = "items",
        /// Who pays.
        billing: Option<Box<Billing>> = "billing",
        /// How it reaches the buyer: always a list here.
        fulfillments: Vec<Fulfillment> = "fulfillments" | "fulfillment" as OBJECT,
        /// What it costs.
        quote: Option<Quote> = "quote",
        /// How it is paid: always a list here.
        payments: Vec<Payment> = "payments" | "payment" as OBJECT_OR_ARRAY,
        /// Invoices and the like.
        documents: Vec<Document> = "documents" | "docs",
        /// Tags of the order.
        tags: Tags = "tags",
        /// Why and by whom it was cancelled.
        cancellation: Option<Box<Cancellation>> = "cancellation",
        /// What a cancellation costs, by state.
        cancellation_terms: Vec<CancellationTerm> = "cancellation_terms",
        /// When it was made.
        created_at: Option<Timestamp> = "created_at",
        /// When it was last changed, the seller says.
        updated_at: Option<Timestamp> = "updated_at",
        /// The orders that this one follows up.
        ref_order_ids: Vec<Text> = "ref_order_ids",
    }
    private {
        /// Whether the fulfilment is under its singular key.
        singular_fulfillment: bool,
        /// Whether the payment is under its singular key.
        singular_payment: bool,
    }
}

fn note_singular(order: &mut Order, key: &str) {
    order.singular_fulfillment |= key == "fulfillment";
    order.singular_payment |= key == "payment";
}

impl Order {
    /// Returns the state, whichever key holds it: `state`, else `status`.
    pub fn state(&self) -> Option<&OrderState> {
        self.state.as_ref().or(self.status.as_ref())
    }

    /// Returns the fulfilment with this id.
    pub fn fulfillment(&self, id: &str) -> Option<&Fulfillment> {
        self.fulfillments.iter().find(|one| one.id.as_deref() == Some(id))
    }
}

model! {
    /// Who sells.
    pub struct Provider {
        /// The provider's id at the seller app.
        id: Option<Text> = "id",
        /// What it is called.
        descriptor: Option<Box<Descriptor>> = "descriptor",
        /// Where it is.
        locations: Vec<Location> = "locations",
        /// Tags of the provider.
        tags: Tags = "tags",
        /// Whether it can be rated.
        rateable: Option<bool> = "rateable",
    }
}

model! {
    /// Who pays.
    pub struct Billing {
        /// Name.
        name: Option<Text> = "name",
        /// Phone.
        phone: Option<Text> = "phone",
        /// E-mail.
        email: Option<Text> = "email",
        /// Address.
        address: Option<Box<Address>> = "address",
        /// City (dialect B).
        city: Option<Box<Place>> = "city",
        /// State (dialect B).
        state: Option<Box<Place>> = "state",
        /// The tax number (dialect A).
        tax_number: Option<Text> = "tax_number",
        /// The tax number (dialect B).
        tax_id: Option<Text> = "tax_id",
        /// When the billing details hold.
        time: Option<Box<Time>> = "time",
        /// When they were made.
        created_at: Option<Timestamp> = "created_at",
        /// When they were last changed.
        updated_at: Option<Timestamp> = "updated_at",
    }
}

model! {
    /// A document of an order.
    pub struct Document {
        /// Where it is.
        url: Option<Text> = "url",
        /// What it is.
        label: Option<Text> = "label",
        /// What it is (dialect B).
        descriptor: Option<Box<Descriptor>> = "descriptor",
        /// Its media type.
        mime_type: Option<Text> = "mime_type",
    }
}

model! {
    /// A cancellation.
    pub struct Cancellation {
        /// Who cancelled.
        cancelled_by: Option<Text> = "cancelled_by",
        /// Why.
        reason: Option<CancellationReason> = "reason",
        /// When.
        time: Option<Timestamp> = "time",
        /// More words.
        additional_description: Option<Box<Descriptor>> = "additional_description",
    }
}

model! {
    /// Why an order was cancelled.
    pub struct CancellationReason [text = id] {
        /// The reason's number in the network's list.
        id: Option<Text> = "id",
        /// The reason in words.
        descriptor: Option<Box<Descriptor>> = "descriptor",
    }
}

model! {
    /// What a cancellation costs while the fulfilment is in a state.
    pub struct CancellationTerm {
        /// The state that it is about.
        fulfillment_state: Option<FulfillmentState> = "fulfillment_state",
        /// Whether a reason must be given.
        reason_required: Option<bool> = "reason_required",
        /// What it costs.
        cancellation_fee: Option<CancellationFee> = "cancellation_fee",
    }
}

model! {
    /// What a cancellation costs.
    pub struct CancellationFee {
        /// As a share of the price.
        percentage: Option<Decimal> = "percentage",
        /// As an amount.
        amount: Option<Price> = "amount",
    }
}
