//! What is noted beside the log: how often events came again, and what came of each seller.
//!
//! It costs a callback a look into a map. It is written a little later, between the batches; what
//! was noted since is lost in a crash. What finds no room is counted in its seller's tally, or under
//! no name, and nowhere else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::Refusal;
use crate::event::OrderEvent;

/// How long a quarter of an hour is, in microseconds.
const QUARTER: i64 = 15 * 60 * 1_000_000;

/// So many sellers have a tally of their own in a quarter; the others share the one without a name.
pub(in crate::inbox) const SELLERS: usize = 1_000;

/// Names that nobody has verified take at most this part of them.
pub(in crate::inbox) const UNVERIFIED_SELLERS: usize = SELLERS / 2;

/// So many events that came again wait to be written.
const REPETITIONS: usize = 16_384;

/// How much is kept of a seller's name; names of the network are shorter.
const NAME_BYTES: usize = 256;

/// How long tallies are kept.
const KEPT_DAYS: i64 = 7;

/// How many looks at the house go by between two writes: each costs a sync of the disk.
const LOOKS: u32 = 5;

/// What came of a seller since the last write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::inbox) struct Tally {
    pub(in crate::inbox) verified: bool,
    pub(in crate::inbox) accepted: u64,
    pub(in crate::inbox) duplicates: u64,
    pub(in crate::inbox) refused: u64,
    /// Of the refused: by their signature.
    pub(in crate::inbox) untrusted: u64,
    pub(in crate::inbox) oddities: u64,
    pub(in crate::inbox) last_at: i64,
}

impl Tally {
    /// Returns what a refusal adds.
    pub(in crate::inbox) fn of_refusal(refusal: &Refusal) -> Self {
        Self {
            verified: refusal.verified,
            refused: 1,
            untrusted: u64::from(refusal.cause.starts_with("signature.")),
            last_at: refusal.at.timestamp_micros(),
            ..Self::default()
        }
    }

