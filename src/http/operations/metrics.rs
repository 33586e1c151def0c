//! `/metrics`: what Prometheus scrapes.
//!
//! A scrape reads the disk once a minute at most, whoever asks how often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use chrono::{DateTime, TimeDelta, Utc};

use super::Office;
use crate::inbox::Depth;
use crate::metrics::{Expectations, Now};
use crate::words::Chain;

/// How long what was read of the disk is good.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(60);

/// How long a scrape waits for the disk; then it says what was known before. Prometheus waits ten
/// seconds by default.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns the router with `/metrics`.
pub(super) fn router() -> Router<Office> {
    Router::new().route("/metrics", get(metrics)).layer(Extension(Arc::<Survey>::default()))
}

/// What was last read of the disk.
#[derive(Debug, Default)]
struct Survey {
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    looked_at: Option<DateTime<Utc>>,
    dead_letters: u64,
    oldest: Option<DateTime<Utc>>,
}

impl Survey {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Only three values are touched under it; they are whole after any panic.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known, looked up anew when it is old.
    async fn look(self: &Arc<Self>, office: &Office, now: DateTime<Utc>) -> Seen {
        let is_due = {
            let mut seen = self.seen();
            let due = seen.looked_at.is_none_or(|at| (now - at).abs() >= GOOD_FOR);
            if due {
                // Said before the look: one that fails or is slow is not begun again at once.
                seen.looked_at = Some(now);
            }
            due
        };
        if is_due {
            let survey = Arc::clone(self);
            let look = office.ledgers.look(move |ledger| {
                let (dead_letters, oldest) = ledger.standing()?;
                let mut seen = survey.seen();
                (seen.dead_letters, seen.oldest) = (dead_letters, oldest);
                Ok(())
            });
            match tokio::time::timeout(PATIENCE, look).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "dead letters could not be counted");
                }
                Err(_elapsed) => tracing::warn!("counting dead letters takes long, it goes on"),
            }
        }
        *self.seen()
    }
}

async fn metrics(
    State(office): State<Office>,
    Extension(survey): Extension<Arc<Survey>>,
) -> Response {
    let now = office.clock.now();
    let seen = survey.look(&office, now).await;
    let Depth { unsettled, .. } = office.inbox.depth();
    let (requests, bytes) = office.desk.in_flight();
    // What was the oldest a minute ago may be settled: with nothing unsettled there is none.
    let oldest = seen.oldest.filter(|_| unsettled > 0);
    let text = office.metrics.text(Now {
        ready: !office.desk.is_draining() && office.inbox.trouble().is_none(),
        requests,
        bytes,
        unsettled,
        oldest: oldest.and_then(|at| (now - at).to_std().ok()).unwrap_or_default(),
        dead_letters: seen.dead_letters,
        waiters: office.waiting.waiting(),
        expectations: Expectations {
            open: office.expecting.open_expectations(),
            counted: office.expecting.expectation_counts().read(),
        },
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}
