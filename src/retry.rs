//! When the next attempt is: attempt → delay. Pure; chance and time are arguments.

use std::time::Duration;

/// How often, and for how long, an event is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The wait after the first attempt; doubled after each further one.
    pub(crate) initial: Duration,
    /// The longest wait, also of one that the handler asks for.
    pub(crate) cap: Duration,
    /// The attempts of a round before the event is given up.
    pub(crate) attempts: u32,
    /// How long after a round's first attempt no further one begins.
    pub(crate) give_up_after: Duration,
}

/// What went before the next attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    /// The attempt that failed, from 1.
    pub(crate) attempt: u32,
    /// How long ago the round's first attempt began.
    pub(crate) since_first: Duration,
    /// The wait that the handler asked for.
    pub(crate) asked: Option<Duration>,
}

impl Policy {
    /// Returns how long to wait before the next attempt, or `None` to give the event up.
    ///
    /// `chance` in 0..1 spreads the wait by ±20 %, so that what failed together does not come
    /// back together. A wait that the handler asked for is not shortened by it.
    pub(crate) fn next(&self, failed: Failed, chance: f64) -> Option<Duration> {
        if failed.attempt >= self.attempts {
            return None;
        }
        let doubled = 1u32.checked_shl(failed.attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = self.initial.saturating_mul(doubled).min(self.cap);
        let spread = wait.mul_f64(0.8 + 0.4 * chance);
        let wait = spread.max(failed.asked.unwrap_or_default()).min(self.cap);
        (failed.since_first.saturating_add(wait) <= self.give_up_after).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failed, Policy};

    const POLICY: Policy = Policy {
        initial: Duration::from_secs(1),
        cap: Duration::from_mins(15),
        attempts: 20,
        give_up_after: Duration::from_hours(24),
    };

    #[track_caller]
    fn check(attempt: u32, since_first: u64, asked: Option<u64>, expected: Option<u64>) {
        let failed = Failed {
            attempt,
            since_first: Duration::from_secs(since_first),
            asked: asked.map(Duration::from_secs),
        };
        assert_eq!(POLICY.next(failed, 0.5), expected.map(Duration::from_secs));
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap() {
        check(1, 0, None, Some(1));
        check(2, 1, None, Some(2));
        check(5, 15, None, Some(16));
        check(11, 2000, None, Some(900));
        check(19, 9000, None, Some(900));
    }

    #[test]
    fn an_event_is_given_up_after_the_last_attempt_or_a_day() {
        check(20, 0, None, None);
        check(21, 0, None, None);
        check(2, 24 * 3600, None, None);
    }

    #[test]
    fn a_handler_may_ask_for_a_longer_wait_up_to_the_cap() {
        check(1, 0, Some(30), Some(30));
        check(5, 0, Some(3), Some(16));
        check(1, 0, Some(100_000), Some(900));
    }

    #[test]
    fn the_spread_is_a_fifth_to_each_side() {
        let failed = Failed { attempt: 1, since_first: Duration::ZERO, asked: None };
        assert_eq!(POLICY.next(failed, 0.0), Some(Duration::from_millis(800)));
        assert_eq!(POLICY.next(failed, 1.0), Some(Duration::from_millis(1200)));
    }
}
