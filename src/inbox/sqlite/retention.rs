//! Retention: settled events leave by age and by size, a little at a time.
//!
//! A pass walks the log from its oldest row on, once a minute; unsettled events never leave. Where
//! the log outgrows its room in between, the pass goes on from where it stands. While callbacks
//! come, the commits take along more than they bring: the pages that become free are filled again
//! in the same commit, and no pass is felt by those who wait. Else it goes in steps of its own.
//! What is expected is kept beside the log, within a bound of its own, and takes no room from it.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;

use super::Options;
use super::schema::{Meta, set_meta};
use crate::inbox::outcome::State;

/// How many free pages a step gives back to the file system: 2 MiB.
const STEP_PAGES: i64 = 64;

/// So many of a file's pages may be free, one in so many, for what comes next: to give a page back
/// is to move one from the end of the file into its place, which is more work than to append.
const FREE_SHARE: i64 = 16;

/// By so many bytes the log may outgrow its room before a pass goes on: then a commit in several
/// takes along what is some pages, and no commit a part of one.
const SLACK: i64 = 512 << 10;

/// How far the beginnings of two passes are from each other, at least.
const BETWEEN_PASSES: TimeDelta = TimeDelta::minutes(1);

/// How much of the log is looked at, and lets go of, at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    rows: usize,
    /// Letting go overwrites, and appends wait for that.
    bytes: i64,
}

impl Portion {
    /// A step of its own: at most a few milliseconds.
    pub(super) const STEP: Self = Self { rows: 512, bytes: 2 << 20 };

    /// What a commit takes along that brings so many events with bodies of so many bytes: more
    /// than it brings, so that the log shrinks. A little at a time would write each page of the
    /// log's beginning again and again.
    pub(super) fn of_commit(appends: usize, bytes: usize) -> Self {
        let brought = i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            rows: appends.saturating_mul(2).clamp(128, Self::STEP.rows),
            bytes: brought.saturating_mul(2).clamp(SLACK, Self::STEP.bytes),
        }
    }
}

/// The log that a step walks; a transaction is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) connection: &'a Connection,
    pub(super) options: &'a Options,
    pub(super) now: DateTime<Utc>,
    pub(super) last_seq: i64,
}

/// Where the pass is.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// The last row that was looked at.
    cursor: i64,
    /// Whether there may be more to let go of.
    walks: bool,
    /// When the next pass begins; `None` at the start.
    next_pass_at: Option<DateTime<Utc>>,
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
    /// What its body takes, with what goes with it.
    bytes: i64,
}

impl Retention {
    /// Returns whether the pass has more to look at.
    pub(super) const fn walks(&self) -> bool {
        self.walks
    }

    /// Returns whether it is time for the next pass.
    pub(super) fn is_to_begin(&self, now: DateTime<Utc>) -> bool {
        !self.walks && self.next_pass_at.is_none_or(|at| now >= at)
    }

    /// Begins a pass; `window_from` is the oldest event of the duplicate window, `beside` is how
    /// many bytes of the file are not the log's.
    pub(super) fn begin(&mut self, now: DateTime<Utc>, window_from: i64, beside: i64) {
        let next_pass_at = Some(now + BETWEEN_PASSES);
        *self = Self { walks: true, next_pass_at, window_from, beside, ..Self::default() };
    }

    /// Has the pass go on if the log has outgrown its room since; returns whether there may be
    /// more to let go of.
    pub(super) fn goes_on(&mut self, log: &Log<'_>) -> rusqlite::Result<bool> {
        // Before the first pass nothing is known of what is beside the log.
        if !self.walks && self.next_pass_at.is_some() {
            self.walks = self.excess(log)? > SLACK;
        }
        Ok(self.walks)
    }

