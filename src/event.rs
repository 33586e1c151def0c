//! An event: an accepted callback, decoded for the handler.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::beckn::action::Action;
use crate::beckn::callback::{Callback, Malformed, Payload};
use crate::beckn::context::Context;
use crate::beckn::error::Error;
use crate::beckn::oddity::Oddity;
use crate::words::{Sender, SubscriberId, Violation};

/// The id of an event: a UUID v7 that the inbox gives when it keeps the callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

impl EventId {
    /// Returns the id with this UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something about an event that its handler may want to know and that no model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flag {
    /// An earlier event has the same action, seller, transaction and message id, but another
    /// content: sellers send one order's states under one `message_id`.
    IdReused,
    /// The body was read only after a repair (a byte order mark or trailing commas).
    Repaired,
    /// The payload is not the one of the action, as an `order` in an `on_track`.
    OtherPayload,
    /// A rule enforced against it; it was `ACKed` because `answer.always_ack` is set.
    Rejected,
    /// A rule of the buyer's did not answer in time, or panicked, so it was passed over.
    RuleSkipped,
    /// It is older than what its seller has told of the order before, by `order.updated_at`, else
    /// by the callback's own timestamp.
    OutOfOrder,
    /// A state of the order, or of one of its fulfilments, cannot come after the last one.
    Regressed,
    /// The buyer app has said that it waits for it.
    Solicited,
    /// It is none of the seller's: the callback that the buyer app waits for did not come in time.
    Silence,
    /// An operator has had it emptied: its body, its ids and its texts are gone.
    Erased,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Flag; 10] = [
        Flag::IdReused,
        Flag::Repaired,
        Flag::OtherPayload,
        Flag::Rejected,
        Flag::RuleSkipped,
        Flag::OutOfOrder,
        Flag::Regressed,
        Flag::Solicited,
        Flag::Silence,
        Flag::Erased,
    ];

    /// Returns the flag's name, as the commands print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Flag::IdReused => "id_reused",
            Flag::Repaired => "repaired",
            Flag::OtherPayload => "other_payload",
            Flag::Rejected => "rejected",
            Flag::RuleSkipped => "rule_skipped",
            Flag::OutOfOrder => "out_of_order",
            Flag::Regressed => "regressed",
            Flag::Solicited => "solicited",
            Flag::Silence => "silence",
            Flag::Erased => "erased",
        }
    }

    /// The bit at rest; never given to another flag.
    pub(crate) const fn bit(self) -> u32 {
        match self {
            Flag::IdReused => 1,
            Flag::Repaired => 2,
            Flag::OtherPayload => 4,
            Flag::Rejected => 8,
            Flag::RuleSkipped => 16,
            Flag::OutOfOrder => 32,
            Flag::Regressed => 64,
            Flag::Solicited => 128,
            Flag::Silence => 256,
            Flag::Erased => 512,
        }
    }
}

/// The flags of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

impl Flags {
    /// Returns whether `flag` is among them.
    pub const fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Adds `flag`.
    pub const fn insert(&mut self, flag: Flag) {
        self.0 |= flag.bit();
    }

    /// Returns the flags, one after the other.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }

    /// Returns the number that stands for them at rest.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the flags that `bits` stands for; bits of a later version are kept.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, flag) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(flag.as_str())?;
        }
        Ok(())
    }
}

/// What the name of an unverified seller starts with; see [`OrderEvent::seller`].
pub(crate) const UNVERIFIED: &str = "unverified:";

/// What of an event decides which handler takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    /// The action's name.
    pub(crate) action: &'a str,
    /// The domain.
    pub(crate) domain: Option<&'a str>,
    /// The buyer app.
    pub(crate) bap_id: Option<&'a str>,
    /// The seller app: see [`OrderEvent::bpp_id`].
    pub(crate) bpp_id: Option<&'a str>,
}

/// A callback that was accepted, as a handler sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OrderEvent {
    /// The event's id, the same at every attempt and replay.
    pub id: EventId,
    /// The event's place in the inbox, from 1; it grows with the order of arrival, so that within
    /// a transaction a greater one came later. 0 for an event that no inbox has kept.
    pub seq: u64,
    /// Which callback it is.
    pub action: Action,
    /// Which attempt of this round this is, from 1.
    pub attempt: u32,
    /// Which replay this is; 0 for the callback's arrival.
    pub replay: u32,
    /// When the callback was accepted.
    pub received_at: DateTime<Utc>,
    /// The context of the callback.
    pub context: Context,
    /// What `message` carries.
    pub payload: Payload,
    /// The error that the seller reports, alone or beside a payload.
    pub error: Option<Error>,
    /// The subscriber whose signature was verified; `None` for an unverified callback.
    pub sender: Option<Sender>,
    /// What else is to be known about it.
    pub flags: Flags,
    /// Rules that it breaks and that only warn; with [`Flag::Rejected`], the enforced ones first.
    pub warnings: Vec<Violation>,
    /// Shapes in it that no version of the protocol publishes.
    pub oddities: Vec<Oddity>,
    /// The body as it came, byte for byte.
    pub body: Bytes,
}

