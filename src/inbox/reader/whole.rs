//! Events as a handler gets them, and how many a part of the log has left.

use super::{Error, Reader};
use crate::event::OrderEvent;
use crate::inbox::sqlite::pages::read_if_whole;

impl Reader {
    /// Reads the event at this place; `None` when no later try can succeed either.
    pub(crate) fn whole(&self, seq: i64) -> Result<Option<Box<OrderEvent>>, Error> {
        read_if_whole(&self.connection, seq).map_err(Error::Read)
    }

    /// Counts the events after `after` and up to `until`.
    pub(crate) fn count_between(&self, after: i64, until: i64) -> Result<u64, Error> {
        self.connection
            .prepare_cached("SELECT count(*) FROM event WHERE seq > ?1 AND seq <= ?2")
            .and_then(|mut count| count.query_row([after, until], |row| row.get(0)))
            .map_err(Error::Read)
    }
}
