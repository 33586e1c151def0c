//! What operators changed: who, what, when.

use chrono::{DateTime, Utc};

use super::client::{Client, DbError};
use super::{Error, Reader};
use crate::inbox::stored::time;

/// So many lines are kept.
const KEPT: i64 = 100_000;

/// A change that is to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// By whom.
    pub(crate) who: String,
    /// What was done.
    pub(crate) what: &'static str,
    /// What it was done to.
    pub(crate) target: String,
}

#[cfg(test)]
impl Audit {
    /// Returns one of a test.
    pub(crate) fn of_test(at: DateTime<Utc>) -> Self {
        Self { at, who: "test".to_owned(), what: "test", target: String::new() }
    }
}

/// A change that was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its place in the audit.
    pub(crate) seq: i64,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// By whom.
    pub(crate) who: String,
    /// What was done.
    pub(crate) what: String,
    /// What it was done to.
    pub(crate) target: String,
}

/// Notes a change, within the caller's transaction.
pub(super) fn note(client: &Client, audit: &Audit) -> Result<(), DbError> {
    let Audit { at, who, what, target } = audit;
    let seq: i64 = client.query_one(
        "INSERT INTO audit (at, who, what, target) VALUES (?1, ?2, ?3, ?4) RETURNING seq",
        &[at.timestamp_micros().into(), who.into(), (*what).into(), target.into()],
        |row| row.get(0),
    )?;
    client.execute("DELETE FROM audit WHERE seq <= ?1", &[(seq - KEPT).into()])?;
    Ok(())
}

impl Reader {
    /// Returns at most `limit` changes before the place `before`, the newest first.
    pub(crate) fn audits(&self, before: Option<i64>, limit: usize) -> Result<Vec<Entry>, Error> {
        let read = self.client.query(
            "SELECT seq, at, who, what, target FROM audit WHERE seq < ?1
             ORDER BY seq DESC LIMIT ?2",
            &[before.unwrap_or(i64::MAX).into(), limit.into()],
            |row| {
                Ok(Entry {
                    seq: row.get(0)?,
                    at: time(row.get(1)?),
                    who: row.get(2)?,
                    what: row.get(3)?,
                    target: row.get(4)?,
                })
            },
        );
        read.map_err(Error::Read)
    }
}
