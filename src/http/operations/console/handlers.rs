//! The handlers, and whether they are paused.

use axum::extract::Path;
use axum::response::Response;
use serde::Serialize;

use super::visitor::{Said, Section, Trouble, Visitor};
use crate::operations::Ledger;
use crate::operations::views::HandlerView;

#[derive(Debug, Serialize)]
struct ListPage {
    handlers: Vec<HandlerView>,
}

/// The list.
pub(super) async fn list(visitor: Visitor) -> Result<Response, Trouble> {
    let handlers = visitor.look(Ledger::handlers).await?;
    visitor.page((Section::Handlers, "Handlers"), "handlers.html", ListPage { handlers }).await
}

/// Hands nothing more to it.
pub(super) async fn pause(visitor: Visitor, name: Path<String>) -> Result<Response, Trouble> {
    set(&visitor, name, Said::Paused).await
}

/// Hands its events over again.
pub(super) async fn resume(visitor: Visitor, name: Path<String>) -> Result<Response, Trouble> {
    set(&visitor, name, Said::Resumed).await
}

async fn set(visitor: &Visitor, Path(name): Path<String>, said: Said) -> Result<Response, Trouble> {
    let is_known =
        visitor.act(move |ledger, by| ledger.set_paused(&name, said == Said::Paused, by)).await?;
    if !is_known {
        return Err(Trouble::Missing("There is no such handler."));
    }
    Ok(said.at("/console/handlers"))
}
