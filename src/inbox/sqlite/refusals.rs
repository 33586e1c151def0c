//! Refused callbacks: kept best effort, within quotas, never in an append's way.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use super::Options;
use super::mailbox::RefusalKey;
use crate::inbox::Refusal;

/// How many refusals one commit takes.
pub(super) const BATCH: usize = 128;

/// Writes refusals and counts, then lets go of what is over a quota, oldest first.
pub(super) fn write(
    connection: &Connection,
    options: &Options,
    refusals: &[Refusal],
    counts: &HashMap<RefusalKey, u64>,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for ((route, cause), count) in counts {
        transaction
            .prepare_cached(
                "INSERT INTO refusal_count VALUES (?1, ?2, ?3)
                 ON CONFLICT (route, cause) DO UPDATE SET refused = refused + ?3",
            )?
            .execute((route, cause, i64::try_from(*count).unwrap_or(i64::MAX)))?;
    }
    for refusal in refusals {
        insert(&transaction, refusal)?;
    }
    let quotas: BTreeSet<(&str, &str)> =
        refusals.iter().map(|refusal| (refusal.seller.as_str(), refusal.cause)).collect();
    for (seller, cause) in quotas {
        transaction
            .prepare_cached(
                "DELETE FROM refusal WHERE seq IN (SELECT seq FROM refusal
                 WHERE seller = ?1 AND cause = ?2 ORDER BY seq DESC LIMIT -1 OFFSET ?3)",
            )?
            .execute((seller, cause, options.refusals_per_seller_and_cause))?;
    }
    // Half of the room each: whoever is not verified cannot push out those who are.
    for verified in [false, true] {
        transaction
            .prepare_cached(
                "DELETE FROM refusal WHERE seq IN (SELECT seq FROM refusal
                 WHERE verified = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute((verified, options.refusals_kept / 2))?;
    }
    transaction.commit()
}

fn insert(connection: &Connection, refusal: &Refusal) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO refusal (at, route, seller, verified, cause, path, message, status, body,
             body_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(rusqlite::params![
            refusal.at.timestamp_micros(),
            cut(&refusal.route),
            cut(&refusal.seller),
            refusal.verified,
            refusal.cause,
            cut(&refusal.path),
            cut(&refusal.message),
            refusal.status,
            refusal.body.as_ref(),
            refusal.body_bytes,
        ])?;
    Ok(())
}

/// Cuts text from outside: a route or a path may be as long as a request.
fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(512).map_or(text.len(), |(end, _)| end);
    &text[..end]
}
