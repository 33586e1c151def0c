//! What the commands read of an inbox, beside the process that has it open or without one.
//!
//! Reading never waits for the writer nor stops it. There is no index on what the filters name:
//! a list walks the narrow rows from the newest on, see [`selection`].

pub(crate) mod arrivals;
pub(crate) mod audit;
#[cfg(any(feature = "cli", test))]
pub(crate) mod backup;
mod client;
mod counts;
#[cfg(feature = "cli")]
pub(crate) mod disk;
pub(crate) mod erasures;
pub(crate) mod expectations;
pub(crate) mod handlers;
pub(crate) mod place;
pub(crate) mod refusals;
pub(crate) mod replays;
mod rows;
pub(crate) mod selection;
pub(crate) mod sellers;
pub(crate) mod whole;

use std::ops::ControlFlow;
use std::path::PathBuf;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use self::client::{Client, DbError};
use self::place::Place;
use self::rows::{detail_at, place_of, summaries};
use self::selection::{Bounds, Filter, Order};
use crate::event::{EventId, Flags};
#[cfg(feature = "postgres")]
use crate::inbox::postgres::{connect::EngineError, schema::SchemaError};
use crate::inbox::sqlite::open_error::OpenError;
use crate::inbox::stored::time;
use crate::words::Violation;

/// Why an inbox could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is none.
    #[error("there is no inbox in {} (inbox.path)", directory.display())]
    Missing {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The directory cannot be looked into.
    #[error("the directory {} (inbox.path) cannot be read", directory.display())]
    Unreachable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It could not be opened.
    #[error("the inbox cannot be opened")]
    Open(#[source] OpenError),
    /// There is none in the database.
    #[cfg(feature = "postgres")]
    #[error("there is no inbox in {place}: the first start makes it")]
    NoTables {
        /// Where it was looked for.
        place: String,
    },
    /// There is no way to the database.
    #[cfg(feature = "postgres")]
    #[error("the inbox's database at {place} cannot be reached")]
    Unreached {
        /// Where it is.
        place: String,
        /// Why.
        source: EngineError,
    },
    /// What is in the database is of another version.
    #[cfg(feature = "postgres")]
    #[error("the inbox in the database cannot be used")]
    Tables(#[source] SchemaError),
    /// It could not be read.
    #[error("the inbox cannot be read")]
    Read(#[source] DbError),
    /// The request could not be written.
    #[error("the request cannot be written to the inbox")]
    Request(#[source] DbError),
}

impl Error {
    /// Returns whether there is no inbox yet.
    #[cfg(feature = "cli")]
    pub(crate) const fn is_missing(&self) -> bool {
        match self {
            Error::Missing { .. } => true,
            #[cfg(feature = "postgres")]
            Error::NoTables { .. } => true,
            #[cfg(feature = "postgres")]
            Error::Unreached { .. } | Error::Tables(_) => false,
            Error::Unreachable { .. } | Error::Open(_) | Error::Read(_) | Error::Request(_) => {
                false
            }
        }
    }
}

/// How far an event is, as commands say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is with the handler, or waits for it.
    Pending,
    /// The handler has taken it.
    Done,
    /// It was given up.
    Dead,
    /// It was refused by a rule and `ACKed` all the same.
    Rejected,
}

impl Progress {
    /// Every progress.
    pub(crate) const ALL: [Progress; 4] =
        [Progress::Pending, Progress::Done, Progress::Dead, Progress::Rejected];

    /// Returns the word that commands take and print.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Progress::Pending => "pending",
            Progress::Done => "done",
            Progress::Dead => "dead",
            Progress::Rejected => "rejected",
        }
    }
}

/// An event without its body.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    /// The event's id.
    pub(crate) id: EventId,
    /// Its place in the log.
    pub(crate) seq: i64,
    /// The action's name.
    pub(crate) action: String,
    /// The verified subscriber, or `unverified:` and the `bpp_id`.
    pub(crate) seller: String,
    /// Whether that subscriber's signature was verified.
    pub(crate) verified: bool,
    /// The domain.
    pub(crate) domain: Option<String>,
    /// The buyer app.
    pub(crate) bap_id: Option<String>,
    /// The transaction's id.
    pub(crate) transaction_id: Option<String>,
    /// The message's id.
    pub(crate) message_id: Option<String>,
    /// The order's id.
    pub(crate) order_id: Option<String>,
    /// What the payload said of the state.
    pub(crate) state: Option<String>,
    /// How often it came again.
    pub(crate) duplicates: u64,
    /// When it came again for the last time.
    pub(crate) last_duplicate_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub(crate) received_at: DateTime<Utc>,
    /// What else is to be known.
    pub(crate) flags: Flags,
    /// How many rules it breaks that only warn.
    pub(crate) warnings: usize,
    /// How far it is.
    pub(crate) progress: Progress,
    /// The round: 0 for the arrival.
    pub(crate) replay: u32,
    /// The attempts of this round that have ended.
    pub(crate) attempts: u32,
    /// When this round's first attempt began, if one has ended.
    pub(crate) first_attempt_at: Option<DateTime<Utc>>,
    /// When the next attempt is due.
    pub(crate) next_at: Option<DateTime<Utc>>,
    /// When this round was settled.
    pub(crate) settled_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
}

