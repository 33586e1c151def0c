//! The public side: takes a POST, lets the intake accept it, and answers.
//!
//! # Constraints
//! - Every answer is the acknowledgement envelope, `application/json`, without the context.
//! - [`answer`] is the one place where a reason becomes a status and a NACK.
//! - What the seller is told names what it can mend; what failed on our side stays in the log.
//! - A body that is refused unread is thrown away before the answer, within bounds: a proxy that
//!   still sends it would find a closed connection and answer 502 instead.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use tokio::sync::Semaphore;

use super::{body, noted};
use crate::beckn::action::Action;
use crate::beckn::answer::{self, Code, ErrorType, INTERNAL_ERROR, INVALID_RESPONSE, Nack};
use crate::clock::Clock;
use crate::inbox::{self, Receipt, Refusal};
use crate::intake::trust::Presented;
use crate::intake::{Accept, Intake, Posted, Refused, Rejection};
use crate::metrics::{Answer, FromSeller, Metrics};
use crate::trace::{Arriving, Sampling};
use crate::words::{Chain, Seldom};

/// How callbacks are taken and answered.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Only paths below it are served; empty for any prefix.
    pub(crate) base_path: String,
    /// Whether callbacks other than `on_status`, `on_update` and `on_track` are unknown paths.
    pub(crate) refuse_other_actions: bool,
    pub(crate) body_limit: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) in_flight_requests: usize,
    pub(crate) request_timeout: Duration,
    /// The status of a NACK for what the seller has to mend.
    pub(crate) nack_status: StatusCode,
    /// When a seller may try again, in seconds.
    pub(crate) retry_after: u64,
    /// What a 401 asks for: a signature, in the `WWW-Authenticate` header.
    pub(crate) challenge: HeaderValue,
    /// Which traces are sampled.
    pub(crate) sampling: Sampling,
}

/// What a request is served with.
#[derive(Debug)]
pub(crate) struct Desk<I = Intake> {
    intake: I,
    clock: Arc<dyn Clock>,
    pub(super) options: Options,
    bytes: Semaphore,
    requests: Semaphore,
    draining: AtomicBool,
    /// Keeps the log readable while callbacks are turned away.
    told: Mutex<Seldom>,
}

impl<I: Accept> Desk<I> {
    /// Lays out the desk.
    pub(crate) fn new(intake: I, clock: Arc<dyn Clock>, options: Options) -> Self {
        let bytes = Semaphore::new(options.in_flight_bytes.min(Semaphore::MAX_PERMITS));
        let requests = Semaphore::new(options.in_flight_requests.min(Semaphore::MAX_PERMITS));
        let (draining, told) = (AtomicBool::new(false), Mutex::default());
        Self { intake, clock, options, bytes, requests, draining, told }
    }

    /// From now on every callback is answered 503.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Returns how many requests wait for their answer, and how many bytes of bodies.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        let Options { in_flight_requests, in_flight_bytes, .. } = self.options;
        let taken = |limit: usize, places: &Semaphore| {
            limit.min(Semaphore::MAX_PERMITS).saturating_sub(places.available_permits())
        };
        (taken(in_flight_requests, &self.requests), taken(in_flight_bytes, &self.bytes))
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        self.intake.metrics()
    }

    /// Returns whether callbacks are turned away because of the shutdown.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// Why a request is not `ACKed`.
#[derive(Debug)]
pub(super) enum Trouble {
    UnknownPath,
    Method(Action),
    Encoding,
    Body(body::Error),
    TooManyRequests,
    Draining,
    Late,
    Rejected(Rejection),
}

impl Trouble {
    /// Returns whether the sender may still be sending what was refused.
    fn leaves_unread(&self) -> bool {
        match self {
            Self::UnknownPath
            | Self::Method(_)
            | Self::Encoding
            | Self::Body(body::Error::TooLong { .. } | body::Error::NoRoom)
            | Self::TooManyRequests
            | Self::Draining => true,
            // There the body was read, or there is no more time for it.
            Self::Body(body::Error::Broken(_)) | Self::Late | Self::Rejected(_) => false,
        }
    }

    /// Returns the cause under which a request is kept that the seller has to mend before its body
    /// is looked at.
    pub(super) const fn of_request(&self) -> Option<&'static str> {
        match self {
            Self::UnknownPath => Some(PATH),
            Self::Method(_) => Some(METHOD),
            Self::Encoding => Some(ENCODING),
            Self::Body(body::Error::TooLong { .. }) => Some(BODY_TOO_LONG),
            Self::Body(body::Error::NoRoom | body::Error::Broken(_))
            | Self::TooManyRequests
            | Self::Draining
            | Self::Late
            | Self::Rejected(_) => None,
        }
    }
}

const PATH: &str = "http.path";
const METHOD: &str = "http.method";
const ENCODING: &str = "http.encoding";
const BODY_TOO_LONG: &str = "http.body_too_long";

