//! What operators are shown, as the API writes it and the console and the commands read it.
//!
//! Times are UTC in RFC 3339. A text that a seller wrote is shown as it is: whoever puts it into a
//! page or on a terminal escapes it. What a person may be told by is masked or left out unless the
//! reader may see bodies; see [`super::mask`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An event without its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventView {
    /// Its id.
    pub(crate) id: String,
    /// Its place in the log.
    pub(crate) seq: u64,
    /// Which callback it is.
    pub(crate) action: String,
    /// The seller's subscriber id, verified or not.
    pub(crate) seller: String,
    /// Whether the seller's signature was verified.
    pub(crate) verified: bool,
    pub(crate) domain: Option<String>,
    pub(crate) bap_id: Option<String>,
    pub(crate) transaction_id: Option<String>,
    pub(crate) message_id: Option<String>,
    pub(crate) order_id: Option<String>,
    /// What the payload says of the state of the order, the contract or the tracking.
    pub(crate) state: Option<String>,
    /// When it was accepted.
    pub(crate) received_at: DateTime<Utc>,
    /// `pending`, `done`, `dead` or `rejected`.
    pub(crate) progress: String,
    /// What else is known of it; see `event::Flag`.
    pub(crate) flags: Vec<String>,
    /// How many rules it breaks that only warn.
    pub(crate) warnings: u64,
    /// The round: 0 for the arrival, then the number of the replay.
    pub(crate) replay: u32,
    /// The attempts of this round that have ended.
    pub(crate) attempts: u32,
    /// When this round's first attempt began, if one has ended.
    pub(crate) first_attempt_at: Option<DateTime<Utc>>,
    /// When the next attempt is due, if it waits for one.
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    /// When this round was settled.
    pub(crate) settled_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
    /// How often it came again.
    pub(crate) duplicates: u64,
    pub(crate) last_duplicate_at: Option<DateTime<Utc>>,
}

/// A page of events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventPage {
    pub(crate) events: Vec<EventView>,
    /// Where the next page begins; `None`: there is no more. A page may be empty and go on, when
    /// its time was over before anything was found.
    pub(crate) next: Option<String>,
}

/// One event, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventDetail {
    pub(crate) event: EventView,
    /// How long the body is.
    pub(crate) body_bytes: u64,
    /// The body: as it came for who may see bodies, else its JSON with what tells of a person
    /// masked; `None` when it cannot be read, or was erased.
    pub(crate) body: Option<String>,
    /// Whether `body` is masked.
    pub(crate) masked: bool,
    pub(crate) warnings: Vec<WarningView>,
    pub(crate) oddities: Vec<OddityView>,
    /// The attempts that are known, the oldest first.
    pub(crate) attempts: Vec<AttemptView>,
    /// Whether a replay is requested that was not taken up yet.
    pub(crate) replay_requested: bool,
    /// The expectation that it met.
    pub(crate) expectation: Option<ExpectationView>,
}

/// A rule that an event breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WarningView {
    pub(crate) rule: String,
    /// A JSON Pointer.
    pub(crate) path: String,
    pub(crate) message: String,
}

/// A shape that nobody publishes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OddityView {
    pub(crate) kind: String,
    /// A JSON Pointer.
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) found: String,
    /// How many deviations it stands for.
    #[serde(default)]
    pub(crate) count: usize,
}

/// An attempt to hand an event over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AttemptView {
    pub(crate) replay: u32,
    /// Which of the round, from 1.
    pub(crate) attempt: u32,
    pub(crate) ended_at: DateTime<Utc>,
    /// Why it failed; `None`: the handler has taken the event.
    pub(crate) error: Option<String>,
}

/// A transaction's events in the order in which they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimelineView {
    pub(crate) transaction_id: String,
    pub(crate) sellers: Vec<String>,
    pub(crate) order_ids: Vec<String>,
    /// The last state that was told.
    pub(crate) state: Option<String>,
    pub(crate) entries: Vec<TimelineEntry>,
    pub(crate) expectations: Vec<ExpectationView>,
    /// Where to go on looking; `None`: the whole log was searched.
    pub(crate) next: Option<String>,
}

/// One event of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimelineEntry {
    pub(crate) event: EventView,
    /// What it says of each fulfilment.
    pub(crate) fulfillments: Vec<FulfillmentView>,
    /// When the seller says that the order was last changed.
    pub(crate) updated_at: Option<DateTime<Utc>>,
    /// The tracking's status, when it is one.
    pub(crate) tracking: Option<String>,
    /// What the seller reports as wrong, by its code.
    pub(crate) error_code: Option<String>,
}

/// What an event says of one fulfilment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FulfillmentView {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) state: Option<String>,
}

