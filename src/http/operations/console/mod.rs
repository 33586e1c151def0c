//! The console: pages for a person on call, made by the server.
//!
//! # Constraints
//! - A page shows what the ledger gives for the permissions of who asks, and no more: what it may
//!   not show never reaches a template.
//! - All text of a callback is hostile. Templates escape by themselves; the few places that write
//!   markup in Rust ([`render`], [`fold`], [`picture`]'s template) escape every text that they are
//!   given. The policy of the pages forbids inline scripts and styles all the same.
//! - Pages work without a script; the script adds what is live, local times, and keys.
//! - Every list has a page, every text a length, every tree and picture a size.
//! - What counts the whole log is kept for a second ([`strip`]).
//!
//! Who may come here at all, and from which origin, is decided before: a request without a
//! [`Principal`](crate::operations::principal::Principal) is refused.

mod assets;
mod dead_letters;
mod erase;
mod events;
mod filter;
mod find;
mod fold;
mod handlers;
mod lists;
mod login;
mod orders;
mod picture;
mod refusals;
mod render;
mod sellers;
mod strip;
mod transactions;
mod visitor;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{any, get, post};
use axum::{Extension, Router};

pub(super) use self::login::login_page;
use super::Office;

/// The most that an action's form may hold: a page of ids.
const FORM_BYTES: usize = 64 * 1024;

/// Rows of a page.
const ROWS: usize = 50;

/// Returns the pages of the console.
pub(crate) fn router() -> Router<Office> {
    let home = || async { Redirect::to("/console/events") };
    Router::new()
        .route("/", get(home))
        .route("/console", get(home))
        .route("/console/events", get(events::list))
        .route("/console/events/rows", get(events::rows))
        .route("/console/events/{id}", get(events::show))
        .route("/console/events/{id}/replay", post(events::replay))
        .route("/console/find", get(find::find))
        .route("/console/transactions/{id}", get(transactions::show))
        .route("/console/transactions/{id}/erase", get(erase::ask).post(erase::erase))
        .route("/console/orders/{id}", get(orders::show))
        .route("/console/refusals", get(refusals::list))
        .route("/console/refusals/{seq}", get(refusals::show))
        .route("/console/dead-letters", get(dead_letters::list))
        .route("/console/dead-letters/replay", post(dead_letters::replay))
        .route("/console/sellers", get(sellers::list))
        .route("/console/sellers/{id}", get(sellers::show))
        .route("/console/handlers", get(handlers::list))
        .route("/console/handlers/{name}/pause", post(handlers::pause))
        .route("/console/handlers/{name}/resume", post(handlers::resume))
        .route("/console/expectations", get(lists::expectations))
        .route("/console/audit", get(lists::audit))
        .route("/console/assets/{file}", get(assets::asset))
        .route("/console/{*rest}", any(visitor::nowhere))
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(Extension(Arc::<strip::Strip>::default()))
}
