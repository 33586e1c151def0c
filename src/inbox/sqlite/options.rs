//! The settings of the SQLite inbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::window::Window;
use crate::inbox::Outlets;
use crate::metrics::Metrics;

/// The settings; the names are those of the section `inbox` of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The directory of the inbox.
    pub(crate) path: PathBuf,
    /// The handlers.
    pub(crate) outlets: Outlets,
    /// How many appends one commit takes at most.
    pub(crate) batch_limit: usize,
    /// How many appends may wait for the writer.
    pub(crate) queue_limit: usize,
    /// How many bytes of bodies may wait for the writer.
    pub(crate) queue_bytes: usize,
    /// How many days back a duplicate is recognised.
    pub(crate) window_days: u32,
    /// How many events back a duplicate is recognised.
    pub(crate) window_events: usize,
    /// How many pending events are kept parsed in memory.
    pub(crate) tail_events: usize,
    /// How many bytes the parsed events may take, estimated as three times their bodies.
    pub(crate) tail_bytes: usize,
    /// How many events may be unsettled.
    pub(crate) unsettled_limit: usize,
    /// How much room the disk must have for an append.
    pub(crate) min_free_bytes: u64,
    /// How many days a settled event is kept.
    pub(crate) retention_days: u32,
    /// How large the files may become before settled events leave early.
    pub(crate) retention_bytes: u64,
    /// How many days a dead letter is kept.
    pub(crate) dead_letter_days: u32,
    /// How many refusals are kept; half of the room is for verified sellers.
    pub(crate) refusals_kept: usize,
    /// How much of a refused body is kept.
    pub(crate) refusal_body_bytes: usize,
    /// How many refusals may wait for the writer.
    pub(crate) refusal_queue: usize,
    /// How many refusals are kept of one seller for one cause.
    pub(crate) refusals_per_seller_and_cause: usize,
    /// How many expectations may be open.
    pub(crate) expectations_limit: usize,
    /// How often the writer looks at the disk and for requests of other processes.
    pub(crate) poll: Duration,
    /// How long an event waits for its next attempt at most, whatever the clock did.
    pub(crate) longest_wait: Duration,
    /// What the inbox counts and measures.
    pub(crate) metrics: Arc<Metrics>,
    /// Never takes the tables of the duplicate window over that a start builds.
    #[cfg(test)]
    pub(crate) window_held: bool,
}

impl Options {
    /// Returns the defaults for an inbox in the directory `path`.
    #[cfg(test)]
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            outlets: Outlets::one("app"),
            batch_limit: 512,
            queue_limit: 8192,
            queue_bytes: 64 << 20,
            window_days: 7,
            window_events: 1_000_000,
            tail_events: 4096,
            tail_bytes: 32 << 20,
            unsettled_limit: 1_000_000,
            min_free_bytes: 256 << 20,
            retention_days: 30,
            retention_bytes: 10 << 30,
            dead_letter_days: 90,
            refusals_kept: 10_000,
            refusal_body_bytes: 16 << 10,
            refusal_queue: 1024,
            refusals_per_seller_and_cause: 500,
            expectations_limit: 100_000,
            poll: Duration::from_secs(1),
            longest_wait: Duration::from_mins(15),
            metrics: Arc::default(),
            window_held: false,
        }
    }

    /// Returns an empty duplicate window.
    pub(super) fn window(&self) -> Window {
        let window = Window::new(self.window_events, self.window_days);
        #[cfg(test)]
        let window = window.hold(self.window_held);
        window
    }
}
