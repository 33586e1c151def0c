//! The writer: one thread owns the read-write connection and commits groups.
//!
//! The writer takes what waits, commits it with one sync, lets the window and the lanes know, then
//! answers. Under a load that keeps coming, appends wait for company, some milliseconds at most
//! (`pace`). An I/O error fails the batch; what is really on the disk is read again before the next
//! one. Three failures in a row end it; keeping house does not count, as long as nobody waits for a
//! commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};
use uuid::timestamp::context::ContextV7;

use super::batch::{self, Decision, Ground, Inserted};
use super::checkpoint::Checkpoints;
use super::erase::Erasing;
use super::expecting::Written;
use super::lock::DirectoryLock;
use super::mailbox::{Batch, Wake};
use super::pace::Pace;
use super::publish::answer_all;
use super::replays::{self, Round};
use super::retention::{Portion, Retention};
use super::schema::{self, Meta};
use super::window::Window;
use super::{Options, Shared, attempts, packs};
use crate::inbox::Error;
use crate::inbox::notes::Notes;

/// So many failures in a row end the writer.
const FAILURES_LIMIT: u32 = 3;

/// How long the writer waits before it opens the file again after a failed try.
pub(super) const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// The low-water mark is written when it has moved so far: a start scans no more in vain.
const LOW_WATER_STEP: i64 = 4096;

/// What the writer owns.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) options: Options,
    pub(super) file: PathBuf,
    pub(super) shared: Arc<Shared>,
    /// `None` only while the file is opened again.
    pub(super) connection: Option<Connection>,
    /// As `connection`; ended before it, so that the writer's is the last one that is closed.
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) window: Window,
    pub(super) packed_to: i64,
    pub(super) last_seq: i64,
    pub(super) low_water: i64,
    pub(super) ids: ContextV7,
    pub(super) retention: Retention,
    pub(super) notes: Notes,
    pub(super) erasing: Erasing,
    /// Whether there is more to be erased now.
    pub(super) erases: bool,
    /// Whether there are many free pages to be given back.
    pub(super) gives_back: bool,
    /// Whether more of what is beside the log is to leave now.
    pub(super) lets_go: bool,
    pub(super) failures: u32,
    /// Replays whose commit failed, so that they may be on the disk or not.
    pub(super) unsure_replays: Vec<Round>,
    pub(super) looked_at: Option<Instant>,
    pub(super) pace: Pace,
    /// When the next step of a replay may be; `None`: no more requests are known.
    pub(super) replays_from: Option<Instant>,
    /// No house-keeping before this: the last one failed.
    pub(super) house_rests_until: Option<Instant>,
    pub(super) overflow_warned_at: Option<Instant>,
    pub(super) replays_warned_at: Option<Instant>,
    /// Held until the writer has ended.
    pub(super) lock: DirectoryLock,
}

/// The writer has given up.
#[derive(Debug)]
pub(super) struct GivenUp;

