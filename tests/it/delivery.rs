//! What reaches the handler, in which order, and what happens when it does not take it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beckn_receiver::{EventId, HandlerError, OrderEvent, OrderEventHandler};
use tokio::sync::Notify;

use crate::harness::{Recorder, TestReceiver, on_status, wait_until};

/// Waits that do not slow a test down.
const QUICK: &str = "[dispatch]\nretry_initial_ms = 1\nretry_cap_ms = 5\nretry_attempts = 3\n";

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_transaction_come_in_the_order_of_their_acks() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    let lanes = (0..8).map(|lane| {
        let receiver = &receiver;
        async move {
            for step in 0..25 {
                let body = on_status(&format!("t{lane}"), &format!("m{step}"), &format!("S{step}"));
                receiver.accept("/on_status", body).await;
            }
        }
    });
    futures_util::future::join_all(lanes).await;
    let events = recorder.wait_for(200).await;
    let mut last: HashMap<&str, usize> = HashMap::new();
    for event in &events {
        let step: usize = event.state().unwrap()[1..].parse().unwrap();
        let before = last.insert(event.order_id().unwrap(), step);
        assert!(before.is_none_or(|before| before < step), "{before:?} before {step}");
    }
    receiver.stop().await;
}

#[tokio::test]
async fn an_event_that_fails_is_tried_again_and_then_a_dead_letter() {
    let recorder = Recorder::behaving(|event| match event.order_id() {
        Some("O-bad") => Err(std::io::Error::other("the shop is closed").into()),
        _ => Ok(()),
    });
    let receiver = TestReceiver::start(QUICK, recorder.clone()).await;
    receiver.accept("/on_status", on_status("bad", "m1", "Accepted")).await;
    receiver.accept("/on_status", on_status("good", "m1", "Accepted")).await;
    receiver.settle().await;
    let attempts: Vec<u32> = recorder
        .seen()
        .iter()
        .filter(|event| event.order_id() == Some("O-bad"))
        .map(|event| event.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    let directory = receiver.stop().await;
    let dead = crate::commands::output(directory.path(), &["dead-letters"]);
    assert!(dead.contains("O-bad") && dead.contains("the shop is closed"), "{dead}");
    assert!(!dead.contains("O-good"), "{dead}");
}

#[tokio::test]
async fn a_handler_that_takes_nothing_is_left_alone_for_a_moment() {
    let recorder = Recorder::behaving(|_| Err(std::io::Error::other("the shop is closed").into()));
    let settings = "[dispatch]\nconcurrency = 2\nretry_attempts = 1\n";
    let receiver = TestReceiver::start(settings, recorder.clone()).await;
    let began = std::time::Instant::now();
    for lane in 0..8 {
        receiver.accept("/on_status", on_status(&format!("t{lane}"), "m1", "Accepted")).await;
    }
    receiver.settle().await;
    assert_eq!(recorder.seen().len(), 8);
    // Two places, so at least three rests between the eight attempts.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    receiver.stop().await;
}

#[tokio::test]
async fn a_permanent_error_is_a_dead_letter_at_once_and_frees_its_lane() {
    let recorder = Recorder::behaving(|event| match event.state() {
        Some("Bad") => Err(HandlerError::permanent("never heard of it")),
        _ => Ok(()),
    });
    let receiver = TestReceiver::start("", recorder.clone()).await;
    receiver.accept("/on_status", on_status("t", "m1", "Bad")).await;
    receiver.accept("/on_status", on_status("t", "m2", "Good")).await;
    let events = recorder.wait_for(2).await;
    assert_eq!((events[0].state(), events[1].state()), (Some("Bad"), Some("Good")));
    receiver.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_is_called_again_and_others_go_on() {
    let recorder = Recorder::behaving(|event| {
        assert!(event.attempt > 1 || event.order_id() != Some("O-bad"), "a bug in the handler");
        Ok(())
    });
    let receiver = TestReceiver::start(QUICK, recorder.clone()).await;
    receiver.accept("/on_status", on_status("bad", "m", "Accepted")).await;
    receiver.accept("/on_status", on_status("good", "m", "Accepted")).await;
    let events = recorder.wait_for(3).await;
    assert_eq!(events.iter().filter(|event| event.order_id() == Some("O-bad")).count(), 2);
    receiver.stop().await;
}

/// Blocks or waits in one transaction, until it is let go.
struct Stuck {
    how: How,
    go: Arc<Notify>,
    recorder: Recorder,
    inside: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum How {
    Waits,
    Blocks,
}

impl OrderEventHandler for Stuck {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        if event.order_id() == Some("O-stuck") && event.state() == Some("S0") {
            self.inside.fetch_add(1, Ordering::SeqCst);
            match self.how {
                How::Waits => self.go.notified().await,
                How::Blocks => {
                    futures_executor_block_on(self.go.notified());
                }
            }
        }
        self.recorder.handle(event).await
    }
}

/// Blocks the thread, as a handler does that calls blocking code.
fn futures_executor_block_on(future: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
            })
            .join()
            .unwrap();
    });
}

