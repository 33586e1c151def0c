//! What is counted and measured, in a registry of each receiver's own.
//!
//! # Constraints
//! - No I/O and no clock: times and durations come in.
//! - On the way to an ACK a count is an index and an atomic addition; no label is looked up there
//!   by its text save a rule that warns.
//! - Labels are closed sets, or names of the settings; the one open set, sellers, is bounded.
//!
//! # Layout
//! `families` the names, units and texts · `words` the closed sets · `sellers` the bounded one ·
//! `now` what is looked up for a scrape · `make` registers them.

mod families;
mod make;
mod now;
mod sellers;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

use self::make::{ByName, Maker};
use self::now::OfNow;
pub(crate) use self::now::{Expectations, Now};
pub(crate) use self::sellers::FromSeller;
use self::sellers::Sellers;
pub(crate) use self::words::{Answer, Busy, Denied, Ended, KeyFrom, Lookup};
use crate::beckn::action::Action;
use crate::beckn::oddity::OddityKind;
use crate::words::Cause;

/// Short enough for a commit, long enough for a request that waits its whole time-out.
const FAST: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// From a handler that is quick to a retry of the next day.
const SLOW: &[f64] =
    &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

/// How many callbacks share a commit.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// The values of labels that only other floors know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    /// The names of the rules.
    pub(crate) rules: Vec<&'static str>,
    /// The causes of refusals that are neither rules nor causes of a signature.
    pub(crate) causes: Vec<&'static str>,
    /// The flags of an event.
    pub(crate) flags: Vec<&'static str>,
    /// How many sellers have counts of their own.
    pub(crate) sellers: usize,
}

/// What is counted and measured.
pub(crate) struct Metrics {
    registry: Registry,
    callbacks: Vec<Vec<IntCounter>>,
    ack_seconds: Histogram,
    refusals: ByName,
    unavailable: Vec<IntCounter>,
    warnings: ByName,
    oddities: Vec<IntCounter>,
    flagged: ByName,
    sellers: Sellers,
    /// See [`OfInbox`].
    pub(crate) inbox: OfInbox,
    lag_seconds: Histogram,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    handler_down: IntGaugeVec,
    handler_paused: IntGaugeVec,
    dead_letters: IntCounter,
    lookups: Vec<IntCounter>,
    keys: Vec<IntCounter>,
    cached_subscribers: IntGauge,
    denied: Vec<IntCounter>,
    now: OfNow,
}

/// What the inbox's writer measures.
pub(crate) struct OfInbox {
    append_seconds: Histogram,
    commit_seconds: Histogram,
    commit_callbacks: Histogram,
    failed_commits: IntCounter,
    window_overflow: IntCounter,
    dropped_refusals: IntCounter,
    disk_free: IntGauge,
}

/// What is measured of a handler.
#[derive(Clone)]
pub(crate) struct OfHandler {
    attempts: Vec<IntCounter>,
    seconds: Histogram,
    down: IntGauge,
    lag: Histogram,
}

