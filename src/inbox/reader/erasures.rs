//! Requests to erase a transaction: rows that the process that has the inbox takes up, or the next
//! that opens it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::audit::{self, Audit};
use super::client::{Client, DbError};
use super::place::Place;
use super::{Error, Reader};
use crate::inbox::refused::{OF_TRANSACTION, in_quotes};

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
        self.read_erasure(transaction_id).map_err(Error::Read)
    }

    fn read_erasure(&self, transaction_id: &str) -> Result<Erasure, DbError> {
        let (client, id) = (&self.client, &[transaction_id.into()]);
        let events = format!(
            "SELECT count(*), count(*) FILTER (WHERE coalesce(d.state, e.standing) = 0)
             FROM event e LEFT JOIN delivery d USING (seq) WHERE {}",
            client.is("e.transaction_id", "?1")
        );
        let (events, pending) =
            client.query_one(&events, id, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let [raw, escaped] = in_quotes(transaction_id);
        let of_it = [transaction_id.into(), raw.as_bytes().into(), escaped.as_bytes().into()];
        let refusals = format!("SELECT count(*) FROM refusal WHERE {OF_TRANSACTION}");
        let refusals = client.query_one(&refusals, &of_it, |row| row.get(0))?;
        let expected = format!(
            "SELECT 1 FROM expectation WHERE {} LIMIT 1",
            client.is("transaction_id", "?1")
        );
        let expected = client.exists(&expected, id)?;
        Ok(Erasure { events, pending, refusals, expected })
    }
}

/// Asks for a transaction to be erased; durable when it returns. The audit gets a fingerprint of
/// its id, under the inbox's secret.
pub(crate) fn request_erasure(
    place: &Place,
    transaction_id: &str,
    audit: Audit,
) -> Result<(), Error> {
    let client = place.requester()?;
    client.change(|| write(&client, transaction_id, audit)).map_err(Error::Request)
}

fn write(client: &Client, transaction_id: &str, audit: Audit) -> Result<(), DbError> {
    let digest = Sha256::new().chain_update(client.secret()?).chain_update(transaction_id);
    let mut target = "transaction ".to_owned();
    for byte in digest.finalize().iter().take(8) {
        write!(target, "{byte:02x}").expect("a text can be written to");
    }
    client.execute(
        "INSERT INTO erase_request (transaction_id, requested_at) VALUES (?1, ?2)
         ON CONFLICT DO NOTHING",
        &[transaction_id.into(), audit.at.timestamp_micros().into()],
    )?;
    audit::note(client, &Audit { target, ..audit })
}