impl Writer {
    /// Runs until the inbox is closed or the engine fails for good.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let clean = self.serve();
        shared.lanes.close();
        if clean.is_ok_and(|closing| closing) {
            self.close();
        }
        shared.pages.close();
        // The file before the lock: whoever gets the lock finds the file closed.
        drop(self.checkpoints.take());
        drop(self.connection.take());
        drop(self.lock);
    }

    /// Returns whether the end is a close.
    fn serve(&mut self) -> Result<bool, GivenUp> {
        loop {
            self.window.take_over_tables();
            let pending_work = self.look_around()?;
            let poll = if pending_work { Duration::from_millis(1) } else { self.options.poll };
            match self.shared.mailbox.wait(self.options.batch_limit, poll, self.pace.company()) {
                Wake::Close => return Ok(true),
                Wake::Abandon => return Ok(false),
                Wake::Batch(batch) => self.take_batch(batch)?,
            }
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is only away inside `reopen`")
    }

    fn take_batch(&mut self, mut batch: Batch) -> Result<(), GivenUp> {
        if batch.appends.is_empty() && batch.outcomes.is_empty() && batch.requests.is_empty() {
            // Nothing is written, so all that was asked for is durable already.
            answer_all(Vec::new(), batch.flushed);
            return Ok(());
        }
        let now = self.shared.clock.now();
        self.window.expire(now.timestamp_micros());
        let began = Instant::now();
        let committed = self.commit(&mut batch, now);
        if !batch.appends.is_empty() {
            self.pace.committed(began, batch.appends.len());
        }
        match committed {
            Ok(commit) => {
                self.failures = 0;
                self.measure(&batch, &commit, began);
                let events = batch.appends.len() + batch.outcomes.len();
                self.publish(batch, &commit, now);
                self.look_at_log(events, commit.bytes);
                Ok(())
            }
            Err(error) => {
                let answer = answer_for(&error);
                let appends = batch.appends.len();
                self.shared.metrics.inbox.commit_failed();
                tracing::warn!(appends, error = %error, "a commit of the inbox failed");
                self.shared.mailbox.requeue(batch.outcomes, batch.attempts);
                for request in batch.requests {
                    request.fail(&answer);
                }
                for append in batch.appends {
                    // A caller that has gone needs no answer.
                    let _ = append.answer.send(Err(answer.clone()));
                }
                self.after_failure(&error)
            }
        }
    }

    /// Has the log written back when it has become long.
    pub(super) fn look_at_log(&mut self, events: usize, bytes: usize) {
        let connection = self.connection.as_ref().expect("it is only away inside `reopen`");
        let Some(checkpoints) = &mut self.checkpoints else { return };
        checkpoints.committed(events, bytes);
        // What cannot be written back is in the log, and the next commit says what is wrong.
        if let Err(error) = checkpoints.end_pass(connection) {
            tracing::warn!(error = %error, "the inbox's log could not be written back");
        }
    }

    #[cfg(not(test))]
    fn commit(&mut self, batch: &mut Batch, now: DateTime<Utc>) -> rusqlite::Result<Commit> {
        begin(self.connection())?;
        let result = self.write(batch, now);
        end(self.connection(), result)
    }

    #[cfg(test)]
    fn commit(&mut self, batch: &mut Batch, now: DateTime<Utc>) -> rusqlite::Result<Commit> {
        let shared = Arc::clone(&self.shared);
        let fault = shared.faults.next(self.connection());
        begin(self.connection())?;
        let result = self.write(batch, now).and_then(|commit| fault.before_the_end(commit));
        let result = end(self.connection(), result);
        fault.strike(self.connection(), result)
    }

    /// Writes what one commit holds, and what it takes along.
    fn write(&mut self, batch: &mut Batch, now: DateTime<Utc>) -> rusqlite::Result<Commit> {
        let bytes = batch.appends.iter().map(|append| append.event.body.len()).sum();
        let left = match batch.appends.len() {
            // Settlements alone: there is time for a step.
            0 => 0,
            appends => self.let_leave(Portion::of_commit(appends, bytes), now)?,
        };
        let connection = self.connection();
        let ground = Ground {
            connection,
            window: &self.window,
            ids: &self.ids,
            now,
            last_seq: self.last_seq,
            open: &self.shared.open,
        };
        let Inserted { decisions, met } = batch::insert(&ground, &mut batch.appends)?;
        let expected = self.write_expectations(batch, &decisions, met)?;
        batch::write_outcomes(connection, &batch.outcomes)?;
        attempts::write(connection, &batch.attempts)?;
        let packed_to = packs::write(connection, &self.window, self.packed_to)?;
        let reached = self.shared.lanes.low_water();
        let moves = reached >= self.low_water + LOW_WATER_STEP;
        if moves {
            schema::set_meta(connection, Meta::LowWater, reached)?;
        }
        let low_water = if moves { reached } else { self.low_water };
        Ok(Commit { decisions, expected, packed_to, low_water, bytes: bytes.max(left) })
    }

    /// Decides what a failure means: go on, open the file again, or give up.
    fn after_failure(&mut self, error: &rusqlite::Error) -> Result<(), GivenUp> {
        // The disk is full, or another process holds the file: nothing is wrong with it.
        if let Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) =
            error.sqlite_error_code()
        {
            return Ok(());
        }
        self.open_again(answer_for(error))
    }

    /// Opens the file again after a failure that counts, or gives up.
    pub(super) fn open_again(&mut self, mut cause: Error) -> Result<(), GivenUp> {
        self.failures += 1;
        while self.failures < FAILURES_LIMIT {
            match self.reopen() {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(error = %error, "the inbox could not be opened again");
                    self.failures += 1;
                    cause = Error::Engine(Arc::new(error));
                    std::thread::sleep(REOPEN_PAUSE);
                }
            }
        }
        tracing::error!(error = %cause, "the inbox failed three times in a row and is given up");
        self.shared.mailbox.fail(&cause);
        self.shared.failed.send_replace(true);
        Err(GivenUp)
    }

    /// Opens the file again and reads what is really there.
    pub(super) fn reopen(&mut self) -> Result<(), super::open_error::OpenError> {
        drop(self.checkpoints.take());
        drop(self.connection.take());
        self.shared.pages.close();
        let sqlite = super::open_error::OpenError::sqlite;
        let connection = self.connection.insert(schema::open_writer(&self.file)?);
        // After a failed sync the kernel's cache may show what the disk does not have: writing
        // the log back makes what is read here true on the disk as well.
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(sqlite)?;
        if busy != 0 {
            return Err(super::open_error::OpenError::Busy);
        }
        let now = self.shared.clock.now();
        let loaded = packs::load(connection, self.options.window(), now.timestamp_micros());
        (self.window, self.packed_to) = loaded.map_err(sqlite)?;
        self.last_seq = self.last_seq.max(last_seq(self.connection()).map_err(sqlite)?);
        self.checkpoints = Some(Checkpoints::start(&self.file)?);
        self.find_unpushed(now)
    }

    /// Pushes what a failed commit has left on the disk after all.
    fn find_unpushed(&mut self, now: DateTime<Utc>) -> Result<(), super::open_error::OpenError> {
        let sqlite = super::open_error::OpenError::sqlite;
        let lanes = &self.shared.lanes;
        let mut pending = replays::kept(self.connection(), &self.unsure_replays).map_err(sqlite)?;
        if let Some(known_to) = lanes.known_to(self.last_seq) {
            let (page, _) =
                super::pages::pending_after(self.connection(), &self.options.outlets, known_to)
                    .map_err(sqlite)?;
            pending.extend(page);
        }
        drop(lanes.push(pending, self.last_seq, now));
        // Only now: a read that fails above is tried again with all of them.
        self.unsure_replays.clear();
        Ok(())
    }

    /// Ends cleanly; a failure here only makes the next start more careful.
    fn close(&mut self) {
        let now = self.shared.clock.now();
        let noted = self.write_refusals().and_then(|()| self.write_notes(now));
        let connection = self.connection();
        let closed = noted.and_then(|()| {
            in_transaction(connection, || {
                schema::set_meta(connection, Meta::LowWater, self.shared.lanes.low_water())?;
                schema::set_meta(connection, Meta::Clean, 1)
            })
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the inbox could not be closed cleanly");
        }
    }
}

