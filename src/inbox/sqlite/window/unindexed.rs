//! What a start has read of the window, while a thread builds its tables.
//!
//! Building the tables of a million events takes some 200 ms, which no callback should wait for.
//! Until then a batch looks its keys up by walking all entries once: a few milliseconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::tables::Tables;
use super::{Entry, Keys, Known};

/// The entries of the start, in the order of seq.
#[derive(Debug)]
pub(super) struct Unindexed {
    entries: Arc<Vec<Entry>>,
    /// How many of the oldest have left the window.
    gone: usize,
    stop: Arc<AtomicBool>,
    /// Taken when it is joined; without a thread the tables are built when they are asked for.
    builder: Option<JoinHandle<Option<Tables>>>,
}

impl Unindexed {
    /// Begins to build the tables of `entries`, of which the first `gone` have left already.
    pub(super) fn start(entries: Vec<Entry>, gone: usize) -> Self {
        let entries = Arc::new(entries);
        let stop = Arc::new(AtomicBool::new(false));
        let (all, stopped) = (Arc::clone(&entries), Arc::clone(&stop));
        let builder = std::thread::Builder::new()
            .name("inbox-window".to_owned())
            .spawn(move || Tables::of(&all, &stopped));
        // A process that may have no more threads builds them by itself, at the first look.
        Self { entries, gone, stop, builder: builder.ok() }
    }

    /// Returns what has not left the window.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[self.gone..]
    }

    /// Lets go of the oldest entry; returns whether there was one.
    pub(super) fn let_go_of_oldest(&mut self) -> bool {
        let any = self.gone < self.entries.len();
        self.gone += usize::from(any);
        any
    }

    /// Returns whether the tables can be had without waiting for the thread.
    pub(super) fn is_built(&self) -> bool {
        self.builder.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Returns all entries, their tables, and how many of the oldest are to be forgotten.
    pub(super) fn finish(mut self) -> (Vec<Entry>, Tables, usize) {
        let built = match self.builder.take().map(JoinHandle::join) {
            Some(Ok(tables)) => tables,
            // A bug of ours must not look like an empty window.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => None,
        };
        let tables = built.or_else(|| Tables::of(&self.entries, &AtomicBool::new(false)));
        let entries = Arc::into_inner(std::mem::take(&mut self.entries));
        let whole = "the thread has ended and nobody stopped this build";
        (entries.expect(whole), tables.expect(whole), self.gone)
    }

    /// Looks for the keys that nothing newer has answered.
    pub(super) fn find(&self, keys: &[Keys], known: &mut [Known]) {
        let mut bodies = Wanted::new();
        let mut ids = Wanted::new();
        for (keys, known) in keys.iter().zip(known.iter()) {
            if known.body.is_none() {
                bodies.want(keys.body);
            }
            if known.ids.is_none() && keys.ids != 0 {
                ids.want(keys.ids);
            }
        }
        for entry in self.entries() {
            if bodies.may_want(entry.body) {
                bodies.offer(entry.body, *entry);
            }
            if ids.may_want(entry.ids) {
                ids.offer(entry.ids, *entry);
            }
        }
        for (keys, known) in keys.iter().zip(known) {
            known.body = known.body.or_else(|| bodies.found(keys.body));
            known.ids = known.ids.or_else(|| ids.found(keys.ids));
        }
    }
}

impl Drop for Unindexed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(builder) = self.builder.take() {
            // It was stopped: what it has built, or a panic that was printed, is of no use.
            let _ = builder.join();
        }
    }
}

/// The keys of a batch, found in one walk: a filter that stays in the CPU's nearest cache, and
/// behind it the keys.
struct Wanted {
    /// One bit for each of the 2^16 beginnings of a key.
    filter: Vec<u64>,
    found: HashMap<u64, Option<Entry>>,
}

impl Wanted {
    fn new() -> Self {
        Self { filter: vec![0; 1 << 10], found: HashMap::new() }
    }

    const fn place(key: u64) -> (usize, u64) {
        ((key >> 54) as usize, 1 << (key >> 48 & 63))
    }

    fn want(&mut self, key: u64) {
        let (word, bit) = Self::place(key);
        self.filter[word] |= bit;
        self.found.insert(key, None);
    }

    fn may_want(&self, key: u64) -> bool {
        let (word, bit) = Self::place(key);
        self.filter[word] & bit != 0
    }

    /// Takes an entry under a key; a later one takes its place.
    fn offer(&mut self, key: u64, entry: Entry) {
        if let Some(found) = self.found.get_mut(&key) {
            *found = Some(entry);
        }
    }

    fn found(&self, key: u64) -> Option<Entry> {
        self.found.get(&key).copied().flatten()
    }
}
