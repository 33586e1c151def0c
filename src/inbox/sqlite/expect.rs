//! Expecting callbacks: registering, looking back, and what is told of silences.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::expecting::{Met, Request};
use super::open_error::EngineError;
use super::{SqliteInbox, looking, schema};
use crate::event::OrderEvent;
use crate::inbox::expectations::{
    Candidate, Counts, ExpectError, Expectation, Expected, Expecting, LOOK_BACK, NewExpectation,
};
use crate::inbox::{Error, Receipt, Record, Seq};

/// How long a registering looks back; what it has not reached is looked at before a silence is told.
const BUDGET: Duration = Duration::from_millis(250);

/// How long one looks before silences are told.
const LAST_BUDGET: Duration = Duration::from_secs(2);

/// So many silences are told in a step.
const STEP: usize = 256;

impl Expecting for SqliteInbox {
    fn expect(&self, new: NewExpectation) -> BoxFuture<'_, Result<Expected, ExpectError>> {
        Box::pin(self.register(new))
    }

    fn forget_expectation(&self, id: Uuid) {
        self.shared.open().forget(id);
    }

    fn look_for_expected(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.look_for_all())
    }

    fn overdue(&self, now: DateTime<Utc>) -> BoxFuture<'_, Result<Vec<Arc<Expectation>>, Error>> {
        Box::pin(self.look_for_overdue(now))
    }

    fn tell_silence<'a>(
        &'a self,
        of: &'a Expectation,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'a, Result<Option<Receipt>, Error>> {
        Box::pin(self.append_record(record, event, Some(of.seq)))
    }

    fn next_silence(&self) -> Option<DateTime<Utc>> {
        self.shared.open().next_due()
    }

    fn open_expectations(&self) -> usize {
        self.shared.open().len()
    }

    fn expectation_counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.counts)
    }
}

impl SqliteInbox {
    /// Registers an expectation. What came before it and was not found is looked for again when it
    /// is due.
    async fn register(&self, new: NewExpectation) -> Result<Expected, ExpectError> {
        let (answer, registered) = oneshot::channel();
        self.shared.mailbox.request(Request::Register { new, answer })?;
        // The writer drops an answer only when it is abandoned.
        let expectation = registered.await.unwrap_or(Err(Error::Closed.into()))?;
        let wanted = vec![Arc::clone(&expectation)];
        let met = match self.look_back(wanted, BUDGET).await {
            Ok(met) => met.first().map(|met| Seq(met.event)),
            // It is registered all the same, and looked for again when it is due.
            Err(error) => {
                tracing::warn!(%error, "what came before an expectation could not be looked for");
                None
            }
        };
        Ok(Expected { id: expectation.id, met })
    }

    async fn look_for_all(&self) -> Result<(), Error> {
        let wanted = self.shared.open().not_looked_for(usize::MAX);
        if !wanted.is_empty() {
            self.look_back(wanted, LAST_BUDGET).await?;
        }
        Ok(())
    }

    async fn look_for_overdue(&self, now: DateTime<Utc>) -> Result<Vec<Arc<Expectation>>, Error> {
        let mut overdue = self.shared.open().overdue(now, STEP);
        if overdue.is_empty() {
            return Ok(overdue);
        }
        let not_looked = |one: &&Arc<Expectation>| !one.looked.load(Ordering::Relaxed);
        let wanted: Vec<_> = overdue.iter().filter(not_looked).map(Arc::clone).collect();
        if !wanted.is_empty() {
            self.look_back(wanted, LAST_BUDGET).await?;
        }
        let kept = self.still_there(overdue.iter().map(|one| one.seq).collect()).await?;
        let mut open = self.shared.open();
        for one in overdue.iter().filter(|one| !kept.contains(&one.seq)) {
            open.remove(one.seq);
        }
        overdue.retain(|one| open.get(one.seq).is_some());
        Ok(overdue)
    }

    /// Looks for what met these before they were registered; returns those that are met, once that
    /// is durable.
    async fn look_back(
        &self,
        wanted: Vec<Arc<Expectation>>,
        budget: Duration,
    ) -> Result<Vec<Met>, Error> {
        let file = self.options.path.join(schema::FILE);
        let asked = wanted.clone();
        let looked = tokio::task::spawn_blocking(move || look(&file, &asked, budget)).await;
        let (met, whole) = looked.expect("looking back does not panic and is not aborted")?;
        // A few at a time: the queue is bounded, and others register meanwhile.
        for step in met.chunks(STEP) {
            let mut durable = Vec::new();
            for met in step {
                let (answer, written) = oneshot::channel();
                self.shared.mailbox.request(Request::Meet { met: *met, answer })?;
                durable.push(written);
            }
            for written in durable {
                written.await.unwrap_or_else(|_dropped| Err(self.ended()))?;
            }
        }
        // Only now: what a failed commit did not write has to be looked for again.
        for one in wanted.iter().filter(|_| whole) {
            one.looked.store(true, Ordering::Relaxed);
        }
        Ok(met)
    }

    /// Returns why the writer answers no more.
    fn ended(&self) -> Error {
        self.shared.mailbox.trouble().unwrap_or(Error::Closed)
    }

    /// Returns those that were not withdrawn by another process.
    async fn still_there(&self, seqs: Vec<i64>) -> Result<Vec<i64>, Error> {
        let file = self.options.path.join(schema::FILE);
        let read = move || {
            let connection = schema::open_reader(&file).map_err(engine)?;
            let mut there = connection
                .prepare("SELECT 1 FROM expectation WHERE seq = ?1 AND met_seq IS NULL")
                .map_err(engine)?;
            let mut kept = Vec::new();
            for seq in seqs {
                if there.exists([seq]).map_err(engine)? {
                    kept.push(seq);
                }
            }
            Ok(kept)
        };
        tokio::task::spawn_blocking(read).await.expect("reading does not panic and is not aborted")
    }
}

// By value, for `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn engine(error: impl std::error::Error + 'static) -> Error {
    Error::Engine(Arc::new(EngineError::chain(&error)))
}

/// Returns what was found, and whether all was looked through.
fn look(
    file: &std::path::Path,
    wanted: &[Arc<Expectation>],
    budget: Duration,
) -> Result<(Vec<Met>, bool), Error> {
    let connection = schema::open_reader(file).map_err(engine)?;
    let deadline = Instant::now() + budget;
    let Some(since) = wanted.iter().map(|one| one.new.at - LOOK_BACK).min() else {
        return Ok((Vec::new(), true));
    };
    let mut by_message = std::collections::HashMap::<&str, Vec<&Arc<Expectation>>>::new();
    for one in wanted {
        by_message.entry(one.new.message_id.as_str()).or_default().push(one);
    }
    let mut met = std::collections::BTreeMap::new();
    let whole = looking::back(&connection, since, deadline, |seen| {
        let of_message = by_message.get(seen.message_id).map(Vec::as_slice).unwrap_or_default();
        for one in of_message.iter().filter(|one| seen.received_at >= one.new.at - LOOK_BACK) {
            let candidate = Candidate {
                action: seen.action,
                message_id: seen.message_id,
                transaction_id: seen.transaction_id,
                seller: seen.seller,
            };
            if one.new.is_met_by(candidate) {
                // The walk goes back: the last that is found came first.
                let first = Met { expectation: one.seq, event: seen.seq, at: seen.received_at };
                met.insert(one.seq, first);
            }
        }
        ControlFlow::Continue(())
    })
    .map_err(engine)?;
    Ok((met.into_values().collect(), whole))
}