/// What is known of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OrderView {
    pub(crate) order_id: String,
    pub(crate) transaction_ids: Vec<String>,
    pub(crate) sellers: Vec<String>,
    /// The last state that was told.
    pub(crate) state: Option<String>,
    /// The last state of each fulfilment.
    pub(crate) fulfillments: Vec<FulfillmentView>,
    pub(crate) last_event: Option<EventView>,
    /// What changed when, the oldest first.
    pub(crate) changes: Vec<ChangeView>,
    /// Where to go on looking; `None`: the whole log was searched.
    pub(crate) next: Option<String>,
}

/// A change of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeView {
    pub(crate) at: DateTime<Utc>,
    pub(crate) event_id: String,
    /// `state`, or `fulfillment` and its id.
    pub(crate) what: String,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
}

/// A callback that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RefusalView {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    /// The last segment of its path.
    pub(crate) route: String,
    pub(crate) seller: String,
    pub(crate) verified: bool,
    pub(crate) cause: String,
    /// The JSON Pointer and the message that the seller was told.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) status: u16,
    /// What the cause means.
    pub(crate) meaning: String,
    /// What to tell the seller to change.
    pub(crate) mend: String,
    pub(crate) body_bytes: u64,
    /// What was kept of the body, for who may see bodies.
    pub(crate) body: Option<String>,
}

/// A page of refusals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RefusalPage {
    pub(crate) refusals: Vec<RefusalView>,
    /// Where the next page begins; `None`: there is no more.
    pub(crate) next: Option<String>,
}

/// What came of a seller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SellerView {
    pub(crate) seller: String,
    pub(crate) verified: bool,
    pub(crate) last_seen: DateTime<Utc>,
    /// ACKed, duplicates left out.
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    /// Answered with a NACK.
    pub(crate) refused: u64,
    /// Of the refused: by their signature.
    pub(crate) untrusted: u64,
    pub(crate) oddities: u64,
    /// Expectations of it that ended in silence.
    pub(crate) silences: u64,
    /// By quarters of an hour, the oldest first; quarters in which nothing came are left out.
    pub(crate) quarters: Vec<QuarterView>,
}

/// A quarter of an hour of a seller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct QuarterView {
    pub(crate) at: DateTime<Utc>,
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
}

/// A handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HandlerView {
    pub(crate) name: String,
    /// Since when an operator has paused it.
    pub(crate) paused_at: Option<DateTime<Utc>>,
}

/// A callback that the buyer app waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExpectationView {
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) message_id: String,
    pub(crate) transaction_id: Option<String>,
    pub(crate) bpp_id: Option<String>,
    pub(crate) registered_at: DateTime<Utc>,
    pub(crate) registered_by: String,
    /// When it counts as silence.
    pub(crate) due_at: DateTime<Utc>,
    /// `open`, `met`, `silent`, or `late`: met after the silence was told.
    pub(crate) status: String,
    /// The event that met it.
    pub(crate) event_id: Option<String>,
    pub(crate) met_at: Option<DateTime<Utc>>,
}

/// What an operator changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AuditView {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    /// The name of the token, `loopback`, or `local:` and the user of a command.
    pub(crate) who: String,
    /// What was done, as `replay`.
    pub(crate) what: String,
    /// What it was done to.
    pub(crate) target: String,
}

/// How the receiver is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusView {
    pub(crate) version: String,
    pub(crate) pending: u64,
    pub(crate) done: u64,
    pub(crate) dead: u64,
    pub(crate) rejected: u64,
    /// Callbacks refused since the inbox was made.
    pub(crate) refused: u64,
    /// When the oldest event was accepted that is not settled.
    pub(crate) oldest_pending_at: Option<DateTime<Utc>>,
    /// The place of the newest event.
    pub(crate) last_seq: u64,
    pub(crate) handlers: Vec<HandlerView>,
}

/// What became of the wish for replays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplayView {
    /// So many events will be handed over again; with `dry_run`, would be.
    pub(crate) requested: u64,
    /// So many are not settled and come anyway.
    pub(crate) pending: u64,
    /// Ids of which there is no event.
    pub(crate) unknown: Vec<String>,
    /// So many were erased: there is nothing to hand over.
    #[serde(default)]
    pub(crate) erased: u64,
    pub(crate) dry_run: bool,
}

/// A page of expectations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExpectationPage {
    pub(crate) expectations: Vec<ExpectationView>,
    /// Where the next page begins; `None`: there is no more.
    pub(crate) next: Option<String>,
}

/// What is erased of a transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ErasureView {
    pub(crate) transaction_id: String,
    pub(crate) events: u64,
    /// Of the events, those that are erased once they are settled.
    pub(crate) pending: u64,
    /// Refusals that name it.
    pub(crate) refusals: u64,
}
