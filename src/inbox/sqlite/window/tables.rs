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
    // No place is free: those that some have left are not used again, and the table would double.
    // A window that is full meets this once in some ten million events.
    if table.len() == table.capacity() && table.len() < places(table) {
        let mut fresh = HashTable::with_capacity(places(table));
        for index in table.drain() {
            fresh.insert_unique(key_of(index), index, |other| key_of(*other));
        }
        *table = fresh;
    }
    // One probe, not a search and then an insertion.
    match table.entry(key, |other| key_of(*other) == key, |other| key_of(*other)) {
        hash_table::Entry::Occupied(mut older) => *older.get_mut() = index,
        hash_table::Entry::Vacant(free) => {
            free.insert(index);
        }
    }
}

/// Returns how many entries a table takes before it grows.
fn places(table: &HashTable<u32>) -> usize {
    table.num_buckets() / 8 * 7
}

fn forget(table: &mut HashTable<u32>, key: u64, index: u32) {
    if let Ok(found) = table.find_entry(key, |other| *other == index) {
        found.remove();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::{Entry, Tables};

    #[test]
    fn tables_from_which_as_many_leave_as_come_do_not_grow() {
        let entry = |index: u32| {
            let mut mixed = u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed ^= mixed >> 27;
            Entry { seq: 0, received_at: 0, body: mixed, ids: !mixed, content: 0 }
        };
        // Of 1,792 places that a table of 2,048 gives; more than half, so that it would double.
        let first: Vec<Entry> = (0..1_000).map(entry).collect();
        let mut tables = Tables::of(&first, &AtomicBool::new(false)).unwrap();
        let size = tables.by_body.allocation_size();
        for index in 1_000..200_000_u32 {
            tables.put(index, entry(index), entry);
            tables.forget(index - 1_000, entry(index - 1_000));
        }
        assert_eq!(tables.by_body.allocation_size(), size);
        assert_eq!(tables.latest_by_ids.len(), 1_000);
        assert!(tables.find_body(entry(199_999).body, entry).is_some());
        assert!(tables.find_ids(entry(1).ids, entry).is_none());
    }
}
