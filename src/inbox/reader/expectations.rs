//! The expectations of an inbox: what the buyer app waits for, and what became of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::audit::{self, Audit};
use super::client::{DbError, Row, Value};
use super::place::Place;
use super::{Error, Reader};
use crate::event::EventId;
use crate::inbox::stored::time;

/// What became of an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is waited for.
    Open,
    /// It came in time.
    Met,
    /// It did not come in time, and the handler was told.
    Silent,
    /// It came after that.
    Late,
}

impl Status {
    /// Every status.
    pub(crate) const ALL: [Status; 4] = [Status::Open, Status::Met, Status::Silent, Status::Late];

    /// Returns the word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Met => "met",
            Status::Silent => "silent",
            Status::Late => "late",
        }
    }

    const fn condition(self) -> &'static str {
        match self {
            Status::Open => "x.met_seq IS NULL AND x.silent_seq IS NULL",
            Status::Met => "x.met_seq IS NOT NULL AND x.silent_seq IS NULL",
            Status::Silent => "x.met_seq IS NULL AND x.silent_seq IS NOT NULL",
            Status::Late => "x.met_seq IS NOT NULL AND x.silent_seq IS NOT NULL",
        }
    }
}

/// An expectation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptExpectation {
    /// Its place among them.
    pub(crate) seq: i64,
    /// Its id.
    pub(crate) id: Uuid,
    /// The action's name.
    pub(crate) action: String,
    /// The message id of the request that is answered.
    pub(crate) message_id: String,
    /// The transaction, if it was named.
    pub(crate) transaction_id: Option<String>,
    /// The seller, if it was named.
    pub(crate) bpp_id: Option<String>,
    /// When it was registered.
    pub(crate) registered_at: DateTime<Utc>,
    /// By whom.
    pub(crate) registered_by: String,
    /// When it counts as silence.
    pub(crate) due_at: DateTime<Utc>,
    /// What became of it.
    pub(crate) status: Status,
    /// The event that met it, as long as that is kept.
    pub(crate) event: Option<EventId>,
    /// When that came.
    pub(crate) met_at: Option<DateTime<Utc>>,
}

const SELECT: &str = "SELECT x.seq, x.id, x.action, x.message_id, x.transaction_id, x.bpp_id,
     x.registered_at, x.registered_by, x.due_at, x.met_seq IS NOT NULL, x.silent_seq IS NOT NULL,
     x.met_at, e.id FROM expectation x LEFT JOIN event e ON e.seq = x.met_seq";

/// So many expectations of a transaction are told.
const OF_A_TRANSACTION: usize = 100;

impl Reader {
    /// Returns at most `limit` expectations before the place `before`, the newest first.
    pub(crate) fn expectations(
        &self,
        status: Option<Status>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<KeptExpectation>, Error> {
        let condition = status.map_or("TRUE", Status::condition);
        let rest = format!("WHERE x.seq < ?1 AND {condition} ORDER BY x.seq DESC LIMIT ?2");
        let before = before.unwrap_or(i64::MAX);
        self.select(&rest, &[before.into(), limit.into()])
    }

    /// Returns the expectation with this id.
    pub(crate) fn expectation(&self, id: Uuid) -> Result<Option<KeptExpectation>, Error> {
        let found = self.select("WHERE x.id = ?1", &[id.as_bytes()[..].into()])?;
        Ok(found.into_iter().next())
    }

    /// Returns the expectation that the event at this place met, or whose silence it tells.
    pub(crate) fn expectation_of(&self, seq: i64) -> Result<Option<KeptExpectation>, Error> {
        let found = self.select("WHERE x.met_seq = ?1 LIMIT 1", &[seq.into()])?;
        let found = if found.is_empty() {
            self.select("WHERE x.silent_seq = ?1 LIMIT 1", &[seq.into()])?
        } else {
            found
        };
        Ok(found.into_iter().next())
    }

    /// Returns the expectations of a transaction, the oldest first.
    pub(crate) fn expectations_of(
        &self,
        transaction_id: &str,
    ) -> Result<Vec<KeptExpectation>, Error> {
        let of_it = self.client.is("x.transaction_id", "?1");
        let rest = format!("WHERE {of_it} ORDER BY x.seq DESC LIMIT {OF_A_TRANSACTION}");
        let mut found = self.select(&rest, &[transaction_id.into()])?;
        found.reverse();
        Ok(found)
    }

    fn select(&self, rest: &str, bound: &[Value<'_>]) -> Result<Vec<KeptExpectation>, Error> {
        self.client.query(&format!("{SELECT} {rest}"), bound, read).map_err(Error::Read)
    }
}

fn read(row: &Row<'_>) -> Result<KeptExpectation, DbError> {
    Ok(KeptExpectation {
        seq: row.get(0)?,
        id: Uuid::from_bytes(row.get(1)?),
        action: row.get(2)?,
        message_id: row.get(3)?,
        transaction_id: row.get(4)?,
        bpp_id: row.get(5)?,
        registered_at: time(row.get(6)?),
        registered_by: row.get(7)?,
        due_at: time(row.get(8)?),
        status: match (row.get(9)?, row.get(10)?) {
            (false, false) => Status::Open,
            (true, false) => Status::Met,
            (false, true) => Status::Silent,
            (true, true) => Status::Late,
        },
        met_at: row.get::<Option<i64>>(11)?.map(time),
        event: row.get::<Option<[u8; 16]>>(12)?.map(Uuid::from_bytes).map(EventId::new),
    })
}

/// Withdraws an expectation that nothing has met; returns whether there was one. The process that
/// has the inbox tells of no silence of it.
pub(crate) fn withdraw(place: &Place, id: Uuid, audit: &Audit) -> Result<bool, Error> {
    let client = place.requester()?;
    let delete = || {
        let of_it = [id.as_bytes()[..].into()];
        if client.execute("DELETE FROM expectation WHERE id = ?1", &of_it)? == 0 {
            return Ok(false);
        }
        audit::note(&client, audit)?;
        Ok(true)
    };
    client.change(delete).map_err(Error::Request)
}
