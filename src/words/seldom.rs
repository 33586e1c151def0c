//! Keeps a log readable while everything fails.

use chrono::{DateTime, TimeDelta, Utc};

/// Says something once in a while, and counts what was left out.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    said: Option<DateTime<Utc>>,
    left_out: u64,
}

impl Seldom {
    /// How long it is silent after it was said.
    const SPAN: TimeDelta = TimeDelta::seconds(10);

    /// Returns how many were left out, when it may be said again.
    pub(crate) fn say(&mut self, now: DateTime<Utc>) -> Option<u64> {
        if self.said.is_some_and(|said| (now - said).abs() < Self::SPAN) {
            self.left_out += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Seldom;

    #[test]
    fn what_is_left_out_is_counted_until_it_may_be_said_again() {
        let at = |seconds| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut seldom = Seldom::default();
        let said: Vec<_> = [0, 1, 9, 10, 10, 20, -60].map(|s| seldom.say(at(s))).to_vec();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}
