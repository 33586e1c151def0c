//! Callbacks that a buyer app expects: registered, listed, withdrawn.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use uuid::Uuid;

use super::super::Office;
use super::super::answer::{Error, json, written};
use super::input::{Named, Params, check_id, member_of, uuid, wish};
use crate::beckn::action::Action;
use crate::inbox::expectations::{ExpectError, NewExpectation};
use crate::inbox::reader::expectations::Status;
use crate::operations::Ledger;
use crate::operations::changes::By;
use crate::operations::principal::Principal;
use crate::words::Chain;

/// The longest body of a request: a few ids.
const BODY_BYTES: usize = 16 * 1024;

/// How long a callback may be expected, in seconds: a week, as long as the duplicate window.
const TTL_S: std::ops::RangeInclusive<u64> = 1..=7 * 86_400;

/// What is to be expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    action: String,
    message_id: String,
    transaction_id: Option<String>,
    bap_id: Option<String>,
    bpp_id: Option<String>,
    domain: Option<String>,
    #[serde(deserialize_with = "whole")]
    ttl_s: u64,
}

/// Reads a whole number also where it is written as 30.0, which is the same to JSON Schema.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let written_with_a_point = || format!("{number}").strip_suffix(".0")?.parse().ok();
    let whole = number.as_u64().or_else(written_with_a_point);
    whole.ok_or_else(|| D::Error::custom("expected a whole number of seconds in `ttl_s`"))
}

impl Wish {
    fn checked(self, by: &str, at: DateTime<Utc>) -> Result<NewExpectation, Error> {
        let names = Action::ALL.map(Action::as_str);
        let action = member_of("action", &self.action, &names)?;
        let action = Action::from_name(action).expect("it is the name of one");
        check_id("message_id", &self.message_id)?;
        for (name, value) in [
            ("transaction_id", &self.transaction_id),
            ("bap_id", &self.bap_id),
            ("bpp_id", &self.bpp_id),
            ("domain", &self.domain),
        ] {
            value.as_ref().map_or(Ok(()), |value| check_id(name, value))?;
        }
        if !TTL_S.contains(&self.ttl_s) {
            let (least, most) = (TTL_S.start(), TTL_S.end());
            let message = format!("expected a whole number from {least} to {most}");
            return Err(Error::parameter("ttl_s", message));
        }
        Ok(NewExpectation {
            action,
            message_id: self.message_id,
            transaction_id: self.transaction_id,
            bap_id: self.bap_id,
            bpp_id: self.bpp_id,
            domain: self.domain,
            by: by.to_owned(),
            at,
            due_at: at + TimeDelta::seconds(self.ttl_s.cast_signed()),
        })
    }
}

pub(super) async fn expect(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
    body: Body,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let wish: Wish = wish(body, BODY_BYTES, "an action, a message_id, a ttl_s").await?;
    let new = wish.checked(&principal.name, office.clock.now())?;
    let expected = office.expecting.expect(new).await.map_err(refused)?;
    let view = office.ledgers.look(move |ledger| ledger.expectation(expected.id)).await?;
    view.map(|view| written(StatusCode::CREATED, &view)).ok_or_else(no_expectation)
}

fn refused(error: ExpectError) -> Error {
    match error {
        ExpectError::TooMany => Error::busy("there are inbox.expectations_limit open ones"),
        ExpectError::Inbox(error) => {
            tracing::warn!(error = %Chain(&error), "an expectation could not be kept");
            Error::busy("the inbox cannot keep it now; the receiver's log says why")
        }
    }
}

pub(super) async fn list(State(office): State<Office>, uri: Uri) -> Result<Response, Error> {
    let params = Params::of(&uri, &["status", "after", "limit"])?;
    let word = params.choice("status", &Status::ALL.map(Status::as_str))?;
    let status = word.and_then(|word| Status::ALL.into_iter().find(|known| known.as_str() == word));
    let (after, limit) = (params.after()?, params.limit()?);
    let page = office.ledgers.look(move |ledger| ledger.expectations(status, after, limit)).await?;
    Ok(json(&page))
}

pub(super) async fn one(
    State(office): State<Office>,
    Named(id): Named,
    uri: Uri,
) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let id = expectation_id(&id)?;
    let view = office.ledgers.look(move |ledger| ledger.expectation(id)).await?;
    view.map(|view| json(&view)).ok_or_else(no_expectation)
}

pub(super) async fn withdraw(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    Named(id): Named,
    uri: Uri,
) -> Result<StatusCode, Error> {
    Params::of(&uri, &[])?;
    let (id, now) = (expectation_id(&id)?, office.clock.now());
    let withdraw = move |ledger: &Ledger| ledger.withdraw(id, By { who: &principal.name, now });
    if !office.ledgers.at_once(withdraw).await? {
        return Err(no_expectation());
    }
    office.expecting.forget_expectation(id);
    Ok(StatusCode::NO_CONTENT)
}

fn expectation_id(text: &str) -> Result<Uuid, Error> {
    uuid(text, "an expectation")
}

fn no_expectation() -> Error {
    Error::unknown("there is no expectation of this id")
}
