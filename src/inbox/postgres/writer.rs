//! The writer: a task that keeps what waits, a batch in one round trip.
//!
//! Batches go one after the other, as those of all receivers do (`append` in the schema). Two
//! appends that may repeat each other are never in one batch: the database decides, and it sees
//! what was committed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;
use uuid::timestamp::context::ContextV7;

use super::connect::{EngineError, Link, within};
use super::{Shared, lock, text};
use crate::event::{EventId, Flag, Flags, OrderEvent};
use crate::inbox::notes::Tally;
use crate::inbox::prints::Prints;
use crate::inbox::stored::warnings_at_rest;
use crate::inbox::{Error, Receipt, Record, Seq, Standing};
use crate::metrics::{Answer, FromSeller};

pub(super) const APPEND: &str =
    "SELECT n, original, seq, flags FROM append($1, $2, $3, $4, $5, $6, $7, $8, $9,
     $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)";

/// Where an append is answered.
pub(super) type Caller = oneshot::Sender<Result<Receipt, Error>>;

/// A callback that waits to be kept.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) event: Box<OrderEvent>,
    pub(super) record: Record,
    pub(super) seller: String,
    pub(super) prints: Prints,
    /// The name of its handler.
    pub(super) handler: String,
    pub(super) answer: Caller,
    /// Others of the same bytes: they are duplicates of it, or of what it repeats.
    pub(super) repeated_by: Vec<Caller>,
    /// When it was put in line.
    pub(super) queued: Instant,
}

/// Keeps what comes until nothing can come any more.
pub(super) async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Append>) {
    let mut link = Link::new(shared.options.server.clone(), [APPEND]);
    let mut held_over = VecDeque::new();
    while let Some(mut batch) = next_batch(&shared, &mut queue, &mut held_over).await {
        let began = Instant::now();
        for append in &mut batch {
            append.event.id = new_id(&shared.ids, append.event.received_at);
        }
        match keep(&mut link, &batch).await {
            Ok(kept) => {
                shared.options.metrics.inbox.committed(batch.len(), began.elapsed());
                publish(&shared, batch, kept);
            }
            Err(error) => {
                tracing::debug!(appends = batch.len(), %error, "a commit of the inbox failed");
                shared.options.metrics.inbox.commit_failed();
                let answer = Error::Engine(Arc::new(error.clone()));
                shared.is_away(&error);
                for append in batch {
                    for caller in append.repeated_by.into_iter().chain([append.answer]) {
                        // A caller that has gone needs no answer.
                        let _ = caller.send(Err(answer.clone()));
                    }
                }
            }
        }
    }
}

/// Takes what waits, without what may repeat something of the same batch; `None`: nothing can come.
async fn next_batch(
    shared: &Shared,
    queue: &mut mpsc::Receiver<Append>,
    held_over: &mut VecDeque<Append>,
) -> Option<Vec<Append>> {
    if held_over.is_empty() {
        held_over.push_back(queue.recv().await?);
    }
    while held_over.len() < 2 * shared.options.batch_limit
        && let Ok(append) = queue.try_recv()
    {
        held_over.push_back(append);
    }
    let (batch, bytes) = part(held_over, shared.options.batch_limit);
    shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    Some(batch)
}

/// Parts a batch from what waits; also returns how many bytes wait less.
fn part(waiting: &mut VecDeque<Append>, limit: usize) -> (Vec<Append>, usize) {
    let (mut places, mut ids) = (HashMap::new(), HashSet::new());
    let mut batch: Vec<Append> = Vec::new();
    let mut later = VecDeque::new();
    let mut bytes = 0;
    for append in waiting.drain(..) {
        let Prints { body, ids: of_ids, .. } = append.prints;
        let standing = append.record.standing;
        if let Some(first) = places.get(&body).and_then(|place| batch.get_mut::<usize>(*place)) {
            if first.record.standing == standing {
                bytes += append.event.body.len();
                first.repeated_by.push(append.answer);
            } else {
                later.push_back(append);
            }
        } else if batch.len() < limit && of_ids.is_none_or(|print| ids.insert(print)) {
            bytes += append.event.body.len();
            places.insert(body, batch.len());
            batch.push(append);
        } else {
            later.push_back(append);
        }
    }
    *waiting = later;
    (batch, bytes)
}

