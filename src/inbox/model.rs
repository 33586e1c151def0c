//! The model test: whatever happens in whatever order, no event is lost, doubled or out of order.
//!
//! It is written against [`Engine`]; the tests of each engine run it.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::contract::{Bench, ManualClock, SAMPLE, Sample};
use super::{Claim, Outlet, Receipt, Settlement};
use crate::clock::Clock as _;
use crate::event::EventId;

/// An inbox, and what can be done to it. Its receivers have numbers from 0 on.
pub(super) trait Engine {
    /// Returns how many receivers share it.
    fn receivers(&self) -> usize;

    /// Returns a receiver.
    fn bench(&self, receiver: usize) -> &Bench;

    /// Has the next commit fail; whether its rows are there all the same is `kept`, where that can
    /// be told.
    fn fail_next(&mut self, receiver: usize, kept: bool) -> impl Future<Output = ()>;

    /// Waits until what was settled is durable.
    fn settled(&self, receiver: usize) -> impl Future<Output = ()>;

    /// Asks for another round of an event that is settled; returns whether it was asked for.
    fn replay(&self, id: EventId, now: DateTime<Utc>) -> impl Future<Output = bool>;

    /// Ends a receiver, in order or as if it had been killed, and starts another in its place.
    fn reopen(&mut self, receiver: usize, clean: bool) -> impl Future<Output = ()>;
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Append { lane: usize, count: usize },
    Fail { kept: bool, lane: usize },
    Claim { limit: usize },
    Done { which: usize },
    Retry { which: usize },
    Dead { which: usize },
    TakeBack { which: usize },
    Replay { which: usize },
    Advance,
    Crash,
    Close,
}

/// Returns what may happen, and to which receiver.
pub(super) fn step() -> impl Strategy<Value = (usize, Step)> {
    (any::<usize>(), deed())
}

fn deed() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 1..4_usize).prop_map(|(lane, count)| Step::Append { lane, count }),
        1 => (any::<bool>(), 0..3_usize).prop_map(|(kept, lane)| Step::Fail { kept, lane }),
        4 => (1..4_usize).prop_map(|limit| Step::Claim { limit }),
        4 => (0..8_usize).prop_map(|which| Step::Done { which }),
        2 => (0..8_usize).prop_map(|which| Step::Retry { which }),
        1 => (0..8_usize).prop_map(|which| Step::Dead { which }),
        1 => (0..8_usize).prop_map(|which| Step::TakeBack { which }),
        1 => (0..8_usize).prop_map(|which| Step::Replay { which }),
        1 => Just(Step::Advance),
        1 => Just(Step::Crash),
        1 => Just(Step::Close),
    ]
}

/// What is known of an event that was appended.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Its place among all that were appended.
    place: u32,
    lane: usize,
    /// How often the event was settled as done or dead, each durable.
    settled: u32,
    /// Rounds that were asked for: the arrival, and each replay.
    rounds: u32,
}

struct Model<E> {
    engine: E,
    clock: Arc<ManualClock>,
    stamp: u32,
    known: BTreeMap<EventId, Known>,
    /// What is out, and at which receiver.
    out: Vec<(usize, Claim)>,
}

const LANES: [&str; 3] = ["t0", "t1", "t2"];

impl<E: Engine> Model<E> {
    fn sample(&mut self, lane: usize) -> Sample {
        self.stamp += 1;
        Sample { transaction: Some(LANES[lane]), message: None, stamp: self.stamp, ..SAMPLE }
    }

    async fn append(&mut self, receiver: usize, lane: usize) {
        let sample = self.sample(lane);
        let receipt = self.engine.bench(receiver).append(sample).await.unwrap();
        let Receipt::New { id, .. } = receipt else { panic!("{receipt:?}") };
        self.known.insert(id, Known { place: self.stamp, lane, settled: 0, rounds: 1 });
    }

