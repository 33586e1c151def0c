//! The context of a callback: who, to whom, about which transaction.
//!
//! Three dialects share it: Beckn 0.9 / ONDC 1.x (`core_version`, `city`), Beckn 1.x / ONDC 2.x
//! domains (`version`, `location`) and Beckn 2.0 (camelCase keys). The key spelling tells them
//! apart, never the version: ONDC calls a dialect of the second kind "2.0.0" as well.

use super::action::Action;
use super::lax::model;
use super::place::Place;
use super::scalar::{IsoDuration, Timestamp};
use super::text::Text;

/// The dialect of the protocol that a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Beckn 0.9 and ONDC 1.x: `core_version`, `fulfillment(s)`, `payment`.
    A,
    /// Beckn 1.x and ONDC 2.x domains: `version`, `location`, `stops`, `payments`.
    B,
    /// Beckn 2.0: camelCase context, `contract`.
    C,
}

model! {
    /// The context of a callback.
    pub struct Context [seen = note_spelling] {
        /// The domain, such as `ONDC:RET11`.
        domain: Option<Text> = "domain",
        /// The action as sent; see [`Context::action`].
        action: Option<Text> = "action",
        /// The country as sent at the top (dialect A); see [`Context::country`].
        country: Option<Text> = "country",
        /// The city as sent at the top (dialect A); see [`Context::city`].
        city: Option<Text> = "city",
        /// Country and city (dialects B and C).
        location: Option<ContextLocation> = "location",
        /// The version of dialect A; see [`Context::version`].
        core_version: Option<Text> = "core_version",
        /// The version of dialects B and C; see [`Context::version`].
        version: Option<Text> = "version",
        /// The buyer app.
        bap_id: Option<Text> = "bap_id" | "bapId",
        /// Where the buyer app takes callbacks.
        bap_uri: Option<Text> = "bap_uri" | "bapUri",
        /// The seller app; optional in the schemas.
        bpp_id: Option<Text> = "bpp_id" | "bppId",
        /// Where the seller app takes requests.
        bpp_uri: Option<Text> = "bpp_uri" | "bppUri",
        /// The transaction, which lives as long as the order.
        transaction_id: Option<Text> = "transaction_id" | "transactionId",
        /// The message. Not unique: sellers reuse it for several callbacks.
        message_id: Option<Text> = "message_id" | "messageId",
        /// When the callback was made.
        timestamp: Option<Timestamp> = "timestamp",
        /// How long it is valid.
        ttl: Option<IsoDuration> = "ttl",
        /// The sender's public key for encryption.
        key: Option<Text> = "key",
        /// The network (dialect C).
        network_id: Option<Text> = "networkId" | "network_id",
        /// The schemas that the message uses (dialect C).
        schema_context: Vec<Text> = "schemaContext" | "schema_context",
        /// The sender (a draft of dialect C).
        sender_id: Option<Text> = "senderId",
        /// The receiver (a draft of dialect C).
        receiver_id: Option<Text> = "receiverId",
    }
    private {
        /// Whether a key was spelt as only dialect C does.
        camel_case: bool,
    }
}

fn note_spelling(context: &mut Context, key: &str) {
    let camel_case = ["bapId", "bppId", "transactionId", "messageId", "networkId"];
    if camel_case.contains(&key) {
        context.camel_case = true;
    }
}

impl Context {
    /// Returns the action that the context names, if the protocol has it.
    pub fn action(&self) -> Option<Action> {
        self.action.as_deref().and_then(Action::from_context)
    }

    /// Returns the dialect, by the spelling of the keys; `None` when none of them tells it.
    pub fn dialect(&self) -> Option<Dialect> {
        if self.core_version.is_some() {
            return Some(Dialect::A);
        }
        if self.camel_case {
            return Some(Dialect::C);
        }
        (self.version.is_some() || self.location.is_some()).then_some(Dialect::B)
    }

    /// Returns the version of the protocol, wherever the dialect keeps it.
    pub fn version(&self) -> Option<&str> {
        self.core_version.as_deref().or(self.version.as_deref())
    }

    /// Returns the country's code, wherever the dialect keeps it.
    pub fn country(&self) -> Option<&str> {
        let place = || self.location.as_ref()?.country.as_ref()?.code();
        self.country.as_deref().or_else(place)
    }

    /// Returns the city's code, wherever the dialect keeps it.
    pub fn city(&self) -> Option<&str> {
        let place = || self.location.as_ref()?.city.as_ref()?.code();
        self.city.as_deref().or_else(place)
    }
}

model! {
    /// Where a callback belongs (dialects B and C).
    pub struct ContextLocation {
        /// The country.
        country: Option<Place> = "country",
        /// The city.
        city: Option<Place> = "city",
        /// The state.
        state: Option<Place> = "state",
    }
}
