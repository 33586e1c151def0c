//! What came lately, as narrow rows: for those who wait for it.

use std::ops::ControlFlow;
use std::time::Instant;

use chrono::{DateTime, Utc};

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
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT seq, action, CASE WHEN standing = 0 AND flags & ?3 = 0 THEN message_id END
                     FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                )?
                .query_map((after, limit, Flag::Silence.bit()), |row| {
                    Ok(Arrived { seq: row.get(0)?, action: row.get(1)?, message_id: row.get(2)? })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(Error::Read)
    }

    /// Returns the newest event since `since` with this message id, as far as the time allows.
    pub(crate) fn newest_of_message(
        &self,
        message_id: &str,
        action: Option<&str>,
        since: DateTime<Utc>,
        deadline: Instant,
    ) -> Result<Option<i64>, Error> {
        let mut found = None;
        let looked = looking::back(&self.connection, since, deadline, |seen| {
            if seen.message_id == message_id && action.is_none_or(|action| seen.action == action) {
                found = Some(seen.seq);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        looked.map(|_whole| found).map_err(Error::Read)
    }
}
