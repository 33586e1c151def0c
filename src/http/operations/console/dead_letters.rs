//! Events that were given up, to be handed over again.

use axum::extract::{Form, Query};
use axum::response::Response;
use serde::Serialize;

use super::ROWS;
use super::events::{event_id, replayed};
use super::transactions::Cursor;
use super::visitor::{Section, Trouble, Visitor};
use crate::event::EventId;
use crate::inbox::reader::Progress;
use crate::inbox::reader::selection::Filter;
use crate::operations::events::Part;
use crate::operations::place;
use crate::operations::views::EventPage;

#[derive(Debug, Serialize)]
struct ListPage {
    list: EventPage,
    is_older: bool,
}

/// The list.
pub(super) async fn list(
    visitor: Visitor,
    Query(cursor): Query<Cursor>,
) -> Result<Response, Trouble> {
    let filter = Filter { progress: Some(Progress::Dead), ..Filter::default() };
    let part = Part { after: place(&cursor.after), ..Part::newest(ROWS) };
    let sight = visitor.principal.sight();
    let list = visitor.look(move |ledger| ledger.events_for(&filter, part, sight)).await?;
    let page = ListPage { list, is_older: part.after.is_some() };
    visitor.page((Section::DeadLetters, "Dead letters"), "dead_letters.html", page).await
}

/// Hands those of a page over again: exactly the ones that were shown.
pub(super) async fn replay(
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let ids = fields.iter().filter(|(name, _)| name == "id").map(|(_, id)| event_id(id));
    let ids = ids.collect::<Result<Vec<EventId>, Trouble>>().map_err(|_missing| Trouble::Form)?;
    if ids.is_empty() || ids.len() > ROWS {
        return Err(Trouble::Form);
    }
    let view = visitor.act(move |ledger, by| ledger.replay(&ids, by)).await?;
    Ok(replayed(&view).at("/console/dead-letters"))
}
