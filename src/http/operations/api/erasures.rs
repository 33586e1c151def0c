//! What a person asks to be erased: all that is kept of a transaction.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::super::Office;
use super::super::answer::{Error, written};
use super::input::{Params, check_id, wish};
use crate::operations::Ledger;
use crate::operations::changes::By;
use crate::operations::principal::Principal;

/// The longest body of a request: one id.
const BODY_BYTES: usize = 4 * 1024;

/// What is to be erased.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    transaction_id: String,
}

pub(super) async fn erase(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
    body: Body,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let Wish { transaction_id } = wish(body, BODY_BYTES, "{\"transaction_id\":\"…\"}").await?;
    check_id("transaction_id", &transaction_id)?;
    let now = office.clock.now();
    let erase =
        move |ledger: &Ledger| ledger.erase(&transaction_id, By { who: &principal.name, now });
    Ok(written(StatusCode::ACCEPTED, &office.ledgers.at_once(erase).await?))
}
