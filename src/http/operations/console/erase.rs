//! Erasing a transaction: what it would empty, and the word that it shall.

use axum::extract::Path;
use axum::response::Response;
use serde::Serialize;

use super::visitor::{Said, Section, Trouble, Visitor};
use crate::operations::views::ErasureView;

#[derive(Debug, Serialize)]
struct ErasePage {
    erasure: ErasureView,
}

/// Asks whether it is meant, and says what goes and what stays.
pub(super) async fn ask(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Trouble> {
    if !visitor.principal.may.act {
        return Err(Trouble::MayNotAct);
    }
    let erasure = visitor.look(move |ledger| ledger.erasure(&id)).await?;
    if erasure.events == 0 && erasure.refusals == 0 {
        return Err(Trouble::Missing("Nothing of this transaction is in the inbox."));
    }
    let page = ErasePage { erasure };
    visitor.page((Section::Events, "Erase a transaction"), "erase.html", page).await
}

/// Asks the inbox to empty it. Its page would soon have nothing to show, so the way goes to the
/// events.
pub(super) async fn erase(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Trouble> {
    visitor.act(move |ledger, by| ledger.erase(&id, by)).await?;
    Ok(Said::Erasing.at("/console/events"))
}