/// Lets everyone know of a commit.
fn publish(shared: &Shared, batch: Vec<Append>, kept: Vec<Kept>) {
    let durable = Instant::now();
    let (mut newest, mut pending, mut met) = (0, 0, 0);
    let mut answers = Vec::with_capacity(batch.len());
    for (append, kept) in batch.into_iter().zip(kept) {
        shared.options.metrics.inbox.appended_after(durable - append.queued);
        note(shared, &append, kept);
        let (of, receipt) = match kept {
            Kept::New { seq, flags } => {
                newest = newest.max(seq);
                pending += u64::from(append.record.standing == Standing::Pending);
                met += usize::from(flags.contains(Flag::Solicited));
                let id = append.event.id;
                (id, Receipt::New { id, seq: Seq(seq) })
            }
            Kept::Duplicate { of, .. } => (of, Receipt::Duplicate { of }),
        };
        let repeats =
            append.repeated_by.into_iter().map(|caller| (caller, Receipt::Duplicate { of }));
        answers.extend(repeats);
        answers.push((append.answer, receipt));
    }
    shared.counts.add(0, met, 0);
    shared.unsettled.add(pending);
    shared.is_back();
    // Before the answers: a stream that begins after an ACK begins after its event.
    shared.saw(newest);
    for (answer, receipt) in answers {
        // A caller that has gone needs no answer: the record is kept all the same.
        let _ = answer.send(Ok(receipt));
    }
    if pending > 0 {
        shared.woken.notify_waiters();
    }
    if newest > 0 {
        shared.tell.notify_one();
    }
}

/// Counts what came, and notes it for its seller.
fn note(shared: &Shared, append: &Append, kept: Kept) {
    let (metrics, now) = (&shared.options.metrics, shared.clock.now());
    let (seller, event) = (append.seller.as_str(), &append.event);
    let verified = event.sender.is_some();
    let seen_at = Some(event.received_at.timestamp());
    let mut notes = lock(&shared.notes);
    let (seq, answer) = match kept {
        Kept::New { seq, flags } => {
            flags.iter().for_each(|flag| metrics.flagged(flag.as_str()));
            notes.tally(seller, Tally::of_append(event, false), now);
            (seq, Answer::Ack)
        }
        Kept::Duplicate { seq, .. } => (seq, Answer::Duplicate),
    };
    metrics.count_seller(FromSeller { seller, verified, answer }, seen_at);
    let repeats = append.repeated_by.len() + usize::from(matches!(kept, Kept::Duplicate { .. }));
    for _ in 0..repeats {
        notes.repeat(seq, now);
        notes.tally(seller, Tally::of_append(event, true), now);
    }
    for _ in 0..append.repeated_by.len() {
        let answer = Answer::Duplicate;
        metrics.count_seller(FromSeller { seller, verified, answer }, seen_at);
    }
}

pub(super) fn new_id(ids: &Mutex<ContextV7>, at: DateTime<Utc>) -> EventId {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    let timestamp = uuid::Timestamp::from_unix(&*lock(ids), seconds, at.timestamp_subsec_nanos());
    EventId::new(Uuid::new_v7(timestamp))
}

/// What the database has decided of an append.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    New { seq: i64, flags: Flags },
    Duplicate { of: EventId, seq: i64 },
}

async fn keep(link: &mut Link<1>, batch: &[Append]) -> Result<Vec<Kept>, EngineError> {
    let (client, [append]) = link.get().await?;
    let answered = within(call(client, append, batch)).await;
    if answered.is_err() {
        link.give_up();
    }
    answered
}

async fn call(
    client: &Client,
    append: &Statement,
    batch: &[Append],
) -> Result<Vec<Kept>, EngineError> {
    let rows = client.query(append, &Columns::of(batch).parameters()).await?;
    let mut kept: Vec<Option<Kept>> = vec![None; batch.len()];
    for row in &rows {
        let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
        if let Some(slot) = kept.get_mut(place) {
            *slot = Some(read(row)?);
        }
    }
    let all: Option<Vec<Kept>> = kept.into_iter().collect();
    all.ok_or_else(|| EngineError::text("the database did not say what became of an append"))
}

