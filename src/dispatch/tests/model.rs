//! A model test of inbox and dispatcher together: whatever the handler does, whenever the process
//! ends, every event reaches it at least once, in order within its lane, one at a time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{POLICY, append, callee, open};
use crate::clock::Clock as _;
use crate::dispatch::{Callee, Dispatcher, Options};
use crate::event::{EventId, OrderEvent};
use crate::handler::{HandlerError, OrderEventHandler};
use crate::inbox::contract::{ManualClock, cases};
use crate::inbox::reader::replays::{Replay, request_replay};
use crate::inbox::reader::{Progress, Reader};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::sqlite::faults::Fault;
use crate::inbox::{Inbox as _, Receipt};

/// What the handler does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Take,
    Fail,
    AskForTime,
    Refuse,
    Panic,
    Hang,
}

#[derive(Debug, Clone)]
enum Step {
    /// What the handler does at each call of this event; then it takes it.
    Append {
        lane: usize,
        plan: Vec<Act>,
    },
    Fault(Fault, usize),
    Advance,
    Replay {
        which: usize,
    },
    Crash,
    Restart,
}

const LANES: [&str; 3] = ["t0", "t1", "t2"];

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => Just(Act::Take),
        2 => Just(Act::Fail),
        1 => Just(Act::AskForTime),
        1 => Just(Act::Refuse),
        1 => Just(Act::Panic),
        1 => Just(Act::Hang),
    ];
    let plan = prop::collection::vec(act, 0..3);
    let lane = 0..LANES.len();
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::Kept)];
    prop_oneof![
        8 => (lane.clone(), plan).prop_map(|(lane, plan)| Step::Append { lane, plan }),
        1 => (fault, lane).prop_map(|(fault, lane)| Step::Fault(fault, lane)),
        2 => Just(Step::Advance),
        2 => (0..8_usize).prop_map(|which| Step::Replay { which }),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// One round of an event.
type Round = (EventId, u32);

/// What happened at the handler, in its order.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Began { round: Round, attempt: u32, life: usize },
    Ended { round: Round, act: Act, life: usize },
    TwoAtOnce,
}

/// What the handlers of all lives share.
#[derive(Debug, Default)]
struct Book {
    plans: HashMap<String, VecDeque<Act>>,
    entries: Vec<Entry>,
}

/// The handler of one life of the process.
struct Scripted {
    book: Arc<Mutex<Book>>,
    life: usize,
    busy: Mutex<HashSet<String>>,
}

/// A lane is with the handler while this lives, also through a panic or a time-out.
struct Busy<'a>(&'a Scripted, String);

impl<'a> Busy<'a> {
    fn of(handler: &'a Scripted, lane: &str) -> Self {
        if !handler.busy.lock().unwrap().insert(lane.to_owned()) {
            handler.note(Entry::TwoAtOnce);
        }
        Self(handler, lane.to_owned())
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap().remove(&self.1);
    }
}

impl Scripted {
    fn note(&self, entry: Entry) {
        self.book.lock().unwrap().entries.push(entry);
    }

    fn next_act(&self, event: &OrderEvent) -> Act {
        let mut book = self.book.lock().unwrap();
        let plan = book.plans.get_mut(event.order_id().unwrap()).unwrap();
        plan.pop_front().unwrap_or(Act::Take)
    }
}

impl OrderEventHandler for Scripted {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        let _busy = Busy::of(self, event.context.transaction_id.as_deref().unwrap());
        let (round, life) = ((event.id, event.replay), self.life);
        self.note(Entry::Began { round, attempt: event.attempt, life });
        let act = self.next_act(event);
        // Room for another attempt of the lane to show itself.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if act == Act::Hang {
            std::future::pending::<()>().await;
        }
        self.note(Entry::Ended { round, act, life });
        match act {
            Act::Take | Act::Hang => Ok(()),
            Act::Fail => Err(HandlerError::transient("not now")),
            Act::AskForTime => {
                Err(HandlerError::transient("later").retry_after(Duration::from_secs(3)))
            }
            Act::Refuse => Err(HandlerError::permanent("never")),
            Act::Panic => std::panic::resume_unwind(Box::new("quietly")),
        }
    }
}

