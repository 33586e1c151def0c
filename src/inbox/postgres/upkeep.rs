//! What one receiver does for all: requests of operators, what is old leaves, and what no handler
//! asks for finds one. Whoever gets the lock does it; the others look again later.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::{Client, Row};

use super::connect::{EngineError, within};
use super::{Options, Shared, text};
use crate::event::Flag;
use crate::inbox::Outlets;
use crate::inbox::erased::without;
use crate::inbox::outcome::State;
use crate::inbox::refused::{OF_TRANSACTION, in_quotes};
use crate::inbox::stored::address;
use crate::words::Outside;

/// So much is done in one step, which others may wait for.
const STEP: i64 = 256;

/// So many events are looked at that may leave, and go, in a step.
const LEAVING: i64 = 1_024;

/// What leaves in a step has so many bytes at most.
const LEAVING_BYTES: i64 = 8 << 20;

/// How far two passes over what is old are from each other.
const BETWEEN_PASSES: TimeDelta = TimeDelta::minutes(1);

/// How long an erasing waits for events that are not settled.
const ERASING_RESTS: TimeDelta = TimeDelta::seconds(30);

/// How long an expectation is kept after it was due.
const EXPECTED_FOR: TimeDelta = TimeDelta::days(7);

/// So many expectations that are over are kept, the newest.
const EXPECTATIONS_KEPT: i64 = 1_000_000;

/// So many failed attempts are kept in all, the newest.
const ATTEMPTS_KEPT: i64 = 100_000;

/// Whether this transaction is the one that does it.
const TURN: &str = "SELECT pg_try_advisory_xact_lock('event'::regclass::oid::integer, 2)";

/// Where the pass over the log is.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    next_pass_at: Option<DateTime<Utc>>,
}

impl Upkeep {
    /// Does what is to be done, as far as another receiver does not.
    pub(super) async fn look(
        &mut self,
        client: &Client,
        shared: &Shared,
    ) -> Result<(), EngineError> {
        while take_up_replays(client, shared).await? {}
        let now = shared.clock.now();
        while erase(client, now).await? {}
        if self.next_pass_at.is_none_or(|at| now >= at) {
            self.next_pass_at = Some(now + BETWEEN_PASSES);
            let mut cursor = 0;
            while let Some(next) = let_go(client, &shared.options, now, cursor).await? {
                cursor = next;
            }
            expire(client, now).await?;
            reroute(client, &shared.options.outlets, true).await?;
            shared.woken.notify_waiters();
        }
        Ok(())
    }
}

/// Runs a step in a transaction of its own, if it is this receiver's turn; `None` when it is not.
async fn step<T>(
    client: &Client,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<Option<T>, EngineError> {
    within(async {
        client.batch_execute("BEGIN").await?;
        let mut done = None;
        if client.query_one(TURN, &[]).await?.try_get(0)? {
            // A step that fails gives its connection up, which undoes it.
            done = Some(work.await?);
        }
        client.batch_execute("COMMIT").await?;
        Ok(done)
    })
    .await
}

/// Takes a step's worth of requests up; returns whether there may be more.
async fn take_up_replays(client: &Client, shared: &Shared) -> Result<bool, EngineError> {
    // The other half is for what comes in: a replay must not have it answered 503.
    if shared.unsettled.count() >= shared.options.unsettled_limit as u64 / 2 {
        return Ok(false);
    }
    let asked = "SELECT r.seq, e.action, e.domain, e.bap_id, e.seller FROM replay_request r
         LEFT JOIN event e USING (seq) ORDER BY r.seq LIMIT $1";
    if client.query_opt("SELECT 1 FROM replay_request LIMIT 1", &[]).await?.is_none() {
        return Ok(false);
    }
    let taken = step(client, async {
        let rows = client.query(asked, &[&STEP]).await?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let handlers: Vec<&str> = rows
            .iter()
            .map(|row| handler(row, &shared.options.outlets))
            .collect::<Result<_, EngineError>>()?;
        let erased = Flag::Erased.bit().cast_signed();
        let begun =
            client.query("SELECT replay($1, $2, $3)", &[&seqs, &handlers, &erased]).await?.len();
        Ok((seqs.len(), begun))
    });
    let Some((seen, begun)) = taken.await? else { return Ok(false) };
    if begun < seen {
        let dropped = seen - begun;
        tracing::info!(
            dropped,
            "dropped replay requests: their events are not settled, erased, or not kept any more"
        );
    }
    shared.unsettled.add(begun as u64);
    shared.woken.notify_waiters();
    shared.tell.notify_one();
    Ok(seen == usize::try_from(STEP).unwrap_or(usize::MAX))
}

/// Returns the name of the handler of a row, whose columns from the second on are action, domain,
/// `bap_id` and seller.
fn handler<'a>(row: &Row, outlets: &'a Outlets) -> Result<&'a str, EngineError> {
    let text = |column| -> Result<Option<&str>, EngineError> { Ok(row.try_get(column)?) };
    let address =
        address(text(1)?.unwrap_or_default(), text(2)?, text(3)?, text(4)?.unwrap_or_default());
    Ok(&outlets.names()[usize::from(outlets.of(&address).0)])
}

