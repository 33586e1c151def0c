//! The duplicate window: the fingerprints of what was accepted, in memory.
//!
//! An entry has 40 bytes and two table slots of 5; a million events take 63 MB. Memory
//! holds halves of the 128-bit fingerprints: every hit is confirmed against the original's row,
//! so a false hit costs a read and never swallows an event.
//!
//! A batch asks for all its keys at once ([`Window::find`]). After a start the window is whole
//! from the first batch on, but what was read is without tables for a while ([`unindexed`]): the
//! batch then walks it, and the tables are taken over when they are built.

mod entry;
mod tables;
mod unindexed;

use std::collections::VecDeque;

pub(super) use self::entry::{ENTRY_BYTES, Entry};
use self::tables::Tables;
use self::unindexed::Unindexed;

/// What an append is looked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    /// As in [`Entry::body`].
    pub(super) body: u64,
    /// As in [`Entry::ids`].
    pub(super) ids: u64,
}

/// What the window has for an append.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The latest event that may have its body.
    pub(super) body: Option<Entry>,
    /// The latest event that may have its ids.
    pub(super) ids: Option<Entry>,
}

/// Fewer entries than this are put into the tables at once: about 2 ms. Tests take the other way
/// with any number.
const INDEXED_AT_ONCE: usize = if cfg!(test) { 0 } else { 16_384 };

/// Room for what comes before the tables of a start are built: growing would copy everything.
const SPARE_ENTRIES: usize = 65_536;

/// The entries in the order of seq, found by their body or their ids.
#[derive(Debug)]
pub(super) struct Window {
    /// What a start has read, older than the other entries; `None` when its tables are taken over.
    unindexed: Option<Unindexed>,
    entries: VecDeque<Entry>,
    /// How many entries have left; a table's index is this plus the place, cut to 32 bits.
    left: u32,
    tables: Tables,
    limit: usize,
    max_age_micros: i64,
    /// Entries that fell out by count, younger than the window's age.
    overflowed: u64,
    /// A test wants the entries to stay without tables.
    #[cfg(test)]
    held: bool,
}

impl Window {
    /// Returns an empty window of at most `limit` events and `days`.
    pub(super) fn new(limit: usize, days: u32) -> Self {
        Self {
            unindexed: None,
            entries: VecDeque::new(),
            left: 0,
            tables: Tables::default(),
            // Below 2^31, so that the distance between two indexes is never ambiguous.
            limit: limit.clamp(1, 1 << 31),
            max_age_micros: i64::from(days) * 86_400_000_000,
            overflowed: 0,
            #[cfg(test)]
            held: false,
        }
    }

    /// Never takes the tables of a start over; for tests.
    #[cfg(test)]
    pub(super) const fn hold(mut self, held: bool) -> Self {
        self.held = held;
        self
    }

    /// Returns how many events it holds at most.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Makes room for `count` entries that a start reads.
    pub(super) fn room_for(count: usize) -> Vec<Entry> {
        Vec::with_capacity(count + SPARE_ENTRIES)
    }

    /// Takes what a start has read, oldest first, into an empty window.
    pub(super) fn start_from(&mut self, entries: Vec<Entry>, now: i64) {
        // What is too much has fallen out before, and was counted then.
        let excess = entries.len().saturating_sub(self.limit);
        let horizon = self.horizon(now);
        let aged = entries[excess..].iter().take_while(|entry| entry.received_at < horizon).count();
        let gone = excess + aged;
        if entries.len() - gone > INDEXED_AT_ONCE {
            self.unindexed = Some(Unindexed::start(entries, gone));
            return;
        }
        for entry in &entries[gone..] {
            self.add(*entry);
        }
    }

