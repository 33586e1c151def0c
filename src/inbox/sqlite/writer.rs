//! The writer: one thread owns the read-write connection and commits groups.
//!
//! There is no timer on the way of an append: the writer takes what waits, commits it with one
//! sync, lets the window and the lanes know, then answers. An I/O error fails the batch; what is
//! really on the disk is read again before the next one. Three failures in a row end it; keeping
//! house does not count, as long as nobody waits for a commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;
use uuid::timestamp::context::ContextV7;

use super::batch::{self, Decision, Ground, Inserted};
use super::erase::Erasing;
use super::expecting::Written;
use super::lanes::Pending;
use super::lock::DirectoryLock;
use super::mailbox::{Append, Batch, Wake};
use super::notes::{Notes, Tally};
use super::outcome::State;
use super::replays::{self, Round};
use super::retention::Retention;
use super::schema::{self, Meta};
use super::window::Window;
use super::{Options, Shared, attempts, mailbox, packs};
use crate::event::EventId;
use crate::inbox::{Error, Receipt, Seq, Standing};
use crate::metrics::{Answer, FromSeller};

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
    /// Whether more of what is beside the log is to leave now.
    pub(super) lets_go: bool,
    pub(super) failures: u32,
    /// Replays whose commit failed, so that they may be on the disk or not.
    pub(super) unsure_replays: Vec<Round>,
    pub(super) looked_at: Option<Instant>,
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
        drop(self.connection.take());
        drop(self.lock);
    }

    /// Returns whether the end is a close.
    fn serve(&mut self) -> Result<bool, GivenUp> {
        loop {
            self.window.take_over_tables();
            let pending_work = self.look_around()?;
            let poll = if pending_work { Duration::from_millis(1) } else { self.options.poll };
            match self.shared.mailbox.wait(self.options.batch_limit, poll) {
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
        match self.commit(&mut batch, now) {
            Ok(commit) => {
                self.failures = 0;
                self.measure(&batch, &commit, began);
                self.publish(batch, &commit, now);
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

    /// Measures a commit that began then, and counts what it holds.
    fn measure(&self, batch: &Batch, commit: &Commit, began: Instant) {
        let (metrics, durable) = (&self.shared.metrics, Instant::now());
        metrics.inbox.committed(batch.appends.len(), durable - began);
        for (append, decision) in batch.appends.iter().zip(&commit.decisions) {
            metrics.inbox.appended_after(durable - append.queued);
            let (seller, event) = (append.seller.as_str(), &append.event);
            let answer = match decision {
                Decision::New { .. } => {
                    event.flags.iter().for_each(|flag| metrics.flagged(flag.as_str()));
                    Answer::Ack
                }
                Decision::Duplicate { .. } | Decision::DuplicateInBatch { .. } => Answer::Duplicate,
                Decision::NotTold => continue,
            };
            let verified = event.sender.is_some();
            let kept_at = event.received_at.timestamp();
            metrics.count_seller(FromSeller { seller, verified, answer }, Some(kept_at));
        }
    }

    #[cfg(not(test))]
    fn commit(&self, batch: &mut Batch, now: DateTime<Utc>) -> rusqlite::Result<Commit> {
        in_transaction(self.connection(), || self.write(batch, now))
    }

    #[cfg(test)]
    fn commit(&self, batch: &mut Batch, now: DateTime<Utc>) -> rusqlite::Result<Commit> {
        self.shared.faults.strike(self.connection(), |fails| {
            in_transaction(self.connection(), || {
                let commit = self.write(batch, now)?;
                if fails { Err(super::faults::io_error()) } else { Ok(commit) }
            })
        })
    }

    /// Writes what one commit holds.
    fn write(&self, batch: &mut Batch, now: DateTime<Utc>) -> rusqlite::Result<Commit> {
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
        Ok(Commit { decisions, expected, packed_to, low_water })
    }

    /// Lets everyone know of a commit: the window, then the lanes, then those who wait.
    fn publish(&mut self, batch: Batch, commit: &Commit, now: DateTime<Utc>) {
        self.shared.publish_expectations(&commit.expected);
        self.packed_to = commit.packed_to;
        self.low_water = commit.low_water;
        let mut pending = Vec::new();
        let mut answers = Vec::with_capacity(batch.appends.len());
        let ids: Vec<EventId> = batch.appends.iter().map(|append| append.event.id).collect();
        for (append, decision) in batch.appends.into_iter().zip(&commit.decisions) {
            self.note(&append, *decision, &commit.decisions, now);
            let receipt = match *decision {
                Decision::New { seq } => {
                    self.last_seq = seq;
                    self.window.push(batch::entry(seq, &append), now.timestamp_micros());
                    Some(Receipt::New { id: append.event.id, seq: Seq(seq) })
                }
                Decision::Duplicate { of, .. } => Some(Receipt::Duplicate { of }),
                Decision::DuplicateInBatch { of } => Some(Receipt::Duplicate { of: ids[of] }),
                Decision::NotTold => None,
            };
            let Append { event, record, prints, outlet, answer, .. } = append;
            if let (Decision::New { seq }, Standing::Pending) = (*decision, record.standing) {
                let event = Some(event);
                pending.push(Pending { seq, lane: prints.lane, outlet, event, progress: None });
            }
            answers.push((answer, receipt));
        }
        let settled: Vec<i64> = batch
            .outcomes
            .iter()
            .filter(|(_, outcome)| outcome.state != State::Pending)
            .map(|(seq, _)| *seq)
            .collect();
        let lanes = &self.shared.lanes;
        if !settled.is_empty() {
            lanes.settled(&settled);
        }
        let spare = lanes.push(pending, self.last_seq, now);
        // Before the answers: a stream that begins after an ACK begins after its event.
        self.shared
            .arrived
            .send_if_modified(|seq| std::mem::replace(seq, self.last_seq) != self.last_seq);
        answer_all(answers, batch.flushed);
        for (request, registered) in batch.requests.into_iter().zip(&commit.expected.requests) {
            request.answer(registered.as_ref());
        }
        drop(spare);
    }

    /// Notes what came of whom.
    fn note(
        &mut self,
        append: &Append,
        decision: Decision,
        of_batch: &[Decision],
        now: DateTime<Utc>,
    ) {
        if append.silence_of.is_some() {
            return;
        }
        let verified = append.event.sender.is_some();
        let mut tally = Tally { verified, ..Tally::default() };
        let original = match decision {
            // Of a silence nothing is noted: see above.
            Decision::New { .. } | Decision::NotTold => None,
            Decision::Duplicate { seq, .. } => Some(seq),
            Decision::DuplicateInBatch { of } => match of_batch[of] {
                Decision::New { seq } | Decision::Duplicate { seq, .. } => Some(seq),
                Decision::DuplicateInBatch { .. } | Decision::NotTold => None,
            },
        };
        if let Some(seq) = original {
            tally.duplicates = 1;
            self.notes.repeat(seq, now);
        } else {
            tally.accepted = 1;
            tally.oddities = append.event.oddities.len() as u64;
        }
        self.notes.tally(&append.seller, tally, now);
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
struct Commit {
    decisions: Vec<Decision>,
    expected: Written,
    packed_to: i64,
    low_water: i64,
}

fn answer_all(answers: Vec<(mailbox::Answer, Option<Receipt>)>, flushed: Vec<oneshot::Sender<()>>) {
    for (answer, receipt) in answers {
        // A caller that has gone needs no answer: the record is kept all the same.
        let _ = answer.send(Ok(receipt));
    }
    for flushed in flushed {
        let _ = flushed.send(());
    }
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
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let result = work().and_then(|value| {
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
