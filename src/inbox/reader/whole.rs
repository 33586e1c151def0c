//! Events as a handler gets them, and how many a part of the log has left.

use super::client::{Client, DbError};
use super::{Error, Reader};
use crate::event::{Flag, Flags, OrderEvent};
use crate::inbox::sqlite::pages::read_if_whole;
use crate::inbox::stored::Stored;
use crate::words::Chain;

impl Reader {
    /// Reads the event at this place; `None` when no later try can succeed either.
    pub(crate) fn whole(&self, seq: i64) -> Result<Option<Box<OrderEvent>>, Error> {
        let read = match self.client.sqlite() {
            // It knows what is damaged for good.
            Some(connection) => read_if_whole(connection, seq).map_err(DbError::from),
            None => read(&self.client, seq),
        };
        read.map_err(Error::Read)
    }

    /// Counts the events after `after` and up to `until`.
    pub(crate) fn count_between(&self, after: i64, until: i64) -> Result<u64, Error> {
        let count = "SELECT count(*) FROM event WHERE seq > ?1 AND seq <= ?2";
        let counted = self.client.query_one(count, &[after.into(), until.into()], |row| row.get(0));
        counted.map_err(Error::Read)
    }
}

fn read(client: &Client, seq: i64) -> Result<Option<Box<OrderEvent>>, DbError> {
    let stored = client.query_opt(
        "SELECT e.id, e.action, e.seller, e.verified, e.received_at,
         e.flags | coalesce(d.flags, 0), e.warnings, b.body
         FROM event e JOIN body b USING (seq) LEFT JOIN delivery d USING (seq) WHERE e.seq = ?1",
        &[seq.into()],
        |row| {
            Ok(Stored {
                id: row.get(0)?,
                action: row.get(1)?,
                seller: row.get(2)?,
                verified: row.get(3)?,
                received_at: row.get(4)?,
                flags: row.get(5)?,
                warnings: row.get(6)?,
                body: row.get(7)?,
            })
        },
    )?;
    // It has left meanwhile.
    let Some(stored) = stored else { return Ok(None) };
    let is_erased = Flags::from_bits(stored.flags).contains(Flag::Erased);
    match stored.parse() {
        Ok(mut event) => {
            event.seq = seq.unsigned_abs();
            Ok(Some(event))
        }
        // It has no body any more, as an operator wanted it.
        Err(_unreadable) if is_erased => Ok(None),
        Err(error) => {
            tracing::warn!(seq, error = %Chain(&error), "left an event out that cannot be read");
            Ok(None)
        }
    }
}
