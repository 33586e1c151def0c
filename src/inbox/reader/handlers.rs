//! The handlers of an inbox, and the wish of an operator that one of them gets nothing for now.

use chrono::{DateTime, Utc};

use super::audit::{self, Audit};
use super::place::Place;
use super::{Error, Reader};
use crate::inbox::stored::time;

/// A handler that the last start named, or that is still paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownHandler {
    /// Its name.
    pub(crate) name: String,
    /// Since when it is paused.
    pub(crate) paused_at: Option<DateTime<Utc>>,
}

impl Reader {
    /// Returns the handlers, by name.
    pub(crate) fn handlers(&self) -> Result<Vec<KnownHandler>, Error> {
        let handlers = "SELECT name, paused_at FROM handler ORDER BY name";
        let read = self.client.query(handlers, &[], |row| {
            let paused_at: Option<i64> = row.get(1)?;
            Ok(KnownHandler { name: row.get(0)?, paused_at: paused_at.map(time) })
        });
        read.map_err(Error::Read)
    }
}

/// Pauses handlers from now on, or resumes them; those that are paused keep their time. Each of
/// `names` has to be one of [`Reader::handlers`]. The process that has the inbox takes it up at its
/// next look; without one, the next that opens it does.
pub(crate) fn set_paused(
    place: &Place,
    names: &[String],
    paused: bool,
    audit: &Audit,
) -> Result<(), Error> {
    let client = place.requester()?;
    let write = || {
        let paused_at = paused.then(|| audit.at.timestamp_micros());
        for name in names {
            client.execute(
                "UPDATE handler SET paused_at = CASE WHEN CAST(?2 AS bigint) IS NULL THEN NULL
                 ELSE coalesce(paused_at, ?2) END WHERE name = ?1",
                &[name.into(), paused_at.into()],
            )?;
        }
        audit::note(&client, audit)
    };
    client.change(write).map_err(Error::Request)
}