    /// Lets go of a portion; returns how many bytes left.
    pub(super) fn step(&mut self, log: &Log<'_>, portion: Portion) -> rusqlite::Result<usize> {
        let rows = rows_after(log.connection, self.cursor, portion.rows)?;
        let mut excess = self.excess(log)?;
        let before = |days: u32| (log.now - TimeDelta::days(i64::from(days))).timestamp_micros();
        let aged = before(log.options.retention_days);
        let dead_aged = before(log.options.dead_letter_days);
        let mut leaving = Vec::new();
        let mut leaving_bytes = 0;
        let mut cuts_window = false;
        self.walks = rows.len() == portion.rows;
        for row in &rows {
            if excess <= 0 && row.received_at >= aged.max(dead_aged) {
                self.walks = false;
                break;
            }
            self.cursor = row.seq;
            let leaves = match row.settled {
                None | Some(State::Pending) => false,
                Some(State::Done) => excess > 0 || row.received_at < aged,
                Some(State::Dead) => row.received_at < dead_aged,
            };
            if !leaves {
                continue;
            }
            leaving.push(row.seq);
            cuts_window |= row.seq >= self.window_from && row.received_at >= aged;
            excess -= row.bytes;
            leaving_bytes += row.bytes;
            if leaving_bytes >= portion.bytes {
                self.walks = true;
                break;
            }
        }
        delete(log, &leaving)?;
        if cuts_window && !self.warned {
            self.warned = true;
            tracing::warn!(
                "the log is larger than `inbox.retention_bytes`: events of the duplicate window \
                 left it, and repetitions of them are delivered again"
            );
        }
        Ok(usize::try_from(leaving_bytes).unwrap_or(0))
    }

    /// Returns by how much the log exceeds its room.
    fn excess(&self, log: &Log<'_>) -> rusqlite::Result<i64> {
        let used = pages(log.connection)? - free_pages(log.connection)?;
        let room = i64::try_from(log.options.retention_bytes).unwrap_or(i64::MAX);
        let size = i64::from(super::schema::PAGE_SIZE);
        Ok((used * size).saturating_sub(room) - self.beside)
    }
}

fn rows_after(connection: &Connection, seq: i64, limit: usize) -> rusqlite::Result<Vec<Row>> {
    connection
        .prepare_cached(
            // Of a body only the length in its row's header is read.
            "SELECT e.seq, e.received_at, e.standing, d.state,
             coalesce((SELECT length(body) FROM body b WHERE b.seq = e.seq), 0) + 512 FROM event e
             LEFT JOIN delivery d USING (seq) WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
        )?
        .query_map((seq, limit), |row| {
            let rejected = row.get::<_, i64>(2)? == 1;
            let settled = match row.get::<_, Option<i64>>(3)? {
                // A rejected event was never to be delivered: it leaves as a done one does.
                None => rejected.then_some(State::Done),
                Some(number) => [State::Pending, State::Done, State::Dead]
                    .into_iter()
                    .find(|state| state.number() == number),
            };
            Ok(Row { seq: row.get(0)?, received_at: row.get(1)?, settled, bytes: row.get(4)? })
        })?
        .collect()
}

fn pages(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA page_count")?.query_row([], |row| row.get(0))
}

fn free_pages(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get(0))
}

/// Returns what the body of an event takes, with what goes with it.
pub(super) fn body_bytes(connection: &Connection, seq: i64) -> rusqlite::Result<i64> {
    // Only the length in the row's header is read.
    connection
        .prepare_cached("SELECT coalesce(sum(length(body)), 0) + 512 FROM body WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
}

fn delete(log: &Log<'_>, seqs: &[i64]) -> rusqlite::Result<()> {
    let Some(newest) = seqs.last() else { return Ok(()) };
    if *newest == log.last_seq {
        // The log's end leaves: its seq is not given again.
        set_meta(log.connection, Meta::LastSeq, log.last_seq)?;
    }
    // Most leave with their neighbours: one statement walks a run of them, and finds the first.
    for run in seqs.chunk_by(|one, next| one + 1 == *next) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        for statement in [
            "DELETE FROM body WHERE seq BETWEEN ?1 AND ?2",
            "DELETE FROM event WHERE seq BETWEEN ?1 AND ?2",
            "DELETE FROM delivery WHERE seq BETWEEN ?1 AND ?2",
            "DELETE FROM replay_request WHERE seq BETWEEN ?1 AND ?2",
            "DELETE FROM attempt WHERE seq BETWEEN ?1 AND ?2",
            "DELETE FROM repetition WHERE seq BETWEEN ?1 AND ?2",
        ] {
            log.connection.prepare_cached(statement)?.execute([first, last])?;
        }
    }
    tracing::debug!(events = seqs.len(), "let go of events whose time is over");
    Ok(())
}