/// The causes under which a request is kept that is no callback.
pub(crate) const CAUSES: [&str; 4] = [PATH, METHOD, ENCODING, BODY_TOO_LONG];

/// Takes a callback and answers it.
pub(super) async fn answered<I, B>(desk: Arc<Desk<I>>, request: Request<B>) -> Response<Full<Bytes>>
where
    I: Accept,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let began = Instant::now();
    let (parts, mut body) = request.into_parts();
    let route = last_segment(parts.uri.path());
    let arriving = noted::arriving(desk.options.sampling, began, route, &parts.headers);
    let outcome = {
        let taken = pin!(serve(&desk, &parts, &mut body, &arriving));
        tokio::time::timeout(desk.options.request_timeout, taken).await
    };
    match outcome.unwrap_or(Err(Trouble::Late)) {
        Ok((action, receipt)) => {
            let answer = match receipt {
                Receipt::New { .. } => Answer::Ack,
                Receipt::Duplicate { .. } => Answer::Duplicate,
            };
            desk.metrics().answered(Some(action), answer);
            desk.metrics().acked_after(began.elapsed());
            noted::note_receipt(&arriving, answer, receipt);
            acknowledgement(StatusCode::OK, Bytes::from_static(answer::ACK.as_bytes()))
        }
        Err(trouble) => {
            // Who waits to be told to send needs no reading to see the answer.
            if trouble.leaves_unread() && !parts.headers.contains_key(header::EXPECT) {
                body::discard(&mut body, desk.options.body_limit.saturating_mul(2)).await;
            }
            let (status, nack) = answer(&trouble, desk.options.nack_status);
            tracing::debug!(status = status.as_u16(), code = nack.code, "refused a callback");
            noted::count(desk.metrics(), route, &trouble);
            arriving.note_answer(noted::answer(&trouble).as_str());
            let response = respond(status, &nack, &trouble, &desk.options);
            keep_refusal(&desk, route, status, nack, trouble);
            response
        }
    }
}

async fn serve<I, B>(
    desk: &Desk<I>,
    parts: &Parts,
    body: &mut B,
    arriving: &Arriving<'_>,
) -> Result<(Action, Receipt), Trouble>
where
    I: Accept,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let Parts { method, uri, headers, .. } = parts;
    let action = route(&desk.options, uri.path()).ok_or(Trouble::UnknownPath)?;
    if method != Method::POST {
        return Err(Trouble::Method(action));
    }
    if desk.is_draining() {
        return Err(Trouble::Draining);
    }
    check_headers(headers, desk.options.body_limit)?;
    let _place = desk.requests.try_acquire().map_err(|_full| Trouble::TooManyRequests)?;
    let (bytes, _room) =
        body::read(body, desk.options.body_limit, &desk.bytes).await.map_err(Trouble::Body)?;
    let (presented, now) = (presented(headers), desk.clock.now());
    let posted = Posted { action, presented, body: bytes, now };
    let receipt = desk.intake.accept(posted, arriving).await.map_err(Trouble::Rejected)?;
    tracing::debug!(action = action.as_str(), receipt = ?receipt, "accepted a callback");
    Ok((action, receipt))
}

/// Refuses by the header what need not be read for it.
fn check_headers(headers: &HeaderMap, limit: usize) -> Result<(), Trouble> {
    let identity = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if !identity {
        return Err(Trouble::Encoding);
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Trouble::Body(body::Error::TooLong { limit }));
    }
    Ok(())
}

/// Returns the signature that a request brings.
fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).map_or(
            Presented::Unreadable("expected text in the Authorization header, found other bytes"),
            Presented::Header,
        ),
        (Some(_), Some(_)) => {
            Presented::Unreadable("expected one Authorization header, found several")
        }
    }
}

/// Returns the last segment that is not empty: sellers join `bap_uri` and action with too many
/// slashes or a trailing one.
fn last_segment(path: &str) -> &str {
    path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or("")
}

fn route(options: &Options, path: &str) -> Option<Action> {
    let below = path.strip_prefix(options.base_path.trim_end_matches('/'))?;
    if !options.base_path.is_empty() && below.trim_matches('/').contains('/') {
        return None;
    }
    let action = below.starts_with('/').then(|| Action::from_name(last_segment(below)))??;
    (action.follows_an_order() || !options.refuse_other_actions).then_some(action)
}

