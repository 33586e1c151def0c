//! Whether the process lives, and whether it can take callbacks.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::operations::Office;
use crate::inbox::Depth;

/// Returns the router with `/livez` and `/readyz`, which never ask for a token.
pub(super) fn router() -> Router<Office> {
    Router::new()
        .route("/livez", get(|| async { plain(StatusCode::OK, "alive\n".to_owned()) }))
        .route("/readyz", get(ready))
}

/// 200 while a callback would be kept; 503 with the reason otherwise.
async fn ready(State(office): State<Office>) -> Response {
    if office.desk.is_draining() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n".to_owned());
    }
    if let Some(error) = office.inbox.trouble() {
        plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n"))
    } else {
        let Depth { unsettled, is_counting } = office.inbox.depth();
        let counting = if is_counting { " so far, still counting" } else { "" };
        plain(StatusCode::OK, format!("ready\nunsettled events: {unsettled}{counting}\n"))
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
