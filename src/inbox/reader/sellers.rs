//! What came of each seller, by quarters of an hour, as far as it is kept.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::client::DbError;
use super::{Error, Reader};
use crate::inbox::notes::quarter_of;
use crate::inbox::stored::time;

/// So many sellers are told: names that nobody has verified only where the others leave room.
const SELLERS: i64 = 1_000;

/// How far back the sums reach.
const DAYS: i64 = 7;

/// How far back the quarters of an hour reach.
const QUARTERS_HOURS: i64 = 24;

/// What came of a seller in the last seven days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownSeller {
    /// As in an event; empty for those that found no room.
    pub(crate) seller: String,
    /// Whether a signature of it was verified.
    pub(crate) verified: bool,
    /// When something came of it for the last time.
    pub(crate) last_at: DateTime<Utc>,
    /// New events.
    pub(crate) accepted: u64,
    /// What repeated an event.
    pub(crate) duplicates: u64,
    /// What was refused.
    pub(crate) refused: u64,
    /// Of the refused: by their signature.
    pub(crate) untrusted: u64,
    /// Shapes that nobody publishes.
    pub(crate) oddities: u64,
    /// Callbacks that were expected of it and did not come in time.
    pub(crate) silences: u64,
    /// The quarters of the last day, the oldest first.
    pub(crate) quarters: Vec<Quarter>,
}

/// A quarter of an hour in which something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quarter {
    /// When it begins.
    pub(crate) at: DateTime<Utc>,
    /// New events.
    pub(crate) accepted: u64,
    /// What repeated an event.
    pub(crate) duplicates: u64,
    /// What was refused.
    pub(crate) refused: u64,
}

impl Reader {
    /// Returns the sellers, those that were verified first and of them the one that was seen last,
    /// with their quarters of the last day.
    pub(crate) fn sellers(&self, now: DateTime<Utc>) -> Result<Vec<KnownSeller>, Error> {
        self.client.snapshot(|| self.read_sellers(now)).map_err(Error::Read)
    }

    fn read_sellers(&self, now: DateTime<Utc>) -> Result<Vec<KnownSeller>, DbError> {
        let silences = self.client.query(
            "SELECT bpp_id, count(*) FROM expectation
             WHERE silent_seq IS NOT NULL AND bpp_id IS NOT NULL GROUP BY bpp_id",
            &[],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let silences: HashMap<String, u64> = silences.into_iter().collect();
        let mut sellers = self.client.query(
            "SELECT seller, max(verified), max(last_at), CAST(sum(accepted) AS bigint),
             CAST(sum(duplicates) AS bigint), CAST(sum(refused) AS bigint),
             CAST(sum(untrusted) AS bigint), CAST(sum(oddities) AS bigint) FROM seller_tally
             WHERE quarter >= ?2 GROUP BY seller
             ORDER BY max(verified) DESC, max(last_at) DESC LIMIT ?1",
            &[SELLERS.into(), quarter_of(now - TimeDelta::days(DAYS)).into()],
            |row| {
                let seller: String = row.get(0)?;
                Ok(KnownSeller {
                    silences: silences.get(&seller).copied().unwrap_or(0),
                    seller,
                    verified: row.get(1)?,
                    last_at: time(row.get(2)?),
                    accepted: row.get(3)?,
                    duplicates: row.get(4)?,
                    refused: row.get(5)?,
                    untrusted: row.get(6)?,
                    oddities: row.get(7)?,
                    quarters: Vec::new(),
                })
            },
        )?;
        let mut quarters = self.read_quarters(now)?;
        for seller in &mut sellers {
            seller.quarters = quarters.remove(&seller.seller).unwrap_or_default();
        }
        Ok(sellers)
    }

    /// Returns the quarters of the last day, of each seller the oldest first.
    fn read_quarters(&self, now: DateTime<Utc>) -> Result<HashMap<String, Vec<Quarter>>, DbError> {
        let mut quarters = HashMap::<String, Vec<Quarter>>::new();
        self.client.query(
            "SELECT seller, quarter, accepted, duplicates, refused FROM seller_tally
             WHERE quarter >= ?1 ORDER BY quarter",
            &[quarter_of(now - TimeDelta::hours(QUARTERS_HOURS)).into()],
            |row| {
                let (at, accepted) = (time(row.get(1)?), row.get(2)?);
                let quarter =
                    Quarter { at, accepted, duplicates: row.get(3)?, refused: row.get(4)? };
                quarters.entry(row.get(0)?).or_default().push(quarter);
                Ok(())
            },
        )?;
        Ok(quarters)
    }
}
