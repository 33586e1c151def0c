//! What the commands read of an inbox, beside the process that has it open or without one.
//!
//! Reading never waits for the writer nor stops it. There is no index on what the filters name:
//! a list walks the narrow rows from the newest on, see [`selection`].

pub(crate) mod arrivals;
pub(crate) mod audit;
#[cfg(any(feature = "cli", test))]
pub(crate) mod backup;
#[cfg(feature = "cli")]
pub(crate) mod disk;
pub(crate) mod erasures;
pub(crate) mod expectations;
pub(crate) mod handlers;
pub(crate) mod refusals;
pub(crate) mod replays;
pub(crate) mod selection;
pub(crate) mod sellers;
pub(crate) mod whole;

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use self::selection::{Bounds, Filter, Order};
use crate::event::{EventId, Flag, Flags};
use crate::inbox::outcome::State;
use crate::inbox::sqlite::open_error::OpenError;
use crate::inbox::sqlite::schema::{self, Meta};
use crate::inbox::stored::{time, warnings_from_rest};
use crate::words::Violation;

/// Why an inbox could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is none.
    #[error("there is no inbox in {} (inbox.path)", directory.display())]
    Missing {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The directory cannot be looked into.
    #[error("the directory {} (inbox.path) cannot be read", directory.display())]
    Unreachable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It could not be opened.
    #[error("the inbox cannot be opened")]
    Open(#[source] OpenError),
    /// It could not be read.
    #[error("the inbox cannot be read")]
    Read(#[source] rusqlite::Error),
    /// The request could not be written.
    #[error("the request cannot be written to the inbox")]
    Request(#[source] rusqlite::Error),
}

/// How far an event is, as commands say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is with the handler, or waits for it.
    Pending,
    /// The handler has taken it.
    Done,
    /// It was given up.
    Dead,
    /// It was refused by a rule and `ACKed` all the same.
    Rejected,
}

impl Progress {
    /// Every progress.
    pub(crate) const ALL: [Progress; 4] =
        [Progress::Pending, Progress::Done, Progress::Dead, Progress::Rejected];

    /// Returns the word that commands take and print.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Progress::Pending => "pending",
            Progress::Done => "done",
            Progress::Dead => "dead",
            Progress::Rejected => "rejected",
        }
    }
}

/// An event without its body.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    /// The event's id.
    pub(crate) id: EventId,
    /// Its place in the log.
    pub(crate) seq: i64,
    /// The action's name.
    pub(crate) action: String,
    /// The verified subscriber, or `unverified:` and the `bpp_id`.
    pub(crate) seller: String,
    /// Whether that subscriber's signature was verified.
    pub(crate) verified: bool,
    /// The domain.
    pub(crate) domain: Option<String>,
    /// The buyer app.
    pub(crate) bap_id: Option<String>,
    /// The transaction's id.
    pub(crate) transaction_id: Option<String>,
    /// The message's id.
    pub(crate) message_id: Option<String>,
    /// The order's id.
    pub(crate) order_id: Option<String>,
    /// What the payload said of the state.
    pub(crate) state: Option<String>,
    /// How often it came again.
    pub(crate) duplicates: u64,
    /// When it came again for the last time.
    pub(crate) last_duplicate_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub(crate) received_at: DateTime<Utc>,
    /// What else is to be known.
    pub(crate) flags: Flags,
    /// How many rules it breaks that only warn.
    pub(crate) warnings: usize,
    /// How far it is.
    pub(crate) progress: Progress,
    /// The round: 0 for the arrival.
    pub(crate) replay: u32,
    /// The attempts of this round that have ended.
    pub(crate) attempts: u32,
    /// When this round's first attempt began, if one has ended.
    pub(crate) first_attempt_at: Option<DateTime<Utc>>,
    /// When the next attempt is due.
    pub(crate) next_at: Option<DateTime<Utc>>,
    /// When this round was settled.
    pub(crate) settled_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
}

