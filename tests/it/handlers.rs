//! Several handlers: who gets what, pauses, and one that is down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use beckn_receiver::{Config, HandlerError, HandlersError, Receiver, StartError};
use tempfile::TempDir;

use crate::commands::output;
use crate::harness::{Child, Recorder, TestReceiver, on_status, post, sample, wait_until};

/// Waits that do not slow a test down.
const QUICK: &str = "retry_initial_ms = 1\nretry_cap_ms = 20\nretry_attempts = 1000\npoll_ms = 5\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_event_goes_to_the_handler_of_the_first_route_that_fits() {
    let (orders, tracking, rest) = (Recorder::new(), Recorder::new(), Recorder::new());
    let settings = r#"
        dispatch.handler = "rest"
        [[routes]]
        handler = "tracking"
        action = ["on_track", "on_update"]
        [[routes]]
        handler = "orders"
        domain = "ONDC:RET*"
    "#;
    let touch = |builder: beckn_receiver::Builder| {
        builder
            .handler("orders", orders.clone())
            .handler("tracking", tracking.clone())
            .handler("rest", rest.clone())
    };
    let directory = TempDir::new().unwrap();
    let receiver = TestReceiver::start_configured(directory, settings, touch).await;
    let body = |transaction: &str, action: &str, domain: &str| {
        on_status(transaction, "m", "A").replace("on_status", action).replace("ONDC:RET10", domain)
    };
    receiver.accept("/on_status", body("t1", "on_status", "ONDC:RET10")).await;
    receiver.accept("/on_update", body("t2", "on_update", "ONDC:RET10")).await;
    receiver.accept("/on_status", body("t3", "on_status", "ONDC:TRV10")).await;
    receiver.settle().await;
    for (recorder, order) in [(&orders, "O-t1"), (&tracking, "O-t2"), (&rest, "O-t3")] {
        let seen = recorder.seen();
        assert_eq!(seen.iter().map(|event| event.order_id()).collect::<Vec<_>>(), [Some(order)]);
    }
    receiver.stop().await;
}

