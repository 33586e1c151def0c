//! Who has logged in to the console with a browser: in memory, bounded, for twelve hours.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::tokens::{Digest, digest};
use crate::operations::principal::Principal;

/// How many there may be; a further one makes the oldest leave.
const MOST: usize = 1_000;

/// How long one lasts.
pub(super) const LASTS: TimeDelta = TimeDelta::hours(12);

/// The name of the cookie.
pub(super) const COOKIE: &str = "beckn_session";

/// The sessions. Each is known by a digest, so that finding one says nothing of the others.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    holders: HashMap<Digest, (Principal, DateTime<Utc>)>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Sessions {
    /// Begins the session of this cookie.
    pub(super) fn begin(&mut self, cookie: &str, holder: Principal, now: DateTime<Utc>) {
        // They all last as long: the oldest end first.
        while let Some(oldest) = self.order.front()
            && (self.order.len() >= MOST || self.has_ended(oldest, now))
        {
            self.holders.remove(oldest);
            self.order.pop_front();
        }
        let key = digest(cookie);
        self.holders.insert(key, (holder, now + LASTS));
        self.order.push_back(key);
    }

    fn has_ended(&self, key: &Digest, now: DateTime<Utc>) -> bool {
        self.holders.get(key).is_none_or(|(_, ends)| *ends <= now)
    }

    /// Returns whose session this cookie is.
    pub(super) fn holder(&self, cookie: &str, now: DateTime<Utc>) -> Option<&Principal> {
        let found = self.holders.get(&digest(cookie));
        found.filter(|(_, ends)| now < *ends).map(|(holder, _)| holder)
    }

    /// Ends the session of this cookie.
    pub(super) fn end(&mut self, cookie: &str) {
        let key = digest(cookie);
        self.holders.remove(&key);
        self.order.retain(|known| *known != key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::operations::principal::Permissions;

    #[test]
    fn a_session_ends_by_time_by_logout_and_by_newer_ones() {
        let holder = Principal { name: Arc::from("oncall"), may: Permissions::default() };
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let mut sessions = Sessions::default();
        sessions.begin("a", holder.clone(), now);
        sessions.begin("b", holder.clone(), now);
        assert!(sessions.holder("a", now + LASTS - TimeDelta::seconds(1)).is_some());
        assert!(sessions.holder("a", now + LASTS).is_none());
        sessions.end("b");
        assert!(sessions.holder("b", now).is_none());
        for number in 0..MOST {
            sessions.begin(&number.to_string(), holder.clone(), now);
        }
        assert!(sessions.holder("a", now).is_none(), "the oldest has left");
        assert!(sessions.holder("0", now).is_some());
        assert_eq!((sessions.holders.len(), sessions.order.len()), (MOST, MOST));
        sessions.begin("later", holder, now + LASTS);
        assert_eq!((sessions.holders.len(), sessions.order.len()), (1, 1));
    }
}
