//! What is done from time to time: refusals are written, and it is looked for what other receivers
//! have kept and settled.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio_postgres::Client;

use super::connect::{EngineError, Link};
use super::{Options, Shared, lock, text};
use crate::beckn::action::Action;
use crate::event::{Flag, Flags};
use crate::inbox::refused::{RefusalKey, cut};
use crate::inbox::{Refusal, StatesAtRest};

/// How many refusals are written at once.
const BATCH: usize = 128;

/// How far back the states of orders are looked for.
const STATES_REACH: i64 = 262_144;

const COUNT: &str = "INSERT INTO refusal_count VALUES ($1, $2, $3)
     ON CONFLICT (route, cause) DO UPDATE SET refused = refusal_count.refused + $3";

const KEEP: &str = "INSERT INTO refusal (at, route, seller, verified, cause, path, message, status,
     body, body_bytes, transaction_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

const CUT_CAUSE: &str = "DELETE FROM refusal WHERE seq IN (SELECT seq FROM refusal
     WHERE seller = $1 AND cause = $2 ORDER BY seq DESC OFFSET $3)";

/// Half of the room each: whoever is not verified cannot push out those who are.
const CUT_ROOM: &str = "DELETE FROM refusal WHERE seq IN (SELECT seq FROM refusal
     WHERE verified = $1 ORDER BY seq DESC OFFSET $2)";

const UNSETTLED: &str = "SELECT count(*) FROM (SELECT 1 FROM pending LIMIT $1) AS counted";

const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM event";

/// How many events are not settled: what this receiver knows, brought up to what all have done.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    count: AtomicU64,
    /// How often this receiver has changed it.
    changes: AtomicU64,
}

impl Unsettled {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, events: u64) {
        self.count.fetch_add(events, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, events: u64) {
        let less = |count: u64| Some(count.saturating_sub(events));
        let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts them; more than `limit` and one are not.
    pub(super) async fn look(&self, client: &Client, limit: usize) -> Result<(), EngineError> {
        let changes = self.changes.load(Ordering::Relaxed);
        let limit = whole(limit).saturating_add(1);
        let count: i64 = client.query_one(UNSETTLED, &[&limit]).await?.try_get(0)?;
        // What was changed meanwhile may be in what was counted, or not: the next look says.
        if changes == self.changes.load(Ordering::Relaxed) {
            self.count.store(count.unsigned_abs(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Refusals that wait to be written, and the counts of all.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(VecDeque<Refusal>, HashMap<RefusalKey, u64>)>);

impl Refusals {
    /// Counts a refusal, and keeps it while there is room; returns whether there was.
    pub(super) fn keep(&self, mut refusal: Refusal, options: &Options) -> bool {
        cut(&mut refusal, options.refusal_body_bytes);
        // A route is text from outside: only the actions are counted by name.
        let route = Action::from_name(&refusal.route).map_or("other", Action::as_str);
        let mut waiting = lock(&self.0);
        *waiting.1.entry((route, refusal.cause)).or_default() += 1;
        let has_room = waiting.0.len() < options.refusal_queue;
        if has_room {
            waiting.0.push_back(refusal);
        }
        has_room
    }

    fn take(&self) -> (Vec<Refusal>, HashMap<RefusalKey, u64>) {
        let mut waiting = lock(&self.0);
        let count = BATCH.min(waiting.0.len());
        (waiting.0.drain(..count).collect(), std::mem::take(&mut waiting.1))
    }

    fn take_back(&self, counts: HashMap<RefusalKey, u64>) {
        let mut waiting = lock(&self.0);
        for (key, count) in counts {
            *waiting.1.entry(key).or_default() += count;
        }
    }
}

/// Keeps house until the task is ended.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut link = Link::new(shared.options.clone(), [COUNT, KEEP, CUT_CAUSE, CUT_ROOM]);
    loop {
        tokio::time::sleep(shared.options.poll).await;
        if let Err(error) = keep_house(&mut link, &shared).await {
            tracing::warn!(%error, "the inbox could not be kept in order");
            link.give_up();
            link.rest().await;
        }
    }
}

async fn keep_house(link: &mut Link<4>, shared: &Shared) -> Result<(), EngineError> {
    loop {
        let (refusals, counts) = shared.refusals.take();
        if refusals.is_empty() && counts.is_empty() {
            break;
        }
        let written = write(link, &shared.options, &refusals, &counts).await;
        if written.is_err() {
            shared.refusals.take_back(counts);
        }
        written?;
    }
    let (client, _) = link.get().await?;
    shared.unsettled.look(client, shared.options.unsettled_limit).await?;
    shared.saw(newest(client).await?);
    // What others left, and leases that are over, are found by looking.
    shared.woken.notify_waiters();
    if shared.away.borrow().is_some() {
        shared.away.send_replace(None);
    }
    Ok(())
}

async fn write(
    link: &mut Link<4>,
    options: &Options,
    refusals: &[Refusal],
    counts: &HashMap<RefusalKey, u64>,
) -> Result<(), EngineError> {
    let (client, [count, keep, cut_cause, cut_room]) = link.get().await?;
    client.batch_execute("BEGIN").await?;
    for ((route, cause), times) in counts {
        let times = i64::try_from(*times).unwrap_or(i64::MAX);
        client.execute(count, &[route, cause, &times]).await?;
    }
    for refusal in refusals {
        let transaction_id = refusal.transaction_id.as_deref().map(text);
        let (status, bytes) = (i32::from(refusal.status), whole(refusal.body_bytes));
        let body = &refusal.body[..];
        client
            .execute(
                keep,
                &[
                    &refusal.at.timestamp_micros(),
                    &text(&refusal.route),
                    &text(&refusal.seller),
                    &refusal.verified,
                    &refusal.cause,
                    &text(&refusal.path),
                    &text(&refusal.message),
                    &status,
                    &body,
                    &bytes,
                    &transaction_id,
                ],
            )
            .await?;
    }
    let quota = whole(options.refusals_per_seller_and_cause);
    for refusal in refusals {
        client.execute(cut_cause, &[&text(&refusal.seller), &refusal.cause, &quota]).await?;
    }
    let half = whole(options.refusals_kept / 2);
    for verified in [false, true] {
        client.execute(cut_room, &[&verified, &half]).await?;
    }
    Ok(client.batch_execute("COMMIT").await?)
}

/// Returns a number as the database knows them.
fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the place of the newest event, 0 without one.
pub(super) async fn newest(client: &Client) -> Result<i64, EngineError> {
    Ok(client.query_one(NEWEST, &[]).await?.try_get(0)?)
}

/// Returns what was found out about the newest events.
pub(super) async fn states(
    options: &Options,
    limit: usize,
) -> Result<Vec<StatesAtRest>, EngineError> {
    let client = super::connect::connect(options).await?;
    let limit = whole(limit);
    let rows = client
        .query(
            "SELECT e.lane, d.flags, d.states FROM delivery d JOIN event e USING (seq)
             WHERE d.seq > (SELECT max(seq) FROM event) - $2 AND d.states IS NOT NULL
             ORDER BY d.seq DESC LIMIT $1",
            &[&limit, &STATES_REACH],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| {
        let flags = Flags::from_bits(row.try_get::<_, i32>(1)?.cast_unsigned());
        Ok(StatesAtRest {
            lane: row.try_get::<_, i64>(0)?.cast_unsigned(),
            out_of_order: flags.contains(Flag::OutOfOrder),
            states: row.try_get(2)?,
        })
    };
    rows.iter().map(read).collect()
}
