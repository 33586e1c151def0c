//! What is done from time to time: refusals are written, and it is looked for what other receivers
//! have kept and settled.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::connect::{EngineError, Link, within};
use super::upkeep::Upkeep;
use super::{Options, Shared, lock, text};
use crate::beckn::action::Action;
use crate::event::{Flag, Flags};
use crate::inbox::notes::{Noted, Repetition, Tallies, Tally};
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

/// What is not settled.
pub(super) const UNSETTLED: &str =
    "SELECT count(*) FROM (SELECT 1 FROM pending LIMIT $1) AS counted";

/// What is waited for.
pub(super) const EXPECTED: &str = "SELECT count(*) FROM (SELECT 1 FROM expectation
     WHERE met_seq IS NULL AND silent_seq IS NULL LIMIT $1) AS counted";

const REGISTER: &str =
    "INSERT INTO handler (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";

/// One that is paused keeps its row although it is gone, so that it is still paused when it comes
/// back; and receivers of an earlier configuration may still have what is for others.
const UNREGISTER: &str = "DELETE FROM handler WHERE paused_at IS NULL AND name <> ALL ($1)
     AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.handler = handler.name)";

const TALLY: &str =
    "INSERT INTO seller_tally AS t (quarter, seller, verified, accepted, duplicates,
     refused, untrusted, oddities, last_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (quarter, seller) DO UPDATE SET verified = t.verified | $3,
     accepted = t.accepted + $4, duplicates = t.duplicates + $5, refused = t.refused + $6,
     untrusted = t.untrusted + $7, oddities = t.oddities + $8, last_at = greatest(t.last_at, $9)";

/// Retention may have taken the original away since.
const REPEAT: &str = "INSERT INTO repetition AS r (seq, times, last_at)
     SELECT seq, $2, $3 FROM event WHERE seq = $1
     ON CONFLICT (seq) DO UPDATE SET times = r.times + $2, last_at = greatest(r.last_at, $3)";

const OLD_TALLIES: &str = "DELETE FROM seller_tally WHERE quarter < $1";

const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM event";

/// How many there are of something: what this receiver knows, brought up to what all have done.
#[derive(Debug, Default)]
pub(super) struct Counted {
    count: AtomicU64,
    /// How often this receiver has changed it.
    changes: AtomicU64,
}

impl Counted {
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

