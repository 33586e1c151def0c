//! Events: lists of them, one whole, and those of a transaction or an order in line.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};

use super::super::Office;
use super::super::answer::{Error, json};
use super::input::{FILTER, Named, Params, event_id};
use crate::inbox::reader::Progress;
use crate::inbox::reader::selection::Filter;
use crate::operations::events::Part;
use crate::operations::principal::Principal;

pub(super) async fn list(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
) -> Result<Response, Error> {
    let params = Params::of(&uri, &[&FILTER[..], &["order", "after", "limit"]].concat())?;
    let (filter, part, sight) = (params.filter()?, params.part()?, principal.sight());
    let page = office.ledgers.look(move |ledger| ledger.events_for(&filter, part, sight));
    Ok(json(&page.await?))
}

pub(super) async fn dead_letters(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
) -> Result<Response, Error> {
    let params = Params::of(&uri, &["after", "limit"])?;
    let filter = Filter { progress: Some(Progress::Dead), ..Filter::default() };
    let part = Part { after: params.after()?, ..Part::newest(params.limit()?) };
    let sight = principal.sight();
    let page = office.ledgers.look(move |ledger| ledger.events_for(&filter, part, sight));
    Ok(json(&page.await?))
}

pub(super) async fn one(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(id): Named,
    uri: Uri,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let (id, sight) = (event_id(&id)?, principal.sight());
    let detail = office.ledgers.look(move |ledger| ledger.event(id, sight)).await?;
    detail.map(|detail| json(&detail)).ok_or_else(no_event)
}

pub(super) async fn body(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(id): Named,
    uri: Uri,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let id = event_id(&id)?;
    if !principal.may.bodies {
        return Err(Error::forbidden("bodies"));
    }
    let body = office.ledgers.look(move |ledger| ledger.body(id)).await?.ok_or_else(no_event)?;
    let name = format!("attachment; filename=\"{id}.json\"");
    let name = HeaderValue::try_from(name).expect("an id is visible ASCII");
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], body).into_response())
}

fn no_event() -> Error {
    Error::unknown("there is no event of this id")
}

pub(super) async fn transaction(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(id): Named,
    uri: Uri,
) -> Result<Response, Error> {
    let (after, sight) = (Params::of(&uri, &["after"])?.after()?, principal.sight());
    let timeline = office.ledgers.look(move |ledger| ledger.timeline(&id, after, sight)).await?;
    Ok(json(&timeline))
}

pub(super) async fn order(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(id): Named,
    uri: Uri,
) -> Result<Response, Error> {
    let (after, sight) = (Params::of(&uri, &["after"])?.after()?, principal.sight());
    let order = office.ledgers.look(move |ledger| ledger.order(&id, after, sight)).await?;
    Ok(json(&order))
}
