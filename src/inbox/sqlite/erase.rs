//! Erasing a transaction: the writer empties what tells of it, a little at a time.
//!
//! What stays of an event is that there was one: its place, id, action, seller, times, counters,
//! flags, and its fingerprints under the inbox's secret, so that a repetition is still recognised.
//! A body is overwritten by zeros of the same length: rows that shrink would let SQLite move their
//! neighbours, and leave copies of those behind that a later erasing does not find.
//! What was freed before a file came to schema 3 may still hold bytes; `VACUUM` clears it.
//! An event that is not settled is erased once it is; the request stays open until then.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _};

use super::house::ERASING_RESTS;
use super::refusals;
use super::retention::body_bytes;
use super::schema::{Meta, set_meta};
use super::writer::{Writer, in_transaction};
use crate::event::{Flag, Flags};
use crate::inbox::erased::without;
use crate::inbox::outcome::State;
use crate::inbox::refused::{OF_TRANSACTION, in_quotes};
use crate::words::Outside;

/// How many places of the log a step goes through.
const STEP_EVENTS: i64 = 4_096;

/// A step ends when what it empties has so many bytes: appends wait for it.
const STEP_BYTES: i64 = 2 << 20;

/// How many expectations a step lets go of.
const STEP_EXPECTATIONS: usize = 512;

/// How many refusals a step looks into.
const STEP_REFUSALS: i64 = 64;

/// How many polls go by before events are asked for again that were not settled.
const REST_POLLS: u32 = 30;

/// The request that is being worked on.
#[derive(Debug, Default)]
pub(super) struct Erasing {
    transaction_id: Option<String>,
    /// Up to here the log was gone through.
    events_to: i64,
    refusals_to: i64,
    /// Events that were not settled yet.
    pending: BTreeSet<i64>,
    /// Not before this: its events have to be settled first.
    rests_until: Option<Instant>,
    /// The file still holds, in its log, what was emptied.
    pub(super) truncate_due: bool,
}

impl Writer {
    /// Makes a step of what operators want to be erased; returns whether there is more to do now.
    pub(super) fn erase(&mut self, now: DateTime<Utc>) -> rusqlite::Result<bool> {
        if self.erasing.truncate_due {
            self.truncate_log()?;
        }
        if self.erasing.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let asked = requested(self.connection())?;
        let Some(transaction_id) = asked else {
            self.erasing.transaction_id = None;
            return Ok(false);
        };
        if self.erasing.transaction_id.as_ref() != Some(&transaction_id) {
            let truncate_due = self.erasing.truncate_due;
            let transaction_id = Some(transaction_id.clone());
            self.erasing = Erasing { transaction_id, truncate_due, ..Erasing::default() };
        }
        // What was refused before it was asked for may still wait to be written.
        let waiting = self.shared.mailbox.refusals_waiting();
        for _ in 0..waiting.div_ceil(refusals::BATCH) {
            self.write_refusals()?;
        }
        let connection = self.connection.as_ref().expect("it is only away inside `reopen`");
        let (erasing, last_seq) = (&mut self.erasing, self.last_seq);
        let step = in_transaction(connection, || erasing.step(connection, last_seq))?;
        if step == Step::GoesOn {
            return Ok(true);
        }
        self.shared.open().forget_transaction(&transaction_id);
        self.erasing.truncate_due = true;
        if step == Step::Ended {
            self.erasing.transaction_id = None;
            tracing::info!("erased a transaction as an operator asked for");
        } else {
            put_back(self.connection(), &transaction_id, now)?;
            self.erasing.rests_until = Some(Instant::now() + self.options.poll * REST_POLLS);
        }
        self.truncate_log()?;
        Ok(step == Step::Ended)
    }

