//! What operators see and do, whoever asks: the API, the console and the commands.
//!
//! # Constraints
//! - Everything here blocks: it reads the disk, or asks a database. Servers call it off their own
//!   threads.
//! - Reading never waits for the writer nor stops it. A look that a filter makes long has a time
//!   budget; what it has not reached it says, so that the next look goes on there.
//! - A change is a row that the running receiver takes up, or the next one that starts; each is
//!   written together with its line in the audit.
//! - What tells of a person is shown only to who may see bodies ([`Sight`]).

#[cfg(test)]
mod bench;
pub(crate) mod changes;
#[cfg(test)]
mod corpus_tests;
#[cfg(all(test, feature = "postgres"))]
mod database_tests;
#[cfg(test)]
mod engine_tests;
pub(crate) mod erase;
pub(crate) mod events;
pub(crate) mod expectations;
pub(crate) mod feed;
pub(crate) mod ledgers;
pub(crate) mod mask;
pub(crate) mod orders;
pub(crate) mod principal;
pub(crate) mod refusals;
pub(crate) mod sellers;
pub(crate) mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod views;
pub(crate) mod waiting;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::inbox::reader::handlers::KnownHandler;
use crate::inbox::reader::place::Place;
use crate::inbox::reader::{self, Reader, Totals};

use self::views::{HandlerView, StatusView};

/// How much of a body its reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// What tells of a person is masked.
    Masked,
    /// Everything.
    Bodies,
}

impl Sight {
    /// Returns a seller's word of a vocabulary, as a state: what is no such word may tell of a
    /// person.
    fn code(self, text: &str) -> String {
        match self {
            Sight::Masked => mask::code(text),
            Sight::Bodies => text.to_owned(),
        }
    }
}

/// How long one look may walk through the log: a page that a person waits for has one or two, and
/// should be there in 200 ms.
const BUDGET: Duration = Duration::from_millis(120);

/// The most that one page holds.
pub(crate) const PAGE_LIMIT: usize = 500;

/// The inbox as operators read it, over a connection of its own.
#[derive(Debug)]
pub(crate) struct Ledger {
    reader: Reader,
    place: Place,
}

impl Ledger {
    /// Opens an inbox, beside the processes that have it or without one.
    ///
    /// # Errors
    /// There is no inbox, or it cannot be opened.
    pub(crate) fn open(place: &Place) -> Result<Self, reader::Error> {
        Ok(Self { reader: Reader::open(place)?, place: place.clone() })
    }

    /// Returns whether its connection was lost, so that another ledger has to be opened.
    fn is_lost(&self) -> bool {
        self.reader.is_lost()
    }

    /// Returns how the receiver is.
    pub(crate) fn status(&self) -> Result<StatusView, reader::Error> {
        let Totals { pending, done, dead, rejected, refused } = self.reader.totals()?;
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pending,
            done,
            dead,
            rejected,
            refused,
            oldest_pending_at: self.reader.oldest_pending()?,
            last_seq: self.reader.last_seq()?.unsigned_abs(),
            handlers: self.handlers()?,
        })
    }

    /// Returns how many dead letters there are, and when the oldest unsettled event was accepted.
    pub(crate) fn standing(&self) -> Result<(u64, Option<DateTime<Utc>>), reader::Error> {
        Ok((self.reader.dead()?, self.reader.oldest_pending()?))
    }

    /// Returns the place of the newest event, 0 without one.
    pub(crate) fn last_seq(&self) -> Result<i64, reader::Error> {
        self.reader.last_seq()
    }

    /// Counts the refusals that are kept.
    #[cfg(test)]
    fn refusals_count(&self) -> usize {
        self.reader.refusals(&reader::refusals::RefusalFilter::default(), 100).unwrap().len()
    }

    /// Returns the handlers, by name.
    pub(crate) fn handlers(&self) -> Result<Vec<HandlerView>, reader::Error> {
        let view = |KnownHandler { name, paused_at }| HandlerView { name, paused_at };
        Ok(self.reader.handlers()?.into_iter().map(view).collect())
    }
}

/// Returns when a look that begins now has to end.
fn deadline() -> Instant {
    Instant::now() + BUDGET
}

/// Returns the place that a cursor names.
pub(crate) fn place(cursor: &str) -> Option<i64> {
    cursor.parse().ok().filter(|place| *place >= 0)
}
