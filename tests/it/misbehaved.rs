//! Handlers and apps that do what they should not.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver as Channel, channel};
use std::time::Duration;

use beckn_receiver::{HandlerError, OrderEvent, OrderEventHandler, Receiver};
use tempfile::TempDir;

use crate::harness::{Recorder, TestReceiver, config, on_status, post, try_request, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_router_whose_receiver_was_dropped_acks_nothing() {
    let directory = TempDir::new().unwrap();
    let settings = config(directory.path(), "");
    let receiver = Receiver::builder(settings).start(Recorder::new()).await.unwrap();
    let app = receiver.router();
    drop(receiver);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let answer = post(address, "/on_status", on_status("t", "m", "A").as_bytes()).await;
    assert_eq!((answer.status, answer.error("code")), (503, "23001".to_owned()));
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_running_server_closes_its_listeners_and_the_inbox() {
    let directory = TempDir::new().unwrap();
    let start =
        async || Receiver::builder(config(directory.path(), "")).start(Recorder::new()).await;
    let server = start().await.unwrap().bind().await.unwrap();
    let operations = server.operations_address().unwrap();
    let run = tokio::spawn(server.run(std::future::pending()));
    let probe = async || try_request(operations, "GET /livez HTTP/1.1\r\n", b"").await;
    wait_until("it serves", async || probe().await.is_ok()).await;
    run.abort();
    wait_until("the listener is closed", async || probe().await.is_err()).await;
    wait_until("the inbox is free", async || start().await.is_ok()).await;
}

/// One order's handler waits for a timer and then blocks its thread until it is let go; the
/// others only wait for a timer.
struct BlocksAfterAnAwait {
    go: Mutex<Channel<()>>,
    recorder: Recorder,
}

impl OrderEventHandler for BlocksAfterAnAwait {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        if event.order_id() == Some("O-blocks") {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.go.lock().unwrap().recv()?;
        } else {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        self.recorder.handle(event).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_blocks_after_an_await_does_not_stop_the_timers_of_others() {
    let (let_go, go) = channel();
    let recorder = Recorder::new();
    let handler = BlocksAfterAnAwait { go: Mutex::new(go), recorder: recorder.clone() };
    // Nothing else may wake the handlers' threads meanwhile.
    let settings = "[dispatch]\nattempt_timeout_ms = 60000\npoll_ms = 60000";
    let receiver = TestReceiver::start(settings, handler).await;
    receiver.accept("/on_status", on_status("blocks", "m", "A")).await;
    receiver.accept("/on_status", on_status("other", "m", "A")).await;
    assert_eq!(recorder.wait_for(1).await[0].order_id(), Some("O-other"));
    let_go.send(()).unwrap();
    receiver.stop().await;
}

#[derive(Debug)]
struct CannotBeShown;

impl std::fmt::Display for CannotBeShown {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in Display")
    }
}

impl std::error::Error for CannotBeShown {}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("in Drop")
    }
}

/// Panics outside its polls at the first attempt.
enum Panics {
    InItsError,
    AtItsTimeOut,
}

impl OrderEventHandler for Panics {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        match self {
            _ if event.attempt > 1 => Ok(()),
            Panics::InItsError => Err(CannotBeShown.into()),
            Panics::AtItsTimeOut => {
                let _guard = PanicsWhenDropped;
                std::future::pending().await
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_an_error_or_a_drop_counts_as_an_attempt() {
    for handler in [Panics::InItsError, Panics::AtItsTimeOut] {
        let settings = "[dispatch]\nattempt_timeout_ms = 50\nretry_initial_ms = 10";
        let receiver = TestReceiver::start(settings, handler).await;
        receiver.accept("/on_status", on_status("t", "m", "A")).await;
        // `stop` waits until the second attempt has settled it.
        let directory = receiver.stop().await;
        let shown = crate::commands::output(directory.path(), &["events", "--json"]);
        let event: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&event["progress"], &event["attempts"]), (&"done".into(), &2.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_to_read_back_is_handed_out_all_the_same() {
    const LANES: usize = 128;
    let items: Vec<String> = (0..2000)
        .map(|item| {
            format!(r#"{{"id":"i{item}","quantity":{{"count":1}},"price":{{"value":"1"}}}}"#)
        })
        .collect();
    let items = format!(r#""state":"A","items":[{}]"#, items.join(","));
    let settings =
        format!("[dispatch]\nconcurrency = {LANES}\n[inbox]\ntail_events = 1\ntail_bytes = 1\n");
    let down = Recorder::behaving(|_event| Err(HandlerError::transient("down")));
    let receiver = TestReceiver::start(&settings, down).await.leaves_unsettled();
    for lane in 0..LANES {
        let body = on_status(&format!("t{lane}"), "m", "A").replace(r#""state":"A""#, &items);
        receiver.accept("/on_status", body).await;
    }
    let directory = receiver.stop().await;
    let recorder = Recorder::new();
    let receiver = TestReceiver::start_in(directory, &settings, recorder.clone()).await;
    recorder.wait_for(LANES).await;
    receiver.stop().await;
}
