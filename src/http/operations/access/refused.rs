//! What is refused before it is served is told in the log once in a while.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::metrics::Denied;
use crate::words::Seldom;

/// When each reason was last told: one that is frequent does not hide another.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Mutex<[Seldom; Denied::ALL.len()]>,
}

impl Told {
    /// Returns how many were left out of the log, when one may be told again.
    pub(super) fn say(&self, reason: Denied, now: DateTime<Utc>) -> Option<u64> {
        // Only times and counts lie behind it, whole after any panic.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)[reason as usize].say(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_by_itself() {
        let (told, now) = (Told::default(), DateTime::<Utc>::UNIX_EPOCH);
        assert_eq!(told.say(Denied::Rate, now), Some(0));
        assert_eq!(told.say(Denied::Rate, now), None);
        assert_eq!(told.say(Denied::Host, now), Some(0));
    }
}
