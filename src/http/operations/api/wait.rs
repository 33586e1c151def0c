//! `/v1/wait`: who has sent a request waits for the callback that answers it.
//!
//! The places are those of `operations.waiters`; a connection that is closed gives its place back.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::super::Office;
use super::super::answer::{Error, json};
use super::input::{Params, check_id};
use crate::beckn::action::Action;
use crate::operations::principal::Principal;
use crate::operations::waiting::{self, Wanted};

/// How long one may wait: longer, and something between would close the connection.
const WAIT_S: u64 = 60;

pub(super) async fn wait(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
) -> Result<Response, Error> {
    let params = Params::of(&uri, &["message_id", "action", "timeout"])?;
    let needed = || Error::parameter("message_id", "the message id of the request is needed");
    let message_id = params.text("message_id").ok_or_else(needed)?.to_owned();
    check_id("message_id", &message_id)?;
    let action = params.choice("action", &Action::ALL.map(Action::as_str))?;
    let wanted = Wanted { message_id, action: action.and_then(Action::from_name) };
    let seconds = params.number("timeout", 0, WAIT_S)?.unwrap_or(WAIT_S);
    let waiting = office.waiting.wait(wanted, Duration::from_secs(seconds), office.clock.now());
    let came = tokio::select! {
        biased;
        () = office.streams.stopping.cancelled() => {
            return Err(Error::busy("the receiver is stopping"));
        }
        came = waiting => came.map_err(refused)?,
    };
    let Some(seq) = came else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let sight = principal.sight();
    let detail = office.ledgers.at_once(move |ledger| ledger.event_at(seq, sight)).await?;
    // Retention may have taken it meanwhile: then nothing is there to be answered.
    Ok(detail.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |detail| json(&detail)))
}

fn refused(error: waiting::Error) -> Error {
    match error {
        waiting::Error::Full => Error::busy("all places of operations.waiters are taken"),
        waiting::Error::Read(error) => error.into(),
    }
}
