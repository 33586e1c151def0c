//! `/v1/stream`: events as they come, as server-sent events.
//!
//! # Constraints
//! - Nothing is queued for a reader: a page is read from the log when the socket wants more, so a
//!   slow one costs what a fast one does, and one that comes again goes on where it was.
//! - A flood costs at most one look each 50 ms, and a bell nothing but the telling.
//! - The drain does not wait: a stream ends when the receiver stops.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::super::Office;
use super::super::answer::Error;
use super::input::{FILTER, Params, cursor};
use crate::inbox::reader::selection::{Filter, Order};
use crate::operations::Sight;
use crate::operations::events::Part;
use crate::operations::place;
use crate::operations::principal::Principal;
use crate::operations::views::EventPage;

/// How long it is between two looks, at least.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How long it may be silent: proxies close what says nothing for a minute, mostly.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many events one look takes: 2,000 a second. What comes faster is sent later: each event that
/// is read and written as JSON takes its time of those that are answered.
const PAGE: usize = 100;

/// Events that a reader has missed for good.
#[derive(Debug, Serialize)]
struct Gap {
    /// The cursor that the reader came with.
    after: i64,
    /// Where the stream goes on.
    goes_on_after: i64,
    /// How many have left the log in between; `None`: the cursor is none of this log.
    missing: Option<u64>,
}

/// What a stream says of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Each event.
    Events,
    /// The place of the newest one: who fetches pages needs only a bell.
    Ids,
}

struct Stream {
    office: Office,
    filter: Filter,
    says: Says,
    sight: Sight,
    /// Everything up to here was given, or does not match.
    cursor: i64,
    /// What is said before the first event.
    opening: Option<Bytes>,
    arrivals: watch::Receiver<i64>,
    next_look: Instant,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(office): State<Office>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Error> {
    let params = Params::of(&uri, &[&FILTER[..], &["after", "only"]].concat())?;
    let (filter, after) = (params.filter()?, params.after()?);
    let says = params.choice("only", &["ids"])?.map_or(Says::Events, |_ids| Says::Ids);
    let after = match headers.get("last-event-id").filter(|id| !id.is_empty()) {
        None => after,
        Some(id) => Some(id.to_str().ok().and_then(cursor).ok_or_else(|| {
            Error::parameter("Last-Event-ID", "expected the id of an event of this stream")
        })?),
    };
    let place = office.streams.enter()?;
    let arrivals = office.inbox.arrivals();
    let newest = *arrivals.borrow();
    let (cursor, gap) = begin(&office, after, newest).await?;
    let stream = Stream {
        office,
        filter,
        says,
        sight: principal.sight(),
        cursor,
        opening: Some(opening(gap)),
        arrivals,
        next_look: Instant::now(),
        _place: place,
    };
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // nginx would wait until it has 4 kB.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((kind, Body::from_stream(stream::unfold(stream, Stream::next))).into_response())
}

/// Returns where a stream begins, and what its reader has missed.
async fn begin(
    office: &Office,
    after: Option<i64>,
    newest: i64,
) -> Result<(i64, Option<Gap>), Error> {
    let Some(after) = after else { return Ok((newest, None)) };
    let missing = office.ledgers.look(move |ledger| ledger.missing(after, newest)).await?;
    let goes_on_after = if missing.is_some() { after } else { newest };
    let gap = Gap { after, goes_on_after, missing };
    Ok((goes_on_after, (missing != Some(0)).then_some(gap)))
}

/// Returns what opens a stream: after how long to come again, and the gap if there is one.
fn opening(gap: Option<Gap>) -> Bytes {
    let mut text = b"retry: 1000\n\n".to_vec();
    if let Some(gap) = gap {
        let data = serde_json::to_string(&gap).expect("numbers can be written as JSON");
        text.extend(format!("id: {}\nevent: gap\ndata: {data}\n\n", gap.goes_on_after).bytes());
    }
    text.into()
}

impl Stream {
    /// Waits for the next piece; `None`: the stream is over.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(opening) = self.opening.take() {
            return Some((Ok(opening), self));
        }
        let stopping = self.office.streams.stopping.clone();
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            let newest = *self.arrivals.borrow_and_update();
            let is_behind = newest > self.cursor;
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                () = sleep_until(self.next_look), if is_behind => {
                    let piece = self.look(newest).await?;
                    if !piece.is_empty() {
                        return Some((Ok(piece), self));
                    }
                }
                // The inbox is closed when nobody is left who could say more.
                changed = self.arrivals.changed(), if !is_behind => changed.ok()?,
                () = sleep_until(heartbeat) => {
                    return Some((Ok(Bytes::from_static(b": still here\n\n")), self));
                }
            }
        }
    }

    /// Reads on; nothing is found where nothing matches. `None`: the log cannot be read, and who
    /// comes again goes on from the last event.
    async fn look(&mut self, newest: i64) -> Option<Bytes> {
        self.next_look = Instant::now() + BETWEEN_LOOKS;
        let newest = newest.max(self.cursor);
        if self.says == Says::Ids && self.filter == Filter::default() {
            self.cursor = newest;
            return Some(bell(newest));
        }
        let (filter, sight, says) = (self.filter.clone(), self.sight, self.says);
        let part = Part { order: Order::OldestFirst, after: Some(self.cursor), limit: PAGE };
        let look = self.office.ledgers.look(move |ledger| match says {
            Says::Events => {
                let page = ledger.events_for(&filter, part, sight)?;
                Ok((reached(&page, newest), written(&page)))
            }
            Says::Ids => {
                let (last, reached) = ledger.last_match(&filter, part)?;
                Ok((reached.unwrap_or(newest), last.map(bell).unwrap_or_default()))
            }
        });
        let (cursor, text) = look.await.map_err(Error::from).ok()?;
        self.cursor = cursor;
        Some(text)
    }
}

/// Says that events have come, the last of them at this place.
fn bell(place: i64) -> Bytes {
    format!("id: {place}\nevent: arrived\ndata: {{\"seq\":{place}}}\n\n").into()
}

/// Writes events as a stream has them.
fn written(page: &EventPage) -> Bytes {
    let mut text = Vec::new();
    for event in &page.events {
        write!(text, "id: {}\nevent: callback\ndata: ", event.seq).expect("a vector takes it");
        serde_json::to_writer(&mut text, event).expect("a view can be written as JSON");
        text.extend(b"\n\n");
    }
    text.into()
}

/// Returns up to where a page from the oldest on has looked; its whole rest is at least `newest`.
fn reached(page: &EventPage, newest: i64) -> i64 {
    let last = page.events.last().and_then(|event| i64::try_from(event.seq).ok());
    page.next.as_deref().and_then(place).unwrap_or_else(|| last.unwrap_or(0).max(newest))
}
