//! Who looks at a page, and the frame around it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::super::Office;
use super::super::access::Proof;
use super::render::render;
use super::strip::{Strip, StripView};
use crate::inbox::reader;
use crate::operations::Ledger;
use crate::operations::changes::By;
use crate::operations::principal::Principal;
use crate::words::Chain;

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Section {
    Events,
    DeadLetters,
    Refusals,
    Sellers,
    Handlers,
    Expectations,
    Audit,
    /// A page about what is not there: it has the ways to the others.
    Nowhere,
    /// A page outside the console's rooms: it has none.
    Outside,
}

/// What an action has done, as the page behind it says. A closed set: no text comes from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Replayed,
    ReplayPending,
    ReplayUnknown,
    Paused,
    Resumed,
    Erasing,
    NothingFound,
}

impl Said {
    const fn text(self) -> &'static str {
        match self {
            Said::Replayed => "Replay requested. It is handed over again in a moment.",
            Said::ReplayPending => "Nothing to replay: it is not settled yet and comes anyway.",
            Said::ReplayUnknown => "There is no such event any more.",
            Said::Paused => "Delivery is paused. Callbacks are still ACKed and kept.",
            Said::Resumed => "Delivery goes on.",
            Said::Erasing => {
                "Erasure requested. What is settled is emptied in a moment, the rest once it is."
            }
            Said::NothingFound => "No event has this as its id, order, transaction or message.",
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Said::Replayed => "replayed",
            Said::ReplayPending => "replay_pending",
            Said::ReplayUnknown => "replay_unknown",
            Said::Paused => "paused",
            Said::Resumed => "resumed",
            Said::Erasing => "erasing",
            Said::NothingFound => "nothing_found",
        }
    }

    const fn is_good(self) -> bool {
        match self {
            Said::Replayed | Said::Paused | Said::Resumed | Said::Erasing => true,
            Said::ReplayPending | Said::ReplayUnknown | Said::NothingFound => false,
        }
    }

    /// Returns the way back to a page of ours that then says this.
    pub(super) fn at(self, path: &str) -> Response {
        Redirect::to(&format!("{path}?said={}", self.code())).into_response()
    }
}

#[derive(Debug, Default, Deserialize)]
struct Saying {
    said: Option<String>,
}

/// Who looks, and at what.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) office: Office,
    pub(super) principal: Principal,
    pub(super) strip: Arc<Strip>,
    is_logged_in: bool,
    said: Option<Said>,
}

impl FromRequestParts<Office> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, office: &Office) -> Result<Self, Response> {
        let Some(principal) = parts.extensions.get::<Principal>().cloned() else {
            // Fails closed: a console that is mounted without the access layer shows nothing.
            tracing::error!("a page of the console was asked for without a look at who asks");
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        let Extension(strip) = Extension::<Arc<Strip>>::from_request_parts(parts, office)
            .await
            .map_err(IntoResponse::into_response)?;
        // What is no word of ours says nothing.
        let saying = Query::<Saying>::try_from_uri(&parts.uri).map(|Query(saying)| saying);
        let code = saying.unwrap_or_default().said.unwrap_or_default();
        let all = [
            Said::Replayed,
            Said::ReplayPending,
            Said::ReplayUnknown,
            Said::Paused,
            Said::Resumed,
            Said::Erasing,
            Said::NothingFound,
        ];
        let said = all.into_iter().find(|said| said.code() == code);
        let is_logged_in = parts.extensions.get() == Some(&Proof::Session);
        Ok(Self { office: office.clone(), principal, strip, is_logged_in, said })
    }
}

/// What every page has around it.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a template asks each of them by its name")]
struct Frame<'a> {
    section: Section,
    title: &'a str,
    version: &'static str,
    assets: &'a str,
    strip: Option<StripView>,
    who: Option<&'a str>,
    may_act: bool,
    may_see_bodies: bool,
    /// With a cookie, which can be given back.
    is_logged_in: bool,
    said: Option<&'static str>,
    said_is_good: bool,
    now: Option<String>,
}

#[derive(Debug, Serialize)]
struct Framed<'a, T> {
    frame: Frame<'a>,
    page: T,
}