    async fn fail(&mut self, receiver: usize, kept: bool, lane: usize) {
        let sample = self.sample(lane);
        // Settlements that wait may take the fault; then the append succeeds.
        self.engine.fail_next(receiver, kept).await;
        let bench = self.engine.bench(receiver);
        let receipt = loop {
            if let Ok(receipt) = bench.append(sample).await {
                break receipt;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let (Receipt::New { id, .. } | Receipt::Duplicate { of: id }) = receipt;
        self.known.insert(id, Known { place: self.stamp, lane, settled: 0, rounds: 1 });
    }

    async fn claim(&mut self, receiver: usize, limit: usize, patience: Duration) {
        let inbox = &self.engine.bench(receiver).inbox;
        let Ok(claims) = tokio::time::timeout(patience, inbox.claim(Outlet(0), limit)).await else {
            return;
        };
        for claim in claims.unwrap() {
            let event = claim.event();
            let known = self.known.get(&event.id).expect("only what was accepted is handed out");
            assert!(
                self.out.iter().all(|(_, other)| self.known[&other.event().id].lane != known.lane),
                "two claims of a lane"
            );
            assert!(known.settled < known.rounds, "a settled round was handed out again");
            assert_eq!(event.replay + 1, known.settled + 1, "rounds come in order");
            if event.replay == 0 {
                let earlier = self.known.values().find(|other| {
                    other.place < known.place && other.lane == known.lane && other.settled == 0
                });
                assert!(earlier.is_none(), "an earlier event of the lane was passed");
            }
            self.out.push((receiver, claim));
        }
    }

    /// Settles the claim; waits until that is durable, so that the model knows.
    async fn settle(&mut self, which: usize, settlement: Settlement) {
        if which >= self.out.len() {
            return;
        }
        let (receiver, claim) = self.out.remove(which);
        let id = claim.event().id;
        let ends = !matches!(settlement, Settlement::Retry { .. });
        self.engine.bench(receiver).inbox.settle(claim, settlement);
        if ends {
            self.engine.settled(receiver).await;
            self.known.get_mut(&id).unwrap().settled += 1;
        }
    }

    async fn replay(&mut self, which: usize) {
        let Some((id, known)) = self.known.iter_mut().nth(which) else { return };
        if known.settled < known.rounds {
            return;
        }
        assert!(self.engine.replay(*id, self.clock.now()).await, "a settled event can be replayed");
        known.rounds += 1;
    }

    async fn reopen(&mut self, receiver: usize, clean: bool) {
        if clean {
            // Handed back before the end.
            self.out.retain(|(of, _)| *of != receiver);
        }
        self.engine.reopen(receiver, clean).await;
        self.out.retain(|(of, _)| *of != receiver);
    }

    async fn take(&mut self, receiver: usize, step: Step) {
        match step {
            Step::Append { lane, count } => {
                for _ in 0..count {
                    self.append(receiver, lane).await;
                }
            }
            Step::Fail { kept, lane } => self.fail(receiver, kept, lane).await,
            Step::Claim { limit } => self.claim(receiver, limit, Duration::from_millis(5)).await,
            Step::Done { which } => self.settle(which, Settlement::Done).await,
            Step::Retry { which } => {
                let at = self.clock.now() + TimeDelta::seconds(5);
                self.settle(which, Settlement::Retry { at, error: "later".to_owned() }).await;
            }
            Step::Dead { which } => {
                self.settle(which, Settlement::Dead { error: "no".to_owned() }).await;
            }
            Step::TakeBack { which } => {
                if which < self.out.len() {
                    drop(self.out.remove(which));
                }
            }
            Step::Replay { which } => self.replay(which).await,
            Step::Advance => self.clock.advance(6),
            Step::Crash => self.reopen(receiver, false).await,
            Step::Close => self.reopen(receiver, true).await,
        }
    }

    /// Delivers all that is left: every round of every event ends exactly once.
    async fn finish(&mut self) {
        for _ in 0..200 {
            let left: HashMap<_, _> =
                self.known.iter().filter(|(_, known)| known.settled < known.rounds).collect();
            if left.is_empty() {
                break;
            }
            self.clock.advance(6);
            for receiver in 0..self.engine.receivers() {
                self.claim(receiver, 8, Duration::from_millis(50)).await;
            }
            while !self.out.is_empty() {
                self.settle(0, Settlement::Done).await;
            }
        }
        for (id, known) in &self.known {
            assert_eq!(known.settled, known.rounds, "event {id} was lost: {known:?}");
        }
        for receiver in 0..self.engine.receivers() {
            self.engine.bench(receiver).settle_down().await;
        }
    }
}

/// Lets the steps happen to an engine, and delivers what is left then.
pub(super) async fn run<E: Engine>(engine: E, clock: Arc<ManualClock>, steps: Vec<(usize, Step)>) {
    let mut model = Model { engine, clock, stamp: 0, known: BTreeMap::new(), out: Vec::new() };
    // Crashes while events are out would make dead letters of the innocent: two at most.
    let mut crashes = 0;
    for (receiver, step) in steps {
        if matches!(step, Step::Crash) {
            crashes += 1;
            if crashes > 2 {
                continue;
            }
        }
        let receiver = receiver % model.engine.receivers();
        model.take(receiver, step).await;
    }
    model.finish().await;
}
