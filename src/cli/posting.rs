//! Many posts: at a pace, some at the same time, and what came of them.

use std::fmt;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::seller::{milliseconds, shown};
use crate::mock::{Acknowledgement, Answer, Connection, Error, Request};
use crate::words::Chain;

/// How many kinds of refusals and failures are told apart; the others are only counted.
const KINDS: usize = 5;

/// How much of a message makes its kind, in characters: what follows is often different each time.
const HEAD_CHARACTERS: usize = 120;

/// How fast requests are posted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How many may wait for their answer at a time.
    pub(super) in_flight: usize,
    /// How many are begun a second, whether or not earlier ones were answered, as long as there
    /// is room in flight; `None` for as soon as there is room.
    pub(super) per_second: Option<u32>,
}

/// What came of many posts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ack: usize,
    nack: usize,
    failed: usize,
    latencies: Vec<Duration>,
    kinds: Vec<(usize, Kind)>,
    /// Refused or failed in a way that is none of the kinds.
    others: usize,
    took: Duration,
}

/// A way not to be accepted.
#[derive(Debug, PartialEq)]
struct Kind {
    status: Option<u16>,
    /// NACK, or what there was in its place.
    answer: &'static str,
    code: Option<String>,
    message: String,
}

/// Posts every request; `done` is called after each answer.
///
/// # Cancel safety
/// Dropped, what was in flight may have reached the receiver or not.
pub(super) async fn post(
    connection: &Connection,
    requests: impl Iterator<Item = Request>,
    pace: Pace,
    mut done: impl FnMut(),
) -> Tally {
    let mut tally = Tally::default();
    let mut flights: JoinSet<Result<Answer, Error>> = JoinSet::new();
    let mut note = |outcome: Result<Result<Answer, Error>, _>| {
        tally.note(outcome.expect("a post does not panic"));
        done();
    };
    let started = Instant::now();
    for (before, request) in (0u32..).zip(requests) {
        if let Some(per_second) = pace.per_second {
            let due = Duration::from_secs(before.into()) / per_second;
            tokio::time::sleep_until(started + due).await;
        }
        while let Some(outcome) = flights.try_join_next() {
            note(outcome);
        }
        while flights.len() >= pace.in_flight {
            let Some(outcome) = flights.join_next().await else { break };
            note(outcome);
        }
        let connection = connection.clone();
        flights.spawn(async move { connection.send(&request).await });
    }
    while let Some(outcome) = flights.join_next().await {
        note(outcome);
    }
    tally.took = started.elapsed();
    tally.latencies.sort_unstable();
    tally
}

impl Tally {
    /// Returns whether every post was accepted.
    pub(super) fn is_all_ack(&self) -> bool {
        self.nack + self.failed == 0
    }

    fn note(&mut self, outcome: Result<Answer, Error>) {
        match outcome {
            Ok(answer) => {
                self.latencies.push(answer.latency);
                if answer.is_ack() {
                    self.ack += 1;
                    return;
                }
                let is_nack = answer.acknowledgement == Some(Acknowledgement::Nack);
                *(if is_nack { &mut self.nack } else { &mut self.failed }) += 1;
                self.count(Kind::of(&answer));
            }
            Err(error) => {
                self.failed += 1;
                let message = shown(&Chain(&error).to_string(), HEAD_CHARACTERS);
                let answer = "no answer";
                self.count(Kind { status: None, answer, code: None, message });
            }
        }
    }

    fn count(&mut self, kind: Kind) {
        let is_full = self.kinds.len() == KINDS;
        match self.kinds.iter_mut().find(|(_, known)| *known == kind) {
            Some((count, _)) => *count += 1,
            None if is_full => self.others += 1,
            None => self.kinds.push((1, kind)),
        }
    }

    /// Returns the latency that this part of the answers did not exceed, in milliseconds.
    fn latency(&self, percent: usize) -> Option<f64> {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1) - 1;
        self.latencies.get(rank).copied().map(milliseconds)
    }

    /// Returns how many were answered a second.
    fn rate(&self) -> f64 {
        let answered = f64::from(u32::try_from(self.latencies.len()).unwrap_or(u32::MAX));
        // Nothing takes no time; a clock may say so.
        answered / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns it as an object of JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "posts": self.ack + self.nack + self.failed,
            "ack": self.ack,
            "nack": self.nack,
            "failed": self.failed,
            "seconds": self.took.as_secs_f64(),
            "answers_per_second": self.rate(),
            "latency_ms": {
                "p50": self.latency(50), "p99": self.latency(99), "max": self.latency(100),
            },
            "kinds": self.kinds.iter().map(|(count, kind)| kind.json(*count)).collect::<Vec<_>>(),
            "other_kinds": self.others,
        })
    }
}

