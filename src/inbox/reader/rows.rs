//! The rows of events: what a list shows of them, and one of them whole.

use std::cmp::Ordering;

use bytes::Bytes;
use rusqlite::Connection;
use uuid::Uuid;

use super::client::{Client, DbError, Row};
use super::{Detail, Progress, Summary};
use crate::event::{EventId, Flag, Flags};
use crate::inbox::stored::{time, warnings_from_rest};

/// Where the parts of [`PROGRESS`] come from.
pub(super) const FROM: &str = "FROM event e LEFT JOIN delivery d USING (seq)";

/// The place of an event's progress in [`Progress::ALL`].
pub(super) const PROGRESS: &str = "CASE WHEN d.state IS NOT NULL THEN d.state
     WHEN e.standing = 1 THEN 3 ELSE 0 END";

/// What [`summary`] reads, with [`PROGRESS`] behind it.
const COLUMNS: &str = "e.id, e.seq, e.action, e.seller, e.transaction_id, e.message_id,
     e.order_id, e.state, e.received_at, e.flags | coalesce(d.flags, 0), d.replay, d.attempts, d.first_attempt_at,
     d.next_at, d.settled_at, d.error, coalesce(json_array_length(e.warnings), 0), e.verified,
     e.domain, e.bap_id, coalesce(p.times, 0), p.last_at";

/// Where [`COLUMNS`] come from.
const WITH_REPETITIONS: &str = "LEFT JOIN repetition p USING (seq)";

/// How many columns [`COLUMNS`] and [`PROGRESS`] are together.
const SUMMARY_COLUMNS: usize = 23;

/// Returns the summaries of the events at these places, in their order, which is that of the log or
/// the other way round.
pub(super) fn summaries(client: &Client, seqs: &[i64]) -> Result<Vec<Summary>, DbError> {
    let (Some(&first), Some(&last)) = (seqs.first(), seqs.last()) else { return Ok(Vec::new()) };
    let (condition, bound) = if first.abs_diff(last) + 1 == seqs.len() as u64 {
        // What follows event for event, as it does in a list that leaves nothing out, is a range.
        ("BETWEEN ?1 AND ?2", vec![first.min(last).into(), first.max(last).into()])
    } else {
        ("IN (SELECT value FROM json_each(CAST(?1 AS text)))", vec![json(seqs).into()])
    };
    let direction = if first <= last { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {COLUMNS}, {PROGRESS} {FROM} {WITH_REPETITIONS} WHERE e.seq {condition}
         ORDER BY e.seq {direction}"
    );
    client.query(&sql, &bound, summary)
}

/// Returns places as the statements take many at once.
pub(super) fn json(seqs: &[i64]) -> String {
    serde_json::to_string(seqs).expect("numbers can always be written as JSON")
}

pub(super) fn detail_at(client: &Client, seq: i64) -> Result<Option<Detail>, DbError> {
    let sql = format!(
        "SELECT {COLUMNS}, {PROGRESS}, e.warnings, b.body, r.seq IS NOT NULL
         {FROM} {WITH_REPETITIONS} JOIN body b USING (seq) LEFT JOIN replay_request r USING (seq)
         WHERE e.seq = ?1"
    );
    let warnings = SUMMARY_COLUMNS;
    client.query_opt(&sql, &[seq.into()], |row| {
        let summary = summary(row)?;
        // What is left of an erased one are zeros.
        let is_erased = summary.flags.contains(Flag::Erased);
        let body = if is_erased { Vec::new() } else { row.get(warnings + 1)? };
        Ok(Detail {
            summary,
            warnings: warnings_from_rest(row.get::<Option<String>>(warnings)?.as_deref()),
            body: Bytes::from(body),
            replay_requested: row.get(warnings + 2)?,
        })
    })
}

/// Finds an event by its id; files have no index on it.
pub(super) fn place_of(client: &Client, id: EventId) -> Result<Option<i64>, DbError> {
    let wanted = id.uuid().into_bytes();
    if let Some(connection) = client.sqlite()
        && let Some(found) = halve_in_on(connection, wanted)?
    {
        return Ok(Some(found));
    }
    let sql = "SELECT seq FROM event WHERE id = ?1 LIMIT 1";
    client.query_opt(sql, &[wanted[..].into()], |row| row.get(0))
}

/// Finds an event by its id without an index on it: ids are given in the order of the log, so the
/// place is halved in on. Where the clock was set back they are not in order, and it is missed.
fn halve_in_on(connection: &Connection, wanted: [u8; 16]) -> rusqlite::Result<Option<i64>> {
    let mut next = connection
        .prepare_cached("SELECT seq, id FROM event WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let (mut low, mut high): (i64, i64) =
        connection.prepare_cached(ENDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
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
    Ok(None)
}

/// The oldest and the newest place; of an empty log, the newest is before the oldest.
pub(super) const ENDS: &str = "SELECT coalesce((SELECT min(seq) FROM event), 1),
     coalesce((SELECT max(seq) FROM event), 0)";

/// Reads a progress, as [`PROGRESS`] gives it.
pub(super) fn progress(row: &Row<'_>, column: usize) -> Result<Progress, DbError> {
    let place: usize = row.get(column)?;
    Progress::ALL.get(place).copied().ok_or(DbError::Unexpected(column))
}

fn summary(row: &Row<'_>) -> Result<Summary, DbError> {
    let at = |column: usize| row.get::<Option<i64>>(column).map(|at| at.map(time));
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
        replay: row.get::<Option<u32>>(10)?.unwrap_or(0),
        attempts: row.get::<Option<u32>>(11)?.unwrap_or(0),
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
