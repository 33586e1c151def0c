//! Claims: lanes that are taken out, with their first events.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use super::connect::{EngineError, Link, within};
use super::held::{self, Out};
use super::settling::Settled;
use super::{Options, Shared};
use crate::event::{Flag, OrderEvent};
use crate::inbox::outcome::Progress;
use crate::inbox::stored::{Stored, time};
use crate::inbox::{Claim, Error, Outlet, Seq, Settlement, TakeBack, Ticket, ToldBefore};
use crate::words::Chain;

/// What a receiver that ended while it had a lane leaves behind so often is given up.
const MARKS_LIMIT: i32 = 3;

/// What the last events of a lane told other receivers; so many are looked at.
const TOLD_BEFORE: i64 = 32;

/// Takes lanes that are due and that nobody has: those that have waited, then those with the
/// oldest events. A lane whose owner has let its lease end is marked; what this receiver took and
/// never heard of is not, for it is there.
const TAKE: &str = "WITH waited AS (
         SELECT key, owner FROM lane WHERE handler = $1 AND due_at <= $2
             AND NOT EXISTS (SELECT 1 FROM handler h WHERE h.name = $1 AND h.paused_at IS NOT NULL)
             AND (lease_until IS NULL OR lease_until < clock_timestamp())
         ORDER BY due_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED),
     ready AS (
         SELECT key, owner FROM lane WHERE handler = $1 AND due_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM handler h WHERE h.name = $1 AND h.paused_at IS NOT NULL)
             AND (lease_until IS NULL OR lease_until < clock_timestamp())
         ORDER BY head LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED),
     due AS (SELECT * FROM (TABLE waited UNION ALL TABLE ready) either LIMIT $3),
     taken AS (
         UPDATE lane SET owner = $4, fence = nextval('fence'),
             lease_until = clock_timestamp() + $5 * interval '1 millisecond'
         FROM due WHERE lane.key = due.key
         RETURNING lane.key, lane.head, lane.fence, due.owner <> $4 AS left_behind),
     marked AS (
         INSERT INTO delivery AS d (seq, replay, state, attempts, marks)
         SELECT head, 0, 0, 0, 1 FROM taken WHERE left_behind
         ON CONFLICT (seq) DO UPDATE SET marks = d.marks + 1 RETURNING d.seq, d.marks)
     SELECT t.key, t.head, t.fence, e.id, e.action, e.seller, e.verified, e.received_at,
         e.flags | coalesce(d.flags, 0), e.warnings, b.body, d.replay, d.attempts,
         d.first_attempt_at, coalesce(m.marks, 0), told.seqs, told.states
     FROM taken t JOIN event e ON e.seq = t.head JOIN body b ON b.seq = t.head
     LEFT JOIN delivery d ON d.seq = t.head LEFT JOIN marked m ON m.seq = t.head
     LEFT JOIN LATERAL (
         SELECT array_agg(seq) AS seqs, array_agg(states) AS states FROM (
             SELECT o.seq, od.states FROM event o JOIN delivery od ON od.seq = o.seq
             WHERE hashtextextended(o.transaction_id, 0) = hashtextextended(e.transaction_id, 0)
                 AND o.lane = t.key AND o.seq < t.head AND od.states IS NOT NULL
                 AND od.flags & $6 = 0
             ORDER BY o.seq DESC LIMIT $7) latest) told ON true
     ORDER BY t.head";

/// When the next lane is due that waits.
const NEXT: &str = "SELECT min(due_at) FROM lane WHERE handler = $1 AND due_at IS NOT NULL";

/// Where it is looked for what may be claimed.
#[derive(Debug)]
pub(super) struct Desk(Link<2>);

impl Desk {
    pub(super) fn new(options: &Options) -> Self {
        Self(Link::new(options.server.clone(), [TAKE, NEXT]))
    }
}

/// Waits for events of a handler and takes them out.
pub(super) async fn wait_for(
    shared: &Arc<Shared>,
    outlet: Outlet,
    limit: usize,
) -> Result<Vec<Claim>, Error> {
    loop {
        let mut woken = std::pin::pin!(shared.woken.notified());
        // Registered before the look, so that what comes in between is not missed.
        woken.as_mut().enable();
        if shared.is_closed() {
            return Err(Error::Closed);
        }
        let now = shared.clock.now();
        // A task of its own: what it has taken is handed back when nobody waits for it any more.
        let look = tokio::spawn(look(Arc::clone(shared), outlet, limit, now));
        let next_at = match look.await {
            Ok(Ok(Look::Claims(claims))) if !claims.is_empty() => return Ok(claims),
            Ok(Ok(Look::Claims(_))) => continue,
            Ok(Ok(Look::Nothing { next_at })) => next_at,
            Ok(Err(error)) => {
                tracing::debug!(%error, "nothing can be claimed");
                shared.is_away(&error);
                None
            }
            // It panicked, which has been printed: the leases of what it took will end.
            Err(_panicked) => None,
        };
        let poll = now + shared.options.poll;
        let until = next_at.map_or(poll, |at: DateTime<Utc>| at.min(poll));
        tokio::select! {
            () = woken => {}
            () = shared.clock.sleep_until(until) => {}
        }
    }
}