impl Kind {
    fn of(answer: &Answer) -> Self {
        let named = match answer.acknowledgement {
            Some(Acknowledgement::Nack) => "NACK",
            Some(Acknowledgement::Ack) => "ACK with an error status",
            None => "no acknowledgement",
        };
        let error = answer.error.clone().unwrap_or_default();
        Self {
            status: Some(answer.status),
            answer: named,
            code: answer.error.is_some().then(|| shown(&error.code, 16)),
            message: shown(&error.message, HEAD_CHARACTERS),
        }
    }

    fn json(&self, count: usize) -> serde_json::Value {
        let Self { status, answer, code, message } = self;
        serde_json::json!({
            "count": count, "status": status, "answer": answer, "code": code, "message": message,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ack, nack, failed, .. } = self;
        let (seconds, rate) = (self.took.as_secs_f64(), self.rate());
        write!(f, "  ← {ack} ACK, {nack} NACK, {failed} failed in {seconds:.2} s, ")?;
        write!(f, "{rate:.0} answers a second")?;
        if let (Some(p50), Some(p99), Some(max)) =
            (self.latency(50), self.latency(99), self.latency(100))
        {
            write!(f, "\n    latency p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")?;
        }
        for (count, Kind { status, answer, code, message }) in &self.kinds {
            let status = status.map(|status| format!("{status} ")).unwrap_or_default();
            let code = code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
            write!(f, "\n    {count} × {status}{answer}{code} {message}")?;
        }
        if self.others > 0 {
            write!(f, "\n    {} × otherwise", self.others)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{Acknowledgement, Answer, KINDS, Tally};
    use crate::mock::NackError;

    fn answer(status: u16, acknowledgement: Option<Acknowledgement>, code: &str) -> Answer {
        let error = NackError { code: code.to_owned(), ..NackError::default() };
        Answer {
            status,
            acknowledgement,
            error: (!code.is_empty()).then_some(error),
            body: Bytes::new(),
            latency: Duration::from_millis(1),
        }
    }

    #[test]
    fn answers_are_counted_by_what_they_say() {
        let mut tally = Tally::default();
        for (status, acknowledgement, code) in [
            (200, Some(Acknowledgement::Ack), ""),
            (401, Some(Acknowledgement::Nack), "20001"),
            (401, Some(Acknowledgement::Nack), "20001"),
            (200, Some(Acknowledgement::Nack), "20006"),
            // An ACK under an error status promises nothing.
            (503, Some(Acknowledgement::Ack), ""),
            (502, None, ""),
        ] {
            tally.note(Ok(answer(status, acknowledgement, code)));
        }
        assert_eq!((tally.ack, tally.nack, tally.failed), (1, 3, 2));
        assert!(!tally.is_all_ack());
        let counts: Vec<_> =
            tally.kinds.iter().map(|(count, kind)| (*count, kind.status.unwrap())).collect();
        assert_eq!(counts, [(2, 401), (1, 200), (1, 503), (1, 502)]);
        let told = tally.to_string();
        assert!(told.contains("2 × 401 NACK 20001"), "{told}");
    }

    #[test]
    fn kinds_beyond_the_first_are_only_counted() {
        let mut tally = Tally::default();
        for code in 0..100 {
            tally.note(Ok(answer(200, Some(Acknowledgement::Nack), &format!("c{code}"))));
        }
        assert_eq!((tally.kinds.len(), tally.others), (KINDS, 100 - KINDS));
    }

    #[test]
    fn a_percentile_is_the_latency_that_so_many_did_not_exceed() {
        let latencies = (1..=200).map(Duration::from_millis).collect();
        let tally = Tally { latencies, ..Tally::default() };
        let found = [50, 99, 100].map(|percent| tally.latency(percent));
        assert_eq!(found, [Some(100.0), Some(198.0), Some(200.0)]);
        assert_eq!(Tally::default().latency(50), None);
    }
}
