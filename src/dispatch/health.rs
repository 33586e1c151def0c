//! Whether a handler takes anything at all: when not, one event at a time is tried.
//!
//! What a handler that is down would do to many lanes at once: each would use up attempts, and the
//! handler would be called by all of them the moment it is back. So after failures on several
//! lanes with no success between them the handler is *probed*: one event at a time, with a pause
//! between that doubles. The first event that is taken ends it. One lane that always fails is not
//! enough, for the others show that the handler works.
//!
//! The pause grows only while nothing behind the handler is reached. One that answers, but not as
//! it should, may mean the events: then the pause stays short, so that one that it would take is
//! not behind many that it does not.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// On so many lanes the last attempts must have failed.
pub(super) const SEVERAL: usize = 5;

/// The first pause between probes, doubled after each that reached nothing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: how long a target may be up again at most before it is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What the attempts of a handler have shown.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The lanes of the failures since the last success; at most [`SEVERAL`].
    failed_lanes: Vec<u64>,
    probing: Option<Probing>,
}

#[derive(Debug)]
struct Probing {
    since: DateTime<Utc>,
    pause: Duration,
    rest_until: DateTime<Utc>,
}

/// An attempt that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) lane: u64,
    pub(super) began: DateTime<Utc>,
    pub(super) at: DateTime<Utc>,
    /// Whether nothing behind the handler was reached.
    pub(super) unreached: bool,
}

/// What an attempt has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// From now on one event at a time is tried.
    Down,
    /// Events go out as before; it was down for so long.
    Up(Duration),
}

impl Health {
    /// Takes note of an attempt that failed.
    pub(super) fn failed(&mut self, failure: Failure) -> Change {
        let Failure { lane, began, at, unreached } = failure;
        if let Some(probing) = &mut self.probing {
            // What was out when it went down says nothing new.
            if began >= probing.since {
                let doubled = (probing.pause * 2).min(LONGEST_PAUSE);
                probing.pause = if unreached { doubled } else { FIRST_PAUSE };
                probing.rest_until = at + probing.pause;
            }
            return Change::None;
        }
        if !self.failed_lanes.contains(&lane) {
            self.failed_lanes.push(lane);
        }
        if self.failed_lanes.len() < SEVERAL {
            return Change::None;
        }
        let rest_until = at + FIRST_PAUSE;
        self.probing = Some(Probing { since: at, pause: FIRST_PAUSE, rest_until });
        Change::Down
    }

    /// Takes note of an attempt that the handler has answered for, by taking its event or refusing
    /// it for good.
    pub(super) fn answered(&mut self, at: DateTime<Utc>) -> Change {
        self.failed_lanes.clear();
        match self.probing.take() {
            Some(probing) => Change::Up((at - probing.since).to_std().unwrap_or_default()),
            None => Change::None,
        }
    }

    /// Returns how many of `places` may be used.
    pub(super) fn places(&self, places: usize) -> usize {
        if self.probing.is_some() { 1 } else { places }
    }

    /// Returns until when nothing is handed out.
    pub(super) fn rest_until(&self) -> Option<DateTime<Utc>> {
        self.probing.as_ref().map(|probing| probing.rest_until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::{Change, Failure, Health, LONGEST_PAUSE, SEVERAL};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn failed(lane: u64, began: i64, ended: i64) -> Failure {
        Failure { lane, began: at(began), at: at(ended), unreached: true }
    }

    fn down() -> Health {
        let mut health = Health::default();
        for lane in 1..SEVERAL as u64 {
            assert_eq!(health.failed(failed(lane, 0, 0)), Change::None);
        }
        assert_eq!(health.failed(failed(SEVERAL as u64, 0, 0)), Change::Down);
        health
    }

    #[test]
    fn one_lane_that_always_fails_changes_nothing() {
        let mut health = Health::default();
        for second in 0..1_000 {
            assert_eq!(health.failed(failed(7, second, second)), Change::None);
        }
        assert_eq!((health.places(16), health.rest_until()), (16, None));
    }

    #[test]
    fn failures_on_several_lanes_with_a_success_between_change_nothing() {
        let mut health = Health::default();
        for round in 0..100_u64 {
            for lane in 1..SEVERAL as u64 {
                assert_eq!(health.failed(failed(round * 10 + lane, 0, 0)), Change::None);
            }
            assert_eq!(health.answered(at(0)), Change::None);
        }
    }

    #[test]
    fn a_handler_that_is_down_is_probed_at_growing_pauses_until_it_answers() {
        let mut health = down();
        assert_eq!((health.places(16), health.rest_until()), (1, Some(at(1))));
        // Out since before: no probe.
        assert_eq!(health.failed(failed(9, -1, 1)), Change::None);
        assert_eq!(health.rest_until(), Some(at(1)));
        for (began, pause) in [(1, 2), (10, 4), (20, 8), (30, 15), (60, 15)] {
            assert_eq!(health.failed(failed(1, began, began)), Change::None);
            assert_eq!(health.rest_until(), Some(at(began + pause)));
        }
        assert_eq!(LONGEST_PAUSE, Duration::from_secs(15));
        assert_eq!(health.answered(at(90)), Change::Up(Duration::from_secs(90)));
        assert_eq!((health.places(16), health.rest_until()), (16, None));
    }

    #[test]
    fn a_handler_that_answers_wrongly_is_probed_each_second() {
        let mut health = down();
        for second in 1..100 {
            let failure = Failure { unreached: false, ..failed(1, second, second) };
            assert_eq!(health.failed(failure), Change::None);
            assert_eq!(health.rest_until(), Some(at(second + 1)));
        }
    }
}
