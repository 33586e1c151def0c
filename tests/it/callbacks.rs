//! What a seller is answered: each row of the table of answers, over a socket.

use std::time::Duration;

use beckn_receiver::{
    Action, BuyerRule, Callback, ErrorType, Flag, HandlerError, OrderEvent, Payload, Refuse,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Recorder, TestReceiver, on_status, request, stamped};

#[tokio::test]
async fn a_callback_is_acked_and_its_event_is_typed() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    let body = on_status("t1", "m1", "Accepted");
    let answer = receiver.post("/on_status", &body).await;
    assert!(answer.is_ack(), "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let events = recorder.wait_for(1).await;
    let Payload::Order(order) = &events[0].payload else { panic!("{:?}", events[0].payload) };
    assert_eq!(order.id.as_deref(), Some("O-t1"));
    assert_eq!(events[0].state(), Some("Accepted"));
    assert_eq!((events[0].action, events[0].attempt), (Action::OnStatus, 1));
    assert_eq!(&events[0].body[..], body.as_bytes());
    receiver.stop().await;
}

#[tokio::test]
async fn the_action_is_the_last_segment_after_any_prefix() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    for (number, path) in
        ["/on_status", "/beckn/on_status", "//on_status/", "/a/b//on_status?x=1"].iter().enumerate()
    {
        receiver.accept(path, on_status("t", &format!("m{number}"), "Accepted")).await;
    }
    assert_eq!(receiver.post("/status", on_status("t", "m9", "x")).await.status, 404);
    receiver.stop().await;
}

#[tokio::test]
async fn with_a_base_path_only_that_path_is_served() {
    let receiver = TestReceiver::start("[http]\nbase_path = \"/bap\"", Recorder::new()).await;
    receiver.accept("/bap/on_status", on_status("t", "m", "Accepted")).await;
    for path in ["/on_status", "/bap/x/on_status", "/bapon_status"] {
        assert_eq!(
            receiver.post(path, on_status("t", "m", "Accepted")).await.status,
            404,
            "{path}"
        );
    }
    receiver.stop().await;
}

#[tokio::test]
async fn other_callbacks_take_the_same_way_unless_they_are_refused() {
    let body = on_status("t", "m", "Accepted").replace("on_status", "on_cancel");
    let keeps = TestReceiver::start("", Recorder::new()).await;
    keeps.accept("/on_cancel", &body).await;
    keeps.stop().await;
    let refuses = TestReceiver::start("[http]\nother_actions = \"refuse\"", Recorder::new()).await;
    assert_eq!(refuses.post("/on_cancel", &body).await.status, 404);
    refuses.stop().await;
}

/// Posts a body to `/on_status` and compares status, code, type and path of the NACK.
async fn check(receiver: &TestReceiver, body: &[u8], expected: (u16, &str, &str, &str)) {
    let answer = receiver.post("/on_status", body).await;
    let found = (answer.status, answer.error("code"), answer.error("type"), answer.error("path"));
    let (status, code, kind, path) = expected;
    assert_eq!(found, (status, code.to_owned(), kind.to_owned(), path.to_owned()), "{answer}");
    let message = answer.error("message");
    assert!(message.contains("expected"), "what was expected is said: {message}");
}

#[tokio::test]
async fn what_a_seller_has_to_mend_is_a_nack_that_says_where() {
    let settings = "subscriber_ids = [\"https://Buyer.example/\"]";
    let receiver = TestReceiver::start(settings, Recorder::new()).await;
    let schema = |path| (200, "20006", "JSON-SCHEMA-ERROR", path);
    let context = |path| (200, "20006", "CONTEXT-ERROR", path);
    let good = on_status("t", "m", "Accepted");
    check(&receiver, b"", schema("")).await;
    check(&receiver, b"\xff\xfe", schema("")).await;
    check(&receiver, b"[1]", schema("")).await;
    check(&receiver, &good.as_bytes()[..200], schema("")).await;
    check(&receiver, format!("{good}{good}").as_bytes(), schema("")).await;
    check(&receiver, b"{}", context("/context")).await;
    let wrong_action = good.replace("on_status", "on_update");
    check(&receiver, wrong_action.as_bytes(), context("/context/action")).await;
    let foreign = good.replace("buyer.example\",\"bap_uri", "other.example\",\"bap_uri");
    check(&receiver, foreign.as_bytes(), context("/context/bap_id")).await;
    let nameless = good.replace("\"message_id\":\"m\",", "");
    check(&receiver, nameless.as_bytes(), context("/context/message_id")).await;
    let empty = r#"{"order":{}}"#;
    let hollow = format!("{}{empty}}}", &good[..good.find("{\"order\"").unwrap()]);
    check(&receiver, hollow.as_bytes(), schema("/message/order")).await;
    let answer =
        format!("{}{}}}", &good[..good.find("{\"order\"").unwrap()], r#"{"ack":{"status":"ACK"}}"#);
    check(&receiver, answer.as_bytes(), schema("/message/ack")).await;
    receiver.accept("/on_status", &good).await;
    receiver.stop().await;
}

#[tokio::test]
async fn syntax_errors_are_told_with_line_and_column() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let answer = receiver.post("/on_status", "{\n  \"context\": oops\n}").await;
    let message = answer.error("message");
    assert!(message.contains("line 2 column 14"), "{message}");
    receiver.stop().await;
}

