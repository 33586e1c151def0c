//! How many lookups a minute, and who may ask for them.
//!
//! Anyone can name subscribers that nobody has ever heard of, or keys that a known one does not
//! have, and each would be a lookup. So:
//! - at most `per_minute` lookups begin in any 60 s;
//! - a quarter of them may be for other keys of known subscribers, so that invented key ids cannot
//!   use up what keeps the keys of known subscribers fresh;
//! - subscribers that are not known here have half of them;
//! - of that half, who asks for the first time has half. The rest is for those who were turned
//!   away and come again: a seller's software retries after a 503, a flood of invented names
//!   does not.
//!
//! Those who were turned away are remembered as keyed 64-bit hashes, in two generations of a
//! bounded size: in a flood of more than that many names a second they are forgotten too soon.

use std::collections::VecDeque;
use std::collections::hash_map::{HashMap, RandomState};
use std::hash::BuildHasher as _;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The span in which lookups are counted.
const SPAN: TimeDelta = TimeDelta::seconds(60);
/// How soon who was turned away may come again and count as such.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(1);
/// How many are remembered in one generation: the two hold about 2 MB.
const GENERATION: usize = 32_768;

/// For whom a lookup is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker<'a> {
    /// For a subscriber whose keys are known and have to be looked up again.
    Known,
    /// For a known subscriber, because a key was named that it did not have or that did not do.
    Refetch,
    /// For this subscriber, of whom nothing is known.
    Unknown(&'a str),
}

/// Which part of the budget a lookup is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Known,
    Refetch,
    First,
    Again,
}

/// The budget: an exact sliding window.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute: usize,
    /// When lookups began, oldest first; never more than `per_minute`.
    begun: VecDeque<(DateTime<Utc>, Part)>,
    /// The latest time that was seen: callers read their clock before they come here, so their
    /// times are a little out of order.
    latest: Option<DateTime<Utc>>,
    turned_away: TurnedAway,
}

impl Budget {
    /// Returns a budget of `per_minute` lookups, at least one.
    pub(super) fn new(per_minute: u32) -> Self {
        let per_minute = usize::try_from(per_minute).unwrap_or(usize::MAX).max(1);
        Self {
            per_minute,
            begun: VecDeque::new(),
            latest: None,
            turned_away: TurnedAway::default(),
        }
    }

    /// Takes a lookup out of the budget.
    ///
    /// # Errors
    /// It is spent; says how long to wait before coming again, at least a second.
    pub(super) fn take(&mut self, asker: Asker<'_>, now: DateTime<Utc>) -> Result<(), Duration> {
        let now = self.settle(now);
        let hash = match asker {
            Asker::Known | Asker::Refetch => None,
            Asker::Unknown(subscriber) => Some(self.turned_away.hash(subscriber)),
        };
        let part = match (asker, hash) {
            (Asker::Refetch, _) => Part::Refetch,
            (_, None) => Part::Known,
            (_, Some(hash)) if self.turned_away.comes_again(hash, now) => Part::Again,
            (_, Some(_hash)) => Part::First,
        };
        if self.has_room(part) {
            self.begun.push_back((now, part));
            if let Some(hash) = hash {
                self.turned_away.forget(hash);
            }
            return Ok(());
        }
        if let Some(hash) = hash {
            self.turned_away.remember(hash, now);
        }
        Err(self.wait(part, now))
    }

    /// Forgets what is over, and returns the time to count with.
    fn settle(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let latest = self.latest.unwrap_or(now);
        // A clock that was set back by more than the span: what was begun counts from now on.
        if latest - now >= SPAN {
            self.begun.iter_mut().for_each(|(at, _part)| *at = now);
            self.latest = Some(now);
            return now;
        }
        let now = latest.max(now);
        self.latest = Some(now);
        while self.begun.front().is_some_and(|(at, _part)| now - *at >= SPAN) {
            self.begun.pop_front();
        }
        now
    }

