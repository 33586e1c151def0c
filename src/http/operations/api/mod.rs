//! The API for operators: what `operations` shows and changes, as JSON over HTTP.
//!
//! # Constraints
//! - Every route is in [`routes`], and every one of them in `openapi.json`; a test compares.
//! - A parameter that is not known or not understood is refused by its name, never passed over.
//! - Nothing here reads the disk on a thread that serves others: all of it goes through `Ledgers`.

mod changes;
mod erasures;
mod events;
mod expectations;
mod feed;
mod input;
mod lists;
mod openapi;
mod stream;
mod wait;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get, post};

use super::Office;
use super::answer::Error;

/// The method by which a path is asked, the path, and what answers.
struct Route(
    #[allow(dead_code, reason = "the test compares it with the document")] &'static str,
    &'static str,
    MethodRouter<Office>,
);

fn routes() -> Vec<Route> {
    vec![
        Route("GET", "/v1/status", get(lists::status)),
        Route("GET", "/v1/events", get(events::list)),
        Route("GET", "/v1/events/{id}", get(events::one)),
        Route("GET", "/v1/events/{id}/body", get(events::body)),
        Route("GET", "/v1/transactions/{id}", get(events::transaction)),
        Route("GET", "/v1/orders/{id}", get(events::order)),
        Route("GET", "/v1/dead-letters", get(events::dead_letters)),
        Route("GET", "/v1/refusals", get(lists::refusals)),
        Route("GET", "/v1/refusals/{seq}", get(lists::refusal)),
        Route("GET", "/v1/sellers", get(lists::sellers)),
        Route("GET", "/v1/handlers", get(lists::handlers)),
        Route("POST", "/v1/handlers/{name}/pause", post(changes::pause)),
        Route("POST", "/v1/handlers/{name}/resume", post(changes::resume)),
        Route("POST", "/v1/replays", post(changes::replay)),
        Route("GET", "/v1/audit", get(lists::audit)),
        Route("GET", "/v1/stream", get(stream::stream)),
        Route("GET", "/v1/feed", get(feed::feed)),
        Route("GET", "/v1/expectations", get(expectations::list)),
        Route("POST", "/v1/expectations", post(expectations::expect)),
        Route("GET", "/v1/expectations/{id}", get(expectations::one)),
        Route("DELETE", "/v1/expectations/{id}", delete(expectations::withdraw)),
        Route("GET", "/v1/wait", get(wait::wait)),
        Route("POST", "/v1/erasures", post(erasures::erase)),
        Route("GET", "/v1/openapi.json", get(openapi::document)),
    ]
}

/// Returns the router of the API.
pub(super) fn router() -> Router<Office> {
    let add = |router: Router<Office>, Route(_, path, answer)| router.route(path, answer);
    // Routers of other files are merged before the last step, which is for all of them.
    routes().into_iter().fold(Router::new(), add).method_not_allowed_fallback(not_allowed)
}

async fn not_allowed() -> Error {
    let message = "not by this method; `Allow` names those that there are";
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
