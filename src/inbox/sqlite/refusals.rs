//! Refused callbacks: kept best effort, within quotas, never in an append's way.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use super::Options;
use crate::inbox::Refusal;
use crate::inbox::refused::RefusalKey;

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
             body_bytes, transaction_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(rusqlite::params![
            refusal.at.timestamp_micros(),
            refusal.route,
            refusal.seller,
            refusal.verified,
            refusal.cause,
            refusal.path,
            refusal.message,
            refusal.status,
            refusal.body.as_ref(),
            refusal.body_bytes,
            refusal.transaction_id,
        ])?;
    Ok(())
}
