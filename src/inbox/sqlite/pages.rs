//! Reading back: pages of what is pending, and events that the tail does not hold.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row};

use super::lanes::Pending;
use super::open_error::OpenError;
use super::schema;
use crate::event::{Flag, Flags, OrderEvent};
use crate::inbox::outcome::Progress;
use crate::inbox::stored::{Stored, Unreadable, address, time};
use crate::inbox::{Outlet, Outlets, StatesAtRest};
use crate::words::Chain;

/// How many pending events the loader takes at once.
pub(super) const PAGE_EVENTS: i64 = 4096;

/// Why an event could not be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The file could not be read now; later it may.
    #[error("the event could not be read now")]
    Now(#[source] rusqlite::Error),
    /// The file could not be opened.
    #[error("the inbox could not be opened for reading")]
    Open(#[source] OpenError),
    /// The file is damaged where the event lies.
    #[error("the event is damaged on the disk")]
    Damaged(#[source] rusqlite::Error),
    /// There is no such event.
    #[error("the event is not on the disk any more")]
    Gone,
    /// What is there is no event any more.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A bug of ours: the panic's text is printed, and may hold a part of the body.
    #[error("reading the event back panicked")]
    Panicked,
}

impl ReadError {
    /// Returns whether no later try can succeed.
    pub(super) const fn is_permanent(&self) -> bool {
        match self {
            ReadError::Now(_) | ReadError::Open(_) => false,
            ReadError::Damaged(_)
            | ReadError::Gone
            | ReadError::Unreadable(_)
            | ReadError::Panicked => true,
        }
    }

    fn of(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // Not an error of SQLite: a column has a type that we never wrote.
            None
            | Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                ReadError::Damaged(error)
            }
            Some(_) => ReadError::Now(error),
        }
    }
}

/// A connection for reading, opened when it is first needed; blocking.
#[derive(Debug)]
pub(super) struct Pages {
    path: PathBuf,
    outlets: Outlets,
    connection: Mutex<Option<Connection>>,
}

impl Pages {
    /// Returns the pages of the file at `path`.
    pub(super) fn new(path: PathBuf, outlets: Outlets) -> Self {
        Self { path, outlets, connection: Mutex::new(None) }
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(schema::open_reader(&self.path).map_err(ReadError::Open)?);
        }
        let connection = slot.as_ref().expect("it was opened above");
        let result = read(connection);
        // After an error the next read starts with a new connection.
        if matches!(result, Err(ReadError::Now(_) | ReadError::Damaged(_))) {
            *slot = None;
        }
        result
    }

    /// Closes the connection; the next read opens it again.
    pub(super) fn close(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads the event at `seq` and parses it.
    pub(super) fn event(&self, seq: i64) -> Result<Box<OrderEvent>, ReadError> {
        self.with(|connection| read_event(connection, seq))
    }

    /// Reads what is pending after `seq`; also returns how far the page reaches.
    pub(super) fn pending_after(&self, seq: i64) -> Result<(Vec<Pending>, i64), ReadError> {
        let outlets = &self.outlets;
        self.with(|connection| pending_after(connection, outlets, seq).map_err(ReadError::Now))
    }

    /// Reads what was found out about the newest events, the newest first.
    pub(super) fn states(&self, limit: usize) -> Result<Vec<StatesAtRest>, ReadError> {
        self.with(|connection| states(connection, limit).map_err(ReadError::Now))
    }

    /// Reads the replays below `low_water` that are not settled.
    pub(super) fn open_replays(&self, low_water: i64) -> Result<Vec<Pending>, ReadError> {
        let outlets = &self.outlets;
        self.with(|connection| open_replays(connection, outlets, low_water).map_err(ReadError::Now))
    }
}

const READ_EVENT: &str = "SELECT id, action, seller, verified, received_at,
     event.flags | coalesce(delivery.flags, 0), warnings, body
     FROM event JOIN body USING (seq) LEFT JOIN delivery USING (seq) WHERE seq = ?1";

fn read_event(connection: &Connection, seq: i64) -> Result<Box<OrderEvent>, ReadError> {
    let stored = connection
        .prepare_cached(READ_EVENT)
        .and_then(|mut statement| statement.query_row([seq], stored).optional())
        .map_err(ReadError::of)?
        .ok_or(ReadError::Gone)?;
    let mut event = stored.parse()?;
    event.seq = seq.unsigned_abs();
    Ok(event)
}

/// Reads an event for who can go on without it; `None` when no later try can succeed.
pub(in crate::inbox) fn read_if_whole(
    connection: &Connection,
    seq: i64,
) -> rusqlite::Result<Option<Box<OrderEvent>>> {
    match read_event(connection, seq) {
        Ok(event) => Ok(Some(event)),
        Err(ReadError::Now(error)) => Err(error),
        // It has no body any more, as an operator wanted it.
        Err(_unreadable) if is_erased(connection, seq)? => Ok(None),
        Err(error) => {
            tracing::warn!(seq, error = %Chain(&error), "left an event out that cannot be read");
            Ok(None)
        }
    }
}

