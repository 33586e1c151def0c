//! Events at rest: what every engine keeps of them, and how it becomes an event again.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::beckn::action::Action;
use crate::beckn::callback::{Callback, Malformed};
use crate::event::{Address, EventId, Flag, Flags, OrderEvent, UNVERIFIED};
use crate::words::{Sender, SubscriberId, Violation};

/// Why what is at rest is no event any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It has an action that this version does not know.
    #[error("the event's action is not known to this version")]
    UnknownAction,
    /// The body cannot be parsed any more.
    #[error("the event's body cannot be read any more")]
    Malformed(#[source] Malformed),
}

/// What is kept of an event, with its body.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: [u8; 16],
    pub(super) action: String,
    pub(super) seller: String,
    pub(super) verified: bool,
    pub(super) received_at: i64,
    pub(super) flags: u32,
    pub(super) warnings: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Stored {
    /// Reads the event again.
    ///
    /// # Errors
    /// This version cannot: no later try can succeed.
    pub(super) fn parse(self) -> Result<Box<OrderEvent>, Unreadable> {
        let action = Action::from_name(&self.action).ok_or(Unreadable::UnknownAction)?;
        let flags = Flags::from_bits(self.flags);
        let callback = match Callback::parse(&self.body) {
            // It may have been refused for just this, and was `ACKed` all the same: then it was an
            // empty callback from the start.
            Err(_) if flags.contains(Flag::Rejected) => Callback::default(),
            parsed => parsed.map_err(Unreadable::Malformed)?,
        };
        let body = Bytes::from(self.body);
        let mut event = OrderEvent::new(action, callback, body, time(self.received_at));
        event.id = EventId::new(Uuid::from_bytes(self.id));
        event.flags = flags;
        event.warnings = warnings_from_rest(self.warnings.as_deref());
        event.sender = self.verified.then(|| Sender::new(SubscriberId::written(&self.seller)));
        Ok(Box::new(event))
    }
}

/// Returns the moment that is at rest as microseconds.
pub(super) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Returns where an event goes, of whose row these are columns.
pub(super) fn address<'a>(
    action: &'a str,
    domain: Option<&'a str>,
    bap_id: Option<&'a str>,
    seller: &'a str,
) -> Address<'a> {
    let bare = seller.strip_prefix(UNVERIFIED).map_or(seller, SubscriberId::bare);
    Address { action, domain, bap_id, bpp_id: Some(bare).filter(|id| !id.is_empty()) }
}

/// A warning at rest.
#[derive(Debug, Serialize, Deserialize)]
struct StoredWarning {
    rule: String,
    path: String,
    message: String,
}

/// Returns warnings as they are at rest; `None` for none.
pub(super) fn warnings_at_rest(warnings: &[Violation]) -> Option<String> {
    if warnings.is_empty() {
        return None;
    }
    let stored: Vec<StoredWarning> = warnings
        .iter()
        .map(|warning| StoredWarning {
            rule: warning.rule.clone().into_owned(),
            path: warning.path.clone(),
            message: warning.message.clone(),
        })
        .collect();
    Some(serde_json::to_string(&stored).expect("texts can always be written as JSON"))
}

/// Returns the warnings that are at rest; what cannot be read is left out, the event counts more.
pub(super) fn warnings_from_rest(text: Option<&str>) -> Vec<Violation> {
    let stored = text.map(serde_json::from_str::<Vec<StoredWarning>>);
    let Some(Ok(stored)) = stored else { return Vec::new() };
    stored
        .into_iter()
        .map(|warning| Violation::new(warning.rule, warning.path, warning.message))
        .collect()
}
