//! Faults that a test plants into the next commits.

use std::collections::VecDeque;
use std::sync::Mutex;

use rusqlite::{Connection, ffi};

/// What happens to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file may not grow: SQLite itself finds no room.
    NoRoom,
    /// An I/O error before the commit: the batch is not on the disk.
    Lost,
    /// An I/O error after the commit: the batch is on the disk, and nobody knows.
    Kept,
    /// A bug of ours.
    Panic,
}

/// The faults of the next commits, one each.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    pub(super) fn plant(&self, fault: Fault) {
        self.0.lock().unwrap().push_back(fault);
    }

    /// Returns what happens to the commit that begins now.
    pub(super) fn next(&self, connection: &Connection) -> Struck {
        let fault = self.0.lock().unwrap().pop_front();
        assert!(fault != Some(Fault::Panic), "a panic that a test planted");
        if fault == Some(Fault::NoRoom) {
            limit_pages(connection, 1);
        }
        Struck(fault)
    }
}

/// What happens to a commit that has begun.
#[derive(Debug)]
pub(super) struct Struck(Option<Fault>);

impl Struck {
    /// Fails before the commit is made.
    pub(super) fn before_the_end<T>(&self, value: T) -> rusqlite::Result<T> {
        if self.0 == Some(Fault::Lost) { Err(io_error()) } else { Ok(value) }
    }

    /// Fails when the commit has been made.
    pub(super) fn strike<T>(
        &self,
        connection: &Connection,
        result: rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        limit_pages(connection, 0x7fff_ffff);
        if self.0 == Some(Fault::Kept) { result.and_then(|_| Err(io_error())) } else { result }
    }
}

fn limit_pages(connection: &Connection, pages: i64) {
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

/// Returns the error of a disk that fails.
pub(super) fn io_error() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None)
}