/// What a commit has decided and written.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) decisions: Vec<Decision>,
    pub(super) expected: Written,
    pub(super) packed_to: i64,
    pub(super) low_water: i64,
    /// What was written of bodies, or overwritten where that is more.
    pub(super) bytes: usize,
}

/// Returns what the appends of a failed batch are told.
fn answer_for(error: &rusqlite::Error) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        return Error::NoSpace;
    }
    // rusqlite's error cannot be cloned nor shared between threads: its text can.
    Error::Engine(Arc::new(super::open_error::EngineError::new(error)))
}

/// Runs `work` in one transaction; what fails is rolled back.
pub(super) fn in_transaction<T>(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    begin(connection)?;
    let result = work();
    end(connection, result)
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

/// Commits what succeeded, rolls back what failed.
fn end<T>(connection: &Connection, result: rusqlite::Result<T>) -> rusqlite::Result<T> {
    let result = result.and_then(|value| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(value)
    });
    if result.is_err() && !connection.is_autocommit() {
        // The first error is the one that counts; a connection that cannot roll back is one
        // that is opened again.
        let _ = connection.execute_batch("ROLLBACK");
    }
    result
}

/// Returns the greatest seq that was ever given.
pub(super) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    let kept: i64 =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))?;
    Ok(kept.max(schema::meta(connection, Meta::LastSeq)?))
}
