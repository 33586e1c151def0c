//! Every family of metrics: its name, its labels, its unit, what it says.
//!
//! `docs/monitoring.md` is this table for people; a test proves that it says the same.

/// What a family is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows, from the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// Returns the word that Prometheus has for it.
    #[cfg(test)]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A family of metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    /// The whole name.
    pub(crate) name: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the document's table shows it"))]
    pub(crate) kind: Kind,
    /// The names of the labels.
    pub(crate) labels: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "the document's table shows it"))]
    pub(crate) unit: &'static str,
    /// What it says.
    pub(crate) help: &'static str,
}

macro_rules! families {
    ($( $NAME:ident = $Kind:ident $name:literal [$($label:literal),*] $unit:literal, $help:literal; )+) => {
        $( pub(super) const $NAME: Family = Family {
            name: concat!("beckn_receiver_", $name),
            kind: Kind::$Kind,
            labels: &[$($label),*],
            unit: $unit,
            help: $help,
        }; )+

        /// Every family, in the order of the document.
        #[cfg(test)]
        pub(crate) const FAMILIES: &[Family] = &[$($NAME),+];
    };
}

families! {
    BUILD_INFO = Gauge "build_info" ["version"] "", "The version that runs; always 1.";
    READY = Gauge "ready" [] "", "Whether a callback would be kept: what /readyz says, 1 or 0.";
    CALLBACKS = Counter "callbacks_total" ["action", "answer"] "callbacks",
        "Callbacks answered, by action and answer.";
    ACK_SECONDS = Histogram "ack_seconds" [] "seconds",
        "From a request's head to its ACK.";
    REFUSALS = Counter "refusals_total" ["cause"] "callbacks",
        "Callbacks that the seller has to mend, by cause; `buyer` is a rule of the buyer's own.";
    UNAVAILABLE = Counter "unavailable_total" ["reason"] "callbacks",
        "Callbacks answered 503, by reason.";
    RULE_WARNINGS = Counter "rule_warnings_total" ["rule"] "violations",
        "Violations that only warn, by rule.";
    ODDITIES = Counter "oddities_total" ["kind"] "oddities",
        "Shapes that no version of the protocol publishes, by kind.";
    FLAGGED = Counter "flagged_events_total" ["flag"] "events",
        "New events by flag; `id_reused` is another content under known ids.";
    SELLER_CALLBACKS = Counter "seller_callbacks_total" ["seller", "answer"] "callbacks",
        "Callbacks by seller and answer, of at most operations.seller_metrics sellers.";
    SELLER_LAST = Gauge "seller_last_callback_timestamp_seconds" ["seller"] "seconds since 1970",
        "When a seller's latest callback was kept.";
    IN_FLIGHT_REQUESTS = Gauge "in_flight_requests" [] "requests",
        "Requests that wait for their answer.";
    IN_FLIGHT_BYTES = Gauge "in_flight_bytes" [] "bytes",
        "Bytes of bodies in memory before their ACK.";
    APPEND_SECONDS = Histogram "append_seconds" [] "seconds",
        "From the writer's queue to the disk, for each callback.";
    COMMIT_SECONDS = Histogram "commit_seconds" [] "seconds",
        "One commit of the inbox, with its sync.";
    COMMIT_CALLBACKS = Histogram "commit_callbacks" [] "callbacks",
        "How many callbacks share a commit, where there are any.";
    FAILED_COMMITS = Counter "failed_commits_total" [] "commits", "Commits that failed.";
    WINDOW_OVERFLOW = Counter "duplicate_window_overflow_total" [] "events",
        "Events that the duplicate window let go of before their time.";
    DROPPED_REFUSALS = Counter "dropped_refusals_total" [] "callbacks",
        "Refusals that were counted and not kept, as their queue was full.";
    DISK_FREE = Gauge "disk_free_bytes" [] "bytes", "Room on the inbox's disk.";
    UNSETTLED = Gauge "unsettled_events" [] "events",
        "Events that are pending, with the handler, or waiting for a retry.";
    OLDEST_UNSETTLED = Gauge "oldest_unsettled_seconds" [] "seconds",
        "How long ago the oldest unsettled event was accepted; looked up once a minute at most.";
    LAG_SECONDS = Histogram "lag_seconds" [] "seconds",
        "From a callback's acceptance to its settling, replays left out.";
    ATTEMPTS = Counter "attempts_total" ["handler", "outcome"] "attempts",
        "Calls of a handler, by outcome.";
    ATTEMPT_SECONDS = Histogram "attempt_seconds" ["handler"] "seconds", "How long a call took.";
    HANDLER_DOWN = Gauge "handler_down" ["handler"] "",
        "Whether a handler takes nothing and is tried with one event at a time, 1 or 0.";
    HANDLER_PAUSED = Gauge "handler_paused" ["handler"] "",
        "Whether an operator has paused a handler, 1 or 0.";
    DEAD_LETTERS = Counter "dead_letters_total" [] "events", "Events that were given up.";
    DEAD_LETTERS_KEPT = Gauge "dead_letters_kept" [] "events",
        "Dead letters that are kept; counted once a minute at most.";
    LOOKUPS = Counter "registry_lookups_total" ["outcome"] "look-ups",
        "Look-ups at the registry, by outcome.";
    KEYS_ASKED = Counter "keys_asked_total" ["result"] "keys",
        "Keys that were asked for: known, looked up, or not to be had now.";
    CACHED_SUBSCRIBERS = Gauge "cached_subscribers" [] "subscribers",
        "Subscribers whose keys are kept.";
    EXPECTATIONS_REGISTERED = Counter "expectations_registered_total" [] "expectations",
        "Callbacks that the buyer app has said it expects.";
    EXPECTATIONS_OPEN = Gauge "expectations_open" [] "expectations",
        "Callbacks that the buyer app expects and that have not come.";
    EXPECTATIONS_MET = Counter "expectations_met_total" [] "expectations",
        "Expected callbacks that came.";
    EXPECTATIONS_SILENT = Counter "expectations_silent_total" [] "expectations",
        "Expected callbacks that did not come in their time.";
    WAITERS = Gauge "waiters" [] "requests", "Requests that wait for a callback at /v1/wait.";
    OPERATIONS_REFUSED = Counter "operations_refused_total" ["reason"] "requests",
        "Requests of operators that were refused, by reason.";
}