/// An event that was accepted.
#[derive(Debug)]
struct Accepted {
    id: EventId,
    lane: usize,
    replays: u32,
}

/// A process: an inbox and a dispatcher.
struct Life {
    inbox: Arc<SqliteInbox>,
    dispatcher: Dispatcher,
}

struct Model {
    directory: TempDir,
    tail_events: usize,
    clock: Arc<ManualClock>,
    book: Arc<Mutex<Book>>,
    /// In the order of arrival.
    accepted: Vec<Accepted>,
    number: usize,
    /// Whether each life that is over ended by a crash.
    crashed: Vec<bool>,
}

impl Model {
    fn new(tail_events: usize) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            tail_events,
            clock: ManualClock::new(),
            book: Arc::default(),
            accepted: Vec::new(),
            number: 0,
            crashed: Vec::new(),
        }
    }

    fn start(&self) -> Life {
        let inbox = open(&self.directory, self.tail_events, &self.clock);
        let handler = Scripted {
            book: Arc::clone(&self.book),
            life: self.crashed.len(),
            busy: Mutex::default(),
        };
        let options = Options {
            attempt_timeout: Duration::from_secs(2),
            sampling: crate::trace::Sampling::share(1.0),
            drain_timeout: Duration::from_millis(5),
            retry: POLICY,
        };
        let dispatcher = Dispatcher::start(
            Arc::<SqliteInbox>::clone(&inbox),
            vec![Callee { concurrency: 3, ..callee(handler) }],
            Arc::<ManualClock>::clone(&self.clock),
            options,
            &crate::metrics::Metrics::default(),
        );
        Life { inbox, dispatcher: dispatcher.unwrap() }
    }

    async fn append(&mut self, life: &Life, lane: usize, plan: Vec<Act>) {
        self.number += 1;
        self.book.lock().unwrap().plans.insert(format!("o{}", self.number), plan.into());
        let append = async || append(&life.inbox, &self.clock, LANES[lane], self.number).await;
        // A fault may have struck: then the seller tries again.
        let receipt = match append().await {
            Ok(receipt) => receipt,
            Err(_struck) => append().await.unwrap(),
        };
        let (Receipt::New { id, .. } | Receipt::Duplicate { of: id }) = receipt;
        self.accepted.push(Accepted { id, lane, replays: 0 });
    }

    fn replay(&mut self, which: usize) {
        let Some(event) = self.accepted.get_mut(which) else { return };
        match request_replay(self.directory.path(), event.id, self.clock.now()).unwrap() {
            Replay::Requested => event.replays += 1,
            Replay::StillPending => {}
            Replay::Unknown | Replay::Erased => panic!("an accepted event is not there"),
        }
    }

    async fn end(&mut self, life: Life, crash: bool) {
        if crash {
            life.inbox.abandon();
            drop(life.dispatcher);
        } else {
            life.dispatcher.shutdown().await;
            life.inbox.close().await;
            // The threads are gone, and with them the lock.
            life.inbox.abandon();
        }
        self.crashed.push(crash);
    }

    async fn take(&mut self, life: Life, step: Step) -> Life {
        match step {
            Step::Append { lane, plan } => self.append(&life, lane, plan).await,
            Step::Fault(fault, lane) => {
                life.inbox.plant(fault);
                self.append(&life, lane, Vec::new()).await;
            }
            Step::Advance => self.clock.advance(3),
            Step::Replay { which } => self.replay(which),
            Step::Crash | Step::Restart => {
                // An event that is out at three crashes is given up, which is another promise.
                let crashes = self.crashed.iter().filter(|crashed| **crashed).count();
                self.end(life, matches!(step, Step::Crash) && crashes < 2).await;
                return self.start();
            }
        }
        life
    }

    fn is_settled(&self, reader: &Reader) -> bool {
        self.accepted.iter().all(|event| {
            let detail = reader.event(event.id).unwrap().expect("what was accepted is kept");
            detail.summary.progress != Progress::Pending && !detail.replay_requested
        })
    }

    /// Lets time pass until every round of every event is settled.
    async fn finish(&mut self, life: Life) {
        let reader = Reader::open(&self.directory.path().into()).unwrap();
        let settled = async {
            while life.inbox.depth().unsettled > 0 || !self.is_settled(&reader) {
                self.clock.advance(1);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), settled).await;
        assert!(in_time.is_ok(), "an event is not delivered: {:?}", self.book.lock().unwrap());
        self.end(life, false).await;
        self.check_entries();
        self.check_rows(&reader);
    }

    /// Whether a settlement of one life must be known in another.
    fn is_known(&self, settled: usize, life: usize) -> bool {
        settled <= life && !self.crashed[settled..life].contains(&true)
    }

    fn check_entries(&self) {
        let book = self.book.lock().unwrap();
        let mut settled: BTreeMap<Round, Vec<usize>> = BTreeMap::new();
        let mut attempts: HashMap<(Round, usize), u32> = HashMap::new();
        for entry in &book.entries {
            match *entry {
                Entry::TwoAtOnce => panic!("two attempts of a lane at once: {book:?}"),
                Entry::Ended { round, act: Act::Take | Act::Refuse, life } => {
                    settled.entry(round).or_default().push(life);
                }
                Entry::Ended { .. } => {}
                Entry::Began { round, attempt, life } => {
                    let known = settled.get(&round).is_some_and(|lives| {
                        lives.iter().any(|settled| self.is_known(*settled, life))
                    });
                    assert!(!known, "{round:?} was settled and is delivered: {book:?}");
                    let before = attempts.insert((round, life), attempt);
                    let counts = before.is_none_or(|before| attempt == before + 1);
                    assert!(counts && attempt > 0, "{round:?} does not count: {book:?}");
                    if round.1 == 0 {
                        self.check_turn(round.0, &settled);
                    }
                }
            }
        }
    }

    /// Asserts that all earlier events of the lane have had their turn.
    fn check_turn(&self, id: EventId, settled: &BTreeMap<Round, Vec<usize>>) {
        let place = self.accepted.iter().position(|event| event.id == id);
        let place = place.expect("only what was accepted is delivered");
        let earlier = &self.accepted[..place];
        let passed = earlier.iter().find(|event| {
            event.lane == self.accepted[place].lane && !settled.contains_key(&(event.id, 0))
        });
        assert!(passed.is_none(), "{id} was delivered before {passed:?}");
    }

    fn check_rows(&self, reader: &Reader) {
        let book = self.book.lock().unwrap();
        for event in &self.accepted {
            let row = reader.event(event.id).unwrap().unwrap().summary;
            assert!(row.replay <= event.replays && (row.replay > 0) == (event.replays > 0));
            for replay in 0..=row.replay {
                let last = book.entries.iter().rev().find_map(|entry| match *entry {
                    Entry::Ended { round, act, .. } if round == (event.id, replay) => Some(act),
                    _ => None,
                });
                let expected = match last {
                    Some(Act::Take) => Progress::Done,
                    Some(Act::Refuse) => Progress::Dead,
                    other => panic!("{event:?} ended with {other:?}: {book:?}"),
                };
                assert!(replay < row.replay || row.progress == expected, "{event:?}: {row:?}");
            }
        }
    }
}

fn run(steps: Vec<Step>, tail_events: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut model = Model::new(tail_events);
        let mut life = model.start();
        for step in steps {
            life = model.take(life, step).await;
        }
        model.finish(life).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(32), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_reaches_the_handler_in_order(steps in prop::collection::vec(step(), 1..40)) {
        run(steps, 4096);
    }

    #[test]
    fn every_event_reaches_the_handler_in_order_with_a_tail_of_one(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        run(steps, 1);
    }
}
