//! What is looked up when somebody asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};

use super::make::Maker;
use super::{families, integer};

/// The gauges that are set then.
pub(super) struct OfNow {
    ready: IntGauge,
    requests: IntGauge,
    bytes: IntGauge,
    unsettled: IntGauge,
    oldest: IntGauge,
    dead_letters: IntGauge,
    waiters: IntGauge,
    open: IntGauge,
    /// What is counted elsewhere. Two scrapes at once must not add the same difference twice.
    counted: Mutex<[IntCounter; 3]>,
}

/// What is true when somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    /// Whether a callback would be kept.
    pub(crate) ready: bool,
    /// Requests that wait for their answer.
    pub(crate) requests: usize,
    /// Bytes of bodies before their ACK.
    pub(crate) bytes: usize,
    /// Events that are not settled.
    pub(crate) unsettled: u64,
    /// How long the oldest of them waits.
    pub(crate) oldest: Duration,
    /// Dead letters that are kept.
    pub(crate) dead_letters: u64,
    /// Requests that wait for a callback.
    pub(crate) waiters: usize,
    /// What the buyer app expects.
    pub(crate) expectations: Expectations,
}

/// What is counted of the callbacks that the buyer app expects.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expectations {
    /// So many have not come yet.
    pub(crate) open: usize,
    /// So many were registered, have come, and have not come in time, since the process began.
    pub(crate) counted: [u64; 3],
}

impl OfNow {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        Self {
            ready: make.gauge(&families::READY),
            requests: make.gauge(&families::IN_FLIGHT_REQUESTS),
            bytes: make.gauge(&families::IN_FLIGHT_BYTES),
            unsettled: make.gauge(&families::UNSETTLED),
            oldest: make.gauge(&families::OLDEST_UNSETTLED),
            dead_letters: make.gauge(&families::DEAD_LETTERS_KEPT),
            waiters: make.gauge(&families::WAITERS),
            open: make.gauge(&families::EXPECTATIONS_OPEN),
            counted: Mutex::new([
                make.counter(&families::EXPECTATIONS_REGISTERED),
                make.counter(&families::EXPECTATIONS_MET),
                make.counter(&families::EXPECTATIONS_SILENT),
            ]),
        }
    }

    pub(super) fn set(&self, now: Now) {
        self.ready.set(i64::from(now.ready));
        self.requests.set(integer(now.requests as u64));
        self.bytes.set(integer(now.bytes as u64));
        self.unsettled.set(integer(now.unsettled));
        self.oldest.set(integer(now.oldest.as_secs()));
        self.dead_letters.set(integer(now.dead_letters));
        self.waiters.set(integer(now.waiters as u64));
        self.open.set(integer(now.expectations.open as u64));
        // Only counters lie behind it, whole after any panic.
        let counters = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, count) in counters.iter().zip(now.expectations.counted) {
            // A scrape that has looked before another one has nothing to add.
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}