/// Gives a bounded number of free pages back to the file system when there are many; returns
/// whether there still are.
pub(super) fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    let are_many = || Ok(free_pages(connection)? > pages(connection)? / FREE_SHARE);
    if !are_many()? {
        return Ok(false);
    }
    // It frees one page a step of its statement, and has no rows.
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    are_many()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use rusqlite::Connection;

    use super::{Log, Options, Portion, Retention};
    use crate::inbox::sqlite::schema;

    fn log_of(events: i64, connection: &Connection) {
        for seq in 1..=events {
            connection.execute("INSERT INTO body VALUES (?1, zeroblob(1048576))", [seq]).unwrap();
            connection
                .execute(
                    "INSERT INTO event SELECT ?1, x'', 'on_status', 's', 0, NULL, NULL, NULL, NULL,
                     NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, x'', NULL, x'', 7, 1, NULL",
                    [seq],
                )
                .unwrap();
        }
    }

    fn kept(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM body", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_step_ends_by_the_bytes_that_leave() {
        let directory = tempfile::tempdir().unwrap();
        let connection = &schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        log_of(5, connection);
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let (mut retention, options) = (Retention::default(), &Options::new(directory.path()));
        let log = Log { connection, options, now, last_seq: 5 };
        retention.begin(now, 0, 0);
        let mut step = || {
            retention.step(&log, Portion::STEP).unwrap();
            (retention.walks(), kept(connection))
        };
        assert_eq!(step(), (true, 3));
        assert_eq!(step(), (true, 1));
        assert_eq!(step(), (false, 0));
        let last_seq = schema::meta(connection, schema::Meta::LastSeq).unwrap();
        assert_eq!(last_seq, 5, "the end of the log left");
    }

    #[test]
    fn a_pass_goes_on_when_the_log_outgrows_its_room() {
        let directory = tempfile::tempdir().unwrap();
        let connection = &schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        let now = DateTime::UNIX_EPOCH;
        let options = &Options { retention_bytes: 3 << 20, ..Options::new(directory.path()) };
        let log = Log { connection, options, now, last_seq: 9 };
        let mut retention = Retention::default();
        retention.begin(now, 0, 0);
        retention.step(&log, Portion::STEP).unwrap();
        assert!(!retention.goes_on(&log).unwrap(), "the log is empty");
        log_of(6, connection);
        assert!(retention.goes_on(&log).unwrap());
        while retention.walks() {
            retention.step(&log, Portion::of_commit(1, 1 << 20)).unwrap();
        }
        let left = kept(connection);
        assert!((2..=3).contains(&left), "{left} are kept");
        assert!(!retention.goes_on(&log).unwrap(), "it has room");
        connection.execute("UPDATE event SET seq = seq + 100", []).unwrap();
        connection.execute("UPDATE body SET seq = seq + 100", []).unwrap();
        log_of(3, connection);
        assert!(retention.goes_on(&log).unwrap());
        retention.step(&log, Portion::of_commit(1, 1 << 20)).unwrap();
        assert!(kept(connection) < left + 3, "nothing left");
        assert!(!retention.is_to_begin(now) && retention.next_pass_at > Some(now));
    }
}
