//! Requests for another round of events: rows that the process that has the inbox takes up, or the
//! next that opens it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::audit::{self, Audit};
use super::client::{Client, DbError};
use super::place::Place;
use super::rows::{FROM, PROGRESS, json, progress};
use super::{Error, Progress};
use crate::event::{Flag, Flags};

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
    place: &Place,
    mut seqs: Vec<i64>,
    audit: &Audit,
    mut after_step: impl FnMut(&[(i64, Replay)]),
) -> Result<(), Error> {
    let client = place.requester()?;
    // Noted before the first of them: what was begun is known even when it ends early.
    client.change(|| audit::note(&client, audit)).map_err(Error::Request)?;
    seqs.sort_unstable();
    seqs.dedup();
    for step in seqs.chunks(STEP) {
        // Looked up before the file is locked: what is settled stays so, save by another replay.
        let replays = look_up(&client, step).map_err(Error::Read)?;
        client.change(|| write(&client, &replays, audit.at)).map_err(Error::Request)?;
        after_step(&replays);
        std::thread::sleep(BETWEEN_STEPS);
    }
    Ok(())
}

/// Says of each place what can become of the wish, in the order of `seqs`.
fn look_up(client: &Client, seqs: &[i64]) -> Result<Vec<(i64, Replay)>, DbError> {
    let sql = format!(
        "SELECT e.seq, e.flags, {PROGRESS} {FROM}
         WHERE e.seq IN (SELECT value FROM json_each(CAST(?1 AS text)))"
    );
    let found = client.query(&sql, &[json(seqs).into()], |row| {
        let replay = match progress(row, 2)? {
            _ if Flags::from_bits(row.get(1)?).contains(Flag::Erased) => Replay::Erased,
            Progress::Pending => Replay::StillPending,
            Progress::Done | Progress::Dead | Progress::Rejected => Replay::Requested,
        };
        Ok((row.get(0)?, replay))
    })?;
    let found: HashMap<i64, Replay> = found.into_iter().collect();
    let of = |seq: &i64| (*seq, found.get(seq).copied().unwrap_or(Replay::Unknown));
    Ok(seqs.iter().map(of).collect())
}

fn write(client: &Client, replays: &[(i64, Replay)], now: DateTime<Utc>) -> Result<(), DbError> {
    let requested = replays.iter().filter(|(_, replay)| *replay == Replay::Requested);
    let seqs: Vec<i64> = requested.map(|(seq, _)| *seq).collect();
    client.execute(
        "INSERT INTO replay_request (seq, requested_at)
         SELECT value, CAST(?2 AS bigint) FROM json_each(CAST(?1 AS text)) WHERE TRUE
         ON CONFLICT DO NOTHING",
        &[json(&seqs).into(), now.timestamp_micros().into()],
    )?;
    Ok(())
}

/// Asks for another round of one event.
#[cfg(test)]
pub(crate) fn request_replay(
    directory: &std::path::Path,
    id: crate::event::EventId,
    now: DateTime<Utc>,
) -> Result<Replay, Error> {
    let place = Place::from(directory);
    let found = super::Reader::open(&place)?.place(id)?;
    let mut replay = Replay::Unknown;
    let audit = Audit::of_test(now);
    request_replays(&place, found.into_iter().collect(), &audit, |step| replay = step[0].1)?;
    Ok(replay)
}