    /// Leaves erasing alone for a while after a failure. What a step remembered may not be on the
    /// disk, so that the request begins again, after the others.
    pub(super) fn rest_erasing(&mut self, now: DateTime<Utc>) {
        let failed = std::mem::take(&mut self.erasing);
        self.erasing.truncate_due = failed.truncate_due;
        self.erasing.rests_until = Some(Instant::now() + ERASING_RESTS);
        if let Some(id) = failed.transaction_id
            && let Err(error) = put_back(self.connection(), &id, now)
        {
            tracing::debug!(%error, "an erasing that failed keeps its turn");
        }
    }

    /// Writes the log back and cuts it, so that no file holds what was emptied; tried again later
    /// while somebody reads.
    pub(super) fn truncate_log(&mut self) -> rusqlite::Result<()> {
        let connection = self.connection();
        // A reader must not hold up the appends.
        connection.busy_timeout(std::time::Duration::ZERO)?;
        let busy =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        connection.busy_timeout(super::schema::BUSY_TIMEOUT)?;
        if busy? == 0 {
            set_meta(connection, Meta::TruncateDue, 0)?;
            self.erasing.truncate_due = false;
        }
        Ok(())
    }
}

impl Erasing {
    /// Begins with nothing; `truncate_due` says whether the last process left something behind.
    pub(super) fn new(truncate_due: bool) -> Self {
        Self { truncate_due, ..Self::default() }
    }
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is more to go through.
    GoesOn,
    /// All was gone through; events are left that are not settled.
    Waits,
    /// The request is done.
    Ended,
}

impl Erasing {
    /// Makes a step within the caller's transaction. When it fails, what is remembered is worth
    /// nothing: see [`Writer::rest_erasing`].
    fn step(&mut self, connection: &Connection, last_seq: i64) -> rusqlite::Result<Step> {
        let Some(id) = self.transaction_id.clone() else { return Ok(Step::Ended) };
        if self.events_to < last_seq {
            let to = last_seq.min(self.events_to + STEP_EVENTS);
            let of = events(connection, &id, self.events_to, to)?;
            self.events_to = self.erase_settled(connection, of)?.unwrap_or(to);
            return Ok(Step::GoesOn);
        }
        let refusals = refusals_after(connection, self.refusals_to)?;
        if let Some(last) = refusals.last() {
            empty_refusals(connection, &id, self.refusals_to, *last)?;
            self.refusals_to = *last;
            return Ok(Step::GoesOn);
        }
        let mut pending = std::mem::take(&mut self.pending);
        if let Some(reached) = self.erase_settled(connection, pending.iter().copied())? {
            self.pending.append(&mut pending.split_off(&(reached + 1)));
            return Ok(Step::GoesOn);
        }
        if !forget_expectations(connection, &id)? {
            return Ok(Step::GoesOn);
        }
        empty_audit(connection, &id)?;
        set_meta(connection, Meta::TruncateDue, 1)?;
        if !self.pending.is_empty() {
            return Ok(Step::Waits);
        }
        connection.execute("DELETE FROM erase_request WHERE transaction_id = ?1", [&id])?;
        Ok(Step::Ended)
    }

