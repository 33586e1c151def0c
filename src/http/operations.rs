//! The operations side: whether the process lives, and whether it can take callbacks.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::callbacks::Desk;
use crate::inbox::{Depth, Inbox};

/// What the probes look at.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// The callbacks' side.
    pub(crate) desk: Arc<Desk>,
    /// Where they are kept.
    pub(crate) inbox: Arc<dyn Inbox>,
}

/// Returns the router with `/livez` and `/readyz`.
pub(crate) fn router(probe: Probe) -> Router {
    Router::new()
        .route("/livez", get(|| async { plain(StatusCode::OK, "alive\n".to_owned()) }))
        .route("/readyz", get(ready))
        .with_state(probe)
}

/// 200 while a callback would be kept; 503 with the reason otherwise.
async fn ready(State(probe): State<Probe>) -> Response {
    if probe.desk.is_draining() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n".to_owned());
    }
    if let Some(error) = probe.inbox.trouble() {
        plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n"))
    } else {
        let Depth { unsettled, is_counting } = probe.inbox.depth();
        let counting = if is_counting { " so far, still counting" } else { "" };
        plain(StatusCode::OK, format!("ready\nunsettled events: {unsettled}{counting}\n"))
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
