//! Writing the log back: what commits have put into the write-ahead log is copied into the file.
//!
//! SQLite has the commit that finds the log long do this, and all that wait for that commit wait
//! some 30 ms more. So a thread of its own does nearly all of it, beside the commits; the writer
//! only ends it, for the log begins anew when nothing is left in it at the beginning of a commit.
//! Nothing of the promise hangs on it: what is durable is in the log.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::open_error::OpenError;
use super::schema;

/// The thread writes the log back when it has grown by about so many pages, 4 MiB. Less would
/// write more of what is half full, more would keep the disk from the commits for longer.
const STEP: usize = 128;

/// The pages that a commit writes whatever it holds: the last one of each table, and what leads
/// to it.
const PAGES: usize = 4;

/// What is counted of an event besides its body.
const ROW_BYTES: usize = 1_024;

/// Writes the log back on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(super) struct Checkpoints {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    /// By how many pages the log has grown since the thread was woken, about.
    grown: usize,
}

/// What the writer and the thread tell each other.
#[derive(Debug, Default)]
struct Desk {
    asked: Mutex<Asked>,
    arrived: Condvar,
    /// Whether the writer is to end what the thread has begun.
    nearly_done: AtomicBool,
}

#[derive(Debug, Default)]
struct Asked {
    pass: bool,
    end: bool,
}

impl Checkpoints {
    /// Starts the thread for the inbox's file.
    pub(super) fn start(file: &Path) -> Result<Self, OpenError> {
        let desk = Arc::<Desk>::default();
        let (told, file) = (Arc::clone(&desk), file.to_owned());
        let thread = std::thread::Builder::new()
            .name("inbox-log".to_owned())
            .spawn(move || told.serve(&file))
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self { desk, thread: Some(thread), grown: 0 })
    }

    /// Takes note of a commit of so many events with bodies of so many bytes.
    pub(super) fn committed(&mut self, events: usize, bytes: usize) {
        self.grown += PAGES + (bytes + events * ROW_BYTES) / schema::PAGE_SIZE as usize;
        if self.grown >= STEP {
            self.grown = 0;
            self.desk.lock().pass = true;
            self.desk.arrived.notify_one();
        }
    }

    /// Writes back what little is left, if the thread has asked for it: then the log begins anew
    /// with the next commit. Called by the writer between commits.
    pub(super) fn end_pass(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.desk.nearly_done.swap(false, Ordering::Relaxed) {
            pass(connection)?;
        }
        Ok(())
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.desk.lock().end = true;
        self.desk.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed; the log is then written back by the writer.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next pass; returns whether there is one.
    fn wait(&self) -> bool {
        let idle = |asked: &mut Asked| !asked.pass && !asked.end;
        let asked = self.arrived.wait_while(self.lock(), idle);
        let mut asked = asked.unwrap_or_else(PoisonError::into_inner);
        asked.pass = false;
        !asked.end
    }

    fn serve(&self, file: &Path) {
        let mut connection = None;
        while self.wait() {
            if let Err(error) = self.write_back(&mut connection, file) {
                // The writer does it itself when the log becomes long.
                tracing::warn!(error = %error, "the inbox's log could not be written back");
                connection = None;
            }
        }
    }

    fn write_back(
        &self,
        connection: &mut Option<Connection>,
        file: &Path,
    ) -> Result<(), OpenError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(schema::open_requester(file)?),
        };
        let frames = pass(connection).map_err(OpenError::sqlite)?;
        if frames >= i64::from(schema::LOG_PAGES) {
            // What came meanwhile, so that little is left for the writer.
            pass(connection).map_err(OpenError::sqlite)?;
            self.nearly_done.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Writes back what is in the log now, as far as nobody reads an older state; never waits. Returns
/// how many frames the log has.
fn pass(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |row| row.get(1))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rusqlite::Connection;

    use super::{Checkpoints, PAGES, STEP, pass};
    use crate::inbox::sqlite::schema;

    fn insert(connection: &Connection, seq: i64) {
        connection.execute("INSERT INTO body VALUES (?1, ?2)", (seq, vec![b'x'; 30_000])).unwrap();
    }

    #[test]
    fn the_thread_writes_back_and_the_writer_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(schema::FILE);
        let connection = schema::open_writer(&file).unwrap();
        let mut checkpoints = Checkpoints::start(&file).unwrap();
        let pages = i64::from(schema::LOG_PAGES);
        (1..=pages / 2).for_each(|seq| insert(&connection, seq));
        checkpoints.end_pass(&connection).unwrap();
        let before = std::fs::metadata(&file).unwrap().len();
        checkpoints.committed(1, STEP * schema::PAGE_SIZE as usize);
        let began = Instant::now();
        while !checkpoints.desk.nearly_done.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(began.elapsed() < Duration::from_secs(30), "the thread did not come to it");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(std::fs::metadata(&file).unwrap().len() > before, "the thread wrote nothing back");
        insert(&connection, pages + 1);
        checkpoints.end_pass(&connection).unwrap();
        insert(&connection, pages + 2);
        let log = pass(&connection).unwrap();
        assert!(log < 10, "the log did not begin anew: it has {log} frames");
        drop(checkpoints);
        drop(connection);
        assert!(!directory.path().join("inbox.sqlite3-wal").exists(), "the last one closed it");
    }

    #[test]
    fn commits_that_write_little_do_not_wake_the_thread() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(schema::FILE);
        let connection = schema::open_writer(&file).unwrap();
        let mut checkpoints = Checkpoints::start(&file).unwrap();
        for _ in 1..STEP / PAGES {
            checkpoints.committed(1, 3_700);
        }
        assert!(!checkpoints.desk.lock().pass);
        checkpoints.committed(1, 3_700);
        assert_eq!(checkpoints.grown, 0, "it was woken");
        drop(connection);
    }
}