    /// Takes the tables of what a start has read over, if they are built.
    pub(super) fn take_over_tables(&mut self) {
        #[cfg(test)]
        if self.held {
            return;
        }
        let Some(unindexed) = self.unindexed.take_if(|unindexed| unindexed.is_built()) else {
            return;
        };
        let (entries, tables, gone) = unindexed.finish();
        let newer = std::mem::replace(&mut self.entries, VecDeque::from(entries));
        (self.tables, self.left) = (tables, 0);
        for _ in 0..gone {
            self.let_go_of_oldest();
        }
        for entry in newer {
            self.add(entry);
        }
    }

    /// Returns how many events it holds.
    pub(super) fn len(&self) -> usize {
        self.unindexed().len() + self.entries.len()
    }

    fn unindexed(&self) -> &[Entry] {
        self.unindexed.as_ref().map_or(&[], Unindexed::entries)
    }

    /// Returns how many entries are after `seq`.
    pub(super) fn count_after(&self, seq: i64) -> usize {
        let unindexed = self.unindexed();
        self.len()
            - unindexed.partition_point(|entry| entry.seq <= seq)
            - self.entries.partition_point(|entry| entry.seq <= seq)
    }

    /// Returns the entries after `seq`, oldest first.
    pub(super) fn after(&self, seq: i64) -> impl Iterator<Item = &Entry> {
        let unindexed = self.unindexed();
        let older = &unindexed[unindexed.partition_point(|entry| entry.seq <= seq)..];
        let newer = self.entries.partition_point(|entry| entry.seq <= seq);
        older.iter().chain(self.entries.range(newer..))
    }

    /// Returns the oldest entry.
    pub(super) fn oldest(&self) -> Option<Entry> {
        self.unindexed().first().or_else(|| self.entries.front()).copied()
    }

    /// Returns the oldest moment that the window reaches back to at `now`.
    pub(super) fn horizon(&self, now: i64) -> i64 {
        now.saturating_sub(self.max_age_micros)
    }

    /// Looks up the keys of a batch.
    pub(super) fn find(&self, keys: &[Keys]) -> Vec<Known> {
        let at = |index| self.at(index);
        let mut known: Vec<Known> = keys
            .iter()
            .map(|keys| Known {
                body: self.tables.find_body(keys.body, at),
                ids: self.tables.find_ids(keys.ids, at),
            })
            .collect();
        if let Some(unindexed) = &self.unindexed {
            unindexed.find(keys, &mut known);
        }
        known
    }

    fn at(&self, index: u32) -> Entry {
        self.entries[index.wrapping_sub(self.left) as usize]
    }

    /// Adds an event that is committed; its seq is greater than all before.
    pub(super) fn push(&mut self, entry: Entry, now: i64) {
        self.add(entry);
        self.expire(now);
    }

    fn add(&mut self, entry: Entry) {
        // At most `limit`, which is at most 2^31.
        #[allow(clippy::cast_possible_truncation)]
        let index = self.left.wrapping_add(self.entries.len() as u32);
        self.entries.push_back(entry);
        let (entries, left) = (&self.entries, self.left);
        self.tables.put(index, entry, |index| entries[index.wrapping_sub(left) as usize]);
    }

    /// Lets go of what is too old or too much.
    pub(super) fn expire(&mut self, now: i64) {
        let horizon = self.horizon(now);
        while let Some(oldest) = self.oldest() {
            let aged = oldest.received_at < horizon;
            if !aged && self.len() <= self.limit {
                return;
            }
            if !aged {
                self.overflowed += 1;
            }
            self.let_go_of_oldest();
        }
    }

    fn let_go_of_oldest(&mut self) {
        if self.unindexed.as_mut().is_some_and(Unindexed::let_go_of_oldest) {
            return;
        }
        if let Some(oldest) = self.entries.pop_front() {
            self.tables.forget(self.left, oldest);
            self.left = self.left.wrapping_add(1);
        }
    }

    /// Returns how many events fell out by count since it was last asked.
    pub(super) fn take_overflowed(&mut self) -> u64 {
        std::mem::take(&mut self.overflowed)
    }
}

#[cfg(test)]
mod tests;
