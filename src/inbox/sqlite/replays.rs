//! Replays: an operator's request row becomes another round of an event.

use rusqlite::Connection;

use super::lanes::Pending;
use crate::event::Flag;
use crate::inbox::outcome::{Progress, State};
use crate::inbox::{Outlet, Outlets};

/// How many requests one step takes up: a few milliseconds with its commit.
pub(super) const STEP: u64 = 256;

/// A round that a replay begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    seq: i64,
    lane: u64,
    outlet: Outlet,
    replay: u32,
}

impl Round {
    /// Returns what the lanes are told.
    pub(super) fn pending(self) -> Pending {
        let progress = Progress { replay: self.replay, innocent: true, ..Progress::default() };
        Pending {
            seq: self.seq,
            lane: self.lane,
            outlet: self.outlet,
            event: None,
            progress: Some(progress),
        }
    }
}

/// A request row.
#[derive(Debug)]
pub(super) struct Request {
    seq: i64,
    /// `None` when the event is gone, or is not settled and will be delivered anyway.
    pub(super) round: Option<Round>,
}

/// Reads at most `limit` requests, in the order of the log: that of their times would have all of
/// them sorted at each step.
pub(super) fn requested(
    connection: &Connection,
    outlets: &Outlets,
    limit: u64,
) -> rusqlite::Result<Vec<Request>> {
    connection
        .prepare_cached(
            "SELECT r.seq, e.lane, e.standing, d.state, d.replay,
             e.action, e.domain, e.bap_id, e.seller, coalesce(e.flags, 0) FROM replay_request r
             LEFT JOIN event e USING (seq) LEFT JOIN delivery d USING (seq)
             ORDER BY r.seq LIMIT ?1",
        )?
        .query_map([limit], |row| {
            let seq = row.get(0)?;
            let lane: Option<i64> = row.get(1)?;
            let rejected = row.get::<_, Option<i64>>(2)? == Some(1);
            let settled = match row.get::<_, Option<i64>>(3)? {
                None => rejected,
                Some(state) => state != State::Pending.number(),
            };
            let replay = row.get::<_, Option<u32>>(4)?.unwrap_or(0) + 1;
            let outlet = super::pages::outlet(row, 5, outlets)?;
            let erased = row.get::<_, u32>(9)? & Flag::Erased.bit() != 0;
            let round = lane.filter(|_| settled && !erased).map(|lane| Round {
                seq,
                lane: lane.cast_unsigned(),
                outlet,
                replay,
            });
            Ok(Request { seq, round })
        })?
        .collect()
}

/// Returns how many requests wait.
pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM replay_request")?
        .query_row([], |row| row.get(0))
}

/// Writes the rounds that the requests begin; the requests are then done.
pub(super) fn begin(connection: &Connection, requests: &[Request]) -> rusqlite::Result<()> {
    for request in requests {
        if let Some(round) = request.round {
            connection
                .prepare_cached(
                    "INSERT INTO delivery (seq, replay, state, attempts, marks) VALUES (?1, ?2, 0, 0, 0)
                     ON CONFLICT (seq) DO UPDATE SET replay = ?2, state = 0, attempts = 0,
                     first_attempt_at = NULL, next_at = NULL, marks = 0, error = NULL,
                     settled_at = NULL",
                )?
                .execute((round.seq, round.replay))?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO open_replay VALUES (?1)")?
                .execute([round.seq])?;
        }
        connection
            .prepare_cached("DELETE FROM replay_request WHERE seq = ?1")?
            .execute([request.seq])?;
    }
    let dropped = requests.iter().filter(|request| request.round.is_none()).count();
    if dropped > 0 {
        tracing::info!(
            dropped,
            "dropped replay requests: their events are not settled, erased, or not kept any more"
        );
    }
    Ok(())
}

/// Returns those of `rounds` that are on the disk after all.
pub(super) fn kept(connection: &Connection, rounds: &[Round]) -> rusqlite::Result<Vec<Pending>> {
    let mut kept = Vec::new();
    for round in rounds {
        let found = connection
            .prepare_cached("SELECT 1 FROM delivery WHERE seq = ?1 AND replay = ?2 AND state = 0")?
            .exists((round.seq, round.replay))?;
        if found {
            kept.push(round.pending());
        }
    }
    Ok(kept)
}
