//! Who may use the operations listener, asked before anything is served.
//!
//! # Constraints
//! - Everything but the probes goes through [`guard`]. What passed has its [`Principal`] with it;
//!   what the login page needs to be seen passes without one.
//! - On loopback with nothing configured a token is not needed, and then nobody sees bodies. Host
//!   and origin are checked all the same: a browser on this machine does what any page tells it.
//! - A token is shown nowhere; a wrong one neither.
//! - What is kept of requests is bounded: sessions, addresses, and one counter for each token.
//!
//! A right token is let in also from an address that sends wrong ones: a token cannot be guessed,
//! and one mistaken client behind a proxy must not shut everybody out.

mod hosts;
mod limits;
mod login;
mod refused;
mod sessions;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};

use self::hosts::Reach;
use self::limits::{Rates, WrongTokens};
use self::refused::Told;
use self::sessions::Sessions;
pub(crate) use self::tokens::Tokens;
pub use self::tokens::TokensError;
#[cfg(feature = "cli")]
pub(crate) use self::tokens::TokensFile;
use super::answer::Error;
use crate::clock::Clock;
use crate::config;
use crate::metrics::{Denied, Metrics};
use crate::operations::principal::{Permissions, Principal};
use crate::words::{HostName, Outside};

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Who is let in, and what is known of who came.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: Tokens,
    reach: Reach,
    hosts: Vec<HostName>,
    /// Who asks without a token, where none is needed.
    anybody: Option<Principal>,
    requests_per_s: u32,
    clock: Arc<dyn Clock>,
    sessions: Mutex<Sessions>,
    wrong: Mutex<WrongTokens>,
    rates: Mutex<Rates>,
    metrics: Arc<Metrics>,
    told: Told,
}

/// How a request has shown who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// By a header, which no page of a stranger can send.
    Token,
    /// By a cookie, which a browser sends for whichever page.
    Session,
    /// By coming from this machine, as everything that its browser does.
    Loopback,
}

/// Why a request is refused.
#[derive(Debug)]
struct Refusal {
    reason: Denied,
    error: Error,
}

impl Refusal {
    fn new(reason: Denied, status: StatusCode, message: impl Into<String>) -> Self {
        Self { reason, error: Error::new(status, reason.as_str(), message) }
    }

    fn no_token() -> Self {
        let message =
            "a token is needed: send `Authorization: Bearer …`, or log in at /console/login";
        Self::new(Denied::NoToken, StatusCode::UNAUTHORIZED, message)
    }

    fn too_many(message: &str, wait: u64) -> Self {
        let Self { reason, error } =
            Self::new(Denied::Rate, StatusCode::TOO_MANY_REQUESTS, message);
        Self { reason, error: error.retry_after(wait) }
    }

    fn origin() -> Self {
        let message = "this was asked for by a page of another host; only our own may";
        Self::new(Denied::Origin, StatusCode::FORBIDDEN, message)
    }
}

impl Access {
    /// Lays down who is let in by these settings.
    pub(crate) fn new(
        settings: &config::Operations,
        tokens: Tokens,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let reach = Reach::of(settings.listen.ip());
        let is_configured = !settings.tokens.is_empty()
            || !settings.tokens_file.as_os_str().is_empty()
            || !settings.hosts.is_empty();
        let needs_token = reach == Reach::Network || is_configured;
        let anybody = || Principal {
            name: Arc::from("loopback"),
            may: Permissions { read: true, bodies: false, act: true },
        };
        Arc::new(Self {
            tokens,
            reach,
            hosts: settings.hosts.clone(),
            anybody: (!needs_token).then(anybody),
            requests_per_s: settings.requests_per_s,
            clock,
            sessions: Mutex::default(),
            wrong: Mutex::default(),
            rates: Mutex::default(),
            metrics,
            told: Told::default(),
        })
    }

    /// Returns who asks, and how that is known; `None` for what is served to anybody.
    fn admit(&self, request: &Request) -> Result<Option<(Principal, Proof)>, Refusal> {
        let (method, headers) = (request.method(), request.headers());
        let host = self.host(request)?;
        let is_from_us = hosts::is_from_us(headers, host);
        if is_open(request.uri().path()) {
            return if method.is_safe() || is_from_us { Ok(None) } else { Err(Refusal::origin()) };
        }
        let (principal, proof) = self.identify(headers, peer(request))?;
        if !is_from_us
            && (!method.is_safe() || proof != Proof::Token)
            && !hosts::is_visit(method, headers)
        {
            return Err(Refusal::origin());
        }
        may(&principal, method)?;
        let now = self.clock.now();
        if !lock(&self.rates).count(&principal.name, self.requests_per_s, now) {
            let message = "more than operations.requests_per_s requests in this second";
            return Err(Refusal::too_many(message, 1));
        }
        Ok(Some((principal, proof)))
    }

