//! Attempts that failed, written with the outcome that they led to.

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use crate::event::Flag;
use crate::inbox::outcome::Outcome;

/// So many attempts wait for the writer; beyond them the oldest are let go: what became of the
/// event is told by its outcome all the same.
pub(super) const WAITING_LIMIT: usize = 4_096;

/// The bit of an event that was erased.
const ERASED: u32 = Flag::Erased.bit();

/// How much of an error is kept; the last one of an event is kept longer, in its outcome.
const ERROR_BYTES: usize = 1_024;

/// So many attempts of a round are kept, the newest.
const KEPT_OF_A_ROUND: u32 = 50;

/// So many attempts are kept in all, the newest: those of a long outage must not let settled events
/// leave for want of room.
const KEPT: i64 = 100_000;

/// So many leave in a step.
const STEP: i64 = 512;

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedAttempt {
    seq: i64,
    replay: u32,
    attempt: u32,
    ended_at: DateTime<Utc>,
    error: String,
}

impl FailedAttempt {
    /// Returns the attempt that an outcome tells of, if it failed.
    pub(super) fn of(seq: i64, outcome: &Outcome) -> Option<Self> {
        let (error, ended_at) = (outcome.error.as_deref()?, outcome.failed_at?);
        // An event that could never be handed over has had none.
        let attempt = Some(outcome.attempts).filter(|attempt| *attempt > 0)?;
        let error = error[..error.floor_char_boundary(ERROR_BYTES)].to_owned();
        Some(Self { seq, replay: outcome.replay, attempt, ended_at, error })
    }
}

/// Writes attempts; one that is written already stays as it is.
pub(super) fn write(connection: &Connection, attempts: &[FailedAttempt]) -> rusqlite::Result<()> {
    for FailedAttempt { seq, replay, attempt, ended_at, error } in attempts {
        // An event that was erased keeps no texts.
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO attempt (seq, replay, attempt, ended_at, error)
                 SELECT ?1, ?2, ?3, ?4, ?5 FROM event WHERE seq = ?1 AND flags & ?6 = 0",
            )?
            .execute((seq, replay, attempt, ended_at.timestamp_micros(), error, ERASED))?;
        if *attempt > KEPT_OF_A_ROUND {
            connection
                .prepare_cached(
                    "DELETE FROM attempt WHERE seq = ?1 AND replay = ?2 AND attempt <= ?3",
                )?
                .execute((seq, replay, attempt - KEPT_OF_A_ROUND))?;
        }
    }
    Ok(())
}

/// Lets go of the oldest of those that are too many; returns whether there are more. Those of an
/// earlier round are older, so that they leave first.
pub(super) fn expire(connection: &Connection) -> rusqlite::Result<bool> {
    // Counted in the narrow index: 0.6 ms for as many as are kept.
    let kept: i64 = connection
        .prepare_cached("SELECT count(*) FROM attempt")?
        .query_row([], |row| row.get(0))?;
    let over = kept - KEPT;
    if over <= 0 {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "DELETE FROM attempt WHERE (seq, replay, attempt) IN
             (SELECT seq, replay, attempt FROM attempt ORDER BY ended_at LIMIT ?1)",
        )?
        .execute([over.min(STEP)])?;
    Ok(over > STEP)
}

#[cfg(test)]
mod tests {
    use super::{KEPT, STEP, expire};
    use crate::inbox::sqlite::schema;

    #[test]
    fn the_oldest_attempts_leave_when_they_are_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let file = schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        file.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO attempt SELECT n % 7, 0, n, n, 'no' FROM n",
            [KEPT + STEP + 1],
        )
        .unwrap();
        assert!(expire(&file).unwrap());
        assert!(!expire(&file).unwrap());
        let kept = file
            .query_row("SELECT count(*), min(ended_at) FROM attempt", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .unwrap();
        assert_eq!(kept, (KEPT, STEP + 2));
    }
}