impl Metrics {
    /// Makes a registry with everything at zero.
    pub(crate) fn new(labels: &Labels) -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        make.gauges(&families::BUILD_INFO).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let callbacks = make.counters(&families::CALLBACKS);
        let by_answer = |action: &str| {
            Answer::ALL.iter().map(|text| callbacks.with_label_values(&[action, text])).collect()
        };
        let actions = Action::ALL.into_iter().map(Action::as_str).chain([OTHER]);
        let signature = Cause::ALL.iter().map(|cause| cause.as_str());
        let causes = labels.rules.iter().chain(&labels.causes).copied().chain(signature);
        let sellers = make.counters(&families::SELLER_CALLBACKS);
        let last = make.gauges(&families::SELLER_LAST);
        Self {
            callbacks: actions.map(by_answer).collect(),
            ack_seconds: make.histogram(&families::ACK_SECONDS, FAST),
            refusals: make.by_name(&families::REFUSALS, causes),
            unavailable: make.each(&families::UNAVAILABLE, Busy::ALL),
            warnings: make.by_name(&families::RULE_WARNINGS, labels.rules.iter().copied()),
            oddities: make.each(&families::ODDITIES, &OddityKind::ALL.map(OddityKind::as_str)),
            flagged: make.by_name(&families::FLAGGED, labels.flags.iter().copied()),
            sellers: Sellers::new(sellers, last, labels.sellers),
            inbox: OfInbox::new(&make),
            lag_seconds: make.histogram(&families::LAG_SECONDS, SLOW),
            attempts: make.counters(&families::ATTEMPTS),
            attempt_seconds: make.histograms(&families::ATTEMPT_SECONDS, SLOW),
            handler_down: make.gauges(&families::HANDLER_DOWN),
            handler_paused: make.gauges(&families::HANDLER_PAUSED),
            dead_letters: make.counter(&families::DEAD_LETTERS),
            lookups: make.each(&families::LOOKUPS, Lookup::ALL),
            keys: make.each(&families::KEYS_ASKED, KeyFrom::ALL),
            cached_subscribers: make.gauge(&families::CACHED_SUBSCRIBERS),
            denied: make.each(&families::OPERATIONS_REFUSED, Denied::ALL),
            now: OfNow::new(&make),
            registry,
        }
    }

    /// Counts the answer to a callback; without an action it came to another path.
    pub(crate) fn answered(&self, action: Option<Action>, answer: Answer) {
        let place = action.map_or(Action::ALL.len(), |action| action as usize);
        self.callbacks[place][answer as usize].inc();
    }

    /// Measures an ACK.
    pub(crate) fn acked_after(&self, took: Duration) {
        self.ack_seconds.observe(took.as_secs_f64());
    }

    /// Counts what a seller has to mend; a cause that is none of ours is a buyer's rule.
    pub(crate) fn refused(&self, cause: &str) {
        self.refusals.count(cause);
    }

    /// Counts a 503.
    pub(crate) fn turned_away(&self, why: Busy) {
        self.unavailable[why as usize].inc();
    }

    /// Counts a violation that only warns.
    pub(crate) fn warned(&self, rule: &str) {
        self.warnings.count(rule);
    }

    /// Counts `count` oddities of one kind.
    pub(crate) fn odd(&self, kind: OddityKind, count: usize) {
        self.oddities[kind as usize].inc_by(count as u64);
    }

    /// Counts a new event that has this flag.
    pub(crate) fn flagged(&self, flag: &str) {
        self.flagged.count(flag);
    }

    /// Counts a callback of a seller; `kept_at` is when it was kept, in seconds since 1970.
    pub(crate) fn count_seller(&self, callback: FromSeller<'_>, kept_at: Option<i64>) {
        self.sellers.count(callback, kept_at);
    }

    /// Returns what is measured of a handler; its name is one of the settings.
    pub(crate) fn handler(&self, name: &str) -> OfHandler {
        let attempts =
            Ended::ALL.iter().map(|text| self.attempts.with_label_values(&[name, text])).collect();
        OfHandler {
            attempts,
            seconds: self.attempt_seconds.with_label_values(&[name]),
            down: self.handler_down.with_label_values(&[name]),
            lag: self.lag_seconds.clone(),
        }
    }

    /// Says whether a handler is paused.
    pub(crate) fn handler_paused(&self, name: &str, paused: bool) {
        self.handler_paused.with_label_values(&[name]).set(i64::from(paused));
    }

    /// Counts an event that was given up.
    pub(crate) fn gave_up(&self) {
        self.dead_letters.inc();
    }

    /// Counts a look-up.
    pub(crate) fn looked_up(&self, outcome: Lookup) {
        self.lookups[outcome as usize].inc();
    }

    /// Counts a key that was asked for.
    pub(crate) fn key_asked(&self, from: KeyFrom) {
        self.keys[from as usize].inc();
    }

    /// Says of how many subscribers the keys are kept.
    pub(crate) fn cached_subscribers(&self, count: usize) {
        self.cached_subscribers.set(integer(count as u64));
    }

    /// Counts a request of an operator that was refused.
    pub(crate) fn denied(&self, why: Denied) {
        self.denied[why as usize].inc();
    }

    /// Returns everything in the text format of Prometheus, with what is true now.
    pub(crate) fn text(&self, now: Now) -> String {
        self.now.set(now);
        let mut text = String::new();
        // It fails only for a family without metrics, and `gather` leaves those out.
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }
}

/// The action of what came to another path, and the seller who finds no room.
const OTHER: &str = "other";

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&Labels::default())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl fmt::Debug for OfHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfHandler")
    }
}

impl OfHandler {
    /// Counts an attempt and how long it took.
    pub(crate) fn attempted(&self, ended: Ended, took: Duration) {
        self.attempts[ended as usize].inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Measures how long an event took from its acceptance to its settling.
    pub(crate) fn settled_after(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    /// Says whether the handler takes anything at all.
    pub(crate) fn down(&self, down: bool) {
        self.down.set(i64::from(down));
    }
}

impl OfInbox {
    fn new(make: &Maker<'_>) -> Self {
        Self {
            append_seconds: make.histogram(&families::APPEND_SECONDS, FAST),
            commit_seconds: make.histogram(&families::COMMIT_SECONDS, FAST),
            commit_callbacks: make.histogram(&families::COMMIT_CALLBACKS, SIZES),
            failed_commits: make.counter(&families::FAILED_COMMITS),
            window_overflow: make.counter(&families::WINDOW_OVERFLOW),
            dropped_refusals: make.counter(&families::DROPPED_REFUSALS),
            disk_free: make.gauge(&families::DISK_FREE),
        }
    }

    /// Measures how long a callback waited to be durable.
    pub(crate) fn appended_after(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// Measures a commit of so many callbacks.
    pub(crate) fn committed(&self, callbacks: usize, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        if callbacks > 0 {
            // At most the limit of a batch.
            self.commit_callbacks.observe(f64::from(u32::try_from(callbacks).unwrap_or(u32::MAX)));
        }
    }

    /// Counts a commit that failed.
    pub(crate) fn commit_failed(&self) {
        self.failed_commits.inc();
    }

    /// Counts events that left the duplicate window too early.
    pub(crate) fn window_overflowed(&self, events: u64) {
        self.window_overflow.inc_by(events);
    }

    /// Counts a refusal that is not kept.
    pub(crate) fn refusal_dropped(&self) {
        self.dropped_refusals.inc();
    }

    /// Says how much room the disk has.
    pub(crate) fn disk_free(&self, bytes: u64) {
        self.disk_free.set(integer(bytes));
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
