//! What a request says: parameters of its query, a part of its path.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::super::answer::Error;
use super::super::request_body;
use crate::beckn::action::Action;
use crate::event::{EventId, Flag};
use crate::inbox::reader::Progress;
use crate::inbox::reader::selection::{Filter, Order};
use crate::operations::events::Part;
use crate::operations::{PAGE_LIMIT, place};
use crate::words::Outside;
use crate::words::nearest::nearest;

/// How many of a list are given when the request does not say.
const USUAL_LIMIT: usize = 50;

/// Ids that are longer are none of the network's.
const ID_CHARS: usize = 256;

/// The names by which events are chosen.
pub(super) const FILTER: [&str; 10] = [
    "action",
    "seller",
    "transaction_id",
    "message_id",
    "order_id",
    "state",
    "flag",
    "progress",
    "since",
    "until",
];

/// Named values, each known and given once.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of `uri`; only `known` names may be in it.
    pub(super) fn of(uri: &Uri, known: &[&'static str]) -> Result<Self, Error> {
        let query = uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self::checked(pairs, known)
    }

    /// Takes pairs whose names have to be `known`, each given once and not empty.
    pub(super) fn checked(
        pairs: impl Iterator<Item = (String, String)>,
        known: &[&'static str],
    ) -> Result<Self, Error> {
        let mut read = Self(Vec::new());
        for (name, value) in pairs {
            let shown = Outside(&name).to_string();
            if !known.contains(&name.as_str()) {
                let message = match nearest(&name, known.iter().copied()) {
                    Some(near) => format!("there is no such parameter; `{near}` is the nearest"),
                    None => "there are no parameters here".to_owned(),
                };
                return Err(Error::parameter(shown, message));
            }
            if value.is_empty() {
                return Err(Error::parameter(shown, "expected a value, found none"));
            }
            if read.text(&name).is_some() {
                return Err(Error::parameter(shown, "expected it once, found it twice"));
            }
            read.0.push((name, value));
        }
        Ok(read)
    }

    /// Returns the value of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads the value of this name.
    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong =
            || Error::parameter(name, format!("expected {expected}, found \"{}\"", Outside(text)));
        read(text).map(Some).ok_or_else(wrong)
    }

    /// Reads a whole number within bounds.
    pub(super) fn number(&self, name: &str, from: u64, to: u64) -> Result<Option<u64>, Error> {
        let expected = format!("a whole number from {from} to {to}");
        let number = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = is_number.then(|| text.parse().ok()).flatten()?;
            (from..=to).contains(&number).then_some(number)
        };
        self.read(name, &expected, number)
    }

    /// Reads how many are asked for.
    pub(super) fn limit(&self) -> Result<usize, Error> {
        let limit = self.number("limit", 1, PAGE_LIMIT as u64)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(USUAL_LIMIT))
    }

    /// Reads a cursor.
    pub(super) fn after(&self) -> Result<Option<i64>, Error> {
        self.read("after", "what an earlier answer has given as `next`", cursor)
    }

    /// Reads which part of a list is asked for.
    pub(super) fn part(&self) -> Result<Part, Error> {
        let order = self.read("order", "newest or oldest", |text| match text {
            "newest" => Some(Order::NewestFirst),
            "oldest" => Some(Order::OldestFirst),
            _ => None,
        })?;
        let order = order.unwrap_or(Order::NewestFirst);
        Ok(Part { order, after: self.after()?, limit: self.limit()? })
    }

    /// Reads which events are chosen.
    pub(super) fn filter(&self) -> Result<Filter, Error> {
        let owned = |name: &str| self.text(name).map(str::to_owned);
        let flags = Flag::ALL.map(Flag::as_str);
        let progresses = Progress::ALL.map(Progress::as_str);
        Ok(Filter {
            action: self.choice("action", &Action::ALL.map(Action::as_str))?.map(str::to_owned),
            seller: owned("seller"),
            transaction_id: owned("transaction_id"),
            message_id: owned("message_id"),
            order_id: owned("order_id"),
            any_id: None,
            state: owned("state"),
            flag: self
                .choice("flag", &flags)?
                .and_then(|name| Flag::ALL.into_iter().find(|flag| flag.as_str() == name)),
            progress: self
                .choice("progress", &progresses)?
                .and_then(|name| Progress::ALL.into_iter().find(|known| known.as_str() == name)),
            received_since: self.time("since")?,
            received_until: self.time("until")?,
        })
    }

    /// Reads one of `words`.
    pub(super) fn choice(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, Error> {
        self.text(name).map(|text| member_of(name, text, words)).transpose()
    }

    fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
        self.read(name, "a time as 2026-01-31T18:00:00+05:30", |text| {
            // A `+` that was not escaped in a query is a space.
            let text = text.replace(' ', "+");
            DateTime::parse_from_rfc3339(&text).ok().map(|at| at.with_timezone(&Utc))
        })
    }
}

