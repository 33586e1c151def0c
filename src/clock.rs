//! The time, as an argument: what waits for a moment is given a clock, so that tests drive it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};

/// Tells the time and waits for a moment of it.
pub(crate) trait Clock: fmt::Debug + Send + Sync {
    /// Returns the time now.
    fn now(&self) -> DateTime<Utc>;

    /// Waits until `at` has come; returns at once when it has.
    ///
    /// # Cancel safety
    /// Dropping the future only stops the waiting.
    fn sleep_until(&self, at: DateTime<Utc>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