/// An event with its body.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// What a list shows of it.
    pub(crate) summary: Summary,
    /// Rules that it breaks and that only warn.
    pub(crate) warnings: Vec<Violation>,
    /// The body as it came.
    pub(crate) body: Bytes,
    /// Whether a replay is requested that no process has taken up yet.
    pub(crate) replay_requested: bool,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// The round: 0 for the arrival.
    pub(crate) replay: u32,
    /// Which of the round, from 1.
    pub(crate) attempt: u32,
    /// When it ended.
    pub(crate) ended_at: DateTime<Utc>,
    /// Why.
    pub(crate) error: String,
}

/// How many events there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Not settled.
    pub(crate) pending: u64,
    /// Taken by the handler.
    pub(crate) done: u64,
    /// Given up.
    pub(crate) dead: u64,
    /// Kept and not delivered.
    pub(crate) rejected: u64,
    /// Callbacks refused since the inbox was made, as far as they are written.
    pub(crate) refused: u64,
}

/// An inbox, open for reading.
#[derive(Debug)]
pub(crate) struct Reader {
    client: Client,
}

impl Reader {
    /// Opens an inbox.
    pub(crate) fn open(place: &Place) -> Result<Self, Error> {
        Ok(Self { client: place.reader()? })
    }

    /// Returns whether its connection is of no use any more, so that another has to be opened.
    pub(crate) fn is_lost(&self) -> bool {
        self.client.is_lost()
    }

    /// Writes where only reading is meant to be; returns how many rows it has changed.
    #[cfg(all(test, feature = "postgres"))]
    pub(crate) fn try_to_write(&self, sql: &str) -> Result<u64, DbError> {
        self.client.execute(sql, &[])
    }

    /// Returns at most `limit` events that match, newest first.
    #[cfg(test)]
    pub(crate) fn events(&self, filter: &Filter, limit: usize) -> Result<Vec<Summary>, Error> {
        let bounds = Bounds {
            order: Order::NewestFirst,
            after: None,
            limit,
            deadline: std::time::Instant::now() + std::time::Duration::from_mins(1),
        };
        Ok(self.page(filter, bounds)?.0)
    }

    /// Counts the events that match.
    pub(crate) fn count(&self, filter: &Filter) -> Result<u64, Error> {
        let mut count = 0;
        let counted = selection::walk(&self.client, filter, Order::NewestFirst, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        counted.map(|()| count).map_err(Error::Read)
    }

    /// Returns the places in the log of the events that match, oldest first: 8 bytes each, where a
    /// list takes several hundred.
    pub(crate) fn seqs(&self, filter: &Filter) -> Result<Vec<i64>, Error> {
        let mut seqs = Vec::new();
        let walked = selection::walk(&self.client, filter, Order::OldestFirst, |seq| {
            seqs.push(seq);
            ControlFlow::Continue(())
        });
        walked.map(|()| seqs).map_err(Error::Read)
    }

    /// Returns at most `limit` dead letters, newest first.
    #[cfg(test)]
    pub(crate) fn dead_letters(&self, limit: usize) -> Result<Vec<Summary>, Error> {
        let filter = Filter { progress: Some(Progress::Dead), ..Filter::default() };
        self.events(&filter, limit)
    }

    /// Returns a page of the events that match.
    pub(crate) fn page(
        &self,
        filter: &Filter,
        bounds: Bounds,
    ) -> Result<(Vec<Summary>, Option<i64>), Error> {
        let read = || {
            let page = selection::page(&self.client, filter, bounds)?;
            Ok((summaries(&self.client, &page.seqs)?, page.goes_on))
        };
        self.client.snapshot(read).map_err(Error::Read)
    }

    /// Returns the places of a page of the events that match.
    pub(crate) fn places(
        &self,
        filter: &Filter,
        bounds: Bounds,
    ) -> Result<(Vec<i64>, Option<i64>), Error> {
        let page = selection::page(&self.client, filter, bounds).map_err(Error::Read)?;
        Ok((page.seqs, page.goes_on))
    }

    /// Returns the event with this id.
    pub(crate) fn event(&self, id: EventId) -> Result<Option<Detail>, Error> {
        let read = || {
            let Some(seq) = place_of(&self.client, id)? else { return Ok(None) };
            detail_at(&self.client, seq)
        };
        self.client.snapshot(read).map_err(Error::Read)
    }

    /// Returns the event at this place of the log.
    pub(crate) fn event_at(&self, seq: i64) -> Result<Option<Detail>, Error> {
        detail_at(&self.client, seq).map_err(Error::Read)
    }

    /// Returns the attempts of an event that failed, the oldest first.
    pub(crate) fn failed_attempts(&self, seq: i64) -> Result<Vec<FailedAttempt>, Error> {
        let read = self.client.query(
            "SELECT replay, attempt, ended_at, error FROM attempt WHERE seq = ?1
             ORDER BY replay, attempt",
            &[seq.into()],
            |row| {
                Ok(FailedAttempt {
                    replay: row.get(0)?,
                    attempt: row.get(1)?,
                    ended_at: time(row.get(2)?),
                    error: row.get(3)?,
                })
            },
        );
        read.map_err(Error::Read)
    }

    /// Returns the place of the event with this id.
    pub(crate) fn place(&self, id: EventId) -> Result<Option<i64>, Error> {
        place_of(&self.client, id).map_err(Error::Read)
    }

    /// Returns the place of the newest event, 0 without one.
    pub(crate) fn last_seq(&self) -> Result<i64, Error> {
        let newest = "SELECT coalesce(max(seq), 0) FROM event";
        self.client.query_one(newest, &[], |row| row.get(0)).map_err(Error::Read)
    }
}