#[tokio::test]
async fn the_status_of_a_nack_is_a_setting() {
    let receiver = TestReceiver::start("[answer]\nnack_status = 400", Recorder::new()).await;
    assert_eq!(receiver.post("/on_status", "{}").await.status, 400);
    receiver.stop().await;
}

#[tokio::test]
async fn with_always_ack_a_refused_callback_is_acked_kept_and_not_delivered() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("[answer]\nalways_ack = true", recorder.clone()).await;
    for body in ["oops", "{}", &on_status("t", "m", "A").replace("on_status", "on_update")] {
        receiver.accept("/on_status", body).await;
    }
    receiver.accept("/on_status", on_status("t2", "m2", "Accepted")).await;
    // What is not about the callback is refused as ever: an ACK would be a lie.
    assert_eq!(receiver.post("/nothing", "{}").await.status, 404);
    let events = recorder.wait_for(1).await;
    assert_eq!(events[0].order_id(), Some("O-t2"));
    let directory = receiver.stop().await;
    assert_eq!(recorder.seen().len(), 1);
    let listed = crate::commands::output(directory.path(), &["events", "--progress", "rejected"]);
    assert_eq!(listed.lines().filter(|line| line.contains("on_status")).count(), 3, "{listed}");
}

#[tokio::test]
async fn with_deliver_rejected_the_handler_gets_it_flagged() {
    let recorder = Recorder::new();
    let settings = "[answer]\nalways_ack = true\ndeliver_rejected = true";
    let receiver = TestReceiver::start(settings, recorder.clone()).await;
    receiver.accept("/on_status", "oops").await;
    let events = recorder.wait_for(1).await;
    assert!(events[0].flags.contains(Flag::Rejected));
    assert_eq!(&events[0].body[..], b"oops");
    assert_eq!(events[0].warnings[0].rule, "json.syntax");
    receiver.stop().await;
}

#[tokio::test]
async fn a_sellers_error_is_an_event_and_an_error_of_nulls_is_none() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    let good = on_status("t", "m", "Accepted");
    let context = &good[..good.find(",\"message\":{").unwrap()];
    let alone = format!(r#"{context},"error":{{"code":"30018","message":"order not found"}}}}"#);
    receiver.accept("/on_status", alone).await;
    let nulls = good.replace("}}}", r#"}},"error":{"type":null,"code":null}}"#);
    receiver.accept("/on_status", nulls).await;
    let events = recorder.wait_for(2).await;
    assert_eq!(events[0].error.as_ref().unwrap().code.as_deref(), Some("30018"));
    assert_eq!(events[0].payload, Payload::None);
    assert!(events[1].error.is_none() && events[1].order_id().is_some());
    receiver.stop().await;
}

#[tokio::test]
async fn an_on_track_that_carries_an_order_is_accepted_and_flagged() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    let body = on_status("t", "m", "Accepted").replace("on_status", "on_track");
    receiver.accept("/on_track", body).await;
    assert!(recorder.wait_for(1).await[0].flags.contains(Flag::OtherPayload));
    receiver.stop().await;
}

#[tokio::test]
async fn requests_that_are_no_callbacks_are_told_what_is_expected() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let get = request(receiver.address, "GET /on_status HTTP/1.1\r\n", b"").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(get.error("code"), "20006");
    let head = "POST /on_status HTTP/1.1\r\ncontent-encoding: gzip\r\n";
    let zipped = request(receiver.address, head, b"x").await;
    assert_eq!((zipped.status, zipped.error("code")), (415, "20006".to_owned()));
    let identity = "POST /on_status HTTP/1.1\r\ncontent-encoding: identity\r\n";
    let body = on_status("t", "m", "Accepted");
    assert!(request(receiver.address, identity, body.as_bytes()).await.is_ack());
    receiver.stop().await;
}

/// Refuses orders that it does not know, hangs on some, panics on others.
struct Known;

