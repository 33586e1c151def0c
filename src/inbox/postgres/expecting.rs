//! Expectations: registered and met in the database, so that all receivers know of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::connect::{EngineError, Link, within};
use super::writer::{self, APPEND, Append, Columns, Kept};
use super::{Options, PostgresInbox, text};
use crate::beckn::action::Action;
use crate::event::{Flag, OrderEvent};
use crate::inbox::expectations::{
    Counts, ExpectError, Expectation, Expected, Expecting, LOOK_BACK, NewExpectation,
};
use crate::inbox::stored::time;
use crate::inbox::{Error, Receipt, Record, Seq};

const EXPECT: &str = "SELECT seq, met_seq
     FROM expect($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

/// So many silences are told in a step.
const STEP: i64 = 256;

const OVERDUE: &str = "SELECT seq, id, action, message_id, transaction_id, bap_id, bpp_id, domain,
     registered_by, registered_at, due_at FROM expectation
     WHERE met_seq IS NULL AND silent_seq IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2";

const LOCK: &str = "SELECT lock_log()";

const OPEN: &str = "SELECT 1 FROM expectation
     WHERE seq = $1 AND met_seq IS NULL AND silent_seq IS NULL";

const SILENT: &str = "UPDATE expectation SET silent_seq = $2 WHERE seq = $1";

/// Where expectations are asked for.
#[derive(Debug)]
pub(super) struct Desk(Link<6>);

impl Desk {
    pub(super) fn new(options: &Options) -> Self {
        Self(Link::new(options.server.clone(), [EXPECT, OVERDUE, LOCK, OPEN, APPEND, SILENT]))
    }
}

impl Expecting for PostgresInbox {
    fn expect(&self, new: NewExpectation) -> BoxFuture<'_, Result<Expected, ExpectError>> {
        Box::pin(self.register(new))
    }

    fn forget_expectation(&self, _id: Uuid) {
        // It is nowhere but in the database.
    }

    fn look_for_expected(&self) -> BoxFuture<'_, Result<(), Error>> {
        // A registering has looked to the end.
        Box::pin(std::future::ready(Ok(())))
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
        Box::pin(self.keep_silence(of, record, event))
    }

    fn next_silence(&self) -> Option<DateTime<Utc>> {
        None
    }

    fn open_expectations(&self) -> usize {
        usize::try_from(self.shared.expected.count()).unwrap_or(usize::MAX)
    }

    fn expectation_counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.counts)
    }
}

impl PostgresInbox {
    async fn register(&self, new: NewExpectation) -> Result<Expected, ExpectError> {
        if self.shared.expected.count() >= self.shared.options.expectations_limit as u64 {
            return Err(ExpectError::TooMany);
        }
        let id = writer::new_id(&self.shared.ids, new.at).uuid();
        let mut desk = self.shared.expecting.lock().await;
        let written = within(async {
            let (client, [expect, ..]) = desk.0.get().await?;
            write(client, expect, id, &new).await
        });
        let written = written.await;
        if written.is_err() {
            desk.0.give_up();
        }
        drop(desk);
        let met = written.map_err(engine)?;
        self.shared.expected.add(u64::from(met.is_none()));
        self.shared.counts.add(1, usize::from(met.is_some()), 0);
        Ok(Expected { id, met: met.map(Seq) })
    }

    async fn look_for_overdue(&self, now: DateTime<Utc>) -> Result<Vec<Arc<Expectation>>, Error> {
        let mut desk = self.shared.expecting.lock().await;
        let looked = within(async {
            let (client, [_, overdue, ..]) = desk.0.get().await?;
            let rows = client.query(overdue, &[&now.timestamp_micros(), &STEP]).await?;
            rows.iter().map(read).collect::<Result<Vec<_>, EngineError>>()
        });
        let looked = looked.await;
        if looked.is_err() {
            desk.0.give_up();
        }
        // An action that this version does not know cannot be told by it.
        Ok(looked.map_err(engine)?.into_iter().flatten().collect())
    }

