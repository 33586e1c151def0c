//! Events whole, as a handler would get them, for who fetches them; and what is not there any more.

use std::ops::ControlFlow;

use super::events::Part;
use super::{Ledger, deadline};
use crate::event::OrderEvent;
use crate::inbox::reader;
use crate::inbox::reader::selection::Filter;

impl Ledger {
    /// Gives the events that match to `take`, until it has enough; returns after which place more
    /// may follow, `None` when the log was searched to its end.
    ///
    /// An event that can never be read again is left out: its reader could not pass it otherwise.
    pub(crate) fn hand_out(
        &self,
        filter: &Filter,
        part: Part,
        mut take: impl FnMut(&OrderEvent) -> ControlFlow<()>,
    ) -> Result<Option<i64>, reader::Error> {
        let (summaries, goes_on) = self.reader.page(filter, part.bounds(deadline()))?;
        for summary in summaries {
            let Some(mut event) = self.reader.whole(summary.seq)? else { continue };
            event.flags = summary.flags;
            if take(&event).is_break() {
                return Ok(Some(summary.seq));
            }
        }
        Ok(goes_on)
    }

    /// Returns how many events have left the log after the place `after`, of a log whose newest place
    /// is at least `newest`; `None`: the log has never been there.
    pub(crate) fn missing(&self, after: i64, newest: i64) -> Result<Option<u64>, reader::Error> {
        // A commit can be read before it is announced, and what was the newest may have left.
        let newest = newest.max(self.reader.last_seq()?);
        if after > newest {
            return Ok(None);
        }
        self.missing_between(after, newest).map(Some)
    }

    /// Returns how many events have left the log after the place `after`, up to `last`.
    pub(crate) fn missing_between(&self, after: i64, last: i64) -> Result<u64, reader::Error> {
        let places = (last - after).unsigned_abs();
        Ok(places.saturating_sub(self.reader.count_between(after, last)?))
    }
}
