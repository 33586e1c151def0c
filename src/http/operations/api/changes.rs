//! What operators change: replays, pauses. Each goes through the ledger, which writes the audit.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Deserializer};

use super::super::Office;
use super::super::answer::{Error, json};
use super::input::{FILTER, Named, Params, event_id, wish};
use crate::event::EventId;
use crate::inbox::reader::selection::Filter;
use crate::operations::PAGE_LIMIT;
use crate::operations::changes::By;
use crate::operations::principal::Principal;

/// The longest body of a request: 500 ids and some to spare.
const BODY_BYTES: usize = 64 * 1024;

/// Which events are to come again: by their ids, or by a filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default, deserialize_with = "said")]
    ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "said")]
    filter: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "said")]
    dry_run: Option<bool>,
}

/// Reads a member that may be left out, but is not null: who writes null has meant something else.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) async fn replay(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
    body: Body,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let wish: Wish = wish(body, BODY_BYTES, "{\"ids\":[…]} or {\"filter\":{…}}").await?;
    let (chosen, now) = (chosen(wish)?, office.clock.now());
    let view = office.ledgers.at_once(move |ledger| {
        let by = By { who: &principal.name, now };
        match chosen {
            Chosen::Ids(ids) => ledger.replay(&ids, by),
            Chosen::Matching { filter, dry_run } => ledger.replay_matching(&filter, dry_run, by),
        }
    });
    Ok(json(&view.await?))
}

/// A wish that can be fulfilled.
enum Chosen {
    Ids(Vec<EventId>),
    Matching { filter: Box<Filter>, dry_run: bool },
}

fn chosen(wish: Wish) -> Result<Chosen, Error> {
    match wish {
        Wish { ids: Some(ids), filter: None, dry_run: None } => {
            if ids.is_empty() || ids.len() > PAGE_LIMIT {
                let message = format!("expected 1 to {PAGE_LIMIT} ids, found {}", ids.len());
                return Err(Error::parameter("ids", message));
            }
            Ok(Chosen::Ids(ids.iter().map(|id| event_id(id)).collect::<Result<_, _>>()?))
        }
        Wish { ids: None, filter: Some(filter), dry_run } => {
            if filter.is_empty() {
                let message = "expected at least one name of a filter: it would be every event";
                return Err(Error::parameter("filter", message));
            }
            let filter = Box::new(Params::checked(filter.into_iter(), &FILTER)?.filter()?);
            Ok(Chosen::Matching { filter, dry_run: dry_run.unwrap_or(false) })
        }
        Wish { ids: Some(_), filter: None, dry_run: Some(_) } => {
            Err(Error::parameter("dry_run", "it goes with `filter` only"))
        }
        Wish { ids: Some(_), filter: Some(_), .. } | Wish { ids: None, filter: None, .. } => {
            Err(Error::new(StatusCode::BAD_REQUEST, "body", "expected either `ids` or `filter`"))
        }
    }
}

pub(super) async fn pause(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    set(&office, principal, name, Delivery::Paused).await
}

pub(super) async fn resume(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    set(&office, principal, name, Delivery::Resumed).await
}

/// What becomes of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Paused,
    Resumed,
}

async fn set(
    office: &Office,
    principal: Principal,
    name: String,
    delivery: Delivery,
) -> Result<Response, Error> {
    let now = office.clock.now();
    let handler = office.ledgers.at_once(move |ledger| {
        let paused = delivery == Delivery::Paused;
        ledger.set_paused(&name, paused, By { who: &principal.name, now })?;
        Ok(ledger.handlers()?.into_iter().find(|handler| handler.name == name))
    });
    let handler = handler.await?;
    handler
        .map(|handler| json(&handler))
        .ok_or_else(|| Error::unknown("there is no handler of this name"))
}
