//! Erasing a transaction, when a person asks for it.

use super::Ledger;
use super::changes::By;
use super::views::ErasureView;
use crate::inbox::reader;
use crate::inbox::reader::erasures::{Erasure, request_erasure};

impl Ledger {
    /// Asks for a transaction to be emptied, and says what there is of it. Events that are not
    /// settled are emptied once they are. Of an id that nothing has, nothing is written.
    pub(crate) fn erase(
        &self,
        transaction_id: &str,
        by: By<'_>,
    ) -> Result<ErasureView, reader::Error> {
        let erasure = self.reader.erasure(transaction_id)?;
        if !erasure.is_empty() {
            request_erasure(&self.place, transaction_id, by.audit("erase", ""))?;
        }
        Ok(view(transaction_id, &erasure))
    }

    /// Returns what an erasure would empty.
    pub(crate) fn erasure(&self, transaction_id: &str) -> Result<ErasureView, reader::Error> {
        Ok(view(transaction_id, &self.reader.erasure(transaction_id)?))
    }
}

fn view(transaction_id: &str, erasure: &Erasure) -> ErasureView {
    let Erasure { events, pending, refusals, expected: _ } = *erasure;
    ErasureView { transaction_id: transaction_id.to_owned(), events, pending, refusals }
}
