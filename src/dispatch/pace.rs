//! How many attempts may begin: at most so many a second, evenly spread.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// What may begin at once after a rest, as a part of a second: enough that waking up does not
/// limit the rate.
const BURST: f64 = 0.1;

/// A bucket that fills at the rate.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    room: f64,
    tokens: f64,
    filled_at: DateTime<Utc>,
}

impl Pace {
    /// Returns a full bucket; `None` for no limit.
    pub(super) fn new(rate_per_s: Option<NonZeroU32>, now: DateTime<Utc>) -> Option<Self> {
        let per_second = f64::from(rate_per_s?.get());
        let room = (per_second * BURST).max(1.0);
        Some(Self { per_second, room, tokens: room, filled_at: now })
    }

    /// Returns how many attempts may begin now, and if none, when the next may.
    pub(super) fn allowed(&mut self, now: DateTime<Utc>) -> Result<usize, DateTime<Utc>> {
        let passed = (now - self.filled_at).to_std().unwrap_or_default().as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.room);
        self.filled_at = now;
        if self.tokens < 1.0 {
            // A microsecond more: a wait that is rounded down would find the token not there yet.
            let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.per_second);
            return Err(now + wait + Duration::from_micros(1));
        }
        // At most the room, which is at most a tenth of 2^32.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(self.tokens as usize)
    }

    /// Takes note that attempts have begun.
    pub(super) fn began(&mut self, attempts: usize) {
        // Never more than were allowed.
        #[allow(clippy::cast_precision_loss)]
        let attempts = attempts as f64;
        self.tokens -= attempts;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use chrono::{DateTime, TimeDelta};

    use super::Pace;

    /// Lets attempts begin as fast as they may for ten seconds; returns how many did.
    fn begun(rate: u32) -> usize {
        let mut now = DateTime::UNIX_EPOCH;
        let end = now + TimeDelta::seconds(10);
        let mut pace = Pace::new(NonZeroU32::new(rate), now).unwrap();
        let mut begun = 0;
        while now < end {
            match pace.allowed(now) {
                Ok(count) => {
                    pace.began(count);
                    begun += count;
                }
                Err(next) => {
                    assert!(next > now);
                    now = next;
                }
            }
        }
        begun
    }

    #[test]
    fn the_rate_is_kept_and_reached() {
        for rate in [1_usize, 3, 50, 1_000, 100_000] {
            let begun = begun(rate.try_into().unwrap());
            let most = rate * 10 + rate / 10 + 1;
            assert!((rate * 99 / 10..=most).contains(&begun), "{rate}: {begun}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_adds_nothing() {
        let now = DateTime::UNIX_EPOCH;
        let mut pace = Pace::new(NonZeroU32::new(1), now).unwrap();
        let allowed = pace.allowed(now).unwrap();
        pace.began(allowed);
        assert!(pace.allowed(now - TimeDelta::hours(1)).is_err());
        assert!(Pace::new(None, now).is_none());
    }
}
