//! The settings of the PostgreSQL inbox.

use std::sync::Arc;
use std::time::Duration;

use super::Server;
use crate::inbox::Outlets;
use crate::metrics::Metrics;

/// The settings.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where the database is.
    pub(crate) server: Server,
    /// The handlers.
    pub(crate) outlets: Outlets,
    /// How many appends one commit takes at most.
    pub(crate) batch_limit: usize,
    /// How many appends may wait for the writer.
    pub(crate) queue_limit: usize,
    /// How many bytes of bodies may wait for the writer.
    pub(crate) queue_bytes: usize,
    /// How many events may be unsettled.
    pub(crate) unsettled_limit: usize,
    /// How long settled events are kept.
    pub(crate) retention_days: u32,
    /// How large the log may be.
    pub(crate) retention_bytes: u64,
    /// How long dead letters are kept.
    pub(crate) dead_letter_days: u32,
    /// How many expectations may be open.
    pub(crate) expectations_limit: usize,
    /// How many refusals are kept; half of the room is for verified sellers.
    pub(crate) refusals_kept: usize,
    /// How much of a refused body is kept.
    pub(crate) refusal_body_bytes: usize,
    /// How many refusals may wait for the writer.
    pub(crate) refusal_queue: usize,
    /// How many refusals are kept of one seller for one cause.
    pub(crate) refusals_per_seller_and_cause: usize,
    /// How often is looked for what other receivers have left.
    pub(crate) poll: Duration,
    /// How long a claim is this receiver's without a sign of life, by the database's clock.
    pub(crate) lease: Duration,
    /// What the inbox counts and measures.
    pub(crate) metrics: Arc<Metrics>,
}