    /// Empties those that are settled; returns the last it came to when there is more than a step
    /// may write.
    fn erase_settled(
        &mut self,
        connection: &Connection,
        seqs: impl IntoIterator<Item = i64>,
    ) -> rusqlite::Result<Option<i64>> {
        let mut bytes = 0;
        for seq in seqs {
            if !is_settled(connection, seq)? {
                self.pending.insert(seq);
                continue;
            }
            bytes += body_bytes(connection, seq)?;
            empty_event(connection, seq)?;
            if bytes >= STEP_BYTES {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }
}

fn requested(connection: &Connection) -> rusqlite::Result<Option<String>> {
    // The oldest first would let one that waits for its events hold up all others.
    connection
        .prepare_cached(
            "SELECT transaction_id FROM erase_request ORDER BY looked_at, requested_at LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()
}

fn events(
    connection: &Connection,
    transaction_id: &str,
    after: i64,
    to: i64,
) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT seq FROM event WHERE seq > ?1 AND seq <= ?2 AND transaction_id = ?3",
        )?
        .query_map((after, to, transaction_id), |row| row.get(0))?
        .collect()
}

/// Returns whether nothing will be handed over of an event; one that is gone is settled.
fn is_settled(connection: &Connection, seq: i64) -> rusqlite::Result<bool> {
    let found: Option<(i64, Option<i64>, bool)> = connection
        .prepare_cached(
            "SELECT e.standing, d.state, r.seq IS NOT NULL FROM event e
             LEFT JOIN delivery d USING (seq) LEFT JOIN replay_request r USING (seq)
             WHERE e.seq = ?1",
        )?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let pending = State::Pending.number();
    Ok(found.is_none_or(|(standing, state, replay)| {
        !replay && state.map_or(standing == 1, |state| state != pending)
    }))
}

fn empty_event(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    let mut erased = Flags::default();
    erased.insert(Flag::Erased);
    connection
        .prepare_cached(
            "UPDATE event SET transaction_id = NULL, message_id = NULL, order_id = NULL,
             state = NULL, warnings = NULL, flags = flags | ?2 WHERE seq = ?1",
        )?
        .execute((seq, erased.bits()))?;
    for statement in [
        "UPDATE body SET body = zeroblob(length(body)) WHERE seq = ?1",
        "UPDATE delivery SET error = NULL, states = NULL WHERE seq = ?1",
        "UPDATE attempt SET error = '' WHERE seq = ?1",
        "DELETE FROM expectation WHERE met_seq = ?1 OR silent_seq = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([seq])?;
    }
    Ok(())
}

/// Returns the next refusals, as many as a step may write.
fn refusals_after(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, length(body) FROM refusal WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query((seq, STEP_REFUSALS))?;
    let (mut refusals, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()?
        && bytes < STEP_BYTES
    {
        refusals.push(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    Ok(refusals)
}

fn empty_refusals(
    connection: &Connection,
    transaction_id: &str,
    after: i64,
    to: i64,
) -> rusqlite::Result<()> {
    let [raw, escaped] = in_quotes(transaction_id);
    connection
        .prepare_cached(&format!(
            "UPDATE refusal SET body = zeroblob(length(body)), path = '', message = '',
             transaction_id = NULL WHERE {OF_TRANSACTION} AND seq > ?4 AND seq <= ?5"
        ))?
        .execute((transaction_id, raw.as_bytes(), escaped.as_bytes(), after, to))?;
    Ok(())
}

/// Lets go of a step's worth of expectations; returns whether there are no more.
fn forget_expectations(connection: &Connection, transaction_id: &str) -> rusqlite::Result<bool> {
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM expectation WHERE seq IN
             (SELECT seq FROM expectation WHERE transaction_id = ?1 LIMIT ?2)",
        )?
        .execute((transaction_id, STEP_EXPECTATIONS))?;
    Ok(forgotten < STEP_EXPECTATIONS)
}

/// Empties the lines of the audit that name the transaction as what was filtered by.
fn empty_audit(connection: &Connection, transaction_id: &str) -> rusqlite::Result<()> {
    let name = format!("transaction={}", Outside(transaction_id));
    let lines: Vec<(i64, String)> = connection
        .prepare_cached("SELECT seq, target FROM audit WHERE instr(target, ?1) > 0")?
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (seq, target) in lines {
        let Some(kept) = without(&target, &name) else { continue };
        connection
            .prepare_cached("UPDATE audit SET target = ?2 WHERE seq = ?1")?
            .execute((seq, kept))?;
    }
    Ok(())
}

/// Notes that a request waits for its events, so that others come before it.
pub(super) fn put_back(
    connection: &Connection,
    transaction_id: &str,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE erase_request SET looked_at = ?2 WHERE transaction_id = ?1",
        (transaction_id, now.timestamp_micros()),
    )?;
    Ok(())
}
