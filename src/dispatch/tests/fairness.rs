//! What one event, or an operator, must not do to other events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{POLICY, append, callee, open};
use crate::clock::Clock as _;
use crate::dispatch::{Callee, Dispatcher, Options};
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler};
use crate::inbox::Inbox as _;
use crate::inbox::contract::ManualClock;
use crate::inbox::reader::audit::Audit;
use crate::inbox::reader::handlers::set_paused;
use crate::inbox::sqlite::SqliteInbox;
use crate::metrics::Metrics;
use crate::retry::Policy;

/// Takes the events of the transaction `good` and no other.
#[derive(Debug, Clone, Default)]
struct Picky {
    taken: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl OrderEventHandler for Picky {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        if event.context.transaction_id.as_deref() == Some("good") {
            self.taken.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        Err(HandlerError::transient("no"))
    }
}

fn start(inbox: &Arc<SqliteInbox>, clock: &Arc<ManualClock>, callee: Callee) -> Dispatcher {
    let options = Options {
        attempt_timeout: Duration::from_secs(30),
        sampling: crate::trace::Sampling::share(1.0),
        drain_timeout: Duration::from_secs(1),
        retry: Policy { attempts: 20, ..POLICY },
    };
    let inbox = Arc::<SqliteInbox>::clone(inbox);
    let clock = Arc::<ManualClock>::clone(clock);
    Dispatcher::start(inbox, vec![callee], clock, options, &Metrics::default()).unwrap()
}

/// Lets seconds pass on the driven clock until `condition` holds; returns how many.
async fn seconds_until(clock: &ManualClock, condition: impl Fn() -> bool) -> usize {
    for second in 0..2_000 {
        // The loops run on threads of their own: they get time to see each second.
        for _ in 0..10 {
            if condition() {
                return second;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        clock.advance(1);
    }
    panic!("it does not happen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_is_not_long_behind_what_always_fails() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let inbox = open(&directory, 4096, &clock);
    for number in 0..40 {
        append(&inbox, &clock, &format!("bad{number}"), number).await.unwrap();
    }
    append(&inbox, &clock, "good", 40).await.unwrap();
    let handler = Picky::default();
    let callee = Callee { concurrency: 16, ..callee(handler.clone()) };
    let dispatcher = start(&inbox, &clock, callee);
    let seconds = seconds_until(&clock, || handler.taken.load(Ordering::Relaxed) > 0).await;
    // A probe a second, and every other one is of an event that was not tried before.
    assert!(seconds < 90, "{seconds} s");
    dispatcher.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_makes_no_dead_letters() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let inbox = open(&directory, 4096, &clock);
    append(&inbox, &clock, "bad", 1).await.unwrap();
    let handler = Picky::default();
    let dispatcher = start(&inbox, &clock, callee(handler.clone()));
    let tried = |times: usize| {
        let failed = Arc::clone(&handler.failed);
        move || failed.load(Ordering::Relaxed) >= times
    };
    seconds_until(&clock, tried(1)).await;
    let pause = |paused| {
        let audit = Audit::of_test(clock.now());
        set_paused(&directory.path().into(), &["app".to_owned()], paused, &audit).unwrap();
    };
    pause(true);
    // The writer's look is on the system's clock.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = handler.failed.load(Ordering::Relaxed);
    for _ in 0..25 {
        clock.advance(3_600);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(handler.failed.load(Ordering::Relaxed), before, "it is paused");
    pause(false);
    seconds_until(&clock, tried(before + 2)).await;
    assert_eq!(inbox.depth().unsettled, 1, "tried {before} times, and twice after a day's pause");
    dispatcher.shutdown().await;
}