#[tokio::test]
async fn a_program_with_one_handler_for_everything_refuses_routes() {
    let start = async |settings: &str| {
        let directory = TempDir::new().unwrap();
        let config = crate::harness::config(directory.path(), settings);
        Receiver::builder(config).start(Recorder::new()).await.unwrap_err()
    };
    let routed = "[[routes]]\nhandler = \"print\"\naction = \"on_track\"";
    for (settings, setting) in
        [(routed, "routes"), ("dispatch.handler = \"app\"", "dispatch.handler")]
    {
        let error = start(settings).await;
        assert!(matches!(error, StartError::Handlers(HandlersError::Routed { .. })), "{error:?}");
        assert!(error.to_string().contains(setting), "{error}");
    }
    let twice = Receiver::builder(Config::parse("[handlers.app]\nkind = \"print\"", []).unwrap())
        .handler("app", Recorder::new())
        .start_configured()
        .await;
    assert!(matches!(twice, Err(StartError::Handlers(HandlersError::Twice { .. }))), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_handler_prints_nothing_and_sellers_are_still_acked() {
    let directory = Arc::new(TempDir::new().unwrap());
    let variables = [("BECKN_RECEIVER_DISPATCH__POLL_MS", "5")];
    let command = |arguments: &[&str]| {
        let data = directory.path().join("inbox");
        let mut command = crate::harness::binary();
        let command = command.args(arguments).env("BECKN_RECEIVER_INBOX__PATH", data);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let child = Child::start_in(Arc::clone(&directory), &[], &variables).await;
    let body = |transaction: &str| on_status(transaction, "m", "A");
    assert!(post(child.address, "/on_status", body("before").as_bytes()).await.is_ack());
    wait_until("it is settled", async || !command(&["events", "--progress", "done"]).1.is_empty())
        .await;
    assert_eq!(command(&["handlers"]).1, "print gets events\n");
    let paused = "print is paused within 1000 ms: callbacks are still ACKed, its events wait for `resume print`\n";
    assert_eq!(command(&["pause", "print"]), (Some(0), paused.to_owned()));
    assert!(command(&["handlers"]).1.starts_with("print paused since 20"));
    assert_eq!(command(&["pause", "nobody"]).0, Some(2));
    // The pause is taken up within a poll; what is posted before that may still go out.
    let listed = |progress: &str| command(&["events", "--progress", progress]).1;
    let mut number = 0;
    wait_until("the pause holds", async || {
        number += 1;
        let answer =
            post(child.address, "/on_status", body(&format!("t{number}")).as_bytes()).await;
        assert!(answer.is_ack());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        !listed("pending").is_empty()
    })
    .await;
    let waiting = listed("pending").lines().count();
    child.end_quietly().await;

    let child = Child::start_in(Arc::clone(&directory), &[], &variables).await;
    assert!(post(child.address, "/on_status", body("after").as_bytes()).await.is_ack());
    assert_eq!(listed("pending").lines().count(), waiting + 1, "a restart does not resume it");
    assert_eq!(
        command(&["resume", "--all"]),
        (Some(0), "print is resumed within 1000 ms\n".to_owned())
    );
    wait_until("all is handed over", async || listed("pending").is_empty()).await;
    let (printed, log) = child.end().await;
    assert_eq!(printed.len(), waiting + 1, "{printed:?}");
    assert!(log.contains("handler `print` is paused") && log.contains("resumed handler"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lane_that_always_fails_is_not_in_the_way_of_ninety_nine_others() {
    let recorder = Recorder::behaving(|event| match event.order_id() {
        Some("O-t0") => Err(HandlerError::transient("never")),
        _ => Ok(()),
    });
    let settings = format!("[dispatch]\nconcurrency = 4\n{QUICK}");
    let receiver = TestReceiver::start(&settings, recorder.clone()).await.leaves_unsettled();
    for step in 0..10 {
        let posts = (0..100).map(|lane| {
            receiver.accept("/on_status", on_status(&format!("t{lane}"), &format!("m{step}"), "A"))
        });
        futures_util::future::join_all(posts).await;
    }
    wait_until("the others are done", async || receiver.unsettled().await == 10).await;
    let others = recorder.seen().into_iter().filter(|event| event.order_id() != Some("O-t0"));
    let attempts: Vec<u32> = others.map(|event| event.attempt).collect();
    assert_eq!(attempts, [1; 990]);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_down_is_probed_and_then_gets_everything_in_order() {
    let (down, calls) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let recorder = Recorder::behaving({
        let (down, calls) = (Arc::clone(&down), Arc::clone(&calls));
        move |_event| {
            calls.fetch_add(1, Ordering::Relaxed);
            if down.load(Ordering::Relaxed) {
                Err(HandlerError::transient("down"))?;
            }
            Ok(())
        }
    });
    let receiver = TestReceiver::start(&format!("[dispatch]\n{QUICK}"), recorder.clone()).await;
    for step in 0..5 {
        let posts = (0..40).map(|lane| {
            let (lane, message) = (format!("t{lane}"), format!("m{step}"));
            receiver.accept("/on_status", on_status(&lane, &message, &format!("S{step}")))
        });
        futures_util::future::join_all(posts).await;
    }
    // Retries are due at once: without a pause there would be thousands of calls a second.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let while_down = calls.load(Ordering::Relaxed);
    assert!((1..200).contains(&while_down), "{while_down} calls");
    down.store(false, Ordering::Relaxed);
    receiver.settle().await;
    let mut last: HashMap<String, u64> = HashMap::new();
    for event in recorder.seen().split_off(while_down) {
        let before = last.insert(event.order_id().unwrap().to_owned(), event.seq);
        assert!(before.is_none_or(|before| before < event.seq), "{before:?} before {}", event.seq);
    }
    assert_eq!(last.len(), 40);
    receiver.stop().await;
}

#[test]
fn route_says_which_rule_takes_a_callback_and_why() {
    let directory = TempDir::new().unwrap();
    let settings = r#"
        [handlers.app]
        kind = "forward"
        url = "http://127.0.0.1:3000/beckn"
        [[routes]]
        handler = "app"
        action = "on_status"
        domain = ["ONDC:TRV*", "ONDC:LOG*"]
        [[routes]]
        handler = "app"
        action = "on_s*"
    "#;
    std::fs::write(directory.path().join("config.toml"), settings).unwrap();
    let listed = output(directory.path(), &["route"]);
    let first = "1. app: action is \"on_status\", domain is \"ONDC:TRV*\" or \"ONDC:LOG*\"";
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [first, "2. app: action is \"on_s*\"", "else print"]
    );
    let file = sample("on_status_ondc_1_2_5.json");
    let file = file.to_str().unwrap();
    let explained = output(directory.path(), &["route", "--explain", file]);
    let expected = [
        &format!("{file}: on_status goes to app"),
        "  route 1 to app does not fit",
        "    action \"on_status\" is \"on_status\"",
        "    domain \"ONDC:RET11\" is not \"ONDC:TRV*\" or \"ONDC:LOG*\"",
        "  route 2 to app takes it",
        "    action \"on_status\" is \"on_s*\"",
    ];
    assert_eq!(explained.lines().collect::<Vec<_>>(), expected);
    let other = output(directory.path(), &["route", "--explain", file, "--action", "on_track"]);
    assert!(other.contains("on_track goes to print\n"), "{other}");
    assert!(other.ends_with("  no route fits: it goes to dispatch.handler\n"), "{other}");
}