/// An event with its body.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// What a list shows of it.
    pub(crate) summary: Summary,
    /// Rules that it breaks and that only warn.
    pub(crate) warnings: Vec<Violation>,
    /// The body as it came.
    pub(crate) body: Bytes,
    /// Whether a replay is requested that no process has taken up yet.
    pub(crate) replay_requested: bool,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// The round: 0 for the arrival.
    pub(crate) replay: u32,
    /// Which of the round, from 1.
    pub(crate) attempt: u32,
    /// When it ended.
    pub(crate) ended_at: DateTime<Utc>,
    /// Why.
    pub(crate) error: String,
}

/// How many events there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Not settled.
    pub(crate) pending: u64,
    /// Taken by the handler.
    pub(crate) done: u64,
    /// Given up.
    pub(crate) dead: u64,
    /// Kept and not delivered.
    pub(crate) rejected: u64,
    /// Callbacks refused since the inbox was made, as far as they are written.
    pub(crate) refused: u64,
}

/// Where the parts of `PROGRESS` come from.
const FROM: &str = "FROM event e LEFT JOIN delivery d USING (seq)
     LEFT JOIN repetition p USING (seq)";

/// The place of an event's progress in [`Progress::ALL`].
const PROGRESS: &str = "CASE WHEN d.state IS NOT NULL THEN d.state
     WHEN e.standing = 1 THEN 3 ELSE 0 END";

const COLUMNS: &str = "e.id, e.seq, e.action, e.seller, e.transaction_id, e.message_id,
     e.order_id, e.state, e.received_at, e.flags | coalesce(d.flags, 0), d.replay, d.attempts, d.first_attempt_at,
     d.next_at, d.settled_at, d.error, coalesce(json_array_length(e.warnings), 0), e.verified,
     e.domain, e.bap_id, coalesce(p.times, 0), p.last_at";

/// How many columns [`COLUMNS`] and [`PROGRESS`] are together.
const SUMMARY_COLUMNS: usize = 23;

