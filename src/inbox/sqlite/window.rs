//! The duplicate window: the fingerprints of what was accepted, in memory.
//!
//! An entry has 40 bytes and two table slots of 5; a million events take about 60 MB. Memory
//! holds halves of the 128-bit fingerprints: every hit is confirmed against the original's row,
//! so a false hit costs a read and never swallows an event.

use std::collections::VecDeque;

use hashbrown::{HashTable, hash_table};

/// What the window knows of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: i64,
    /// Microseconds since 1970.
    pub(super) received_at: i64,
    /// Of action, seller and body.
    pub(super) body: u64,
    /// Of action, seller, bap, transaction and message; 0 when an id is missing.
    pub(super) ids: u64,
    /// Of the raw bytes of `message` and `error`.
    pub(super) content: u64,
}

/// How large an entry is in a pack.
pub(super) const ENTRY_BYTES: usize = 40;

impl Entry {
    /// Returns the entry as a pack holds it.
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = [
            self.seq.cast_unsigned(),
            self.received_at.cast_unsigned(),
            self.body,
            self.ids,
            self.content,
        ];
        for (word, place) in words.iter().zip(bytes.chunks_exact_mut(8)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Returns the entry that a pack holds.
    pub(super) fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let word = |place: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[place * 8..place * 8 + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            seq: word(0).cast_signed(),
            received_at: word(1).cast_signed(),
            body: word(2),
            ids: word(3),
            content: word(4),
        }
    }
}

/// The entries in the order of seq, found by their body or their ids.
#[derive(Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// How many entries have left; a table's index is this plus the place, cut to 32 bits.
    left: u32,
    by_body: HashTable<u32>,
    latest_by_ids: HashTable<u32>,
    limit: usize,
    max_age_micros: i64,
    /// Entries that fell out by count, younger than the window's age.
    overflowed: u64,
}

impl Window {
    /// Returns an empty window of at most `limit` events and `days`.
    pub(super) fn new(limit: usize, days: u32) -> Self {
        Self {
            entries: VecDeque::new(),
            left: 0,
            by_body: HashTable::new(),
            latest_by_ids: HashTable::new(),
            // Below 2^31, so that the distance between two indexes is never ambiguous.
            limit: limit.clamp(1, 1 << 31),
            max_age_micros: i64::from(days) * 86_400_000_000,
            overflowed: 0,
        }
    }

    /// Makes room for `count` entries at once; growing table by table costs a start 50 ms.
    pub(super) fn reserve(&mut self, count: usize) {
        let count = count.min(self.limit);
        self.entries.reserve(count);
        self.by_body.reserve(count, |_| 0);
        self.latest_by_ids.reserve(count, |_| 0);
    }

    /// Returns how many events it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the entries after `seq`, oldest first.
    pub(super) fn after(&self, seq: i64) -> impl ExactSizeIterator<Item = &Entry> {
        let start = self.entries.partition_point(|entry| entry.seq <= seq);
        self.entries.range(start..)
    }

    /// Returns the oldest moment that the window reaches back to at `now`.
    pub(super) fn horizon(&self, now: i64) -> i64 {
        now.saturating_sub(self.max_age_micros)
    }

    /// Returns the event that may have this body.
    pub(super) fn find_body(&self, body: u64) -> Option<Entry> {
        self.find(&self.by_body, body, |entry| entry.body)
    }

    /// Returns the latest event that may have these ids.
    pub(super) fn find_ids(&self, ids: u64) -> Option<Entry> {
        self.find(&self.latest_by_ids, ids, |entry| entry.ids)
    }

    fn find(
        &self,
        table: &HashTable<u32>,
        key: u64,
        part: impl Fn(&Entry) -> u64,
    ) -> Option<Entry> {
        let index = table.find(key, |index| part(&self.entries[self.place(*index)]) == key)?;
        Some(self.entries[self.place(*index)])
    }

    fn place(&self, index: u32) -> usize {
        index.wrapping_sub(self.left) as usize
    }