impl OrderEvent {
    /// Reads a body as the event that a handler would get, for a handler's own unit tests.
    ///
    /// The event is unverified and has no warnings: no rule is checked. Its id is made from the
    /// action and the body, so that the same body gives the same id and another one another.
    ///
    /// # Errors
    /// The body is not UTF-8, not JSON, or not an object.
    pub fn parse(action: Action, body: impl Into<Bytes>) -> Result<Self, Malformed> {
        let body = body.into();
        let callback = Callback::parse(&body)?;
        let mut hasher = DefaultHasher::new();
        (action, &body[..]).hash(&mut hasher);
        let first = hasher.finish();
        first.hash(&mut hasher);
        let second = hasher.finish();
        let mut event = Self::new(action, callback, body, DateTime::UNIX_EPOCH);
        event.id = EventId::new(Uuid::from_u64_pair(first, second));
        Ok(event)
    }

    /// Makes the event of a parsed callback; the inbox gives it its id.
    pub(crate) fn new(
        action: Action,
        callback: Callback,
        body: Bytes,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: EventId::new(Uuid::nil()),
            seq: 0,
            action,
            attempt: 1,
            replay: 0,
            received_at,
            context: callback.context,
            payload: callback.payload,
            error: callback.error,
            sender: None,
            flags: Flags::default(),
            warnings: Vec::new(),
            oddities: callback.oddities,
            body,
        }
    }

    /// Returns the id of this delivery: the event's id, and for a replay `-r` and its number.
    ///
    /// It is the same at every attempt of one round; a consumer that drops ids that it has seen
    /// drops the repetitions of a round and takes a replay.
    pub fn delivery_id(&self) -> String {
        match self.replay {
            0 => self.id.to_string(),
            replay => format!("{}-r{replay}", self.id),
        }
    }

    /// Returns what routes look at.
    pub(crate) fn address(&self) -> Address<'_> {
        Address {
            action: self.action.as_str(),
            domain: self.context.domain.as_deref(),
            bap_id: self.context.bap_id.as_deref(),
            bpp_id: self.bpp_id(),
        }
    }

    /// Returns the seller app: the verified subscriber, else what the context says, written alike,
    /// so that a route and a subject do not depend on a scheme or a slash.
    pub(crate) fn bpp_id(&self) -> Option<&str> {
        let said = || self.context.bpp_id.as_deref().map(SubscriberId::bare);
        let sender = self.sender.as_ref().map(|sender| sender.subscriber().as_str());
        sender.or_else(said).filter(|id| !id.is_empty())
    }

    /// Returns the order's id, from the order, the contract or the tracking's tags.
    pub fn order_id(&self) -> Option<&str> {
        match &self.payload {
            Payload::Order(order) => order.id.as_deref(),
            Payload::Contract(contract) => contract.id.as_deref(),
            Payload::Tracking(tracking) => tracking.order_id(),
            Payload::None => None,
        }
    }

    /// Returns what the payload says of the state: the order's, the contract's or the tracking's.
    pub fn state(&self) -> Option<&str> {
        match &self.payload {
            Payload::Order(order) => {
                order.state().map(super::beckn::vocabulary::OrderState::as_str)
            }
            Payload::Contract(contract) => {
                contract.status.as_ref().map(super::beckn::vocabulary::ContractStatus::as_str)
            }
            Payload::Tracking(tracking) => {
                tracking.status.as_ref().map(super::beckn::vocabulary::TrackingStatus::as_str)
            }
            Payload::None => None,
        }
    }

    /// Returns who the seller is: the verified subscriber, else `unverified:` and the `bpp_id`.
    ///
    /// The two never meet: an unsigned callback neither swallows nor blocks a signed one.
    pub fn seller(&self) -> String {
        match &self.sender {
            Some(sender) => sender.subscriber().as_str().to_owned(),
            None => format!("{UNVERIFIED}{}", self.context.bpp_id.as_deref().unwrap_or("")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flag, Flags, OrderEvent};
    use crate::beckn::action::Action;

    #[test]
    fn parsed_events_of_different_bodies_have_different_ids() {
        let id = |body: &'static str| OrderEvent::parse(Action::OnStatus, body).unwrap().id;
        assert_eq!(id("{}"), id("{}"));
        assert_ne!(id("{}"), id("{ }"));
    }

    #[test]
    fn flags_survive_their_bits() {
        let mut flags = Flags::default();
        assert_eq!(flags.to_string(), "");
        flags.insert(Flag::IdReused);
        flags.insert(Flag::Rejected);
        assert_eq!(Flags::from_bits(flags.bits()), flags);
        assert_eq!(flags.to_string(), "id_reused,rejected");
        assert!(!flags.contains(Flag::Repaired));
    }

    #[test]
    fn no_two_flags_share_a_bit() {
        let all = Flag::ALL.into_iter().fold(0u32, |bits, flag| {
            assert_eq!(bits & flag.bit(), 0);
            bits | flag.bit()
        });
        assert_eq!(all.count_ones() as usize, Flag::ALL.len());
    }
}
