//! What is known of subscribers: their keys, that there are none, or that asking failed.
//!
//! Keyed by the subscriber as it is written in the `keyId`: a registry compares texts, and were
//! two spellings one entry, the answer to the one would decide over the other.
//!
//! All times are the callers'; a difference counts by its size, so that after a clock was set back
//! nothing lasts for longer than it should by more than that.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::record::pick;
use crate::signature::Key;
use crate::words::KeyId;

/// How often a subscriber's keys are fetched again because one of them did not do.
pub(super) const REFETCH_EVERY: Duration = Duration::from_mins(1);
/// How long a subscriber is not looked up after a lookup failed.
pub(super) const REST: Duration = Duration::from_secs(10);

/// How long what is known lasts, and how much of it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) fresh: Duration,
    pub(super) stale: Duration,
    pub(super) negative: Duration,
    pub(super) subscribers: usize,
}

/// What is known that decides over a key.
#[derive(Debug)]
pub(super) enum Standing {
    /// The key is known and fresh.
    Fresh(Arc<Key>),
    /// The key is known; it is time to look again before it is no longer fresh.
    Aging(Arc<Key>),
    /// The subscriber's keys are known and no longer fresh.
    Old,
    /// The subscriber's keys are fresh, and none has this id.
    NoSuchKey,
    /// The registry was asked a short while ago: it does not list the subscriber.
    NotThere,
    /// Asking failed a short while ago; it begins again after this time.
    Resting(Duration),
    /// Nothing is known.
    Unknown,
}

/// Whether a subscriber's keys may be fetched again although they are fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refetch {
    Allowed,
    /// The latest look for this very key id is as new as a refetch would be.
    Missed,
    /// Not before this time is over.
    NotBefore(Duration),
}

/// A subscriber's keys.
#[derive(Debug)]
struct Entry {
    keys: Arc<[Arc<Key>]>,
    looked_up: DateTime<Utc>,
    /// In microseconds since 1970. Atomic: a hit needs only to read the cache.
    used: AtomicI64,
    /// When the keys were last fetched because one of them did not do.
    refetched: Option<DateTime<Utc>>,
    /// The key id that a lookup did not bring, as a hash, and when.
    missed: Option<(u64, DateTime<Utc>)>,
    failed: Option<DateTime<Utc>>,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Cache {
    limits: Limits,
    entries: HashMap<String, Entry>,
    /// When the registry said that there is no such subscriber.
    not_there: HashMap<String, DateTime<Utc>>,
    /// When asking for a subscriber without an entry failed.
    failed: HashMap<String, DateTime<Utc>>,
    hasher: RandomState,
}

/// How long ago `at` was; never negative.
fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - at).abs().to_std().expect("its sign was taken away")
}

/// Returns how much of `span` is left since `at`; `None` when it is over.
fn rest(at: DateTime<Utc>, now: DateTime<Utc>, span: Duration) -> Option<Duration> {
    span.checked_sub(age(at, now)).filter(|rest| !rest.is_zero())
}

impl Cache {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            not_there: HashMap::new(),
            failed: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Returns what decides over the key `id`, and notes that its subscriber was asked for.
    pub(super) fn standing(&self, id: &KeyId, now: DateTime<Utc>) -> Standing {
        let Limits { fresh, negative, .. } = self.limits;
        let subscriber = id.subscriber();
        let Some(entry) = self.entries.get(subscriber) else {
            let at = |times: &HashMap<String, DateTime<Utc>>| times.get(subscriber).copied();
            if at(&self.not_there).is_some_and(|at| age(at, now) < negative) {
                return Standing::NotThere;
            }
            let rest = at(&self.failed).and_then(|at| rest(at, now, REST));
            return rest.map_or(Standing::Unknown, Standing::Resting);
        };
        entry.used.store(now.timestamp_micros(), Ordering::Relaxed);
        let age = age(entry.looked_up, now);
        if age >= fresh {
            return Standing::Old;
        }
        match pick(&entry.keys, id.unique_key()) {
            None => Standing::NoSuchKey,
            Some(key) if age >= fresh.mul_f64(0.8) => Standing::Aging(Arc::clone(key)),
            Some(key) => Standing::Fresh(Arc::clone(key)),
        }
    }

    /// Returns of how many subscribers the keys are kept.
    pub(super) fn subscribers(&self) -> usize {
        self.entries.len()
    }

    /// Returns the subscriber's keys, however old.
    pub(super) fn keys(&self, subscriber: &str) -> Option<&Arc<[Arc<Key>]>> {
        self.entries.get(subscriber).map(|entry| &entry.keys)
    }

    /// Returns whether the keys were looked up at this very time: for the callback that asks.
    pub(super) fn was_looked_up_at(&self, subscriber: &str, now: DateTime<Utc>) -> bool {
        self.entries.get(subscriber).is_some_and(|entry| entry.looked_up == now)
    }

