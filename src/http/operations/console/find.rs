//! From any id that somebody has to the page about it.

use axum::extract::Query;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::render::segment;
use super::visitor::{Said, Section, Trouble, Visitor};
use crate::event::EventId;
use crate::inbox::reader;
use crate::inbox::reader::selection::Filter;
use crate::operations::events::Part;
use crate::operations::views::EventView;
use crate::operations::{Ledger, Sight, place};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    id: String,
    after: String,
}

/// What a look has come to.
#[derive(Debug)]
enum Found {
    /// The page about it.
    Room(String),
    /// Nothing in what there was time for; it goes on before this place.
    NotYet(String),
    Nothing,
}

#[derive(Debug, Serialize)]
struct FindPage {
    id: String,
    next: String,
}

/// Goes to the event, order, transaction or message of this id.
pub(super) async fn find(
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let id = wanted.id.trim().to_owned();
    if id.is_empty() {
        return Ok(Redirect::to("/console/events").into_response());
    }
    let (looked_for, after) = (id.clone(), place(&wanted.after));
    match visitor.look(move |ledger| room(ledger, &looked_for, after)).await? {
        Found::Room(room) => Ok(Redirect::to(&room).into_response()),
        Found::Nothing => Ok(Said::NothingFound.at("/console/events")),
        Found::NotYet(next) => {
            let page = FindPage { id, next };
            visitor.page((Section::Events, "Find"), "find.html", page).await
        }
    }
}

fn room(ledger: &Ledger, id: &str, after: Option<i64>) -> Result<Found, reader::Error> {
    if let Ok(uuid) = Uuid::parse_str(id)
        && let Some(detail) = ledger.event(EventId::new(uuid), Sight::Masked)?
    {
        return Ok(Found::Room(format!("/console/events/{}", detail.event.id)));
    }
    // One walk, and not one for each kind of id.
    let filter = Filter { any_id: Some(id.to_owned()), ..Filter::default() };
    let mut page = ledger.events(&filter, Part { after, ..Part::newest(1) })?;
    Ok(match (page.events.pop(), page.next) {
        (Some(event), _) => Found::Room(room_of(&event, id)),
        (None, Some(next)) => Found::NotYet(next),
        (None, None) => Found::Nothing,
    })
}

fn room_of(event: &EventView, id: &str) -> String {
    let is = |of: &Option<String>| of.as_deref() == Some(id);
    let room = if is(&event.order_id) {
        "/console/orders/"
    } else if is(&event.transaction_id) {
        "/console/transactions/"
    } else {
        "/console/events?message_id="
    };
    format!("{room}{}", segment(id))
}
