//! Retention: settled events leave by age and by size, in small steps between the batches.
//!
//! What is expected is kept beside the log, within a bound of its own, and takes no room from it.
//! A pass walks the log from its oldest row on. Unsettled events never leave.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;

use super::Options;
use super::outcome::State;
use super::schema::{Meta, set_meta};

/// How many rows a step looks at: at most a few milliseconds.
const STEP_ROWS: i64 = 512;

/// A step ends when what it lets go of has so many bytes: letting go overwrites it, and appends
/// wait for that.
const STEP_BYTES: i64 = 2 << 20;

/// How many free pages a step gives back to the file system: 2 MiB.
const STEP_PAGES: i64 = 64;

/// Where the pass is.
#[derive(Debug, Default)]
pub(super) struct Retention {
    cursor: i64,
    /// When the last pass ended; the next begins a minute later.
    ended_at: Option<DateTime<Utc>>,
    /// The oldest event of the duplicate window when the pass began.
    window_from: i64,
    /// What is kept beside the log.
    beside: i64,
    /// Whether this pass has said that the window is cut short.
    warned: bool,
}

/// What a step finds of an event.
struct Row {
    seq: i64,
    received_at: i64,
    /// `None`: never settled.
    settled: Option<State>,
}

impl Retention {
    /// Returns whether a pass is under way or the next is to begin.
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none_or(|at| now >= at + TimeDelta::minutes(1))
    }

    /// Returns whether the next step is the first of a pass.
    pub(super) const fn is_at_start(&self) -> bool {
        self.cursor == 0
    }

    /// Begins a pass; `window_from` is the oldest event of the duplicate window, `beside` is how
    /// many bytes of the file are not the log's.
    pub(super) const fn begin(&mut self, window_from: i64, beside: i64) {
        self.beside = beside;
        self.window_from = window_from;
        self.warned = false;
    }

    /// Makes one step; returns whether the pass goes on.
    pub(super) fn step(
        &mut self,
        connection: &Connection,
        options: &Options,
        now: DateTime<Utc>,
        last_seq: i64,
    ) -> rusqlite::Result<bool> {
        let rows = rows_after(connection, self.cursor)?;
        let mut excess = excess_bytes(connection, options)? - self.beside;
        let before = |days: u32| (now - TimeDelta::days(i64::from(days))).timestamp_micros();
        let (aged, dead_aged) = (before(options.retention_days), before(options.dead_letter_days));
        let mut leaving = Vec::new();
        let (mut leaving_bytes, mut reached) = (0, None);
        let mut cuts_window = false;
        let mut pass_ends = rows.len() < usize::try_from(STEP_ROWS).unwrap_or(usize::MAX);
        for row in &rows {
            if excess <= 0 && row.received_at >= aged.max(dead_aged) {
                pass_ends = true;
                break;
            }
            let leaves = match row.settled {
                None | Some(State::Pending) => false,
                Some(State::Done) => excess > 0 || row.received_at < aged,
                Some(State::Dead) => row.received_at < dead_aged,
            };
            if leaves {
                leaving.push(row.seq);
                cuts_window |= row.seq >= self.window_from && row.received_at >= aged;
                let bytes = body_bytes(connection, row.seq)?;
                excess -= bytes;
                leaving_bytes += bytes;
            }
            if leaving_bytes >= STEP_BYTES {
                (reached, pass_ends) = (Some(row.seq), false);
                break;
            }
        }
        delete(connection, &leaving, last_seq)?;
        if cuts_window && !self.warned {
            self.warned = true;
            tracing::warn!(
                "the log is larger than `inbox.retention_bytes`: events of the duplicate window \
                 left it, and repetitions of them are delivered again"
            );
        }
        give_back(connection)?;
        self.cursor = reached.or(rows.last().map(|row| row.seq)).unwrap_or(0);
        if pass_ends {
            self.cursor = 0;
            self.ended_at = Some(now);
        }
        Ok(!pass_ends)
    }
}

fn rows_after(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<Row>> {
    connection
        .prepare_cached(
            "SELECT e.seq, e.received_at, e.standing, d.state FROM event e
             LEFT JOIN delivery d USING (seq) WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
        )?
        .query_map((seq, STEP_ROWS), |row| {
            let rejected = row.get::<_, i64>(2)? == 1;
            let settled = match row.get::<_, Option<i64>>(3)? {
                // A rejected event was never to be delivered: it leaves as a done one does.
                None => rejected.then_some(State::Done),
                Some(number) => [State::Pending, State::Done, State::Dead]
                    .into_iter()
                    .find(|state| state.number() == number),
            };
            Ok(Row { seq: row.get(0)?, received_at: row.get(1)?, settled })
        })?
        .collect()
}

/// Returns by how much the used pages exceed the room.
fn excess_bytes(connection: &Connection, options: &Options) -> rusqlite::Result<i64> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = (number("page_count")? - number("freelist_count")?) * number("page_size")?;
    Ok(used.saturating_sub(i64::try_from(options.retention_bytes).unwrap_or(i64::MAX)))
}

/// Returns what the body of an event takes, with what goes with it.
pub(super) fn body_bytes(connection: &Connection, seq: i64) -> rusqlite::Result<i64> {
    // Only the length in the row's header is read.
    connection
        .prepare_cached("SELECT coalesce(sum(length(body)), 0) + 512 FROM body WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
}

fn delete(connection: &Connection, seqs: &[i64], last_seq: i64) -> rusqlite::Result<()> {
    if seqs.is_empty() {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    // The log's end may leave: its seq is not given again.
    set_meta(&transaction, Meta::LastSeq, last_seq)?;
    for seq in seqs {
        for statement in [
            "DELETE FROM body WHERE seq = ?1",
            "DELETE FROM event WHERE seq = ?1",
            "DELETE FROM delivery WHERE seq = ?1",
            "DELETE FROM replay_request WHERE seq = ?1",
            "DELETE FROM attempt WHERE seq = ?1",
            "DELETE FROM repetition WHERE seq = ?1",
        ] {
            transaction.prepare_cached(statement)?.execute([seq])?;
        }
    }
    transaction.commit()?;
    tracing::debug!(events = seqs.len(), "let go of events whose time is over");
    Ok(())
}

/// Gives a bounded number of free pages back to the file system.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    if free > 0 {
        // It frees one page a step of its statement, and has no rows.
        connection.execute_batch(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{Options, Retention};
    use crate::inbox::sqlite::schema;

    #[test]
    fn a_step_ends_by_the_bytes_that_leave() {
        let directory = tempfile::tempdir().unwrap();
        let file = schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        for seq in 1..=5 {
            file.execute("INSERT INTO body VALUES (?1, zeroblob(1048576))", [seq]).unwrap();
            file.execute(
                "INSERT INTO event SELECT ?1, x'', 'on_status', 's', 0, NULL, NULL, NULL, NULL, NULL,
                 0, 0, NULL, NULL, NULL, NULL, NULL, x'', NULL, x'', 7, 1, NULL",
                [seq],
            )
            .unwrap();
        }
        let kept = || -> i64 {
            file.query_row("SELECT count(*) FROM body", [], |row| row.get(0)).unwrap()
        };
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let (mut retention, options) = (Retention::default(), Options::new(directory.path()));
        let mut step = || retention.step(&file, &options, now, 5).unwrap();
        assert_eq!((step(), kept()), (true, 3));
        assert_eq!((step(), kept()), (true, 1));
        assert_eq!((step(), kept()), (false, 0));
    }
}
