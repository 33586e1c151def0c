//! Expectations: what the buyer app waits for, and what became of it.

use uuid::Uuid;

use super::changes::By;
use super::views::{ExpectationPage, ExpectationView};
use super::{Ledger, PAGE_LIMIT};
use crate::inbox::reader;
use crate::inbox::reader::expectations::{KeptExpectation, Status, withdraw};

impl Ledger {
    /// Returns a page of the expectations, the newest first.
    pub(crate) fn expectations(
        &self,
        status: Option<Status>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<ExpectationPage, reader::Error> {
        let limit = limit.clamp(1, PAGE_LIMIT);
        let found = self.reader.expectations(status, after, limit)?;
        let next = found.last().filter(|_| found.len() == limit).map(|last| last.seq.to_string());
        Ok(ExpectationPage { expectations: found.into_iter().map(view).collect(), next })
    }

    /// Returns one expectation.
    pub(crate) fn expectation(&self, id: Uuid) -> Result<Option<ExpectationView>, reader::Error> {
        Ok(self.reader.expectation(id)?.map(view))
    }

    /// Withdraws an expectation; returns whether there was one. A process that has the inbox is to
    /// be told at once, or takes note of it when the expectation is due.
    pub(crate) fn withdraw(&self, id: Uuid, by: By<'_>) -> Result<bool, reader::Error> {
        withdraw(&self.place, id, &by.audit("withdraw", id.to_string()))
    }
}

pub(super) fn view(kept: KeptExpectation) -> ExpectationView {
    ExpectationView {
        id: kept.id.to_string(),
        action: kept.action,
        message_id: kept.message_id,
        transaction_id: kept.transaction_id,
        bpp_id: kept.bpp_id,
        registered_at: kept.registered_at,
        registered_by: kept.registered_by,
        due_at: kept.due_at,
        status: kept.status.as_str().to_owned(),
        event_id: kept.event.map(|id| id.to_string()),
        met_at: kept.met_at,
    }
}
