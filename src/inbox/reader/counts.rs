//! How many events there are, and how long they wait.

use chrono::{DateTime, Utc};

use super::client::{Client, DbError};
use super::{Error, Reader, Totals};
use crate::inbox::outcome::State;
use crate::inbox::sqlite::schema::{self, Meta};
use crate::inbox::stored::time;

impl Reader {
    /// Returns when the oldest event was accepted whose first round is not settled.
    pub(crate) fn oldest_pending(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let at = oldest_pending(&self.client).map_err(Error::Read)?;
        Ok(at.map(time))
    }

    /// Counts the events that were given up.
    pub(crate) fn dead(&self) -> Result<u64, Error> {
        let count = "SELECT count(*) FROM delivery WHERE state = ?1";
        let counted =
            self.client.query_one(count, &[State::Dead.number().into()], |row| row.get(0));
        counted.map_err(Error::Read)
    }

    /// Counts what there is.
    pub(crate) fn totals(&self) -> Result<Totals, Error> {
        // One moment for all: an event that is settled in between would be counted twice.
        self.client.snapshot(|| read_totals(&self.client)).map_err(Error::Read)
    }
}

fn oldest_pending(client: &Client) -> Result<Option<i64>, DbError> {
    let Some(connection) = client.sqlite() else {
        return client.query_opt(
            "SELECT e.received_at FROM pending w JOIN event e USING (seq)
             LEFT JOIN delivery d USING (seq) WHERE coalesce(d.replay, 0) = 0
             ORDER BY w.seq LIMIT 1",
            &[],
            |row| row.get(0),
        );
    };
    let low_water = schema::meta(connection, Meta::LowWater)?;
    client.query_opt(
        "SELECT e.received_at FROM event e LEFT JOIN delivery d USING (seq)
         WHERE e.seq >= ?1 AND e.standing = 0 AND coalesce(d.state, 0) = 0
         ORDER BY e.seq LIMIT 1",
        &[low_water.into()],
        |row| row.get(0),
    )
}

fn read_totals(client: &Client) -> Result<Totals, DbError> {
    let (deliveries, done, dead): (u64, u64, u64) = client.query_one(
        "SELECT count(*), count(*) FILTER (WHERE state = ?1),
         count(*) FILTER (WHERE state = ?2) FROM delivery",
        &[State::Done.number().into(), State::Dead.number().into()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let events = if client.sqlite().is_some() {
        "SELECT count(*), count(*) FILTER (WHERE standing = 1
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.seq = e.seq)) FROM event e"
    } else {
        // It has an index of the rejected ones, and looks for none of the others.
        "SELECT count(*), (SELECT count(*) FROM event e WHERE standing = 1
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.seq = e.seq)) FROM event"
    };
    let (events, rejected): (u64, u64) =
        client.query_one(events, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let refused = client.query_one(
        "SELECT CAST(coalesce(sum(refused), 0) AS bigint) FROM refusal_count",
        &[],
        |row| row.get(0),
    )?;
    // Each row of `delivery` belongs to an event, so the rest needs no join.
    let untouched = events.saturating_sub(deliveries + rejected);
    let pending = deliveries.saturating_sub(done + dead) + untouched;
    Ok(Totals { pending, done, dead, rejected, refused })
}
