//! How the receiver is, at the top of every page.
//!
//! It counts the whole log, so it is counted once for all pages and not more often than once a
//! second, or a fiftieth of the time when counting takes long. No page waits long for it: what was
//! counted before is shown until it is counted anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;

use super::super::Office;
use crate::inbox::reader;
use crate::operations::Ledger;
use crate::operations::views::StatusView;

/// For how long a count is good.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// For how much of the time it is counted: a part of this.
const SELDOM: u32 = 50;

/// How long a page waits for a new count when there is an old one.
const PATIENCE: Duration = Duration::from_millis(50);

/// What was counted last.
#[derive(Debug, Default)]
pub(super) struct Strip {
    known: Mutex<Option<Known>>,
    /// Whose turn it is to count.
    counting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone)]
struct Known {
    status: Arc<StatusView>,
    until: Instant,
}

/// What a page shows of it.
#[derive(Debug, Serialize)]
pub(super) struct StripView {
    #[serde(serialize_with = "shared")]
    status: Arc<StatusView>,
    /// How long the oldest event waits.
    waits: Option<String>,
    /// Whether that is long.
    waits_long: bool,
    paused: Vec<String>,
}

fn shared<S: serde::Serializer>(status: &Arc<StatusView>, to: S) -> Result<S::Ok, S::Error> {
    StatusView::serialize(status, to)
}

impl Strip {
    /// Returns how the receiver is.
    ///
    /// # Cancel safety
    /// Dropped, a count that has begun ends by itself.
    pub(super) async fn status(
        self: &Arc<Self>,
        office: &Office,
    ) -> Result<Arc<StatusView>, reader::Error> {
        let Some(known) = self.known() else {
            let turn = Arc::clone(&self.counting).lock_owned().await;
            // Who had the turn before may have counted.
            return match self.known() {
                Some(known) => Ok(known.status),
                None => Arc::clone(self).count(office.clone(), turn).await,
            };
        };
        if Instant::now() < known.until {
            return Ok(known.status);
        }
        let Ok(turn) = Arc::clone(&self.counting).try_lock_owned() else {
            return Ok(known.status);
        };
        // It goes on when nobody waits for it any longer.
        let count = tokio::spawn(Arc::clone(self).count(office.clone(), turn));
        match tokio::time::timeout(PATIENCE, count).await {
            Ok(counted) => counted.expect("counting does not panic and is not aborted"),
            Err(_elapsed) => Ok(known.status),
        }
    }

    async fn count(
        self: Arc<Self>,
        office: Office,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Arc<StatusView>, reader::Error> {
        let began = Instant::now();
        let status = Arc::new(office.ledgers.look(Ledger::status).await?);
        let until = Instant::now() + GOOD_FOR.max(began.elapsed() * SELDOM);
        let counted = Known { status: Arc::clone(&status), until };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
        drop(turn);
        Ok(status)
    }

    /// Forgets what was counted: somebody has changed it.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known(&self) -> Option<Known> {
        // Only a clone happens under it; it is whole after any panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl StripView {
    pub(super) fn new(status: Arc<StatusView>, now: DateTime<Utc>) -> Self {
        let waits = status.oldest_pending_at.map(|since| now - since);
        let paused = status.handlers.iter().filter(|handler| handler.paused_at.is_some());
        Self {
            waits: waits.map(span),
            waits_long: waits.is_some_and(|waits| waits >= chrono::TimeDelta::minutes(5)),
            paused: paused.map(|handler| handler.name.clone()).collect(),
            status,
        }
    }
}

/// Returns a duration in one unit, or two.
pub(super) fn span(time: chrono::TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) if hours < 6 && minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        (0, _, _) => format!("{hours} h"),
        (1..6, _, _) if hours % 24 > 0 => format!("{days} d {} h", hours % 24),
        _ => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_span_is_said_in_the_units_that_matter() {
        let check = |seconds: i64, expected: &str| {
            assert_eq!(super::span(chrono::TimeDelta::seconds(seconds)), expected);
        };
        check(-5, "0 s");
        check(59, "59 s");
        check(61, "1 min");
        check(3 * 3_600 + 240, "3 h 4 min");
        check(7 * 3_600 + 240, "7 h");
        check(86_400 * 2 + 3_600, "2 d 1 h");
        check(86_400 * 30 + 3_600, "30 d");
    }
}