/// An inbox, open for reading.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the inbox in `directory`.
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        let file = existing(directory)?;
        let connection = schema::open_reader(&file).map_err(Error::Open)?;
        Ok(Self { connection })
    }

    /// Returns at most `limit` events that match, newest first.
    #[cfg(test)]
    pub(crate) fn events(&self, filter: &Filter, limit: usize) -> Result<Vec<Summary>, Error> {
        let read = || {
            let snapshot = self.connection.unchecked_transaction()?;
            let seqs = selection::seqs(&snapshot, filter, Order::NewestFirst, limit)?;
            summaries(&snapshot, seqs)
        };
        read().map_err(Error::Read)
    }

    /// Counts the events that match.
    pub(crate) fn count(&self, filter: &Filter) -> Result<u64, Error> {
        let mut count = 0;
        let counted = selection::walk(&self.connection, filter, Order::NewestFirst, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        counted.map(|()| count).map_err(Error::Read)
    }

    /// Returns the places in the log of the events that match, oldest first: 8 bytes each, where a
    /// list takes several hundred.
    pub(crate) fn seqs(&self, filter: &Filter) -> Result<Vec<i64>, Error> {
        let seqs = selection::seqs(&self.connection, filter, Order::OldestFirst, usize::MAX);
        seqs.map_err(Error::Read)
    }

    /// Returns at most `limit` dead letters, newest first.
    #[cfg(test)]
    pub(crate) fn dead_letters(&self, limit: usize) -> Result<Vec<Summary>, Error> {
        let filter = Filter { progress: Some(Progress::Dead), ..Filter::default() };
        self.events(&filter, limit)
    }

    /// Returns a page of the events that match.
    pub(crate) fn page(
        &self,
        filter: &Filter,
        bounds: Bounds,
    ) -> Result<(Vec<Summary>, Option<i64>), Error> {
        let read = || {
            let snapshot = self.connection.unchecked_transaction()?;
            let page = selection::page(&snapshot, filter, bounds)?;
            Ok((summaries(&snapshot, page.seqs)?, page.goes_on))
        };
        read().map_err(Error::Read)
    }

    /// Returns the places of a page of the events that match.
    pub(crate) fn places(
        &self,
        filter: &Filter,
        bounds: Bounds,
    ) -> Result<(Vec<i64>, Option<i64>), Error> {
        let page = selection::page(&self.connection, filter, bounds).map_err(Error::Read)?;
        Ok((page.seqs, page.goes_on))
    }

    /// Returns the event with this id.
    pub(crate) fn event(&self, id: EventId) -> Result<Option<Detail>, Error> {
        let read = || {
            let snapshot = self.connection.unchecked_transaction()?;
            let Some(seq) = place_of(&snapshot, id)? else { return Ok(None) };
            detail_at(&snapshot, seq)
        };
        read().map_err(Error::Read)
    }

    /// Returns the event at this place of the log.
    pub(crate) fn event_at(&self, seq: i64) -> Result<Option<Detail>, Error> {
        detail_at(&self.connection, seq).map_err(Error::Read)
    }

    /// Returns the attempts of an event that failed, the oldest first.
    pub(crate) fn failed_attempts(&self, seq: i64) -> Result<Vec<FailedAttempt>, Error> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT replay, attempt, ended_at, error FROM attempt WHERE seq = ?1
                     ORDER BY replay, attempt",
                )?
                .query_map([seq], |row| {
                    Ok(FailedAttempt {
                        replay: row.get(0)?,
                        attempt: row.get(1)?,
                        ended_at: time(row.get(2)?),
                        error: row.get(3)?,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(Error::Read)
    }

    /// Returns the place of the event with this id.
    pub(crate) fn place(&self, id: EventId) -> Result<Option<i64>, Error> {
        place_of(&self.connection, id).map_err(Error::Read)
    }

    /// Returns the place of the newest event, 0 without one.
    pub(crate) fn last_seq(&self) -> Result<i64, Error> {
        self.connection
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
            .map_err(Error::Read)
    }

    /// Returns when the oldest event was accepted whose first round is not settled.
    pub(crate) fn oldest_pending(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let read = || {
            let low_water = schema::meta(&self.connection, Meta::LowWater)?;
            self.connection
                .prepare_cached(
                    "SELECT e.received_at FROM event e LEFT JOIN delivery d USING (seq)
                     WHERE e.seq >= ?1 AND e.standing = 0 AND coalesce(d.state, 0) = 0
                     ORDER BY e.seq LIMIT 1",
                )?
                .query_row([low_water], |row| row.get(0).map(time))
                .optional()
        };
        read().map_err(Error::Read)
    }

    /// Counts the events that were given up.
    pub(crate) fn dead(&self) -> Result<u64, Error> {
        self.connection
            .prepare_cached("SELECT count(*) FROM delivery WHERE state = ?1")
            .and_then(|mut count| count.query_row([State::Dead.number()], |row| row.get(0)))
            .map_err(Error::Read)
    }

    /// Counts what there is.
    pub(crate) fn totals(&self) -> Result<Totals, Error> {
        let read = || {
            // One snapshot for all: an event that is settled in between would be counted twice.
            let snapshot = self.connection.unchecked_transaction()?;
            let (deliveries, done, dead) = snapshot.query_row(
                "SELECT count(*), count(*) FILTER (WHERE state = ?1),
                 count(*) FILTER (WHERE state = ?2) FROM delivery",
                [State::Done.number(), State::Dead.number()],
                |row| Ok((row.get::<_, u64>(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let (events, rejected) = snapshot.query_row(
                "SELECT count(*), count(*) FILTER (WHERE standing = 1
                 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.seq = e.seq)) FROM event e",
                [],
                |row| Ok((row.get::<_, u64>(0)?, row.get(1)?)),
            )?;
            let refused = snapshot.query_row(
                "SELECT coalesce(sum(refused), 0) FROM refusal_count",
                [],
                |row| row.get(0),
            )?;
            // Each row of `delivery` belongs to an event, so the rest needs no join.
            let untouched = events.saturating_sub(deliveries + rejected);
            Ok(Totals {
                pending: deliveries - done - dead + untouched,
                done,
                dead,
                rejected,
                refused,
            })
        };
        read().map_err(Error::Read)
    }
}

fn existing(directory: &Path) -> Result<std::path::PathBuf, Error> {
    let file = directory.join(schema::FILE);
    match file.try_exists() {
        Ok(true) => Ok(file),
        Ok(false) => Err(Error::Missing { directory: directory.to_owned() }),
        Err(source) => Err(Error::Unreachable { directory: directory.to_owned(), source }),
    }
}

fn summaries(connection: &Connection, seqs: Vec<i64>) -> rusqlite::Result<Vec<Summary>> {
    // What follows event for event, as it does in a list that leaves nothing out, is read in one.
    if let (Some(first), Some(last)) = (seqs.first(), seqs.last())
        && first.abs_diff(*last) + 1 == seqs.len() as u64
    {
        let direction = if first <= last { "ASC" } else { "DESC" };
        return connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, {PROGRESS} {FROM} WHERE e.seq BETWEEN ?1 AND ?2
                 ORDER BY e.seq {direction}"
            ))?
            .query_map([first.min(last), first.max(last)], summary)?
            .collect();
    }
    let mut one = connection
        .prepare_cached(&format!("SELECT {COLUMNS}, {PROGRESS} {FROM} WHERE e.seq = ?1"))?;
    seqs.into_iter().map(|seq| one.query_row([seq], summary)).collect()
}

fn detail_at(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Detail>> {
    let sql = format!(
        "SELECT {COLUMNS}, {PROGRESS}, e.warnings, b.body, r.seq IS NOT NULL
         {FROM} JOIN body b USING (seq) LEFT JOIN replay_request r USING (seq) WHERE e.seq = ?1"
    );
    let warnings = SUMMARY_COLUMNS;
    let detail = |row: &Row<'_>| {
        let summary = summary(row)?;
        // What is left of an erased one are zeros.
        let is_erased = summary.flags.contains(Flag::Erased);
        let body = if is_erased { Vec::new() } else { row.get(warnings + 1)? };
        Ok(Detail {
            summary,
            warnings: warnings_from_rest(row.get::<_, Option<String>>(warnings)?.as_deref()),
            body: Bytes::from(body),
            replay_requested: row.get(warnings + 2)?,
        })
    };
    connection.prepare_cached(&sql)?.query_row([seq], detail).optional()
}

/// Finds an event by its id without an index on it: ids are given in the order of the log, so the
/// place is halved in on. Where the clock was set back they are not in order, and all are read.
fn place_of(connection: &Connection, id: EventId) -> rusqlite::Result<Option<i64>> {
    let wanted = id.uuid().into_bytes();
    let mut next = connection
        .prepare_cached("SELECT seq, id FROM event WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let (mut low, mut high): (i64, i64) = connection.query_row(
        "SELECT coalesce((SELECT min(seq) FROM event), 1), coalesce((SELECT max(seq) FROM event), 0)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    while low <= high {
        let middle = low + (high - low) / 2;
        let (seq, found): (i64, [u8; 16]) =
            next.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
        match found.cmp(&wanted) {
            Ordering::Equal => return Ok(Some(seq)),
            Ordering::Less => low = seq + 1,
            Ordering::Greater => high = middle - 1,
        }
    }
    connection
        .prepare_cached("SELECT seq FROM event WHERE id = ?1")?
        .query_row([wanted], |row| row.get(0))
        .optional()
}

fn progress(row: &Row<'_>, column: usize) -> rusqlite::Result<Progress> {
    let place: usize = row.get(column)?;
    Progress::ALL
        .get(place)
        .copied()
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, place.cast_signed() as i64))
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let at = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(time));
    Ok(Summary {
        id: EventId::new(Uuid::from_bytes(row.get(0)?)),
        seq: row.get(1)?,
        action: row.get(2)?,
        seller: row.get(3)?,
        transaction_id: row.get(4)?,
        message_id: row.get(5)?,
        order_id: row.get(6)?,
        state: row.get(7)?,
        received_at: time(row.get(8)?),
        flags: Flags::from_bits(row.get(9)?),
        replay: row.get::<_, Option<u32>>(10)?.unwrap_or(0),
        attempts: row.get::<_, Option<u32>>(11)?.unwrap_or(0),
        first_attempt_at: at(12)?,
        next_at: at(13)?,
        settled_at: at(14)?,
        error: row.get(15)?,
        warnings: row.get(16)?,
        verified: row.get(17)?,
        domain: row.get(18)?,
        bap_id: row.get(19)?,
        duplicates: row.get(20)?,
        last_duplicate_at: at(21)?,
        progress: progress(row, SUMMARY_COLUMNS - 1)?,
    })
}
