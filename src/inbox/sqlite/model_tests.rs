//! A model test: whatever happens in whatever order, no event is lost, doubled or out of order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use tempfile::TempDir;

use super::faults::Fault;
use super::{Options, SqliteInbox};
use crate::clock::Clock as _;
use crate::event::EventId;
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample, cases};
use crate::inbox::reader::replays::{Replay, request_replay};
use crate::inbox::{Claim, Inbox, Outlet, Receipt, Settlement};

#[derive(Debug, Clone)]
enum Step {
    Append { lane: usize, count: usize },
    Fail { fault: Fault, lane: usize },
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

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::Kept)];
    prop_oneof![
        4 => (0..3_usize, 1..4_usize).prop_map(|(lane, count)| Step::Append { lane, count }),
        1 => (fault, 0..3_usize).prop_map(|(fault, lane)| Step::Fail { fault, lane }),
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

struct Model {
    options: Options,
    clock: Arc<ManualClock>,
    inbox: Arc<SqliteInbox>,
    bench: Bench,
    stamp: u32,
    known: BTreeMap<EventId, Known>,
    out: Vec<Claim>,
    _directory: TempDir,
}

const LANES: [&str; 3] = ["t0", "t1", "t2"];

impl Model {
    fn new(tail_events: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            min_free_bytes: 0,
            tail_events,
            // In half of the runs what a start has read stays without tables.
            window_held: tail_events == 1,
            poll: Duration::from_millis(2),
            ..Options::new(directory.path().join("inbox"))
        };
        let clock = ManualClock::new();
        let (inbox, bench) = Self::open(&options, &clock);
        Self {
            options,
            clock,
            inbox,
            bench,
            stamp: 0,
            known: BTreeMap::new(),
            out: Vec::new(),
            _directory: directory,
        }
    }

    fn open(options: &Options, clock: &Arc<ManualClock>) -> (Arc<SqliteInbox>, Bench) {
        let clock = Arc::clone(clock);
        let inbox = SqliteInbox::open(options.clone(), Arc::<ManualClock>::clone(&clock)).unwrap();
        (Arc::clone(&inbox), Bench { inbox, clock })
    }

    fn sample(&mut self, lane: usize) -> Sample {
        self.stamp += 1;
        Sample { transaction: Some(LANES[lane]), message: None, stamp: self.stamp, ..SAMPLE }
    }

    async fn append(&mut self, lane: usize) {
        let sample = self.sample(lane);
        let receipt = self.bench.append(sample).await.unwrap();
        let Receipt::New { id, .. } = receipt else { panic!("{receipt:?}") };
        self.known.insert(id, Known { place: self.stamp, lane, settled: 0, rounds: 1 });
    }

    async fn fail(&mut self, fault: Fault, lane: usize) {
        let sample = self.sample(lane);
        // Settlements that wait may take the fault; then the append succeeds.
        self.inbox.plant(fault);
        let id = match self.bench.append(sample).await {
            Ok(receipt) => receipt,
            Err(_) => self.bench.append(sample).await.unwrap(),
        };
        let (Receipt::New { id, .. } | Receipt::Duplicate { of: id }) = id;
        self.known.insert(id, Known { place: self.stamp, lane, settled: 0, rounds: 1 });
    }

    async fn claim(&mut self, limit: usize, patience: Duration) {
        let Ok(claims) = tokio::time::timeout(patience, self.inbox.claim(Outlet(0), limit)).await
        else {
            return;
        };
        for claim in claims.unwrap() {
            let event = claim.event();
            let known = self.known.get(&event.id).expect("only what was accepted is handed out");
            assert!(
                self.out.iter().all(|other| self.known[&other.event().id].lane != known.lane),
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
            self.out.push(claim);
        }
    }

    /// Settles the claim; waits until that is durable, so that the model knows.
    async fn settle(&mut self, which: usize, settlement: Settlement) {
        if which >= self.out.len() {
            return;
        }
        let claim = self.out.remove(which);
        let id = claim.event().id;
        let ends = !matches!(settlement, Settlement::Retry { .. });
        self.inbox.settle(claim, settlement);
        if ends {
            // A commit may fail once on the way; then the settlement rides in the next.
            while self.inbox.shared.mailbox.settle_and_flush([]).await.is_err() {}
            self.bench.wait_for(|_| self.inbox.shared.mailbox.waiting() == 0).await;
            self.known.get_mut(&id).unwrap().settled += 1;
        }
    }

    fn replay(&mut self, which: usize) {
        let Some((id, known)) = self.known.iter_mut().nth(which) else { return };
        if known.settled < known.rounds {
            return;
        }
        match request_replay(&self.options.path, *id, self.clock.now()).unwrap() {
            Replay::Requested => known.rounds += 1,
            other => panic!("a settled event can be replayed, not {other:?}"),
        }
    }

    async fn reopen(&mut self, clean: bool) {
        if clean {
            self.out.clear();
            self.inbox.close().await;
        }
        self.inbox.abandon();
        self.out.clear();
        (self.inbox, self.bench) = Self::open(&self.options, &self.clock);
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Append { lane, count } => {
                for _ in 0..count {
                    self.append(lane).await;
                }
            }
            Step::Fail { fault, lane } => self.fail(fault, lane).await,
            Step::Claim { limit } => self.claim(limit, Duration::from_millis(5)).await,
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
            Step::Replay { which } => self.replay(which),
            Step::Advance => self.clock.advance(6),
            Step::Crash => self.reopen(false).await,
            Step::Close => self.reopen(true).await,
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
            self.claim(8, Duration::from_millis(50)).await;
            while !self.out.is_empty() {
                self.settle(0, Settlement::Done).await;
            }
        }
        for (id, known) in &self.known {
            assert_eq!(known.settled, known.rounds, "event {id} was lost: {known:?}");
        }
        self.bench.settle_down().await;
    }
}

fn run(steps: Vec<Step>, tail_events: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut model = Model::new(tail_events);
        // Crashes while events are out would make dead letters of the innocent: two at most.
        let mut crashes = 0;
        for step in steps {
            if matches!(step, Step::Crash) {
                crashes += 1;
                if crashes > 2 {
                    continue;
                }
            }
            model.take(step).await;
        }
        model.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_delivered_in_order(steps in prop::collection::vec(step(), 1..40)) {
        run(steps, 4096);
    }

    #[test]
    fn every_event_is_delivered_in_order_with_a_tail_of_one(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        run(steps, 1);
    }
}
