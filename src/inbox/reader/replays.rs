//! Requests for another round of events: rows that the process that has the inbox takes up, or the
//! next that opens it.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension};

use super::audit::{self, Audit};
use super::{Error, FROM, PROGRESS, Progress, existing, progress};
use crate::event::{Flag, Flags};
use crate::inbox::sqlite::schema;

/// How many requests are written in one step: the running process waits for each a few ms.
const STEP: usize = 1024;

/// How long the running process has the file for itself between two steps.
const BETWEEN_STEPS: Duration = Duration::from_millis(5);

/// What became of the wish for a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    /// The request is on the disk; the process that has the inbox, or the next one, takes it up.
    Requested,
    /// The event is not settled: it will be delivered anyway.
    StillPending,
    /// There is no such event.
    Unknown,
    /// It was erased: there is nothing to hand over.
    Erased,
}

/// Asks for another round of the settled ones of the events at `seqs`.
///
/// They are written in the order of the log, whatever the order of `seqs`, and taken up in it, so
/// that those of a lane come in their order. A step holds a bounded number of them; `after_step` is
/// told of each one's outcome, and what it was told of is on the disk when this fails later.
pub(crate) fn request_replays(
    directory: &Path,
    mut seqs: Vec<i64>,
    audit: &Audit,
    mut after_step: impl FnMut(&[(i64, Replay)]),
) -> Result<(), Error> {
    let file = existing(directory)?;
    let connection = schema::open_requester(&file).map_err(Error::Open)?;
    // Noted before the first of them: what was begun is known even when it ends early.
    audit::note(&connection, audit).map_err(Error::Request)?;
    seqs.sort_unstable();
    seqs.dedup();
    for step in seqs.chunks(STEP) {
        // Looked up before the file is locked: what is settled stays so, save by another replay.
        let look_up = |seq: &i64| Ok((*seq, look_up(&connection, *seq)?));
        let replays: Vec<(i64, Replay)> =
            step.iter().map(look_up).collect::<Result<_, _>>().map_err(Error::Read)?;
        write(&connection, &replays, audit.at).map_err(Error::Request)?;
        after_step(&replays);
        std::thread::sleep(BETWEEN_STEPS);
    }
    Ok(())
}

fn look_up(connection: &Connection, seq: i64) -> rusqlite::Result<Replay> {
    let found = connection
        .prepare_cached(&format!("SELECT {PROGRESS}, e.flags {FROM} WHERE e.seq = ?1"))?
        .query_row([seq], |row| Ok((progress(row, 0)?, Flags::from_bits(row.get(1)?))))
        .optional()?;
    Ok(match found {
        None => Replay::Unknown,
        Some((_, flags)) if flags.contains(Flag::Erased) => Replay::Erased,
        Some((Progress::Pending, _)) => Replay::StillPending,
        Some((Progress::Done | Progress::Dead | Progress::Rejected, _)) => Replay::Requested,
    })
}

fn write(
    connection: &Connection,
    replays: &[(i64, Replay)],
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut insert =
        transaction.prepare_cached("INSERT OR IGNORE INTO replay_request VALUES (?1, ?2)")?;
    for (seq, replay) in replays {
        if *replay == Replay::Requested {
            insert.execute((seq, now.timestamp_micros()))?;
        }
    }
    drop(insert);
    transaction.commit()
}

/// Asks for another round of one event.
#[cfg(test)]
pub(crate) fn request_replay(
    directory: &Path,
    id: crate::event::EventId,
    now: DateTime<Utc>,
) -> Result<Replay, Error> {
    let found = super::Reader::open(directory)?.place(id)?;
    let mut replay = Replay::Unknown;
    let audit = Audit::of_test(now);
    request_replays(directory, found.into_iter().collect(), &audit, |step| replay = step[0].1)?;
    Ok(replay)
}