    /// Counts them by a statement; more than `limit` and one are not.
    pub(super) async fn look(
        &self,
        client: &Client,
        sql: &str,
        limit: usize,
    ) -> Result<(), EngineError> {
        let changes = self.changes.load(Ordering::Relaxed);
        let limit = whole(limit).saturating_add(1);
        let count: i64 = client.query_one(sql, &[&limit]).await?.try_get(0)?;
        // What was changed meanwhile may be in what was counted, or not: the next look says.
        if changes == self.changes.load(Ordering::Relaxed) {
            self.count.store(count.unsigned_abs(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Refusals that wait to be written, and the counts of all.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    refusals: VecDeque<Refusal>,
    counts: HashMap<RefusalKey, u64>,
    sellers: Tallies,
}

impl Refusals {
    /// Counts a refusal, and keeps it while there is room; returns whether there was.
    pub(super) fn keep(&self, mut refusal: Refusal, options: &Options) -> bool {
        cut(&mut refusal, options.refusal_body_bytes);
        // A route is text from outside: only the actions are counted by name.
        let route = Action::from_name(&refusal.route).map_or("other", Action::as_str);
        let mut waiting = lock(&self.0);
        waiting.sellers.add(&refusal.seller, Tally::of_refusal(&refusal));
        *waiting.counts.entry((route, refusal.cause)).or_default() += 1;
        let has_room = waiting.refusals.len() < options.refusal_queue;
        if has_room {
            waiting.refusals.push_back(refusal);
        }
        has_room
    }

    fn take(&self) -> (Vec<Refusal>, HashMap<RefusalKey, u64>) {
        let mut waiting = lock(&self.0);
        let count = BATCH.min(waiting.refusals.len());
        (waiting.refusals.drain(..count).collect(), std::mem::take(&mut waiting.counts))
    }

    fn take_sellers(&self) -> Tallies {
        std::mem::take(&mut lock(&self.0).sellers)
    }

    fn take_back(&self, counts: HashMap<RefusalKey, u64>) {
        let mut waiting = lock(&self.0);
        for (key, count) in counts {
            *waiting.counts.entry(key).or_default() += count;
        }
    }
}

/// Keeps house until the task is ended.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut link = Link::new(shared.options.server.clone(), [COUNT, KEEP, CUT_CAUSE, CUT_ROOM]);
    let mut upkeep = Upkeep::default();
    loop {
        tokio::time::sleep(shared.options.poll).await;
        // Whether it is there is known also while no callback comes.
        if let Err(error) = look_around(&mut link, &shared).await {
            shared.is_away(&error);
            link.give_up();
            link.rest().await;
            continue;
        }
        shared.is_back();
        if let Err(error) = keep_house(&mut link, &shared, &mut upkeep).await {
            tracing::warn!(%error, "the inbox could not be kept in order");
            link.give_up();
            link.rest().await;
        }
    }
}

/// Looks for what other receivers have kept and settled.
async fn look_around(link: &mut Link<4>, shared: &Shared) -> Result<(), EngineError> {
    let options = &shared.options;
    let (client, _) = within(link.get()).await?;
    within(async {
        shared.unsettled.look(client, UNSETTLED, options.unsettled_limit).await?;
        shared.expected.look(client, EXPECTED, options.expectations_limit).await?;
        shared.saw(newest(client).await?);
        Ok(())
    })
    .await?;
    // What others left, and leases that are over, are found by looking.
    shared.woken.notify_waiters();
    Ok(())
}

async fn keep_house(
    link: &mut Link<4>,
    shared: &Shared,
    upkeep: &mut Upkeep,
) -> Result<(), EngineError> {
    write_refusals(link, shared).await?;
    let (client, _) = link.get().await?;
    within(write_notes(client, shared)).await?;
    upkeep.look(client, shared).await
}

/// Writes what is refused so far.
async fn write_refusals(link: &mut Link<4>, shared: &Shared) -> Result<(), EngineError> {
    loop {
        let (refusals, counts) = shared.refusals.take();
        if refusals.is_empty() && counts.is_empty() {
            return Ok(());
        }
        let written = within(write(link, &shared.options, &refusals, &counts)).await;
        if written.is_err() {
            shared.refusals.take_back(counts);
        }
        written?;
    }
}

/// Writes what was noted of sellers and of events that came again, from time to time.
async fn write_notes(client: &Client, shared: &Shared) -> Result<(), EngineError> {
    let now = shared.clock.now();
    let noted = {
        let mut notes = lock(&shared.notes);
        if !notes.are_due(shared.options.poll) {
            return Ok(());
        }
        notes.merge(shared.refusals.take_sellers(), now);
        notes.take(now)
    };
    let Some(Noted { tallies, repetitions, oldest }) = noted else { return Ok(()) };
    client.batch_execute("BEGIN").await?;
    write_tallies(client, &tallies).await?;
    write_repetitions(client, &repetitions).await?;
    client.execute(OLD_TALLIES, &[&oldest]).await?;
    Ok(client.batch_execute("COMMIT").await?)
}

/// In one order, as the repetitions are: other receivers write the same rows.
async fn write_tallies(
    client: &Client,
    tallies: &[(i64, Box<str>, Tally)],
) -> Result<(), EngineError> {
    let mut tallies: Vec<_> = tallies.iter().map(|(at, name, tally)| (*at, name, tally)).collect();
    tallies.sort_unstable_by_key(|(at, name, _)| (*at, *name));
    let tally = client.prepare(TALLY).await?;
    for (quarter, seller, of_it) in tallies {
        let seller = text(seller);
        let Tally { verified, accepted, duplicates, refused, untrusted, oddities, last_at } =
            *of_it;
        let counts = [accepted, duplicates, refused, untrusted, oddities].map(u64::cast_signed);
        let [accepted, duplicates, refused, untrusted, oddities] = &counts;
        let verified = i32::from(verified);
        let bound: [&(dyn ToSql + Sync); 9] = [
            &quarter, &seller, &verified, accepted, duplicates, refused, untrusted, oddities,
            &last_at,
        ];
        client.execute(&tally, &bound).await?;
    }
    Ok(())
}

async fn write_repetitions(
    client: &Client,
    repetitions: &HashMap<i64, Repetition>,
) -> Result<(), EngineError> {
    let repeat = client.prepare(REPEAT).await?;
    let mut repetitions: Vec<_> = repetitions.iter().collect();
    repetitions.sort_unstable_by_key(|(seq, _)| **seq);
    for (seq, repetition) in repetitions {
        let times = repetition.times.cast_signed();
        client.execute(&repeat, &[seq, &times, &repetition.last_at]).await?;
    }
    Ok(())
}

/// Takes note of which handlers there are.
pub(super) async fn register(client: &Client, names: &[String]) -> Result<(), EngineError> {
    client.execute(REGISTER, &[&names]).await?;
    client.execute(UNREGISTER, &[&names]).await?;
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
                    &i32::from(refusal.verified),
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
    for verified in [0, 1] {
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
    let client = super::connect::connect(&options.server).await?;
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
