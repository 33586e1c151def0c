//! What came lately, as narrow rows: for those who wait for it.

use std::ops::ControlFlow;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::client::{DbError, Value};
use super::{Error, Reader};
use crate::event::Flag;
use crate::inbox::sqlite::looking;

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Its place.
    pub(crate) seq: i64,
    /// The action's name.
    pub(crate) action: String,
    /// The message's id; `None`, too, of a silence and of what a rule has rejected, which nobody
    /// waits for.
    pub(crate) message_id: Option<String>,
}

impl Reader {
    /// Returns at most `limit` events after the place `after`, the oldest first.
    pub(crate) fn arrived_after(&self, after: i64, limit: usize) -> Result<Vec<Arrived>, Error> {
        let read = self.client.query(
            "SELECT seq, action, CASE WHEN standing = 0 AND flags & ?3 = 0 THEN message_id END
             FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            &[after.into(), limit.into(), Flag::Silence.bit().into()],
            |row| Ok(Arrived { seq: row.get(0)?, action: row.get(1)?, message_id: row.get(2)? }),
        );
        read.map_err(Error::Read)
    }

    /// Returns the newest event since `since` with this message id, as far as the time allows.
    pub(crate) fn newest_of_message(
        &self,
        message_id: &str,
        action: Option<&str>,
        since: DateTime<Utc>,
        deadline: Instant,
    ) -> Result<Option<i64>, Error> {
        let Some(connection) = self.client.sqlite() else {
            return self.newest_by_index(message_id, action, since).map_err(Error::Read);
        };
        let mut found = None;
        let looked = looking::back(connection, since, deadline, |seen| {
            if seen.message_id == message_id && action.is_none_or(|action| seen.action == action) {
                found = Some(seen.seq);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        looked.map(|_whole| found).map_err(|error| Error::Read(error.into()))
    }

    /// Looks for the same by the index on message ids.
    fn newest_by_index(
        &self,
        message_id: &str,
        action: Option<&str>,
        since: DateTime<Utc>,
    ) -> Result<Option<i64>, DbError> {
        let of_it = self.client.is("message_id", "?1");
        let mut bound: Vec<Value<'_>> =
            vec![message_id.into(), since.timestamp_micros().into(), Flag::Silence.bit().into()];
        bound.extend(action.map(Value::from));
        let of_action = if action.is_some() { "AND action = ?4" } else { "" };
        let sql = format!(
            "SELECT seq FROM event WHERE {of_it} AND received_at >= ?2 AND standing = 0
             AND flags & ?3 = 0 {of_action} ORDER BY seq DESC LIMIT 1"
        );
        self.client.query_opt(&sql, &bound, |row| row.get(0))
    }
}
