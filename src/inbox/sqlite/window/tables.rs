//! The tables of the window: from a fingerprint to the latest entry that has it.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{HashTable, hash_table};

use super::Entry;

/// How many entries are put in before the builder looks whether it is to stop: under a millisecond.
const STRIDE: usize = 4096;

/// Indexes of entries, by their body and by their ids. An index is how many entries were before
/// it, cut to 32 bits.
#[derive(Debug, Default)]
pub(super) struct Tables {
    by_body: HashTable<u32>,
    latest_by_ids: HashTable<u32>,
}

impl Tables {
    /// Puts all entries in; `None` when it is stopped.
    pub(super) fn of(entries: &[Entry], stop: &AtomicBool) -> Option<Self> {
        // Room for all at once: growing step by step would take half as long again.
        let mut tables = Self {
            by_body: HashTable::with_capacity(entries.len()),
            latest_by_ids: HashTable::with_capacity(entries.len()),
        };
        for (stride, chunk) in entries.chunks(STRIDE).enumerate() {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            for (place, entry) in chunk.iter().enumerate() {
                // The window holds at most 2^31 entries.
                #[allow(clippy::cast_possible_truncation)]
                let index = (stride * STRIDE + place) as u32;
                tables.put(index, *entry, |index| entries[index as usize]);
            }
        }
        Some(tables)
    }

    /// Points the entry's keys to `index`, in place of older entries with the same keys.
    pub(super) fn put(&mut self, index: u32, entry: Entry, at: impl Fn(u32) -> Entry) {
        place_latest(&mut self.by_body, entry.body, index, |index| at(index).body);
        if entry.ids != 0 {
            place_latest(&mut self.latest_by_ids, entry.ids, index, |index| at(index).ids);
        }
    }

    /// Takes the entry out, where its keys still point to `index`.
    pub(super) fn forget(&mut self, index: u32, entry: Entry) {
        forget(&mut self.by_body, entry.body, index);
        if entry.ids != 0 {
            forget(&mut self.latest_by_ids, entry.ids, index);
        }
    }

    /// Returns the entry that has this body.
    pub(super) fn find_body(&self, body: u64, at: impl Fn(u32) -> Entry) -> Option<Entry> {
        let index = self.by_body.find(body, |index| at(*index).body == body)?;
        Some(at(*index))
    }

    /// Returns the latest entry that has these ids.
    pub(super) fn find_ids(&self, ids: u64, at: impl Fn(u32) -> Entry) -> Option<Entry> {
        let index = self.latest_by_ids.find(ids, |index| at(*index).ids == ids)?;
        Some(at(*index))
    }
}

fn place_latest(table: &mut HashTable<u32>, key: u64, index: u32, key_of: impl Fn(u32) -> u64) {
    // One probe, not a search and then an insertion.
    match table.entry(key, |other| key_of(*other) == key, |other| key_of(*other)) {
        hash_table::Entry::Occupied(mut older) => *older.get_mut() = index,
        hash_table::Entry::Vacant(free) => {
            free.insert(index);
        }
    }
}

fn forget(table: &mut HashTable<u32>, key: u64, index: u32) {
    if let Ok(found) = table.find_entry(key, |other| *other == index) {
        found.remove();
    }
}
