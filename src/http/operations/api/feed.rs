//! `/v1/feed`: events with their bodies, page by page, for an app that nobody can post to.
//!
//! The reader keeps the cursor: what it has not confirmed by asking for what comes after, comes
//! again. A look holds at most [`PAGE_BYTES`] of bodies, and one event more.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep_until};

use super::super::Office;
use super::super::answer::Error;
use super::input::Params;
use super::stream::BETWEEN_LOOKS;
use crate::config::Content;
use crate::handlers::envelope;
use crate::inbox::reader::selection::{Filter, Order};
use crate::operations::events::Part;
use crate::operations::principal::Principal;

/// How many bytes of envelopes an answer holds, before the last one.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// How long an answer may wait for something to say, in milliseconds.
const LONGEST_WAIT: u64 = 60_000;

/// What one look has found.
struct Page {
    /// The envelopes, with a comma after each.
    json: Vec<u8>,
    /// Up to where it has looked.
    cursor: i64,
    /// How many events on the way have left the log before they were handed out.
    missing: u64,
}

pub(super) async fn feed(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
) -> Result<Response, Error> {
    let params = Params::of(&uri, &["after", "limit", "wait_ms", "action", "seller"])?;
    let (filter, limit) = (params.filter()?, params.limit()?);
    let wait = params.number("wait_ms", 0, LONGEST_WAIT)?.unwrap_or(0);
    let mut part = Part { order: Order::OldestFirst, after: params.after()?, limit };
    if !principal.may.bodies {
        return Err(Error::forbidden("bodies"));
    }
    let _place = if wait > 0 { Some(office.streams.enter()?) } else { None };
    let until = Instant::now() + Duration::from_millis(wait);
    let stopping = office.streams.stopping.clone();
    let mut arrivals = office.inbox.arrivals();
    let mut missing = 0;
    loop {
        let newest = *arrivals.borrow_and_update();
        let next_look = Instant::now() + BETWEEN_LOOKS;
        let mut page = look(&office, &filter, part, newest).await?;
        part.after = Some(page.cursor);
        missing += page.missing;
        page.missing = missing;
        if !page.json.is_empty() || Instant::now() >= until {
            return Ok(answer(page));
        }
        let news = async {
            // Nothing matched so far: there may be more behind, or there will be.
            let closed = page.cursor >= newest && arrivals.changed().await.is_err();
            sleep_until(if closed { until } else { next_look.min(until) }).await;
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => return Ok(answer(page)),
            () = sleep_until(until) => return Ok(answer(page)),
            () = news => {}
        }
    }
}

async fn look(office: &Office, filter: &Filter, part: Part, newest: i64) -> Result<Page, Error> {
    let filter = filter.clone();
    let page = office.ledgers.look(move |ledger| {
        let after = part.after.unwrap_or(0);
        // A commit can be read before it is announced.
        if after > newest && after > ledger.last_seq()? {
            return Ok(None);
        }
        let (mut json, mut last) = (Vec::new(), 0);
        let goes_on = ledger.hand_out(&filter, part, |event| {
            last = event.seq;
            json.extend_from_slice(&envelope::body(event, Content::Envelope));
            json.push(b',');
            if json.len() < PAGE_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        // To its end: that is at least what was the newest before the look.
        let end = newest.max(after).max(i64::try_from(last).unwrap_or(0));
        let cursor = goes_on.unwrap_or(end);
        // Who begins without a cursor has missed nothing that was promised.
        let missing = if after > 0 { ledger.missing_between(after, cursor)? } else { 0 };
        Ok(Some(Page { json, cursor, missing }))
    });
    page.await?.ok_or_else(|| {
        let message = "`after` is beyond the newest event: it is a cursor of another log, or of \
                       this one before it was restored; begin without it";
        Error::new(StatusCode::CONFLICT, "cursor", message)
    })
}

fn answer(page: Page) -> Response {
    let Page { mut json, cursor, missing } = page;
    json.pop_if(|last| *last == b',');
    let mut body = b"{\"events\":[".to_vec();
    body.append(&mut json);
    body.extend_from_slice(format!("],\"missing\":{missing},\"next\":\"{cursor}\"}}").as_bytes());
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, body).into_response()
}