    /// Returns what a callback adds that was answered ACK: a new event, or one that came again.
    pub(in crate::inbox) fn of_append(event: &OrderEvent, repeats: bool) -> Self {
        Self {
            verified: event.sender.is_some(),
            accepted: u64::from(!repeats),
            duplicates: u64::from(repeats),
            oddities: if repeats { 0 } else { event.oddities.len() as u64 },
            ..Self::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.accepted + self.duplicates + self.refused == 0
    }

    fn add(&mut self, other: Tally) {
        self.verified |= other.verified;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.untrusted += other.untrusted;
        self.oddities += other.oddities;
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// The tallies of sellers, as many as there is room for.
#[derive(Debug, Default)]
pub(in crate::inbox) struct Tallies {
    by_seller: HashMap<Box<str>, Tally>,
    unverified: usize,
}

impl Tallies {
    /// Adds to a seller's tally.
    pub(in crate::inbox) fn add(&mut self, seller: &str, tally: Tally) {
        let name = &seller[..seller.floor_char_boundary(NAME_BYTES)];
        if let Some(known) = self.by_seller.get_mut(name) {
            known.add(tally);
            return;
        }
        let has_room = self.by_seller.len() < SELLERS
            && (tally.verified || self.unverified < UNVERIFIED_SELLERS);
        let name = if has_room { name } else { "" };
        if has_room && !tally.verified {
            self.unverified += 1;
        }
        self.by_seller.entry(name.into()).or_default().add(tally);
    }

    /// Takes the tallies; the sellers keep their places.
    fn take(&mut self) -> Vec<(Box<str>, Tally)> {
        let full = self.by_seller.iter_mut().filter(|(_, tally)| !tally.is_empty());
        full.map(|(seller, tally)| {
            let verified = tally.verified;
            (seller.clone(), std::mem::replace(tally, Tally { verified, ..Tally::default() }))
        })
        .collect()
    }

    /// Adds all of another's.
    fn merge(&mut self, other: Tallies) {
        for (seller, tally) in other.by_seller {
            self.add(&seller, tally);
        }
    }
}

/// How often an event came again.
#[derive(Debug, Clone, Copy)]
pub(in crate::inbox) struct Repetition {
    pub(in crate::inbox) times: u64,
    pub(in crate::inbox) last_at: i64,
}

/// What is to be written.
#[derive(Debug)]
pub(in crate::inbox) struct Noted {
    /// What came of sellers, with the beginning of its quarter of an hour.
    pub(in crate::inbox) tallies: Vec<(i64, Box<str>, Tally)>,
    /// What came again, by its place.
    pub(in crate::inbox) repetitions: HashMap<i64, Repetition>,
    /// What is older leaves.
    pub(in crate::inbox) oldest: i64,
}

/// What is noted and not written yet.
#[derive(Debug, Default)]
pub(in crate::inbox) struct Notes {
    repetitions: HashMap<i64, Repetition>,
    quarter: i64,
    tallies: Tallies,
    /// Of the quarter before, when it ended between two writes.
    before: Option<(i64, Tallies)>,
    written_at: Option<Instant>,
}

impl Notes {
    /// Notes that an event came again.
    pub(in crate::inbox) fn repeat(&mut self, of: i64, now: DateTime<Utc>) {
        let last_at = now.timestamp_micros();
        if let Some(known) = self.repetitions.get_mut(&of) {
            known.times += 1;
            known.last_at = last_at;
        } else if self.repetitions.len() < REPETITIONS {
            self.repetitions.insert(of, Repetition { times: 1, last_at });
        }
    }

    /// Adds to the tally of a seller in the quarter of an hour that is now.
    pub(in crate::inbox) fn tally(&mut self, seller: &str, tally: Tally, now: DateTime<Utc>) {
        self.turn(now);
        self.tallies.add(seller, Tally { last_at: now.timestamp_micros(), ..tally });
    }

    /// Adds what was refused.
    pub(in crate::inbox) fn merge(&mut self, refused: Tallies, now: DateTime<Utc>) {
        self.turn(now);
        self.tallies.merge(refused);
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        let quarter = quarter_of(now);
        if quarter == self.quarter {
            return;
        }
        let ended = std::mem::take(&mut self.tallies);
        let (before, mut kept) = self.before.take().unwrap_or((self.quarter, Tallies::default()));
        // Two ends between two writes: the disk fails, or the clock jumps. Bounded is enough then.
        kept.merge(ended);
        self.before = Some((before.max(self.quarter), kept));
        self.quarter = quarter;
    }

    /// Returns whether there is something to be written and it is time for it.
    pub(in crate::inbox) fn are_due(&self, poll: Duration) -> bool {
        self.written_at.is_none_or(|at| at.elapsed() >= poll * LOOKS)
    }

    /// Takes what was noted; `None` when nothing was. What then cannot be written is lost: it is
    /// best effort, and trying again would let it grow.
    pub(in crate::inbox) fn take(&mut self, now: DateTime<Utc>) -> Option<Noted> {
        self.written_at = Some(Instant::now());
        self.turn(now);
        let mut rows: Vec<(i64, Box<str>, Tally)> = Vec::new();
        if let Some((quarter, mut tallies)) = self.before.take() {
            rows.extend(tallies.take().into_iter().map(|(name, tally)| (quarter, name, tally)));
        }
        let quarter = self.quarter;
        rows.extend(self.tallies.take().into_iter().map(|(name, tally)| (quarter, name, tally)));
        let repetitions = std::mem::take(&mut self.repetitions);
        let oldest = quarter_of(now - TimeDelta::days(KEPT_DAYS));
        let is_empty = rows.is_empty() && repetitions.is_empty();
        (!is_empty).then_some(Noted { tallies: rows, repetitions, oldest })
    }
}

/// Returns when the quarter of an hour begins in which `at` lies.
pub(in crate::inbox) fn quarter_of(at: DateTime<Utc>) -> i64 {
    let micros = at.timestamp_micros();
    micros - micros.rem_euclid(QUARTER)
}