/// Makes a step of what operators want to be erased; returns whether there is more to do now.
async fn erase(client: &Client, now: DateTime<Utc>) -> Result<bool, EngineError> {
    let before = (now - ERASING_RESTS).timestamp_micros();
    let asked = "SELECT transaction_id FROM erase_request
         WHERE looked_at IS NULL OR looked_at <= $1
         ORDER BY looked_at NULLS FIRST, requested_at LIMIT 1";
    let Some(row) = client.query_opt(asked, &[&before]).await? else { return Ok(false) };
    let id: String = row.try_get(0)?;
    let erased = Flag::Erased.bit().cast_signed();
    let goes_on = step(client, async {
        let emptied = client.query("SELECT erase($1, $2, $3)", &[&id, &erased, &STEP]).await?;
        if i64::try_from(emptied.len()).unwrap_or(i64::MAX) >= STEP {
            return Ok(true);
        }
        empty_beside(client, &id).await?;
        let waits = "SELECT 1 FROM event
             WHERE hashtextextended(transaction_id, 0) = hashtextextended($1, 0)
                 AND transaction_id = $1 LIMIT 1";
        if client.query_opt(waits, &[&id]).await?.is_some() {
            let put_back = "UPDATE erase_request SET looked_at = $2 WHERE transaction_id = $1";
            client.execute(put_back, &[&id, &now.timestamp_micros()]).await?;
        } else {
            let done = "DELETE FROM erase_request WHERE transaction_id = $1";
            client.execute(done, &[&id]).await?;
            tracing::info!("erased a transaction as an operator asked for");
        }
        Ok(true)
    });
    Ok(goes_on.await?.unwrap_or(false))
}

/// Empties what tells of a transaction beside its events.
async fn empty_beside(client: &Client, id: &str) -> Result<(), EngineError> {
    let [raw, escaped] = in_quotes(id);
    let empty = format!(
        "UPDATE refusal SET body = decode(repeat('00', octet_length(body)), 'hex'), path = '',
         message = '', transaction_id = NULL WHERE {}",
        OF_TRANSACTION.replace('?', "$")
    );
    client.execute(&empty, &[&id, &raw.as_bytes(), &escaped.as_bytes()]).await?;
    let forget = "DELETE FROM expectation
         WHERE hashtextextended(transaction_id, 0) = hashtextextended($1, 0)
             AND transaction_id = $1";
    client.execute(forget, &[&id]).await?;
    let name = format!("transaction={}", Outside(id));
    let name = text(&name);
    let lines = "SELECT seq, target FROM audit WHERE position($1 IN target) > 0";
    for row in client.query(lines, &[&name]).await? {
        let (seq, target): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(kept) = without(target, &name) {
            client.execute("UPDATE audit SET target = $2 WHERE seq = $1", &[&seq, &kept]).await?;
        }
    }
    Ok(())
}

