//! How often a failed signature is diagnosed: it costs a hundred times a verification.

use chrono::{DateTime, Utc};

use crate::words::SubscriberId;

/// How many signatures are diagnosed in a second.
const A_SECOND: usize = 20;

/// Bounds diagnosing: at most 20 a second, and one a second for each subscriber that is claimed.
///
/// The second is the clock's. Who is claimed costs nothing to make up, so the list of them never
/// grows beyond what is allowed in the second.
#[derive(Debug)]
pub(crate) struct Quota {
    a_second: usize,
    second: Option<i64>,
    diagnosed: Vec<SubscriberId>,
}

impl Default for Quota {
    fn default() -> Self {
        Self::of(A_SECOND)
    }
}

impl Quota {
    /// Returns a quota of so many a second.
    pub(crate) fn of(a_second: usize) -> Self {
        Self { a_second, second: None, diagnosed: Vec::new() }
    }

    /// Returns whether a signature that claims to be by `subscriber` may be diagnosed, and counts
    /// it.
    pub(crate) fn allows(&mut self, subscriber: &SubscriberId, now: DateTime<Utc>) -> bool {
        let second = Some(now.timestamp());
        if self.second != second {
            self.second = second;
            self.diagnosed.clear();
        }
        if self.diagnosed.len() >= self.a_second || self.diagnosed.contains(subscriber) {
            return false;
        }
        self.diagnosed.push(subscriber.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{A_SECOND, Quota};
    use crate::words::SubscriberId;

    fn seller(number: usize) -> SubscriberId {
        SubscriberId::new(&format!("seller-{number}.example"))
    }

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    #[test]
    fn a_subscriber_is_diagnosed_once_a_second() {
        let mut quota = Quota::default();
        assert!(quota.allows(&seller(1), at(5_000)));
        assert!(!quota.allows(&seller(1), at(5_999)));
        assert!(quota.allows(&seller(2), at(5_999)), "another one is not held up");
        assert!(quota.allows(&seller(1), at(6_000)));
        assert!(quota.allows(&seller(1), at(1_000)), "a clock that was set back blocks nobody");
    }

    #[test]
    fn made_up_subscribers_neither_pass_the_bound_nor_fill_memory() {
        let mut quota = Quota::default();
        let allowed = (0..10_000).filter(|number| quota.allows(&seller(*number), at(5_000)));
        assert_eq!(allowed.count(), A_SECOND);
        assert_eq!(quota.diagnosed.len(), A_SECOND);
        assert!(quota.allows(&seller(10_001), at(6_000)));
    }
}
