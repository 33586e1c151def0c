//! Texts with a meaning: amounts, times, durations, positions.
//!
//! Each keeps what was sent, trimmed, and gives its meaning when asked: nothing is parsed before,
//! so that an odd value never costs the rest of the order. Money is text, never a float.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::Serialize;
use serde::de::MapAccess;

use super::lax::{At, Lax, Object, Shapes};

/// Declares a text with a meaning: a newtype that reads as text and shows as text.
macro_rules! text {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Keeps this text, trimmed.
            pub fn new(text: &str) -> $name {
                $name(text.trim_ascii().to_owned())
            }

            /// Returns the text as sent, trimmed.
            pub fn as_str(&self) -> &str {
                &self.0
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
        }
    };
}

text! {
    /// A decimal number as text: an amount of money, a quantity.
    Decimal
}
text! {
    /// A point in time as text.
    Timestamp
}
text! {
    /// An ISO 8601 duration as text.
    IsoDuration
}
text! {
    /// A position as text: latitude, comma, longitude.
    Gps
}

impl Decimal {
    /// Returns whether the text is a decimal number: digits, at most one point, maybe a sign.
    pub fn is_number(&self) -> bool {
        let digits = self.0.strip_prefix(['+', '-']).unwrap_or(&self.0);
        let points = digits.bytes().filter(|byte| *byte == b'.').count();
        points <= 1
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.ends_with(|last: char| last.is_ascii_digit())
    }

    /// Returns the number when it is an integer; `2.0` is one.
    pub fn integer(&self) -> Option<i64> {
        let whole = match self.0.split_once('.') {
            Some((whole, rest)) if rest.bytes().all(|byte| byte == b'0') => whole,
            Some(_) => return None,
            None => &self.0,
        };
        whole.parse().ok()
    }
}

impl Timestamp {
    /// Returns the time: RFC 3339, else without a zone (taken as UTC), else a date (its midnight).
    ///
    /// `None` when the text is none of these; sellers do send such texts.
    pub fn utc(&self) -> Option<DateTime<Utc>> {
        // A year of four digits: chrono would read `22024-05-01` as a year far from now.
        if self.0.as_bytes().get(4) != Some(&b'-') {
            return None;
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(&self.0) {
            return Some(time.to_utc());
        }
        let without_zone = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        for format in without_zone {
            if let Ok(time) = NaiveDateTime::parse_from_str(&self.0, format) {
                return Some(time.and_utc());
            }
        }
        let date = NaiveDate::parse_from_str(&self.0, "%Y-%m-%d").ok()?;
        Some(date.and_hms_opt(0, 0, 0)?.and_utc())
    }

    /// Returns whether the text is a date and time with its zone, as the protocol asks.
    pub fn is_rfc3339(&self) -> bool {
        DateTime::parse_from_rfc3339(&self.0).is_ok()
    }
}

impl IsoDuration {
    /// Returns the duration: upper or lower case, fractions, `P24H` as 24 hours.
    ///
    /// A month counts 30 days and a year 365. `None` when the text is not a duration.
    pub fn duration(&self) -> Option<Duration> {
        let mut rest = self.0.strip_prefix(['P', 'p'])?;
        let mut after_t = false;
        let mut seconds = 0.0;
        let mut parts = 0;
        while !rest.is_empty() {
            if let Some(time) = rest.strip_prefix(['T', 't']) {
                if after_t || time.is_empty() {
                    return None;
                }
                (after_t, rest) = (true, time);
                continue;
            }
            let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, unit) = rest.split_at(unit_at);
            if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                return None;
            }
            seconds += number.parse::<f64>().ok()? * unit_seconds(unit.as_bytes()[0], after_t)?;
            parts += 1;
            rest = &unit[1..];
        }
        if parts == 0 {
            return None;
        }
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Returns the whole seconds of [`duration`](Self::duration).
    pub fn seconds(&self) -> Option<u64> {
        self.duration().map(|duration| duration.as_secs())
    }
}

fn unit_seconds(unit: u8, after_t: bool) -> Option<f64> {
    let seconds = match (unit.to_ascii_uppercase(), after_t) {
        (b'Y', false) => 365.0 * 86_400.0,
        (b'M', false) => 30.0 * 86_400.0,
        (b'W', false) => 7.0 * 86_400.0,
        (b'D', false) => 86_400.0,
        (b'H', _) => 3_600.0,
        (b'M', true) => 60.0,
        (b'S', _) => 1.0,
        _ => return None,
    };
    Some(seconds)
}

impl Gps {
    /// Returns latitude and longitude in degrees; `None` when the text is not a position.
    pub fn coordinates(&self) -> Option<(f64, f64)> {
        let (latitude, longitude) = self.0.split_once(',')?;
        let latitude: f64 = latitude.trim_ascii().parse().ok()?;
        let longitude: f64 = longitude.trim_ascii().parse().ok()?;
        let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        on_earth.then_some((latitude, longitude))
    }
}

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
        pub struct $name(String);

        $(#[$known_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $known { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// Keeps this text.
            pub fn new(text: &str) -> $name {
                $name(text.to_owned())
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
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
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

            fn from_map<'de, A: MapAccess<'de>>(
                map: A,
                at: &At<'_>,
            ) -> Result<Object<$name>, A::Error> {
                Ok(match String::from_map(map, at)? {
                    Object::Empty => Object::Empty,
                    Object::Unreadable => Object::Unreadable,
                    Object::Value(text) => Object::Value($name(text)),
                })
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
