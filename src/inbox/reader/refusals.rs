//! The refused callbacks of an inbox, as far as they are kept.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{Error, Reader};
use crate::inbox::stored::time;

/// Which refusals a list shows; `None` is any.
#[derive(Debug, Clone, Default)]
pub(crate) struct RefusalFilter {
    /// The seller, verified or not.
    pub(crate) seller: Option<String>,
    /// The cause, or what comes before a dot in it: `signature` is every `signature.…`.
    pub(crate) cause: Option<String>,
}

/// A callback that was refused.
#[derive(Debug, Clone)]
pub(crate) struct KeptRefusal {
    /// Its place among the refusals.
    pub(crate) seq: i64,
    /// When it came.
    pub(crate) at: DateTime<Utc>,
    /// The last segment of its path.
    pub(crate) route: String,
    /// Who it says it is from.
    pub(crate) seller: String,
    /// Whether its signature was verified.
    pub(crate) verified: bool,
    /// Why it was refused.
    pub(crate) cause: String,
    /// The JSON Pointer that the seller was told.
    pub(crate) path: String,
    /// What the seller was told.
    pub(crate) message: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The beginning of the body.
    pub(crate) body: Bytes,
    /// How long the whole body was.
    pub(crate) body_bytes: u64,
}

/// The cause is compared as text: a pattern would have to be escaped.
const MATCHING: &str = "SELECT at, route, seller, verified, cause, path, message, status, body,
     body_bytes, seq FROM refusal
     WHERE seq < ?1 AND (CAST(?2 AS text) IS NULL OR seller IN (?2, 'unverified:' || ?2))
     AND (CAST(?3 AS text) IS NULL OR cause = ?3 OR substr(cause, 1, length(?3) + 1) = ?3 || '.')
     ORDER BY seq DESC LIMIT ?4";

impl Reader {
    /// Returns at most `limit` refusals that match, newest first.
    #[cfg(test)]
    pub(crate) fn refusals(
        &self,
        filter: &RefusalFilter,
        limit: usize,
    ) -> Result<Vec<KeptRefusal>, Error> {
        self.refusals_before(filter, None, limit)
    }

    /// Returns at most `limit` refusals before the place `before` that match, newest first.
    pub(crate) fn refusals_before(
        &self,
        filter: &RefusalFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<KeptRefusal>, Error> {
        let (seller, cause) = (filter.seller.as_deref(), filter.cause.as_deref());
        let before = before.unwrap_or(i64::MAX);
        let bound = [before.into(), seller.into(), cause.into(), limit.into()];
        let read = self.client.query(MATCHING, &bound, |row| {
            Ok(KeptRefusal {
                at: time(row.get(0)?),
                route: row.get(1)?,
                seller: row.get(2)?,
                verified: row.get(3)?,
                cause: row.get(4)?,
                path: row.get(5)?,
                message: row.get(6)?,
                status: row.get(7)?,
                body: Bytes::from(row.get::<Vec<u8>>(8)?),
                body_bytes: row.get(9)?,
                seq: row.get(10)?,
            })
        });
        read.map_err(Error::Read)
    }
}