/// What a look has found.
enum Look {
    /// Lanes, of which those that could be read are claims.
    Claims(Vec<Claim>),
    /// No lane is due before then.
    Nothing { next_at: Option<DateTime<Utc>> },
}

async fn look(
    shared: Arc<Shared>,
    outlet: Outlet,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Look, EngineError> {
    let mut desk = shared.claiming.lock().await;
    let looked = look_at(&mut desk.0, &shared, outlet, limit, now).await;
    if looked.is_err() {
        desk.0.give_up();
    }
    looked
}

async fn look_at(
    link: &mut Link<2>,
    shared: &Arc<Shared>,
    outlet: Outlet,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Look, EngineError> {
    let (client, [take, next]) = link.get().await?;
    let handler = &shared.options.outlets.names()[usize::from(outlet.0)];
    let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
    let (micros, lease_ms) = (now.timestamp_micros(), shared.options.lease.as_secs_f64() * 1e3);
    let (owner, out_of_order) = (&shared.owner[..], Flag::OutOfOrder.bit().cast_signed());
    let until = held::until(tokio::time::Instant::now(), shared.options.lease);
    let asked = async {
        let bound: [&(dyn ToSql + Sync); 7] =
            [handler, &micros, &limit, &owner, &lease_ms, &out_of_order, &TOLD_BEFORE];
        Ok(client.query(take, &bound).await?)
    };
    let taken = within(asked).await?;
    if taken.is_empty() {
        let asked = async { Ok(client.query_one(next, &[handler]).await?) };
        let next_at: Option<i64> = within(asked).await?.try_get(0)?;
        return Ok(Look::Nothing { next_at: next_at.map(time) });
    }
    let mut claims = Vec::with_capacity(taken.len());
    for row in &taken {
        claims.extend(claim(shared, row, now, until)?);
    }
    Ok(Look::Claims(claims))
}

/// Makes a claim of a lane that was taken; one that cannot be handed over is given up.
fn claim(
    shared: &Arc<Shared>,
    row: &Row,
    now: DateTime<Utc>,
    until: tokio::time::Instant,
) -> Result<Option<Claim>, EngineError> {
    let ticket =
        Ticket { seq: Seq(row.try_get(1)?), lane: row.try_get::<_, i64>(0)?.cast_unsigned() };
    let number = |column| -> Result<u32, EngineError> {
        Ok(row.try_get::<_, Option<i32>>(column)?.unwrap_or(0).cast_unsigned())
    };
    let (replay, attempts) = (number(11)?, number(12)?);
    let first_attempt_at = row.try_get::<_, Option<i64>>(13)?.map(time);
    let progress = Progress {
        replay,
        attempts,
        first_attempt_at: Some(first_attempt_at.unwrap_or(now)),
        ..Progress::default()
    };
    let lost = CancellationToken::new();
    let out = Out { ticket, fence: row.try_get(2)?, progress, lost: lost.clone() };
    let give_up = |error: String| {
        tracing::error!(seq = ticket.seq.0, error, "gave up an event");
        shared.options.metrics.gave_up();
        let dead = Settlement::Dead { error };
        shared.settle(Settled::with(out.clone(), dead, None, now));
    };
    let marks: i32 = row.try_get(14)?;
    if marks > 0 {
        tracing::warn!(seq = ticket.seq.0, marks, "took over what another receiver left behind");
    }
    if marks >= MARKS_LIMIT {
        give_up("its attempts ended a receiver three times".to_owned());
        return Ok(None);
    }
    let mut event = match event(row)? {
        Ok(event) => event,
        Err(unreadable) => {
            give_up(unreadable);
            return Ok(None);
        }
    };
    event.seq = ticket.seq.0.unsigned_abs();
    event.attempt = attempts + 1;
    event.replay = replay;
    shared.held.insert(out, until);
    let home: Arc<dyn TakeBack> = Arc::<Shared>::clone(shared);
    let first_attempt_at = first_attempt_at.filter(|_| attempts > 0);
    Ok(Some(Claim::new(event, ticket, first_attempt_at, home).shared(lost, told_before(row)?)))
}

/// Returns what the last events of the lane told, the oldest first.
fn told_before(row: &Row) -> Result<Vec<ToldBefore>, EngineError> {
    let seqs: Vec<i64> = row.try_get::<_, Option<_>>(15)?.unwrap_or_default();
    let states: Vec<String> = row.try_get::<_, Option<_>>(16)?.unwrap_or_default();
    let told = seqs.into_iter().zip(states).rev();
    Ok(told.map(|(seq, states)| ToldBefore { seq: Seq(seq), states }).collect())
}

/// Returns the event of a row, or why it cannot be read.
fn event(row: &Row) -> Result<Result<Box<OrderEvent>, String>, EngineError> {
    let id: &[u8] = row.try_get(3)?;
    let stored = Stored {
        id: id
            .try_into()
            .map_err(|_length| EngineError::text("an event's id is not of 16 bytes"))?,
        action: row.try_get(4)?,
        seller: row.try_get(5)?,
        verified: row.try_get::<_, i32>(6)? == 1,
        received_at: row.try_get(7)?,
        flags: row.try_get::<_, i32>(8)?.cast_unsigned(),
        warnings: row.try_get(9)?,
        body: row.try_get(10)?,
    };
    Ok(stored.parse().map_err(|error| Chain(&error).to_string()))
}
