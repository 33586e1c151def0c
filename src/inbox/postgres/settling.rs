//! What became of claims: written in batches, by a fence that others have not passed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

use super::connect::{EngineError, Link, within};
use super::held::Out;
use super::{Shared, text};
use crate::inbox::outcome::{Outcome, State};
use crate::inbox::{Found, Settlement};

/// So many failed attempts of a round are kept, the newest.
const ATTEMPTS_KEPT: i32 = 50;

/// So many are written at once.
const BATCH: usize = 512;

/// How long a close waits for what is not written.
const FLUSHING: Duration = Duration::from_secs(5);

const SETTLE: &str =
    "SELECT * FROM settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

/// What became of a claim.
#[derive(Debug)]
pub(super) struct Settled {
    out: Out,
    /// `None`: nothing, it is handed back.
    outcome: Option<Outcome>,
}

/// What the task is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A claim is out no more.
    Settled(Settled),
    /// All that came before is to be written.
    Flush(oneshot::Sender<()>),
}

impl Settled {
    /// Hands a claim back.
    pub(super) fn back(out: Out) -> Self {
        Self { out, outcome: None }
    }

    /// Says what became of the attempt that has ended now.
    pub(super) fn with(
        out: Out,
        settlement: Settlement,
        found: Option<Found>,
        now: DateTime<Utc>,
    ) -> Self {
        let attempts = out.progress.attempts + 1;
        let outcome = Outcome::of(out.progress, attempts, settlement, now);
        Self { out, outcome: Some(Outcome { found, ..outcome }) }
    }

    /// Returns whether it is the end of a round.
    fn ends(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| outcome.state != State::Pending)
    }
}

/// Writes what comes, until the task is ended.
pub(super) async fn run(shared: Arc<Shared>, mut messages: mpsc::UnboundedReceiver<Message>) {
    let mut link = Link::new(shared.options.server.clone(), [SETTLE]);
    let mut waiting = Vec::new();
    while messages.recv_many(&mut waiting, BATCH).await > 0 {
        let (mut settled, mut callers) = (Vec::new(), Vec::new());
        for message in waiting.drain(..) {
            match message {
                Message::Settled(one) => settled.push(one),
                Message::Flush(caller) => callers.push(caller),
            }
        }
        if !settled.is_empty() {
            write_until_kept(&mut link, &shared, settled).await;
        }
        for caller in callers {
            let _ = caller.send(());
        }
    }
}

/// Waits until what came so far is written, for a while.
pub(super) async fn flush(shared: &Shared) {
    let (flushed, written) = oneshot::channel();
    // Without the task nothing can be written any more.
    if shared.settled.send(Message::Flush(flushed)).is_ok()
        && tokio::time::timeout(FLUSHING, written).await.is_err()
    {
        tracing::warn!("what was settled last is not written: it will be delivered again");
    }
}

/// The database may be away: what a handler has taken is not forgotten for that.
async fn write_until_kept(link: &mut Link<1>, shared: &Shared, settled: Vec<Settled>) {
    loop {
        match write(link, &settled).await {
            Ok(lanes) => return publish(shared, &settled, &lanes),
            Err(error) => {
                tracing::debug!(settlements = settled.len(), %error, "settlements wait");
                shared.is_away(&error);
                link.give_up();
                link.rest().await;
            }
        }
    }
}

fn publish(shared: &Shared, settled: &[Settled], lanes: &[i64]) {
    let ended = |one: &&Settled| one.ends() && lanes.contains(&one.out.ticket.lane.cast_signed());
    shared.unsettled.subtract(settled.iter().filter(ended).count() as u64);
    for one in settled {
        if !lanes.contains(&one.out.ticket.lane.cast_signed()) {
            let seq = one.out.ticket.seq.0;
            tracing::warn!(
                seq,
                "another receiver has taken an event over: this attempt counts nothing"
            );
        }
    }
    shared.woken.notify_waiters();
}

async fn write(link: &mut Link<1>, settled: &[Settled]) -> Result<Vec<i64>, EngineError> {
    let (client, [settle]) = link.get().await?;
    let mut columns = Columns::default();
    for one in settled {
        columns.push(one);
    }
    let asked = async { Ok(client.query(settle, &columns.parameters()).await?) };
    let rows = within(asked).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The columns of a batch.
#[derive(Default)]
struct Columns {
    lanes: Vec<i64>,
    fences: Vec<i64>,
    seqs: Vec<i64>,
    writes: Vec<bool>,
    replays: Vec<i32>,
    states: Vec<i32>,
    attempts: Vec<i32>,
    first_attempts_at: Vec<Option<i64>>,
    next_at: Vec<Option<i64>>,
    errors: Vec<Option<String>>,
    failed_at: Vec<Option<i64>>,
    settled_at: Vec<Option<i64>>,
    flags: Vec<i32>,
    found: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, Settled { out, outcome }: &Settled) {
        let pending = Outcome::pending(out.progress);
        let written = outcome.as_ref().unwrap_or(&pending);
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        let found = written.found.as_ref();
        self.lanes.push(out.ticket.lane.cast_signed());
        self.fences.push(out.fence);
        self.seqs.push(out.ticket.seq.0);
        self.writes.push(outcome.is_some());
        self.replays.push(written.replay.cast_signed());
        self.states.push(i32::try_from(written.state.number()).unwrap_or(0));
        self.attempts.push(written.attempts.cast_signed());
        self.first_attempts_at.push(micros(written.first_attempt_at));
        self.next_at.push(micros(written.next_at));
        self.errors.push(written.error.as_deref().map(|error| text(error).into_owned()));
        self.failed_at.push(micros(written.failed_at));
        self.settled_at.push(micros(written.settled_at));
        self.flags.push(found.map_or(0, |found| found.flags.bits().cast_signed()));
        self.found.push(found.map(|found| text(&found.states).into_owned()));
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 15] {
        [
            &self.lanes,
            &self.fences,
            &self.seqs,
            &self.writes,
            &self.replays,
            &self.states,
            &self.attempts,
            &self.first_attempts_at,
            &self.next_at,
            &self.errors,
            &self.failed_at,
            &self.settled_at,
            &self.flags,
            &self.found,
            &ATTEMPTS_KEPT,
        ]
    }
}
