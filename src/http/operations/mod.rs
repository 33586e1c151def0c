//! The listener of the people who run the receiver.

pub(crate) mod access;
mod answer;
mod api;
pub(crate) mod console;
mod metrics;
mod request_body;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use self::access::Access;
use self::answer::Error;
use super::callbacks::Desk;
use super::probes;
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::inbox::expectations::Expecting;
use crate::metrics::Metrics;
use crate::operations::ledgers::Ledgers;
use crate::operations::waiting::WaitingRoom;

/// What a request of an operator is served with.
#[derive(Debug, Clone)]
pub(crate) struct Office {
    /// The callbacks' side.
    pub(crate) desk: Arc<Desk>,
    /// Where they are kept.
    pub(crate) inbox: Arc<dyn Inbox>,
    /// What is read of it.
    pub(crate) ledgers: Arc<Ledgers>,
    /// The same, for those who expect a callback.
    pub(crate) expecting: Arc<dyn Expecting>,
    /// Who waits for one.
    pub(crate) waiting: Arc<WaitingRoom>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is counted and measured.
    pub(crate) metrics: Arc<Metrics>,
    /// Who stays longer than for one answer.
    pub(crate) streams: Streams,
}

/// The places of those who wait for what comes, and the end of their waiting.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    /// Ends when the receiver stops: the drain does not wait for who listens.
    pub(crate) stopping: CancellationToken,
}

impl Streams {
    /// Has so many places, until `stopping` ends.
    pub(crate) fn new(places: usize, stopping: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), stopping }
    }

    /// Takes a place, if there is one.
    fn enter(&self) -> Result<OwnedSemaphorePermit, Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::busy("the receiver is stopping"));
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        // It is never closed, so the only error is that there is no place.
        place.map_err(|_full| Error::busy("all places of operations.streams are taken"))
    }
}

/// Returns the router of the operations' listener.
pub(crate) fn router(office: Office, access: &Arc<Access>) -> Router {
    let inside = Router::new()
        .merge(metrics::router())
        .merge(api::router())
        .merge(console::router())
        .fallback(nowhere);
    access::guard(inside.with_state(office.clone()), access)
        .merge(probes::router().with_state(office))
        .layer(CatchPanicLayer::custom(internal))
        .layer(middleware::map_response(access::harden))
}

async fn nowhere() -> Error {
    Error::unknown("there is nothing at this path; /v1/openapi.json lists what there is")
}

/// The answer to a bug of ours. The panic's text may hold what a seller sent, so it is not logged.
fn internal(_panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("answered 500: a panic while an operator's request was served");
    let message = "a bug of the receiver's; its log says more";
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).into_response()
}