fn is_erased(connection: &Connection, seq: i64) -> rusqlite::Result<bool> {
    let flags = connection
        .prepare_cached("SELECT flags FROM event WHERE seq = ?1")?
        .query_row([seq], |row| row.get::<_, u32>(0))
        .optional()?;
    Ok(flags.is_some_and(|flags| Flags::from_bits(flags).contains(Flag::Erased)))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        action: row.get(1)?,
        seller: row.get(2)?,
        verified: row.get(3)?,
        received_at: row.get(4)?,
        flags: row.get(5)?,
        warnings: row.get(6)?,
        body: row.get(7)?,
    })
}

/// Reads what is pending after `seq`; also returns how far the page reaches.
pub(super) fn pending_after(
    connection: &Connection,
    outlets: &Outlets,
    seq: i64,
) -> rusqlite::Result<(Vec<Pending>, i64)> {
    // One snapshot for both questions: the end of the log and the page.
    let snapshot = connection.unchecked_transaction()?;
    let log_end: i64 = snapshot
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?
        .query_row([], |row| row.get(0))?;
    let page = snapshot
        .prepare_cached(
            "SELECT e.seq, e.lane, d.replay, d.attempts, d.first_attempt_at, d.next_at, d.marks,
             e.action, e.domain, e.bap_id, e.seller
             FROM event e LEFT JOIN delivery d USING (seq)
             WHERE e.seq > ?1 AND (d.state = 0 OR (d.seq IS NULL AND e.standing = 0))
             ORDER BY e.seq LIMIT ?2",
        )?
        .query_map((seq, PAGE_EVENTS), |row| read_pending(row, outlets))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let whole = i64::try_from(page.len()).is_ok_and(|count| count < PAGE_EVENTS);
    let scanned_to = if whole { log_end } else { page.last().map_or(log_end, |last| last.seq) };
    Ok((page, scanned_to))
}

fn open_replays(
    connection: &Connection,
    outlets: &Outlets,
    low_water: i64,
) -> rusqlite::Result<Vec<Pending>> {
    connection
        .prepare_cached(
            "SELECT e.seq, e.lane, d.replay, d.attempts, d.first_attempt_at, d.next_at, d.marks,
             e.action, e.domain, e.bap_id, e.seller
             FROM open_replay r JOIN event e USING (seq) JOIN delivery d USING (seq)
             WHERE r.seq < ?1 AND d.state = 0 ORDER BY r.seq",
        )?
        .query_map([low_water], |row| read_pending(row, outlets))?
        .collect()
}

/// How far back the states of orders are looked for: some 100 ms.
const STATES_REACH: i64 = 262_144;

fn states(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<StatesAtRest>> {
    connection
        .prepare(
            "SELECT e.lane, d.flags, d.states FROM delivery d JOIN event e USING (seq)
             WHERE d.seq > (SELECT max(seq) FROM event) - ?2 AND d.states IS NOT NULL
             ORDER BY d.seq DESC LIMIT ?1",
        )?
        .query_map((limit, STATES_REACH), |row| {
            Ok(StatesAtRest {
                lane: row.get::<_, i64>(0)?.cast_unsigned(),
                out_of_order: Flags::from_bits(row.get(1)?).contains(Flag::OutOfOrder),
                states: row.get(2)?,
            })
        })?
        .collect()
}

/// Returns where the event of a row goes, whose columns from `first` on are action, domain, `bap_id`
/// and seller.
pub(super) fn outlet(row: &Row<'_>, first: usize, outlets: &Outlets) -> rusqlite::Result<Outlet> {
    // What is no text was not written by us: such an event goes where no route leads.
    let text = |column: usize| -> rusqlite::Result<Option<&str>> {
        Ok(row.get_ref(first + column)?.as_str_or_null().unwrap_or(None))
    };
    let address =
        address(text(0)?.unwrap_or_default(), text(1)?, text(2)?, text(3)?.unwrap_or_default());
    Ok(outlets.of(&address))
}

fn read_pending(row: &Row<'_>, outlets: &Outlets) -> rusqlite::Result<Pending> {
    let at = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(time));
    let progress = match row.get::<_, Option<u32>>(2)? {
        None => None,
        Some(replay) => Some(Progress {
            replay,
            attempts: row.get(3)?,
            first_attempt_at: at(4)?,
            next_at: at(5)?,
            marks: row.get(6)?,
            innocent: false,
        }),
    };
    Ok(Pending {
        seq: row.get(0)?,
        lane: row.get::<_, i64>(1)?.cast_unsigned(),
        outlet: outlet(row, 7, outlets)?,
        event: None,
        progress,
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::{READ_EVENT, ReadError, read_event, schema};

    #[test]
    fn the_statement_that_reads_an_event_back_is_planned_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(schema::FILE);
        let _writer = schema::open_writer(&file).unwrap();
        let reader = schema::open_reader(&file).unwrap();
        for seq in [1, 2, 3] {
            assert!(matches!(read_event(&reader, seq), Err(ReadError::Gone)));
        }
        let statement = reader.prepare_cached(READ_EVENT).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