    /// Returns how many lookups may begin in the span for the subscribers of this part and of the
    /// parts within it.
    fn limit(&self, part: Part) -> usize {
        let half = self.per_minute.div_ceil(2);
        match part {
            Part::Known => self.per_minute,
            Part::Again => half,
            Part::First | Part::Refetch => half.div_ceil(2),
        }
    }

    /// Returns the lookups that count against the limit of this part, oldest first.
    fn counted(&self, part: Part) -> impl Iterator<Item = DateTime<Utc>> {
        let counts = move |of: Part| match part {
            Part::Known => true,
            Part::Again => matches!(of, Part::First | Part::Again),
            Part::First | Part::Refetch => of == part,
        };
        self.begun.iter().filter(move |(_at, of)| counts(*of)).map(|(at, _part)| *at)
    }

    fn is_full(&self, part: Part) -> bool {
        self.counted(part).count() >= self.limit(part)
    }

    fn has_room(&self, part: Part) -> bool {
        let within = match part {
            Part::Known => &[Part::Known][..],
            Part::Refetch => &[Part::Known, Part::Refetch],
            Part::Again => &[Part::Known, Part::Again],
            Part::First => &[Part::Known, Part::Again, Part::First],
        };
        !within.iter().any(|part| self.is_full(*part))
    }

    /// Returns how long it is until there is room: who is turned away now comes again then.
    fn wait(&self, part: Part, now: DateTime<Utc>) -> Duration {
        let parts = match part {
            Part::Known => &[Part::Known][..],
            Part::Refetch => &[Part::Known, Part::Refetch],
            Part::First | Part::Again => &[Part::Known, Part::Again],
        };
        let free = |part: &Part| {
            let oldest = self.is_full(*part).then(|| self.counted(*part).next())??;
            Some(oldest + SPAN - now)
        };
        let wait = parts.iter().filter_map(free).max().unwrap_or(AGAIN_AFTER);
        wait.max(AGAIN_AFTER).to_std().expect("it is at least a second")
    }
}

/// Who was turned away, and when first.
#[derive(Debug, Default)]
struct TurnedAway {
    /// Keyed by the process: nobody outside can make two names collide.
    hasher: RandomState,
    young: HashMap<u64, DateTime<Utc>>,
    old: HashMap<u64, DateTime<Utc>>,
    turned: Option<DateTime<Utc>>,
}

impl TurnedAway {
    fn hash(&self, subscriber: &str) -> u64 {
        self.hasher.hash_one(subscriber)
    }

    fn first(&self, hash: u64) -> Option<DateTime<Utc>> {
        self.young.get(&hash).or_else(|| self.old.get(&hash)).copied()
    }

    fn comes_again(&self, hash: u64, now: DateTime<Utc>) -> bool {
        self.first(hash).is_some_and(|first| now - first >= AGAIN_AFTER)
    }

    fn remember(&mut self, hash: u64, now: DateTime<Utc>) {
        // After the clock was set back, the first time counts anew.
        let first = self.first(hash).map_or(now, |first| first.min(now));
        let turned = *self.turned.get_or_insert(now);
        if self.young.len() >= GENERATION || (now - turned).abs() >= SPAN {
            self.old = std::mem::take(&mut self.young);
            self.turned = Some(now);
        }
        self.young.insert(hash, first);
    }

    fn forget(&mut self, hash: u64) {
        self.young.remove(&hash);
        self.old.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;

    use super::{Asker, Budget, GENERATION, SPAN};

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    fn granted(budget: &mut Budget, names: std::ops::Range<u32>, now: DateTime<Utc>) -> usize {
        names.filter(|n| budget.take(Asker::Unknown(&format!("invented-{n}")), now).is_ok()).count()
    }

    #[test]
    fn invented_names_have_a_quarter_and_who_comes_again_half() {
        let mut budget = Budget::new(120);
        assert_eq!(granted(&mut budget, 0..10_000, at(0)), 30);
        assert_eq!(granted(&mut budget, 0..10_000, at(999)), 0, "too soon to count as again");
        assert_eq!(granted(&mut budget, 5_000..10_000, at(1_999)), 30);
        assert_eq!(granted(&mut budget, 0..20_000, at(59_000)), 0);
        for _lookup in 0..60 {
            assert!(budget.take(Asker::Known, at(59_000)).is_ok());
        }
        let wait = budget.take(Asker::Known, at(59_000)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1), "a place is free at 60 s");
        assert!(budget.take(Asker::Known, at(60_000)).is_ok());
    }

