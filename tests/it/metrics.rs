//! What `/metrics` says after what a receiver has been through.

use beckn_receiver::HandlerError;
use tempfile::TempDir;

use crate::harness::{Recorder, Seller, TestReceiver, on_status, post, request, wait_until};
use crate::target::{Does, Target};

/// Waits that do not slow a test down.
const QUICK: &str = "[dispatch]\nretry_initial_ms = 1\nretry_cap_ms = 20\nretry_attempts = 3\n\
    poll_ms = 5\n";

/// What was scraped.
struct Scrape(String);

impl Scrape {
    async fn of(receiver: &TestReceiver) -> Self {
        let answer = request(receiver.operations, "GET /metrics HTTP/1.1\r\n", b"").await;
        assert_eq!(answer.status, 200);
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        Self(answer.body)
    }

    /// Returns a sample's value; labels are in the order of their names.
    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        let line = self.0.lines().find_map(|line| {
            let rest = line.strip_prefix("beckn_receiver_")?.strip_prefix(name)?;
            rest.strip_prefix(' ')
        });
        line.unwrap_or_else(|| panic!("no {name} in\n{}", self.0)).parse().unwrap()
    }

    /// Asserts the values of samples.
    #[track_caller]
    fn assert(&self, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            let found = self.value(name);
            assert!((found - value).abs() < f64::EPSILON, "{name}: {found}, expected {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_counted_as_what_it_is() {
    let receiver = TestReceiver::start("http.body_limit_bytes = 10000", Recorder::new()).await;
    let body = on_status("t1", "m1", "Created");
    receiver.accept("/on_status", &body).await;
    receiver.accept("/on_status", &body).await;
    receiver.accept("/on_status", on_status("t1", "m1", "Packed")).await;
    assert_eq!(receiver.post("/on_status", "not JSON").await.status, 200);
    assert_eq!(receiver.post("/nowhere", "{}").await.status, 404);
    assert_eq!(receiver.post("/on_track", "x".repeat(20_000)).await.status, 413);
    receiver.settle().await;
    let scrape = Scrape::of(&receiver).await;
    scrape.assert(&[
        ("ready", 1.0),
        (r#"callbacks_total{action="on_status",answer="ack"}"#, 2.0),
        (r#"callbacks_total{action="on_status",answer="duplicate"}"#, 1.0),
        (r#"callbacks_total{action="on_status",answer="nack"}"#, 1.0),
        (r#"callbacks_total{action="other",answer="refused"}"#, 1.0),
        (r#"callbacks_total{action="on_track",answer="refused"}"#, 1.0),
        (r#"refusals_total{cause="json.syntax"}"#, 1.0),
        (r#"refusals_total{cause="http.path"}"#, 1.0),
        (r#"refusals_total{cause="http.body_too_long"}"#, 1.0),
        (r#"flagged_events_total{flag="id_reused"}"#, 1.0),
        ("ack_seconds_count", 3.0),
        ("append_seconds_count", 3.0),
        ("commit_callbacks_sum", 3.0),
        ("lag_seconds_count", 2.0),
        (r#"attempts_total{handler="app",outcome="done"}"#, 2.0),
        (r#"attempt_seconds_count{handler="app"}"#, 2.0),
        ("unsettled_events", 0.0),
        ("oldest_unsettled_seconds", 0.0),
        ("in_flight_requests", 0.0),
        ("in_flight_bytes", 0.0),
    ]);
    assert!(scrape.value("disk_free_bytes") > 0.0);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_does_is_counted() {
    let handler = Recorder::behaving(|event| match event.context.transaction_id.as_deref() {
        Some("retried") if event.attempt == 1 => Err(HandlerError::transient("not now")),
        Some("dead") => Err(HandlerError::permanent("never")),
        Some("panics") => panic!("a handler of the test panics"),
        _ => Ok(()),
    });
    let receiver = TestReceiver::start(QUICK, handler).await;
    for transaction in ["taken", "retried", "dead", "panics"] {
        receiver.accept("/on_status", on_status(transaction, "m", "A")).await;
    }
    receiver.settle().await;
    Scrape::of(&receiver).await.assert(&[
        (r#"attempts_total{handler="app",outcome="done"}"#, 2.0),
        (r#"attempts_total{handler="app",outcome="retry"}"#, 1.0),
        (r#"attempts_total{handler="app",outcome="dead"}"#, 1.0),
        (r#"attempts_total{handler="app",outcome="panic"}"#, 3.0),
        (r#"attempts_total{handler="app",outcome="timeout"}"#, 0.0),
        ("dead_letters_total", 2.0),
        (r#"handler_down{handler="app"}"#, 0.0),
        (r#"handler_paused{handler="app"}"#, 0.0),
    ]);
    let directory = receiver.stop().await;
    // Counted from the disk: a restart starts every counter at zero, and the dead letters are there.
    let receiver = TestReceiver::start_in(directory, QUICK, Recorder::new()).await;
    let scrape = Scrape::of(&receiver).await;
    scrape.assert(&[("dead_letters_total", 0.0), ("dead_letters_kept", 2.0)]);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_down_or_paused_is_seen() {
    let handler = Recorder::behaving(|_event| Err(HandlerError::transient("down")));
    let settings = QUICK.replace("retry_attempts = 3", "retry_attempts = 1000");
    let receiver = TestReceiver::start(&settings, handler).await.leaves_unsettled();
    for number in 0..8 {
        receiver.accept("/on_status", on_status(&format!("t{number}"), "m", "A")).await;
    }
    wait_until("it is down", async || {
        Scrape::of(&receiver).await.value(r#"handler_down{handler="app"}"#) > 0.0
    })
    .await;
    assert!(Scrape::of(&receiver).await.value("unsettled_events") > 7.0);
    let inbox = receiver.inbox();
    let paused = move || crate::commands::output(&inbox, &["pause", "app"]);
    tokio::task::spawn_blocking(paused).await.unwrap();
    wait_until("it is paused", async || {
        Scrape::of(&receiver).await.value(r#"handler_paused{handler="app"}"#) > 0.0
    })
    .await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_keys_and_their_sellers_are_counted() {
    let seller = Seller::new("seller.example");
    let settings = format!(
        "subscriber_ids = [\"buyer.example\"]\noperations.seller_metrics = 4\n\
         [signature]\nmode = \"required\"\npinned_keys = [\"{}\"]\n",
        seller.pinned()
    );
    let receiver = TestReceiver::start(&settings, Recorder::new()).await;
    let body = on_status("t1", "m1", "Created");
    let ack = seller.post(&receiver, "/on_status", &body).await;
    assert!(ack.is_ack(), "{ack}");
    assert_eq!(receiver.post("/on_status", &body).await.status, 401);
    for number in 0..20 {
        let name = format!("seller-{number}\\\"}} 7");
        let hostile =
            body.replace("seller.example", &name.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(receiver.post("/on_status", hostile).await.status, 401);
    }
    receiver.settle().await;
    let scrape = Scrape::of(&receiver).await;
    scrape.assert(&[
        (r#"callbacks_total{action="on_status",answer="unauthorized"}"#, 21.0),
        (r#"refusals_total{cause="signature.missing"}"#, 21.0),
        (r#"seller_callbacks_total{answer="ack",seller="seller.example"}"#, 1.0),
        (
            r#"seller_callbacks_total{answer="unauthorized",seller="unverified:seller.example"}"#,
            1.0,
        ),
        (r#"seller_callbacks_total{answer="unauthorized",seller="other"}"#, 19.0),
    ]);
    let last = scrape.value(r#"seller_last_callback_timestamp_seconds{seller="seller.example"}"#);
    assert!(last > 1_700_000_000.0, "{last}");
    let sellers = scrape.0.lines().filter(|line| line.contains("seller_callbacks_total{"));
    assert_eq!(sellers.count(), 4, "{}", scrape.0);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_turned_away_is_counted_with_its_reason() {
    let settings = "inbox.unsettled_limit = 1\ndispatch.retry_initial_ms = 3600000\n\
        dispatch.retry_cap_ms = 3600000\n";
    let handler = Recorder::behaving(|_event| Err(HandlerError::transient("later")));
    let receiver = TestReceiver::start(settings, handler).await.leaves_unsettled();
    receiver.accept("/on_status", on_status("t1", "m", "A")).await;
    assert_eq!(receiver.post("/on_status", on_status("t2", "m", "A")).await.status, 503);
    Scrape::of(&receiver).await.assert(&[
        (r#"unavailable_total{reason="unsettled"}"#, 1.0),
        (r#"callbacks_total{action="on_status",answer="unavailable"}"#, 1.0),
        ("ready", 0.0),
        ("unsettled_events", 1.0),
    ]);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forwarded_tells_the_trace_of_its_transaction() {
    let target = Target::start(|number, _| Does::Answers(if number == 1 { 500 } else { 200 }));
    let settings = format!(
        "trace.sample_ratio = 1.0\n{}\nhandler = \"app\"\n{}",
        QUICK.trim_end(),
        target.settings()
    );
    let directory = TempDir::new().unwrap();
    let receiver = TestReceiver::start_configured(directory, &settings, |builder| builder).await;
    let body = on_status("T-1", "m1", "Created");
    let ack = post(receiver.address, "/on_status", body.as_bytes()).await;
    assert!(ack.is_ack(), "{ack}");
    receiver.settle().await;
    let seen = target.seen();
    let parents: Vec<&str> = seen.iter().map(|delivery| delivery.header("traceparent")).collect();
    assert_eq!(parents.len(), 2);
    // printf %s T-1 | sha256sum
    for parent in &parents {
        assert!(parent.starts_with("00-cd4a8a25abc253aa3ce196fd7f16cac5-"), "{parent}");
        assert!(parent.ends_with("-01") && parent.len() == 55, "{parent}");
    }
    assert_ne!(parents[0], parents[1], "each attempt is a span of its own");
    receiver.stop().await;
}

#[cfg(not(feature = "otlp"))]
#[tokio::test]
async fn an_endpoint_for_spans_needs_the_feature_that_sends_them() {
    let directory = TempDir::new().unwrap();
    let settings = "trace.endpoint = \"http://127.0.0.1:4318/v1/traces\"";
    let config = crate::harness::config(directory.path(), settings);
    let error = beckn_receiver::Receiver::builder(config).start(Recorder::new()).await.unwrap_err();
    assert!(error.to_string().contains("cargo feature `otlp`"), "{error}");
}

#[cfg(feature = "otlp")]
#[tokio::test(flavor = "multi_thread")]
async fn the_binary_exports_a_trace_of_callback_and_delivery_before_it_ends() {
    use crate::harness::Child;
    let collector = Target::taking();
    let endpoint = format!("http://{}/v1/traces", collector.address);
    let receiver = Child::start(&[
        ("BECKN_RECEIVER_TRACE__ENDPOINT", endpoint.as_str()),
        ("BECKN_RECEIVER_TRACE__SAMPLE_RATIO", "1.0"),
    ])
    .await;
    let body = on_status("T-1", "m1", "Created");
    let ack = post(receiver.address, "/on_status", body.as_bytes()).await;
    assert!(ack.is_ack(), "{ack}");
    receiver.settle().await;
    tokio::time::timeout(std::time::Duration::from_secs(30), receiver.end()).await.unwrap();
    let sent: Vec<u8> = collector.seen().iter().flat_map(|request| request.body.to_vec()).collect();
    let count = |part: &[u8]| sent.windows(part.len()).filter(|window| *window == part).count();
    assert_eq!(count(&0xcd4a_8a25_abc2_53aa_3ce1_96fd_7f16_cac5_u128.to_be_bytes()), 2);
    assert_eq!((count(b"callback"), count(b"delivery")), (1, 1));
}