/// Lets go of what is old or too much, from after a place on; returns where to go on.
async fn let_go(
    client: &Client,
    options: &Options,
    now: DateTime<Utc>,
    after: i64,
) -> Result<Option<i64>, EngineError> {
    let before = |days: u32| (now - TimeDelta::days(i64::from(days))).timestamp_micros();
    let (aged, dead_aged) = (before(options.retention_days), before(options.dead_letter_days));
    let room = i64::try_from(options.retention_bytes).unwrap_or(i64::MAX);
    let next = step(client, async {
        let held = "SELECT number FROM meta WHERE name = 'log_bytes'";
        let mut excess = client.query_one(held, &[]).await?.try_get::<_, i64>(0)? - room;
        let rows = "SELECT e.seq, e.received_at, coalesce(d.state, e.standing), p.seq IS NOT NULL,
                 octet_length(b.body) + 1024 FROM event e JOIN body b USING (seq)
             LEFT JOIN delivery d USING (seq) LEFT JOIN pending p USING (seq)
             WHERE e.seq > $1 ORDER BY e.seq LIMIT $2";
        let rows = client.query(rows, &[&after, &LEAVING]).await?;
        let mut goes_on = i64::try_from(rows.len()).is_ok_and(|rows| rows == LEAVING);
        let (mut cursor, mut leaving, mut bytes) = (after, Vec::new(), 0);
        for row in &rows {
            let (seq, received_at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if excess <= 0 && received_at >= aged.max(dead_aged) {
                goes_on = false;
                break;
            }
            cursor = seq;
            let is_dead = i64::from(row.try_get::<_, i32>(2)?) == State::Dead.number();
            let is_old = received_at < if is_dead { dead_aged } else { aged };
            if row.try_get(3)? || !(is_old || (excess > 0 && !is_dead)) {
                continue;
            }
            leaving.push(seq);
            let of_it = i64::from(row.try_get::<_, i32>(4)?);
            (excess, bytes) = (excess - of_it, bytes + of_it);
            if bytes >= LEAVING_BYTES {
                goes_on = true;
                break;
            }
        }
        if !leaving.is_empty() {
            client.query("SELECT let_go($1)", &[&leaving]).await?;
        }
        Ok(goes_on.then_some(cursor))
    });
    Ok(next.await?.flatten())
}

/// Lets go of what is beside the log and over.
async fn expire(client: &Client, now: DateTime<Utc>) -> Result<(), EngineError> {
    let before = (now - EXPECTED_FOR).timestamp_micros();
    let expectations = "DELETE FROM expectation
         WHERE (met_seq IS NOT NULL OR silent_seq IS NOT NULL)
             AND (due_at < $1 OR seq <= (SELECT max(seq) FROM expectation) - $2)";
    let attempts = "DELETE FROM attempt WHERE (seq, replay, attempt) IN
         (SELECT seq, replay, attempt FROM attempt ORDER BY ended_at DESC OFFSET $1)";
    step(client, async {
        client.execute(expectations, &[&before, &EXPECTATIONS_KEPT]).await?;
        client.execute(attempts, &[&ATTEMPTS_KEPT]).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Gives what waits to the handlers that the settings name now: all of it, or what waits for a
/// handler that they do not name.
pub(super) async fn reroute(
    client: &Client,
    outlets: &Outlets,
    only_unknown: bool,
) -> Result<(), EngineError> {
    let mut after = 0_i64;
    loop {
        let moved = within(async {
            let rows = client
                .query(
                    "SELECT p.seq, e.action, e.domain, e.bap_id, e.seller, p.handler FROM pending p
                     JOIN event e USING (seq) WHERE p.seq > $1
                         AND (NOT $2 OR p.handler <> ALL ($3)) ORDER BY p.seq LIMIT $4",
                    &[&after, &only_unknown, &outlets.names(), &LEAVING],
                )
                .await?;
            let (mut seqs, mut handlers) = (Vec::new(), Vec::new());
            for row in &rows {
                let (is, was): (&str, &str) = (handler(row, outlets)?, row.try_get(5)?);
                if is != was {
                    seqs.push(row.try_get::<_, i64>(0)?);
                    handlers.push(is);
                }
            }
            if !seqs.is_empty() {
                client.query("SELECT reroute($1, $2)", &[&seqs, &handlers]).await?;
            }
            Ok(rows.last().map(|row| row.try_get(0)).transpose()?)
        });
        match moved.await? {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}