    #[test]
    fn known_subscribers_may_use_all_of_it() {
        let mut budget = Budget::new(10);
        let taken = (0..20).filter(|_| budget.take(Asker::Known, at(0)).is_ok()).count();
        assert_eq!(taken, 10);
        let wait = budget.take(Asker::Unknown("a.example"), at(20_000)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40));
    }

    #[test]
    fn invented_keys_leave_room_to_keep_known_keys_fresh() {
        let mut budget = Budget::new(120);
        let refetches = (0..1_000).filter(|_| budget.take(Asker::Refetch, at(0)).is_ok()).count();
        assert_eq!(refetches, 30);
        assert_eq!(granted(&mut budget, 0..1_000, at(0)), 30);
        let wait = budget.take(Asker::Refetch, at(20_000)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40));
        let kept_fresh = (0..1_000).filter(|_| budget.take(Asker::Known, at(0)).is_ok()).count();
        assert_eq!(kept_fresh, 60);
    }

    #[test]
    fn the_smallest_budget_serves_everybody() {
        let mut budget = Budget::new(0);
        assert!(budget.take(Asker::Unknown("a.example"), at(0)).is_ok());
        assert!(budget.take(Asker::Known, at(59_999)).is_err());
        assert!(budget.take(Asker::Known, at(60_000)).is_ok());
    }

    #[test]
    fn who_was_turned_away_is_remembered_within_bounds() {
        let mut budget = Budget::new(4);
        let names = u32::try_from(GENERATION).unwrap() * 3;
        assert_eq!(granted(&mut budget, 0..names, at(0)), 1);
        let remembered = (budget.turned_away.young.len(), budget.turned_away.old.len());
        assert!(remembered.0 <= GENERATION && remembered.1 <= GENERATION, "{remembered:?}");
        assert_eq!(granted(&mut budget, names - 1..names, at(1_000)), 1, "the latest are kept");
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody_for_longer_than_the_span() {
        let mut budget = Budget::new(2);
        let later = at(0) + TimeDelta::days(1);
        assert!(budget.take(Asker::Known, later).is_ok());
        assert!(budget.take(Asker::Known, later).is_ok());
        assert!(budget.take(Asker::Known, at(0)).is_err());
        assert!(budget.take(Asker::Known, at(60_000)).is_ok());
    }

    proptest! {
        #[test]
        fn never_more_than_the_budget_begins_in_any_span(
            per_minute in 1_u32..12,
            calls in proptest::collection::vec((0_i64..5_000, 0_usize..12), 1..400),
        ) {
            let mut budget = Budget::new(per_minute);
            let (mut now, mut begun) = (at(0), Vec::new());
            for (step, who) in calls {
                now += TimeDelta::milliseconds(step);
                let name = format!("{who}");
                let asker = match who {
                    0..2 => Asker::Known,
                    2..4 => Asker::Refetch,
                    _ => Asker::Unknown(&name),
                };
                match budget.take(asker, now) {
                    Ok(()) => begun.push((now, who >= 4)),
                    Err(wait) => prop_assert!(
                        wait >= Duration::from_secs(1) && wait <= Duration::from_mins(1)
                    ),
                }
                let recent: Vec<bool> = begun
                    .iter()
                    .filter(|(at, _unknown)| now - *at < SPAN)
                    .map(|(_at, unknown)| *unknown)
                    .collect();
                let unknown = recent.iter().filter(|unknown| **unknown).count();
                prop_assert!(recent.len() <= per_minute as usize);
                prop_assert!(unknown <= per_minute.div_ceil(2) as usize);
            }
        }
    }
}