async fn a_stuck_lane_waits_and_others_do_not(how: How) {
    let (go, recorder, inside) = (Arc::new(Notify::new()), Recorder::new(), Arc::default());
    let handler =
        Stuck { how, go: Arc::clone(&go), recorder: recorder.clone(), inside: Arc::clone(&inside) };
    let receiver = TestReceiver::start("[dispatch]\nconcurrency = 2", handler).await;
    for step in 0..3 {
        let (message, state) = (format!("m{step}"), format!("S{step}"));
        receiver.accept("/on_status", on_status("stuck", &message, &state)).await;
    }
    wait_until("the handler is stuck", async || inside.load(Ordering::SeqCst) == 1).await;
    for number in 0..50 {
        receiver.accept("/on_status", on_status(&format!("t{number}"), "m", "Accepted")).await;
    }
    let others = recorder.wait_for(50).await;
    assert!(others.iter().all(|event| event.order_id() != Some("O-stuck")));
    go.notify_one();
    let all = recorder.wait_for(53).await;
    let stuck: Vec<&str> = all[50..].iter().filter_map(OrderEvent::state).collect();
    assert_eq!(stuck, ["S0", "S1", "S2"]);
    receiver.stop().await;
}

#[tokio::test]
async fn a_handler_that_waits_holds_up_its_lane_only() {
    a_stuck_lane_waits_and_others_do_not(How::Waits).await;
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_holds_up_its_lane_only() {
    a_stuck_lane_waits_and_others_do_not(How::Blocks).await;
}

/// Never answers the first time.
struct Hangs(Recorder);

impl OrderEventHandler for Hangs {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        self.0.handle(event).await?;
        if event.attempt == 1 { std::future::pending().await } else { Ok(()) }
    }
}

#[tokio::test]
async fn an_attempt_that_hangs_ends_at_its_time_out_and_is_repeated() {
    let recorder = Recorder::new();
    let settings = format!("{QUICK}attempt_timeout_ms = 50");
    let receiver = TestReceiver::start(&settings, Hangs(recorder.clone())).await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    assert_eq!(recorder.wait_for(2).await[1].attempt, 2);
    receiver.stop().await;
}

#[tokio::test]
async fn what_outlives_the_drain_comes_again_at_the_next_start() {
    let recorder = Recorder::new();
    let settings = "[dispatch]\ndrain_timeout_ms = 50";
    let receiver = TestReceiver::start(settings, Hangs(recorder.clone())).await.leaves_unsettled();
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    let first = recorder.wait_for(1).await.remove(0);
    let directory = receiver.stop().await;
    let again = Recorder::new();
    let receiver = TestReceiver::start_in(directory, "", again.clone()).await;
    assert_eq!(again.wait_for(1).await[0].id, first.id);
    receiver.stop().await;
}

#[tokio::test]
async fn a_new_event_does_not_wait_for_a_poll() {
    let recorder = Recorder::new();
    // The poll is the slowest that is allowed: only the wake-up can be in time.
    let receiver = TestReceiver::start("[dispatch]\npoll_ms = 60000", recorder.clone()).await;
    for number in 0..20 {
        receiver.accept("/on_status", on_status(&format!("t{number}"), "m", "Accepted")).await;
        recorder.wait_for(number + 1).await;
    }
    receiver.stop().await;
}