    /// Keeps the event of a silence, and that it was told, in one commit; `None` when it is not to
    /// be told any more: another receiver has, or something came.
    async fn keep_silence(
        &self,
        of: &Expectation,
        record: Record,
        event: Box<OrderEvent>,
    ) -> Result<Option<Receipt>, Error> {
        let (mut append, _receipt) = self.entry(record, event);
        append.event.id = writer::new_id(&self.shared.ids, append.event.received_at);
        let mut desk = self.shared.expecting.lock().await;
        let told = within(async {
            let (client, statements) = desk.0.get().await?;
            tell(client, statements, of.seq, &append).await
        });
        let told = told.await;
        if told.is_err() {
            // What was begun is undone with its connection.
            desk.0.give_up();
        }
        drop(desk);
        Ok(match told.map_err(engine)? {
            None => None,
            Some(Kept::New { seq, flags }) => {
                flags.iter().for_each(|flag| self.shared.options.metrics.flagged(flag.as_str()));
                self.shared.counts.add(0, 0, 1);
                self.shared.unsettled.add(1);
                self.shared.expected.subtract(1);
                self.shared.saw(seq);
                self.shared.woken.notify_waiters();
                self.shared.tell.notify_one();
                Some(Receipt::New { id: append.event.id, seq: Seq(seq) })
            }
            Some(Kept::Duplicate { of, .. }) => Some(Receipt::Duplicate { of }),
        })
    }
}

// By value, for `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn engine(error: EngineError) -> Error {
    Error::Engine(Arc::new(error))
}

async fn write(
    client: &Client,
    expect: &Statement,
    id: Uuid,
    new: &NewExpectation,
) -> Result<Option<i64>, EngineError> {
    let optional = |value: &Option<String>| value.as_deref().map(|value| text(value).into_owned());
    let since = (new.at - LOOK_BACK).timestamp_micros();
    let row = client
        .query_one(
            expect,
            &[
                &&id.as_bytes()[..],
                &new.action.as_str(),
                &text(&new.message_id),
                &optional(&new.transaction_id),
                &optional(&new.bap_id),
                &optional(&new.bpp_id),
                &optional(&new.domain),
                &new.at.timestamp_micros(),
                &text(&new.by),
                &new.due_at.timestamp_micros(),
                &since,
                &Flag::Solicited.bit().cast_signed(),
                &Flag::Silence.bit().cast_signed(),
            ],
        )
        .await?;
    Ok(row.try_get(1)?)
}

async fn tell(
    client: &Client,
    [_, _, lock, open, append, silent]: &[Statement; 6],
    expectation: i64,
    event: &Append,
) -> Result<Option<Kept>, EngineError> {
    client.batch_execute("BEGIN").await?;
    // As an append takes them: the log, then what is expected.
    client.query(lock, &[]).await?;
    if client.query_opt(open, &[&expectation]).await?.is_none() {
        client.batch_execute("COMMIT").await?;
        return Ok(None);
    }
    let columns = Columns::of(std::slice::from_ref(event));
    let kept = client.query_one(append, &columns.parameters()).await?;
    let seq: i64 = kept.try_get(2)?;
    client.execute(silent, &[&expectation, &seq]).await?;
    client.batch_execute("COMMIT").await?;
    writer::read(&kept).map(Some)
}

fn read(row: &Row) -> Result<Option<Arc<Expectation>>, EngineError> {
    let Some(action) = Action::from_name(row.try_get(2)?) else { return Ok(None) };
    let id = Uuid::from_slice(row.try_get(1)?);
    let id = id.map_err(|_length| EngineError::text("an expectation's id is not of 16 bytes"))?;
    let new = NewExpectation {
        action,
        message_id: row.try_get(3)?,
        transaction_id: row.try_get(4)?,
        bap_id: row.try_get(5)?,
        bpp_id: row.try_get(6)?,
        domain: row.try_get(7)?,
        by: row.try_get(8)?,
        at: time(row.try_get(9)?),
        due_at: time(row.try_get(10)?),
    };
    Ok(Some(Arc::new(Expectation { seq: row.try_get(0)?, id, new, looked: AtomicBool::new(true) })))
}