    /// Returns the host that the request calls, when it is one of ours.
    fn host<'a>(&self, request: &'a Request) -> Result<&'a str, Refusal> {
        let mut named = request.headers().get_all(header::HOST).iter();
        let said = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok(),
            (None, _) => request.uri().authority().map(axum::http::uri::Authority::as_str),
            (Some(_), Some(_)) => None,
        };
        said.filter(|host| hosts::is_ours(host, self.reach, &self.hosts)).ok_or_else(|| {
            let message = "the name in `Host` is not one of ours: list it in operations.hosts";
            Refusal::new(Denied::Host, StatusCode::FORBIDDEN, message)
        })
    }

    /// Returns who asks, and how that is known.
    fn identify(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(Principal, Proof), Refusal> {
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(bearer);
            let holder = token.and_then(|token| self.tokens.holder(token));
            let holder = holder.ok_or_else(|| self.wrong_token(peer))?;
            return Ok((holder.clone(), Proof::Token));
        }
        let now = self.clock.now();
        if let Some(cookie) = session(headers)
            && let Some(holder) = lock(&self.sessions).holder(cookie, now)
        {
            return Ok((holder.clone(), Proof::Session));
        }
        let anybody = self.anybody.clone().ok_or_else(Refusal::no_token)?;
        Ok((anybody, Proof::Loopback))
    }

    fn wrong_token(&self, peer: IpAddr) -> Refusal {
        match lock(&self.wrong).count(peer, self.clock.now()) {
            None => {
                let status = StatusCode::UNAUTHORIZED;
                Refusal::new(Denied::WrongToken, status, "nobody has this token")
            }
            Some(wait) => Refusal::too_many("too many wrong tokens from this address", wait),
        }
    }

    /// Counts a refusal, and tells of it once in a while.
    fn note(&self, refusal: &Refusal, path: &str, peer: IpAddr) {
        let Refusal { reason, error } = refusal;
        self.metrics.denied(*reason);
        if let Some(left_out) = self.told.say(*reason, self.clock.now()) {
            tracing::warn!(
                reason = reason.as_str(), %peer, path = %Outside(path), left_out,
                "refused a request at the operations listener: {}", error.message()
            );
        }
    }
}

/// Asks who it is before anything of `router` is served.
pub(crate) fn guard(router: Router, access: &Arc<Access>) -> Router {
    router
        .merge(login::router(access))
        .layer(middleware::from_fn_with_state(Arc::clone(access), admit))
}

async fn admit(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    match access.admit(&request) {
        Ok(known) => {
            if let Some((principal, proof)) = known {
                request.extensions_mut().insert(principal);
                request.extensions_mut().insert(proof);
            }
            next.run(request).await
        }
        Err(refusal) => {
            access.note(&refusal, request.uri().path(), peer(&request));
            if refusal.reason == Denied::NoToken && is_page(&request) {
                return login::redirect(request.uri());
            }
            axum::response::IntoResponse::into_response(refusal.error)
        }
    }
}

/// Returns what a listener serves to one peer: the router, which then knows who it is.
pub(crate) fn known(router: &Router, peer: IpAddr) -> Router {
    Router::new().fallback_service(router.clone()).layer(Extension(Peer(peer)))
}

fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(peer)| *peer)
}

/// What may be seen by anybody, so that there is a way in: nothing of the inbox is in it.
fn is_open(path: &str) -> bool {
    path == login::LOGIN || path == login::LOGOUT || path.starts_with("/console/assets/")
}

fn may(principal: &Principal, method: &Method) -> Result<(), Refusal> {
    let missing = if !principal.may.read {
        "read"
    } else if !method.is_safe() && !principal.may.act {
        "act"
    } else {
        return Ok(());
    };
    Err(Refusal { reason: Denied::Permission, error: Error::forbidden(missing) })
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the value of our cookie.
fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == sessions::COOKIE).then_some(value)
    })
}

/// Returns whether a browser wants to show the answer to a person.
fn is_page(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    request.method().is_safe() && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only counters and lists lie behind them, whole after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a browser must not do with any answer: run what is not ours, frame it, guess its type,
/// tell others where it came from, keep it. `same-origin` and not `no-referrer`: with that, browsers
/// send our own forms with `Origin: null`.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Puts the headers on an answer that every answer has; what a page has said itself stays.
pub(crate) async fn harden(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
