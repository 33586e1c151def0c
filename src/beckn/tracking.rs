//! Where a fulfilment is, or where to look.

use super::contract::Contract;
use super::lax::model;
use super::place::Location;
use super::tags::Tags;
use super::text::Text;
use super::vocabulary::TrackingStatus;

model! {
    /// The tracking of a fulfilment. It may name neither the order nor the fulfilment: then only
    /// the context's transaction says what it belongs to.
    pub struct Tracking {
        /// The fulfilment's id (ONDC).
        id: Option<Text> = "id",
        /// Where a person or a program can follow it.
        url: Option<Text> = "url",
        /// How to open the address (Beckn 0.9.1).
        tl_method: Option<Text> = "tl_method",
        /// Whether it can be followed.
        status: Option<TrackingStatus> = "status",
        /// Where it is now.
        location: Option<Location> = "location",
        /// Tags: ONDC keeps the order's id and the path here.
        tags: Tags = "tags",
        /// The contract that is tracked (Beckn 2.0).
        contract: Option<Box<Contract>> = "contract",
        /// The media type of the address.
        content_type: Option<Text> = "content_type",
    }
}

impl Tracking {
    /// Returns the order's id where the dialect has it: ONDC's tag, Beckn 2.0's contract.
    pub fn order_id(&self) -> Option<&str> {
        let contract = || self.contract.as_ref()?.id.as_deref();
        self.tags.value("order", "id").or_else(contract)
    }
}