/// Reads a cursor that an earlier answer has given.
pub(super) fn cursor(text: &str) -> Option<i64> {
    place(text).filter(|place| place.to_string() == text)
}

/// Reads the id of an event.
pub(super) fn event_id(text: &str) -> Result<EventId, Error> {
    uuid(text, "an event").map(EventId::new)
}

/// Reads the id of `what`, in the one spelling that answers have.
pub(super) fn uuid(text: &str, what: &str) -> Result<Uuid, Error> {
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    id.ok_or_else(|| {
        let found = Outside(text);
        Error::parameter("id", format!("expected the id of {what}, a UUID, found \"{found}\""))
    })
}

/// Returns the one of `words` that `text` is.
pub(super) fn member_of(
    name: &str,
    text: &str,
    words: &[&'static str],
) -> Result<&'static str, Error> {
    words.iter().find(|word| **word == text).copied().ok_or_else(|| {
        let near = nearest(text, words.iter().copied()).unwrap_or_default();
        let (all, found) = (words.join(", "), Outside(text));
        let message = format!("expected one of {all}; found \"{found}\", to which {near} is near");
        Error::parameter(name, message)
    })
}

/// Refuses what can be no id of the protocol.
pub(super) fn check_id(name: &str, id: &str) -> Result<(), Error> {
    if id.is_empty() || id.chars().nth(ID_CHARS).is_some() {
        let message = format!("expected 1 to {ID_CHARS} characters");
        return Err(Error::parameter(name, message));
    }
    Ok(())
}

/// Reads the body of a request as JSON; `expected` says what it is.
pub(super) async fn wish<T: DeserializeOwned>(
    body: Body,
    limit: usize,
    expected: &str,
) -> Result<T, Error> {
    let body = request_body::whole(body, limit).await?;
    serde_json::from_slice(&body).map_err(|error| {
        // The error names the place and what was expected, and may repeat a member's name.
        let message = format!("expected {expected}: {error}");
        Error::new(StatusCode::BAD_REQUEST, "body", message)
    })
}

/// The one part of a path that is a name, percent-decoded.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let wrong = |rejection: PathRejection| {
            Error::parameter("path", format!("expected UTF-8, percent-encoded: {rejection}"))
        };
        path.map(|Path(name)| Self(name)).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Result<Params, Error> {
        let uri: Uri = format!("/v1/events?{query}").parse().unwrap();
        Params::of(&uri, &["action", "since", "limit", "after", "seller"])
    }

    #[test]
    fn a_parameter_is_named_with_what_was_expected() {
        let check = |query: &str, expected: &str| {
            let params = params(query);
            let filter = params.and_then(|params| Ok((params.filter()?, params.part()?)));
            let error = filter.unwrap_err();
            assert!(error.message().contains(expected), "{query}: {}", error.message());
        };
        check("sellr=a", "there is no such parameter; `seller` is the nearest");
        check("seller=", "found none");
        check("seller=a&seller=b", "found it twice");
        check("limit=0", "a whole number from 1 to 500");
        check("limit=+5", "a whole number");
        check("limit=99999999999999999999", "a whole number");
        check("action=on_statis", "to which on_status is near");
        check("since=yesterday", "a time as");
        check("after=-1", "as `next`");
        check("after=007", "as `next`");
    }

    #[test]
    fn a_time_may_have_a_plus_that_nobody_escaped() {
        let read = |query: &str| params(query).unwrap().filter().unwrap().received_since.unwrap();
        let expected: DateTime<Utc> = "2026-01-31T12:30:00Z".parse().unwrap();
        assert_eq!(read("since=2026-01-31T18:00:00+05:30"), expected);
        assert_eq!(read("since=2026-01-31T18:00:00%2B05:30"), expected);
    }

    #[test]
    fn an_event_has_one_spelling_of_its_id() {
        let id = "0199f000-0000-7000-8000-000000000001";
        assert!(event_id(id).is_ok());
        for bad in ["", "x", &id.replace('-', ""), &format!("{{{id}}}"), &format!("urn:uuid:{id}")]
        {
            assert!(event_id(bad).is_err(), "{bad}");
        }
    }
}