#[tokio::test]
async fn a_replay_is_a_new_round_with_a_delivery_id_of_its_own() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("[dispatch]\npoll_ms = 20", recorder.clone()).await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    let first = recorder.wait_for(1).await.remove(0);
    receiver.settle().await;
    let inbox = receiver.inbox();
    tokio::task::spawn_blocking(move || {
        crate::commands::output(&inbox, &["replay", &first.id.to_string()]);
    })
    .await
    .unwrap();
    let second = recorder.wait_for(2).await.remove(1);
    assert_eq!((second.id, second.replay, second.attempt), (first.id, 1, 1));
    assert_eq!(second.delivery_id(), format!("{}-r1", first.id));
    receiver.stop().await;
    assert_eq!(recorder.seen().len(), 2);
}

#[tokio::test]
async fn events_wait_on_the_disk_while_nobody_takes_them() {
    let never = Recorder::behaving(|_event| Err(HandlerError::transient("down")));
    let receiver =
        TestReceiver::start("[inbox]\ntail_events = 1", never.clone()).await.leaves_unsettled();
    for number in 0..30 {
        receiver.accept("/on_status", on_status(&format!("t{number}"), "m", "Accepted")).await;
    }
    // A handler that takes nothing is called with one event at a time, so most are not tried.
    never.wait_for(6).await;
    assert_eq!(receiver.unsettled().await, 30);
    let directory = receiver.stop().await;
    let tried: HashSet<EventId> = never.seen().iter().map(|event| event.id).collect();
    let recorder = Recorder::new();
    let settings = "[inbox]\ntail_events = 1";
    let receiver = TestReceiver::start_in(directory, settings, recorder.clone()).await;
    let events = recorder.wait_for(30).await;
    // The failed attempts are remembered: a restart does not begin at the first again.
    for event in &events {
        assert_eq!(event.attempt >= 2, tried.contains(&event.id), "{}", event.attempt);
    }
    tokio::time::timeout(Duration::from_secs(30), receiver.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_transaction_are_replayed_in_their_order() {
    let recorder = Recorder::behaving(|event| match event.replay {
        0 => Err(HandlerError::permanent("not yet")),
        _ => Ok(()),
    });
    let receiver = TestReceiver::start("[dispatch]\npoll_ms = 20", recorder.clone()).await;
    for step in 0..4 {
        let (message, state) = (format!("m{step}"), format!("S{step}"));
        receiver.accept("/on_status", on_status("t", &message, &state)).await;
    }
    receiver.settle().await;
    let inbox = receiver.inbox();
    tokio::task::spawn_blocking(move || crate::commands::output(&inbox, &["replay", "--dead"]))
        .await
        .unwrap();
    let events = recorder.wait_for(8).await;
    let replayed: Vec<&str> = events[4..].iter().filter_map(OrderEvent::state).collect();
    assert_eq!(replayed, ["S0", "S1", "S2", "S3"]);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_names_is_counted_and_replayed() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("[dispatch]\npoll_ms = 20", recorder.clone()).await;
    for transaction in ["t1", "t2", "t3"] {
        receiver.accept("/on_status", on_status(transaction, "m", "Accepted")).await;
    }
    recorder.wait_for(3).await;
    receiver.settle().await;
    let inbox = receiver.inbox();
    tokio::task::spawn_blocking(move || {
        let run = |arguments: &[&str]| crate::commands::output(&inbox, arguments);
        let by_time = run(&["replay", "--since", "2020-01-01T00:00:00Z", "--dry-run"]);
        assert!(by_time.starts_with("3 events"), "{by_time}");
        let replayed = run(&["replay", "--transaction", "t2", "--progress", "done"]);
        assert!(replayed.starts_with("1 requested"), "{replayed}");
    })
    .await
    .unwrap();
    let replayed = recorder.wait_for(4).await.remove(3);
    assert_eq!((replayed.context.transaction_id.as_deref(), replayed.replay), (Some("t2"), 1));
    receiver.stop().await;
}