    /// Adds an event that is committed; its seq is greater than all before.
    pub(super) fn push(&mut self, entry: Entry, now: i64) {
        // Less than `limit`, which is at most 2^31.
        #[allow(clippy::cast_possible_truncation)]
        let index = self.left.wrapping_add(self.entries.len() as u32);
        self.entries.push_back(entry);
        let (entries, left) = (&self.entries, self.left);
        let at = |index: u32| &entries[index.wrapping_sub(left) as usize];
        place_latest(&mut self.by_body, entry.body, index, |index| at(index).body);
        if entry.ids != 0 {
            place_latest(&mut self.latest_by_ids, entry.ids, index, |index| at(index).ids);
        }
        self.expire(now);
    }

    /// Lets go of what is too old or too much.
    pub(super) fn expire(&mut self, now: i64) {
        let horizon = self.horizon(now);
        while let Some(oldest) = self.entries.front().copied() {
            let aged = oldest.received_at < horizon;
            if !aged && self.entries.len() <= self.limit {
                return;
            }
            if !aged {
                self.overflowed += 1;
            }
            let index = self.left;
            forget(&mut self.by_body, oldest.body, index);
            if oldest.ids != 0 {
                forget(&mut self.latest_by_ids, oldest.ids, index);
            }
            self.entries.pop_front();
            self.left = self.left.wrapping_add(1);
        }
    }

    /// Returns how many events fell out by count since it was last asked.
    pub(super) fn take_overflowed(&mut self) -> u64 {
        std::mem::take(&mut self.overflowed)
    }
}

/// Points `key` to `index`, in place of an older event with the same key.
fn place_latest(table: &mut HashTable<u32>, key: u64, index: u32, key_of: impl Fn(u32) -> u64) {
    // One probe, not a search and then an insertion.
    match table.entry(key, |other| key_of(*other) == key, |other| key_of(*other)) {
        hash_table::Entry::Occupied(mut older) => *older.get_mut() = index,
        hash_table::Entry::Vacant(free) => {
            free.insert(index);
        }
    }
}

/// Takes `index` out, if `key` still points to it.
fn forget(table: &mut HashTable<u32>, key: u64, index: u32) {
    if let Ok(found) = table.find_entry(key, |other| *other == index) {
        found.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Window};

    fn entry(seq: i64, body: u64, ids: u64) -> Entry {
        Entry { seq, received_at: seq, body, ids, content: body }
    }

    #[test]
    fn the_latest_under_an_id_is_found_until_it_falls_out() {
        let mut window = Window::new(3, 1);
        window.push(entry(1, 10, 7), 1);
        window.push(entry(2, 11, 7), 2);
        assert_eq!(window.find_ids(7).map(|entry| entry.seq), Some(2));
        assert_eq!(window.find_body(10).map(|entry| entry.seq), Some(1));
        window.push(entry(3, 12, 0), 3);
        window.push(entry(4, 13, 0), 4);
        assert_eq!(window.find_body(10), None, "the fourth pushed the first out");
        assert_eq!(window.find_ids(7).map(|entry| entry.seq), Some(2));
        assert_eq!(window.find_ids(0), None);
        assert_eq!(window.take_overflowed(), 1);
        assert_eq!(window.take_overflowed(), 0);
    }

    #[test]
    fn what_is_too_old_leaves_without_being_counted() {
        let mut window = Window::new(3, 1);
        window.push(entry(1, 10, 7), 1);
        window.expire(86_400_000_002);
        assert_eq!((window.len(), window.take_overflowed()), (0, 0));
        assert_eq!(window.find_body(10), None);
    }

    #[test]
    fn a_thousand_events_through_a_small_window_are_found_while_they_are_in_it() {
        let mut window = Window::new(64, 1);
        for seq in 1..=1000_i64 {
            let body = seq.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            window.push(entry(seq, body, body ^ 5), seq);
            let oldest = (seq - 63).max(1);
            let of = |seq: i64| seq.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(window.find_body(of(oldest)).map(|entry| entry.seq), Some(oldest));
            assert_eq!(window.find_body(of(oldest - 1)), None);
        }
        assert_eq!(
            window.after(990).map(|entry| entry.seq).collect::<Vec<_>>(),
            (991..=1000).collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_entry_survives_its_pack() {
        let entry = Entry { seq: 1 << 40, received_at: -3, body: 1, ids: u64::MAX, content: 3 };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
    }
}