impl BuyerRule for Known {
    fn name(&self) -> &'static str {
        "shop.known_order"
    }

    async fn check(&self, _action: Action, callback: &Callback) -> Result<(), Refuse> {
        let Payload::Order(order) = &callback.payload else { return Ok(()) };
        match order.id.as_deref() {
            Some("O-unknown") => Err(Refuse {
                code: "23002".to_owned(),
                error_type: ErrorType::Domain,
                path: "/message/order/id".to_owned(),
                message: "expected an order of ours".to_owned(),
            }),
            Some("O-slow") => std::future::pending().await,
            Some("O-panics") => panic!("the rule has a bug"),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_buyers_rule_refuses_with_its_own_code_and_is_passed_over_when_it_fails() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start_built(
        TempDir::new().unwrap(),
        "[rules]\ndeadline_ms = 50",
        |builder| builder.rule(Known),
        recorder.clone(),
    )
    .await;
    let unknown = receiver.post("/on_status", on_status("unknown", "m", "Accepted")).await;
    assert_eq!((unknown.status, unknown.error("code")), (200, "23002".to_owned()));
    assert_eq!(unknown.error("type"), "DOMAIN-ERROR");
    for transaction in ["known", "slow", "panics"] {
        receiver.accept("/on_status", on_status(transaction, "m", "Accepted")).await;
    }
    let skipped: Vec<bool> = recorder
        .wait_for(3)
        .await
        .iter()
        .map(|event| event.flags.contains(Flag::RuleSkipped))
        .collect();
    assert_eq!(skipped.iter().filter(|skipped| **skipped).count(), 2);
    receiver.stop().await;
}

#[tokio::test]
async fn a_repetition_is_acked_and_not_delivered_again() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    let body = on_status("t", "m", "Accepted");
    receiver.accept("/on_status", &body).await;
    receiver.accept("/on_status", &body).await;
    // The same message whose context was stamped again is a retry, too.
    receiver.accept("/on_status", stamped("t", "m", "Accepted", "2026-01-02T03:09:09.000Z")).await;
    receiver.accept("/on_status", on_status("other", "m", "Accepted")).await;
    recorder.wait_for(2).await;
    receiver.stop().await;
    assert_eq!(recorder.seen().len(), 2);
}

#[tokio::test]
async fn a_state_under_a_known_id_is_a_new_event() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    // A → B → A under one id: three events, each stamped when it was sent.
    for (state, minute) in [("Accepted", 1), ("Packed", 2), ("Accepted", 3)] {
        let timestamp = format!("2026-01-02T03:{minute:02}:00.000Z");
        receiver.accept("/on_status", stamped("t", "m", state, &timestamp)).await;
    }
    let events = recorder.wait_for(3).await;
    let seen: Vec<(Option<&str>, bool)> =
        events.iter().map(|event| (event.state(), event.flags.contains(Flag::IdReused))).collect();
    assert_eq!(seen, [(Some("Accepted"), false), (Some("Packed"), true), (Some("Accepted"), true)]);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_posts_at_once_are_one_event_and_fifty_acks() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    let body = on_status("t", "m", "Accepted");
    let posts = (0..50).map(|_| receiver.accept("/on_status", &body));
    futures_util::future::join_all(posts).await;
    receiver.stop().await;
    assert_eq!(recorder.seen().len(), 1);
}

#[tokio::test]
async fn a_seller_that_hangs_up_after_sending_is_delivered_once() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    for number in 0..20 {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        let head = format!(
            "POST /on_status HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        drop(stream);
    }
    let events = recorder.wait_for(20).await;
    receiver.stop().await;
    let mut orders: Vec<&str> = events.iter().filter_map(OrderEvent::order_id).collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!((orders.len(), recorder.seen().len()), (20, 20));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_503() {
    let receiver = TestReceiver::start("[http]\nrequest_timeout_ms = 100", Recorder::new()).await;
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    stream
        .write_all(b"POST /on_status HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"con")
        .await
        .unwrap();
    let mut answer = vec![0; 512];
    let length = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("23001"), "{answer}");
    receiver.stop().await;
}

#[tokio::test]
async fn a_handlers_error_does_not_reach_the_seller() {
    let recorder = Recorder::behaving(|event| match event.attempt {
        1 => Err(HandlerError::transient("the shop is closed").retry_after(Duration::ZERO)),
        _ => Ok(()),
    });
    let settings = "[dispatch]\nretry_initial_ms = 1";
    let receiver = TestReceiver::start(settings, recorder.clone()).await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    let events = recorder.wait_for(2).await;
    assert_eq!((events[0].id, events[0].attempt), (events[1].id, 1));
    assert_eq!(events[1].attempt, 2);
    receiver.stop().await;
}