    /// Returns the key while it may still serve because the registry did not answer.
    pub(super) fn stale(&self, id: &KeyId, now: DateTime<Utc>) -> Option<Arc<Key>> {
        let entry = self.entries.get(id.subscriber())?;
        let serves = entry.failed.is_some() && age(entry.looked_up, now) < self.limits.stale;
        pick(&entry.keys, id.unique_key()).filter(|_key| serves).map(Arc::clone)
    }

    /// Returns how long the subscriber is still not looked up because that failed.
    pub(super) fn resting(&self, subscriber: &str, now: DateTime<Utc>) -> Option<Duration> {
        let failed = self.entries.get(subscriber)?.failed?;
        rest(failed, now, REST)
    }

    /// Returns whether a known subscriber's keys may be fetched again for the sake of `id`.
    pub(super) fn refetch(&self, id: &KeyId, now: DateTime<Utc>) -> Refetch {
        let Some(entry) = self.entries.get(id.subscriber()) else { return Refetch::Allowed };
        let missed = entry
            .missed
            .filter(|(hash, at)| *hash == self.hash(id) && rest(*at, now, REFETCH_EVERY).is_some());
        let spent = entry.refetched.and_then(|at| rest(at, now, REFETCH_EVERY));
        match (missed, spent.or_else(|| self.resting(id.subscriber(), now))) {
            (Some(_missed), _) => Refetch::Missed,
            (None, Some(rest)) => Refetch::NotBefore(rest),
            (None, None) => Refetch::Allowed,
        }
    }

    fn hash(&self, id: &KeyId) -> u64 {
        self.hasher.hash_one(id.unique_key())
    }

    /// Notes that a known subscriber's keys are being fetched again.
    pub(super) fn begin_refetch(&mut self, subscriber: &str, now: DateTime<Utc>) {
        if let Some(entry) = self.entries.get_mut(subscriber) {
            entry.refetched = Some(now);
        }
    }

    /// Notes that a lookup that began at `now` for the sake of `id` did not bring it.
    pub(super) fn miss(&mut self, id: &KeyId, now: DateTime<Utc>) {
        let hash = self.hash(id);
        if let Some(entry) = self.entries.get_mut(id.subscriber()) {
            entry.missed = Some((hash, now));
        }
    }

    /// Puts in what a lookup that began at `now` has found; it replaces what was known.
    pub(super) fn found(&mut self, subscriber: &str, keys: Arc<[Arc<Key>]>, now: DateTime<Utc>) {
        self.not_there.remove(subscriber);
        self.failed.remove(subscriber);
        if let Some(entry) = self.entries.get_mut(subscriber) {
            (entry.keys, entry.looked_up, entry.failed) = (keys, now, None);
            return;
        }
        self.make_room();
        let used = AtomicI64::new(now.timestamp_micros());
        let entry =
            Entry { keys, looked_up: now, used, refetched: None, missed: None, failed: None };
        self.entries.insert(subscriber.to_owned(), entry);
    }

    /// Lets go of the entry that was not used for the longest time, when there are enough.
    fn make_room(&mut self) {
        if self.entries.len() < self.limits.subscribers.max(1) {
            return;
        }
        // Looking through all is cheap: this is once for a lookup, and lookups have a budget.
        let used = |entry: &Entry| entry.used.load(Ordering::Relaxed);
        let longest = self.entries.iter().min_by_key(|(_subscriber, entry)| used(entry));
        if let Some(subscriber) = longest.map(|(subscriber, _entry)| subscriber.clone()) {
            self.entries.remove(&subscriber);
        }
    }

    /// Notes that the registry does not list the subscriber: what was known of it is revoked.
    pub(super) fn not_there(&mut self, subscriber: &str, now: DateTime<Utc>) {
        self.entries.remove(subscriber);
        self.failed.remove(subscriber);
        let Limits { negative, subscribers, .. } = self.limits;
        self.not_there.retain(|_subscriber, at| age(*at, now) < negative);
        if self.not_there.len() >= subscribers.max(1) {
            let oldest = self.not_there.iter().min_by_key(|(_subscriber, at)| **at);
            if let Some(oldest) = oldest.map(|(subscriber, _at)| subscriber.clone()) {
                self.not_there.remove(&oldest);
            }
        }
        self.not_there.insert(subscriber.to_owned(), now);
    }

    /// Notes that a lookup that began at `now` failed. It does not use up the refetch: the
    /// registry has not said anything.
    pub(super) fn failed(&mut self, subscriber: &str, now: DateTime<Utc>) {
        if let Some(entry) = self.entries.get_mut(subscriber) {
            (entry.failed, entry.refetched) = (Some(now), None);
            return;
        }
        // What is left are the failures of some seconds, and lookups have a budget.
        self.failed.retain(|_subscriber, at| rest(*at, now, REST).is_some());
        self.failed.insert(subscriber.to_owned(), now);
    }
}
