//! Requests to erase a transaction: rows that the process that has the inbox takes up, or the next
//! that opens it.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use super::audit::{self, Audit};
use super::{Error, Reader, existing};
use crate::inbox::sqlite::refusals::{OF_TRANSACTION, in_quotes};
use crate::inbox::sqlite::schema;

/// What an erasure will empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// Events.
    pub(crate) events: u64,
    /// Of them, those that are not settled: they are erased once they are.
    pub(crate) pending: u64,
    /// Refusals that name the transaction.
    pub(crate) refusals: u64,
    /// Whether something is expected of it.
    pub(crate) expected: bool,
}

impl Erasure {
    /// Returns whether there is nothing of the transaction.
    pub(crate) const fn is_empty(&self) -> bool {
        self.events == 0 && self.refusals == 0 && !self.expected
    }
}

impl Reader {
    /// Counts what an erasure of a transaction would empty.
    pub(crate) fn erasure(&self, transaction_id: &str) -> Result<Erasure, Error> {
        let read = || {
            let (events, pending) = self.connection.query_row(
                "SELECT count(*), count(*) FILTER (WHERE coalesce(d.state, e.standing) = 0)
                 FROM event e LEFT JOIN delivery d USING (seq) WHERE e.transaction_id = ?1",
                [transaction_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let [raw, escaped] = in_quotes(transaction_id);
            let refusals = self.connection.query_row(
                &format!("SELECT count(*) FROM refusal WHERE {OF_TRANSACTION}"),
                (transaction_id, raw, escaped),
                |row| row.get(0),
            )?;
            let expected = self
                .connection
                .prepare("SELECT 1 FROM expectation WHERE transaction_id = ?1")?
                .exists([transaction_id])?;
            Ok(Erasure { events, pending, refusals, expected })
        };
        read().map_err(Error::Read)
    }
}

/// Asks for a transaction to be erased; durable when it returns. The audit gets a fingerprint of
/// its id, under the inbox's secret.
pub(crate) fn request_erasure(
    directory: &Path,
    transaction_id: &str,
    audit: Audit,
) -> Result<(), Error> {
    let connection = schema::open_requester(&existing(directory)?).map_err(Error::Open)?;
    write(&connection, transaction_id, audit).map_err(Error::Request)
}

fn write(connection: &Connection, transaction_id: &str, audit: Audit) -> rusqlite::Result<()> {
    // At once: a transaction that begins by reading is not let write when another one has.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let secret = schema::secret(&transaction)?;
    let digest = Sha256::new().chain_update(secret).chain_update(transaction_id).finalize();
    let mut target = "transaction ".to_owned();
    for byte in digest.iter().take(8) {
        write!(target, "{byte:02x}").expect("a text can be written to");
    }
    transaction.execute(
        "INSERT OR IGNORE INTO erase_request (transaction_id, requested_at) VALUES (?1, ?2)",
        (transaction_id, audit.at.timestamp_micros()),
    )?;
    audit::note(&transaction, &Audit { target, ..audit })?;
    transaction.commit()
}