pub(super) fn read(row: &Row) -> Result<Kept, EngineError> {
    if let Some(original) = row.try_get::<_, Option<&[u8]>>(1)? {
        let uuid = Uuid::from_slice(original);
        let uuid = uuid.map_err(|_length| EngineError::text("an event's id is not of 16 bytes"))?;
        return Ok(Kept::Duplicate { of: EventId::new(uuid), seq: row.try_get(2)? });
    }
    let flags = row.try_get::<_, i32>(3)?.cast_unsigned();
    Ok(Kept::New { seq: row.try_get(2)?, flags: Flags::from_bits(flags) })
}

/// The columns of a batch.
#[derive(Default)]
pub(super) struct Columns<'a> {
    ids: Vec<Vec<u8>>,
    actions: Vec<&'static str>,
    sellers: Vec<Cow<'a, str>>,
    verified: Vec<bool>,
    bap_ids: Vec<Option<Cow<'a, str>>>,
    transaction_ids: Vec<Option<Cow<'a, str>>>,
    message_ids: Vec<Option<Cow<'a, str>>>,
    domains: Vec<Option<Cow<'a, str>>>,
    order_ids: Vec<Option<Cow<'a, str>>>,
    states: Vec<Option<Cow<'a, str>>>,
    received_at: Vec<i64>,
    flags: Vec<i32>,
    warnings: Vec<Option<Cow<'a, str>>>,
    bodies: Vec<&'a [u8]>,
    body_prints: Vec<Vec<u8>>,
    ids_prints: Vec<Option<Vec<u8>>>,
    content_prints: Vec<Vec<u8>>,
    lanes: Vec<i64>,
    standings: Vec<i32>,
    handlers: Vec<&'a str>,
}

/// The bits of flags that the database sets or looks at.
const ID_REUSED: i32 = Flag::IdReused.bit().cast_signed();
const SOLICITED: i32 = Flag::Solicited.bit().cast_signed();
const SILENCE: i32 = Flag::Silence.bit().cast_signed();

/// How long a callback is called late that comes after the silence was told, in microseconds.
const LATE_FOR: i64 = 24 * 60 * 60 * 1_000_000;

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a [Append]) -> Self {
        let mut columns = Self::default();
        for append in batch {
            columns.push(append);
        }
        columns
    }

    fn push(&mut self, append: &'a Append) {
        let Append { event, record, seller, prints, handler, .. } = append;
        let context = &event.context;
        self.ids.push(event.id.uuid().into_bytes().to_vec());
        self.actions.push(event.action.as_str());
        self.sellers.push(text(seller));
        self.verified.push(event.sender.is_some());
        self.bap_ids.push(context.bap_id.as_deref().map(text));
        self.transaction_ids.push(context.transaction_id.as_deref().map(text));
        self.message_ids.push(context.message_id.as_deref().map(text));
        self.domains.push(context.domain.as_deref().map(text));
        self.order_ids.push(event.order_id().map(text));
        self.states.push(event.state().map(text));
        self.received_at.push(event.received_at.timestamp_micros());
        self.flags.push(event.flags.bits().cast_signed());
        self.warnings.push(warnings_at_rest(&event.warnings).map(Cow::Owned));
        self.bodies.push(&event.body);
        self.body_prints.push(prints.body.to_le_bytes().to_vec());
        self.ids_prints.push(prints.ids.map(|print| print.to_le_bytes().to_vec()));
        self.content_prints.push(prints.content.to_le_bytes().to_vec());
        self.lanes.push(prints.lane.cast_signed());
        self.standings.push(match record.standing {
            Standing::Pending => 0,
            Standing::Rejected => 1,
        });
        self.handlers.push(handler);
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 24] {
        [
            &self.ids,
            &self.actions,
            &self.sellers,
            &self.verified,
            &self.bap_ids,
            &self.transaction_ids,
            &self.message_ids,
            &self.domains,
            &self.order_ids,
            &self.states,
            &self.received_at,
            &self.flags,
            &self.warnings,
            &self.bodies,
            &self.body_prints,
            &self.ids_prints,
            &self.content_prints,
            &self.lanes,
            &self.standings,
            &self.handlers,
            &ID_REUSED,
            &SOLICITED,
            &SILENCE,
            &LATE_FOR,
        ]
    }
}
