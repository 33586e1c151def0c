//! Open enumerations: values that the protocol lists and sellers extend.
//!
//! Each keeps the spelling that was sent and says which published value it is, if it is one. Real
//! callbacks carry many that are not, so no list is ever complete.

use std::fmt;

use serde::Serialize;
use serde::de::MapAccess;

use super::lax::{At, Lax, Object, Shapes};
use super::text::Text;

/// Declares an open enumeration: a text that keeps its spelling, and the values that are known.
///
/// `"spelling" | "other spelling"`: exactly these are known, trimmed; nothing else is guessed.
macro_rules! open_enum {
    (
        $(#[$meta:meta])* $name:ident,
        $(#[$known_meta:meta])* $known:ident
        { $( $(#[$variant_meta:meta])* $variant:ident = $( $spelling:literal )|+ ,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        $(#[$known_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $known { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// Keeps this text.
            pub fn new(text: &str) -> $name {
                $name(text.into())
            }

            /// Returns the text as sent.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the value when it is one that the protocol publishes.
            pub fn known(&self) -> Option<$known> {
                match self.0.trim_ascii() {
                    $( $( $spelling )|+ => Some($known::$variant), )*
                    _ => None,
                }
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == **other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Lax for $name {
            const PUBLISHED: Shapes = Shapes::STRING;

            fn from_text(text: &str) -> Option<$name> {
                Some($name::new(text))
            }

            fn read_map<'de, A: MapAccess<'de>>(
                slot: &mut Option<$name>,
                map: A,
                at: &At<'_>,
            ) -> Result<Object, A::Error> {
                let mut text = None;
                let object = Text::read_map(&mut text, map, at)?;
                *slot = text.map($name);
                Ok(object)
            }
        }
    };
}

open_enum! {
    /// The state of an order, as sent: ONDC's `state`, Beckn 1.x's `status`.
    OrderState,
    /// The states of an order that ONDC or Beckn publish.
    KnownOrderState {
        /// The order was created.
        Created = "Created",
        /// The seller took it.
        Accepted = "Accepted",
        /// It is being fulfilled.
        InProgress = "In-progress",
        /// It is done (ONDC).
        Completed = "Completed" | "COMPLETE",
        /// It was cancelled.
        Cancelled = "Cancelled" | "CANCELLED",
        /// It is under way (Beckn 1.x).
        Active = "ACTIVE",
    }
}

open_enum! {
    /// The code of a fulfilment's state, as sent.
    FulfillmentCode,
    /// The codes that ONDC publishes for retail, logistics and returns.
    KnownFulfillmentCode {
        /// Not begun.
        Pending = "Pending",
        /// An agent is being looked for (logistics).
        SearchingForAgent = "Searching-for-Agent",
        /// Ready to be picked up.
        Packed = "Packed",
        /// An agent was found.
        AgentAssigned = "Agent-assigned",
        /// The agent is on the way to the seller.
        OutForPickup = "Out-for-pickup",
        /// The agent is at the seller's.
        AtPickup = "At-pickup",
        /// The pick-up failed.
        PickupFailed = "Pickup-failed",
        /// The agent has it.
        OrderPickedUp = "Order-picked-up",
        /// Between hubs.
        InTransit = "In-transit",
        /// At the last hub.
        AtDestinationHub = "At-destination-hub",
        /// On the way to the buyer.
        OutForDelivery = "Out-for-delivery",
        /// At the buyer's.
        AtDelivery = "At-delivery",
        /// The delivery failed.
        DeliveryFailed = "Delivery-failed",
        /// The buyer has it.
        OrderDelivered = "Order-delivered",
        /// Cancelled.
        Cancelled = "Cancelled",
        /// Going back to the seller (logistics).
        Rto = "RTO",
        /// Going back to the seller.
        RtoInitiated = "RTO-Initiated",
        /// Back at the seller's.
        RtoDelivered = "RTO-Delivered",
        /// Thrown away on the way back.
        RtoDisposed = "RTO-Disposed",
        /// The buyer asked to return it.
        ReturnInitiated = "Return_Initiated",
        /// The seller agreed to the return.
        ReturnApproved = "Return_Approved",
        /// The seller refused the return.
        ReturnRejected = "Return_Rejected",
        /// The return was picked up.
        ReturnPicked = "Return_Picked",
        /// The return could not be picked up.
        ReturnPickFailed = "Return_Pick_Failed",
        /// The return failed.
        ReturnFailed = "Return_Failed",
        /// The return is back at the seller's.
        ReturnDelivered = "Return_Delivered",
        /// Refunded without a return.
        Liquidated = "Liquidated",
    }
}

open_enum! {
    /// When an order is paid, as sent.
    PaymentType,
    /// The published times of payment.
    KnownPaymentType {
        /// With the order.
        OnOrder = "ON-ORDER",
        /// Before the order (Beckn 1.x).
        PreOrder = "PRE-ORDER",
        /// Before the fulfilment.
        PreFulfillment = "PRE-FULFILLMENT" | "PRE-FULFILMENT",
        /// At the fulfilment; published samples write it with one L as well.
        OnFulfillment = "ON-FULFILLMENT" | "ON-FULFILMENT",
        /// After the fulfilment.
        PostFulfillment = "POST-FULFILLMENT" | "POST-FULFILMENT",
    }
}

open_enum! {
    /// Whether something is paid, as sent.
    PaymentStatus,
    /// The published states of a payment.
    KnownPaymentStatus {
        /// Paid.
        Paid = "PAID",
        /// Not paid; Beckn 0.9.1 and 0.9.2 publish it misspelt.
        NotPaid = "NOT-PAID" | "NOT-PATD",
    }
}

open_enum! {
    /// Who collects the payment, as sent.
    CollectedBy,
    /// The published collectors.
    KnownCollectedBy {
        /// The buyer app.
        Bap = "BAP" | "bap",
        /// The seller app.
        Bpp = "BPP" | "bpp",
    }
}

open_enum! {
    /// Whether tracking is on, as sent.
    TrackingStatus,
    /// The published states of tracking; Beckn 2.0 writes them in capitals.
    KnownTrackingStatus {
        /// It can be followed.
        Active = "active" | "ACTIVE",
        /// It cannot, or no longer.
        Inactive = "inactive" | "INACTIVE",
    }
}

open_enum! {
    /// What a row of a quote is, as sent (`@ondc/org/title_type`).
    TitleType,
    /// The published kinds of rows.
    KnownTitleType {
        /// An item.
        Item = "item",
        /// Delivery.
        Delivery = "delivery",
        /// Packing.
        Packing = "packing",
        /// Tax.
        Tax = "tax",
        /// Anything else.
        Misc = "misc",
        /// A discount.
        Discount = "discount",
        /// An offer (1.2.5).
        Offer = "offer",
    }
}

open_enum! {
    /// The state of a contract, as sent (Beckn 2.0).
    ContractStatus,
    /// The published states of a contract.
    KnownContractStatus {
        /// Not agreed yet.
        Draft = "DRAFT",
        /// Agreed and under way.
        Active = "ACTIVE",
        /// Cancelled.
        Cancelled = "CANCELLED",
        /// Done.
        Complete = "COMPLETE",
    }
}