/// Turns a reason into the status and the NACK: design decision D1, row by row.
pub(super) fn answer(trouble: &Trouble, nack_status: StatusCode) -> (StatusCode, Nack) {
    let unfit = |status, message: &str| (status, core(INVALID_RESPONSE, message));
    let later = |message: &str| (StatusCode::SERVICE_UNAVAILABLE, core(INTERNAL_ERROR, message));
    match trouble {
        Trouble::Rejected(Rejection::Refused(refused, _body)) => (nack_status, nack_of(refused)),
        Trouble::Rejected(Rejection::Untrusted(refused, _body)) => {
            (StatusCode::UNAUTHORIZED, nack_of(refused))
        }
        Trouble::Rejected(Rejection::KeyUnavailable { message, .. }) => later(message),
        Trouble::Rejected(Rejection::Unavailable(error)) => later(match error {
            inbox::Error::QueueFull | inbox::Error::TooManyUnsettled => {
                "too many callbacks are waiting, please retry"
            }
            inbox::Error::NoSpace | inbox::Error::Engine(_) => {
                "the callback could not be kept, please retry"
            }
            inbox::Error::Closed => "the receiver is stopping, please retry",
        }),
        Trouble::UnknownPath => unfit(
            StatusCode::NOT_FOUND,
            "expected a path that ends in a callback's name, as /on_status",
        ),
        Trouble::Method(action) => {
            unfit(StatusCode::METHOD_NOT_ALLOWED, &format!("expected POST /{action}"))
        }
        Trouble::Encoding => unfit(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "expected a body without Content-Encoding, which the signature does not cover",
        ),
        Trouble::Body(body::Error::TooLong { limit }) => unfit(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("expected a body of at most {limit} bytes"),
        ),
        Trouble::Body(body::Error::NoRoom) | Trouble::TooManyRequests => {
            later("too many callbacks are in flight, please retry")
        }
        Trouble::Body(body::Error::Broken(_)) | Trouble::Late => {
            later("the body did not come in time, or could not be kept in time, please retry")
        }
        Trouble::Draining => later("the receiver is stopping, please retry"),
    }
}

pub(super) fn core(code: Code, message: &str) -> Nack {
    Nack {
        error_type: ErrorType::Core,
        code: code.code.to_owned(),
        path: String::new(),
        message: message.to_owned(),
    }
}

fn nack_of(refused: &Refused) -> Nack {
    Nack {
        error_type: refused.error_type,
        code: refused.code.clone(),
        path: refused.path.clone(),
        message: refused.message.clone(),
    }
}

fn respond(
    status: StatusCode,
    nack: &Nack,
    trouble: &Trouble,
    options: &Options,
) -> Response<Full<Bytes>> {
    let mut response = acknowledgement(status, nack.body().into());
    let headers = response.headers_mut();
    match trouble {
        Trouble::Rejected(Rejection::KeyUnavailable { retry_after, .. }) => {
            // Rounded up: before that time it would be turned away again.
            let whole = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            let seconds = whole.max(options.retry_after);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Trouble::Rejected(Rejection::Untrusted(..)) => {
            headers.insert(header::WWW_AUTHENTICATE, options.challenge.clone());
        }
        Trouble::Method(_) => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(options.retry_after));
        }
        _ => {}
    }
    response
}

pub(super) fn acknowledgement(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Keeps what the seller has to mend; what failed on our side is logged instead.
fn keep_refusal<I: Accept>(
    desk: &Desk<I>,
    route: &str,
    status: StatusCode,
    nack: Nack,
    trouble: Trouble,
) {
    let answer = noted::answer(&trouble);
    let mut transaction_id = None;
    let (cause, seller, verified, body) = match trouble {
        Trouble::Rejected(
            Rejection::Refused(refused, body) | Rejection::Untrusted(refused, body),
        ) => {
            transaction_id = refused.transaction_id;
            (refused.cause, refused.seller, refused.verified, body)
        }
        Trouble::Rejected(Rejection::KeyUnavailable { message, .. }) => {
            return tell(desk, &message);
        }
        Trouble::Rejected(Rejection::Unavailable(error)) => {
            tracing::warn!(error = %Chain(&error), "answered 503: a callback could not be kept");
            return;
        }
        Trouble::UnknownPath
        | Trouble::Method(_)
        | Trouble::Encoding
        | Trouble::Body(_)
        | Trouble::TooManyRequests
        | Trouble::Draining
        | Trouble::Late => match trouble.of_request() {
            Some(cause) => (cause, "unverified:".to_owned(), false, Bytes::new()),
            None if matches!(trouble, Trouble::Draining) => return,
            None => return tell(desk, &nack.message),
        },
    };
    desk.metrics().refused(cause);
    desk.metrics().count_seller(FromSeller { seller: &seller, verified, answer }, None);
    desk.intake.refuse(Refusal {
        at: desk.clock.now(),
        route: route.chars().take(64).collect(),
        seller,
        verified,
        cause,
        path: nack.path,
        message: nack.message,
        transaction_id,
        status: status.as_u16(),
        body_bytes: body.len(),
        body,
    });
}

/// Says in the log that callbacks are turned away, once in a while.
fn tell<I>(desk: &Desk<I>, why: &str) {
    let mut told = desk.told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(left_out) = told.say(desk.clock.now()) {
        tracing::warn!(left_out, "answered 503: {why}");
    }
}
