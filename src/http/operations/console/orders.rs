//! An order: where it is, and what changed when.

use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::transactions::Cursor;
use super::visitor::{Section, Trouble, Visitor};
use crate::event::EventId;
use crate::operations::place;
use crate::operations::summary::SummaryView;
use crate::operations::views::OrderView;

#[derive(Debug, Serialize)]
struct OrderPage {
    order: OrderView,
    /// What the last event says.
    summary: Option<SummaryView>,
    is_older: bool,
}

/// Shows it.
pub(super) async fn show(
    visitor: Visitor,
    Path(id): Path<String>,
    Query(cursor): Query<Cursor>,
) -> Result<Response, Trouble> {
    let (after, sight) = (place(&cursor.after), visitor.principal.sight());
    let (order, summary) = visitor
        .look(move |ledger| {
            let order = ledger.order(&id, after, sight)?;
            let last = order.last_event.as_ref().and_then(|event| Uuid::parse_str(&event.id).ok());
            let summary = match last {
                Some(uuid) => ledger.summary(EventId::new(uuid), sight)?,
                None => None,
            };
            Ok((order, summary))
        })
        .await?;
    if order.last_event.is_none() && order.next.is_none() {
        return Err(Trouble::Missing("Nothing of this order is in the inbox."));
    }
    let page = OrderPage { order, summary, is_older: after.is_some() };
    visitor.page((Section::Events, "Order"), "order.html", page).await
}
