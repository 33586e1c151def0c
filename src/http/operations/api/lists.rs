//! How the receiver is, whom it refused, who posts, who takes, and what operators changed.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use super::super::Office;
use super::super::answer::{Error, json};
use super::input::{Named, Params, cursor};
use crate::inbox::reader::refusals::RefusalFilter;
use crate::operations::Ledger;
use crate::operations::principal::Principal;
use crate::operations::views::{AuditView, HandlerView, SellerView};
use crate::words::Outside;

/// The sellers.
#[derive(Serialize)]
pub(super) struct SellerList {
    sellers: Vec<SellerView>,
}

/// The handlers.
#[derive(Serialize)]
pub(super) struct HandlerList {
    handlers: Vec<HandlerView>,
}

/// A page of the audit.
#[derive(Serialize)]
pub(super) struct AuditPage {
    audit: Vec<AuditView>,
    next: Option<String>,
}

pub(super) async fn status(State(office): State<Office>, uri: Uri) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    Ok(json(&office.ledgers.look(Ledger::status).await?))
}

pub(super) async fn sellers(State(office): State<Office>, uri: Uri) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let now = office.clock.now();
    let sellers = office.ledgers.look(move |ledger| ledger.sellers(now)).await?;
    Ok(json(&SellerList { sellers }))
}

pub(super) async fn handlers(State(office): State<Office>, uri: Uri) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let handlers = office.ledgers.look(Ledger::handlers).await?;
    Ok(json(&HandlerList { handlers }))
}

pub(super) async fn refusals(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
) -> Result<Response, Error> {
    let params = Params::of(&uri, &["seller", "cause", "after", "limit"])?;
    let owned = |name| params.text(name).map(str::to_owned);
    let filter = RefusalFilter { seller: owned("seller"), cause: owned("cause") };
    let (before, limit, sight) = (params.after()?, params.limit()?, principal.sight());
    let page = office.ledgers.look(move |ledger| ledger.refusals(&filter, before, limit, sight));
    Ok(json(&page.await?))
}

pub(super) async fn refusal(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(seq): Named,
    uri: Uri,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let place = cursor(&seq).ok_or_else(|| {
        let found = Outside(&seq);
        Error::parameter("seq", format!("expected the place of a refusal, found \"{found}\""))
    })?;
    let sight = principal.sight();
    let refusal = office.ledgers.look(move |ledger| ledger.refusal(place, sight)).await?;
    refusal
        .map(|refusal| json(&refusal))
        .ok_or_else(|| Error::unknown("there is no refusal at this place, or none any more"))
}

pub(super) async fn audit(State(office): State<Office>, uri: Uri) -> Result<Response, Error> {
    let params = Params::of(&uri, &["after", "limit"])?;
    let (before, limit) = (params.after()?, params.limit()?);
    let audit = office.ledgers.look(move |ledger| ledger.audits(before, limit)).await?;
    let last = audit.last().map(|line| line.seq.to_string());
    let next = last.filter(|_| audit.len() == limit);
    Ok(json(&AuditPage { audit, next }))
}