impl Visitor {
    /// Looks into the inbox.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Ledger) -> Result<T, reader::Error> + Send + 'static,
    ) -> Result<T, Trouble> {
        self.office.ledgers.look(look).await.map_err(Trouble::Inbox)
    }

    /// Changes something, in the name of who asks; refused without the permission.
    pub(super) async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Ledger, By<'_>) -> Result<T, reader::Error> + Send + 'static,
    ) -> Result<T, Trouble> {
        if !self.principal.may.act {
            return Err(Trouble::MayNotAct);
        }
        let (who, now) = (Arc::clone(&self.principal.name), self.office.clock.now());
        let done =
            self.office.ledgers.at_once(move |ledger| act(ledger, By { who: &who, now })).await;
        self.strip.forget();
        done.map_err(Trouble::Inbox)
    }

    /// Makes a page.
    pub(super) async fn page<T: Serialize>(
        &self,
        (section, title): (Section, &str),
        template: &'static str,
        page: T,
    ) -> Result<Response, Trouble> {
        let status = self.strip.status(&self.office).await.map_err(Trouble::Inbox)?;
        let now = self.office.clock.now();
        let frame = Frame {
            section,
            title,
            version: env!("CARGO_PKG_VERSION"),
            assets: &super::assets::VERSION,
            strip: Some(StripView::new(status, now)),
            who: Some(&self.principal.name),
            may_act: self.principal.may.act,
            may_see_bodies: self.principal.may.bodies,
            is_logged_in: self.is_logged_in,
            said: self.said.map(Said::text),
            said_is_good: self.said.is_some_and(Said::is_good),
            now: Some(now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        };
        html(StatusCode::OK, template, &Framed { frame, page })
    }
}

/// Makes a part of a page, for the script.
pub(super) fn part<T: Serialize>(template: &'static str, page: &T) -> Result<Response, Trouble> {
    html(StatusCode::OK, template, page)
}

/// Makes a page that knows of no visitor: it has a frame and no strip.
pub(super) fn bare_page<T: Serialize>(
    status: StatusCode,
    (section, title): (Section, &str),
    template: &'static str,
    page: T,
) -> Response {
    let frame = Frame {
        section,
        title,
        version: env!("CARGO_PKG_VERSION"),
        assets: &super::assets::VERSION,
        strip: None,
        who: None,
        may_act: false,
        may_see_bodies: false,
        is_logged_in: false,
        said: None,
        said_is_good: false,
        now: None,
    };
    match render(template, &Framed { frame, page }) {
        Some(text) => written(status, text),
        None => (status, title.to_owned()).into_response(),
    }
}

fn html<T: Serialize>(
    status: StatusCode,
    template: &'static str,
    context: &T,
) -> Result<Response, Trouble> {
    let text = render(template, context).ok_or(Trouble::Template)?;
    Ok(written(status, text))
}

/// Nothing but its kind: what a browser may do with it stands on every answer of the listener.
fn written(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no such thing.
    Missing(&'static str),
    /// The permission `act` is missing.
    MayNotAct,
    /// The form is not one of ours.
    Form,
    /// The inbox could not be read.
    Inbox(reader::Error),
    /// A template failed, which is a bug and in the log.
    Template,
}

#[derive(Debug, Serialize)]
struct TroublePage {
    status: u16,
    what: &'static str,
    next: &'static str,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, what, next) = match &self {
            Trouble::Missing(what) => (
                StatusCode::NOT_FOUND,
                *what,
                "It may have left with retention, or the address is not whole.",
            ),
            Trouble::MayNotAct => (
                StatusCode::FORBIDDEN,
                "This token may not change anything.",
                "Ask for one with the permission act.",
            ),
            Trouble::Form => (
                StatusCode::BAD_REQUEST,
                "The form could not be read.",
                "Go back, reload the page, and try again.",
            ),
            Trouble::Inbox(error) => {
                tracing::error!(error = %Chain(error), "the console could not read the inbox");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The inbox could not be read.",
                    "The log says why. Callbacks are not touched by this.",
                )
            }
            Trouble::Template => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The page could not be made.",
                "This is a bug; the log says where.",
            ),
        };
        let page = TroublePage { status: status.as_u16(), what, next };
        bare_page(status, (Section::Nowhere, what), "trouble.html", page)
    }
}

/// Answers for an address below the console where there is nothing.
pub(super) async fn nowhere() -> Trouble {
    Trouble::Missing("There is no such page.")
}
