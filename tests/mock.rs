//! The mock BPP against a server that only records: what it sends, and how it reads the answers.

#![allow(clippy::unwrap_used, reason = "this is a test, its helper functions too")]

#[allow(dead_code, reason = "its main is the example's, the test calls what main calls")]
#[path = "../examples/mock_bpp.rs"]
mod mock_bpp;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONNECTION, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use beckn_receiver::Action;
use beckn_receiver::mock::{Acknowledgement, Answer, Dialect, Expectation, MockBpp, Signer, Step};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const ACK: &str = r#"{"message":{"ack":{"status":"ACK"}}}"#;

/// What a server of this file saw of one post.
#[derive(Debug)]
struct Seen {
    path: String,
    authorization: Option<String>,
    body: Bytes,
    from: SocketAddr,
}

/// Starts a server that answers every post in the same way, and returns its URL and what it sees.
async fn server(status: StatusCode, answer: impl Into<String>) -> (String, mpsc::Receiver<Seen>) {
    let (to_test, seen_by_test) = mpsc::channel(64);
    let answer = answer.into();
    let app = Router::new().fallback(
        async move |from: ConnectInfo<SocketAddr>, uri: Uri, head: HeaderMap, body: Bytes| {
            let authorization = head.get(AUTHORIZATION);
            let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
            let (path, ConnectInfo(from)) = (uri.path().to_owned(), from);
            // A test that does not look at what came has dropped its end.
            let _ = to_test.send(Seen { path, authorization, body, from }).await;
            (status, answer.clone()).into_response()
        },
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    (url, seen_by_test)
}

/// Returns what a receiver makes of the steps that keeps, for each id, the latest content.
fn judged(steps: &[Step]) -> Vec<Expectation> {
    let mut bodies = HashSet::new();
    let mut latest: HashMap<(Action, String), Value> = HashMap::new();
    let judge = |step: &Step| {
        let body: Value = serde_json::from_slice(&step.body).unwrap();
        let message_id = body["context"]["message_id"].as_str().unwrap().to_owned();
        let message = body["message"].clone();
        let known = latest.insert((step.action, message_id), message.clone());
        if !bodies.insert(step.body.clone()) || known.as_ref() == Some(&message) {
            return Expectation::Duplicate;
        }
        known.map_or(Expectation::New, |_| Expectation::NewUnderReusedId)
    };
    steps.iter().map(judge).collect()
}

#[test]
fn a_life_expects_what_its_ids_and_contents_mean() {
    for dialect in [Dialect::Ondc125, Dialect::Ondc20] {
        let steps = MockBpp::new("http://127.0.0.1").unwrap().dialect(dialect).life();
        let expected: Vec<_> = steps.iter().map(|step| step.expects).collect();
        assert_eq!(judged(&steps), expected);
        let of = |kind| expected.iter().filter(|expects| **expects == kind).count();
        assert_eq!((of(Expectation::Duplicate), of(Expectation::NewUnderReusedId)), (2, 1));
    }
}

#[test]
fn a_retry_with_a_new_timestamp_changes_the_context_only() {
    let steps = MockBpp::new("http://127.0.0.1").unwrap().life();
    let last = steps
        .windows(2)
        .find(|pair| pair[1].expects == Expectation::Duplicate && pair[0].body != pair[1].body);
    let [first, retry] = last.expect("a life has such a retry") else { unreachable!() };
    let [first, retry] = [first, retry].map(|step| {
        let body = std::str::from_utf8(&step.body).unwrap();
        let (context, message) = body.split_once(r#","message":"#).unwrap();
        (context.to_owned(), message.to_owned())
    });
    assert_ne!(first.0, retry.0);
    assert_eq!(first.1, retry.1);
}

#[test]
fn the_settings_are_in_every_callback() {
    let seller = MockBpp::new("http://127.0.0.1").unwrap();
    let seller = seller.bpp_id("shop.example").bap_id("me.example").transaction_id("t-1");
    for step in seller.life() {
        let body: Value = serde_json::from_slice(&step.body).unwrap();
        let context = ["bpp_id", "bap_id", "transaction_id", "message_id", "action"]
            .map(|field| body["context"][field].as_str().unwrap().to_owned());
        let expected =
            ["shop.example", "me.example", "t-1", &step.message_id, step.action.as_str()];
        assert_eq!(context, expected);
    }
}

#[test]
fn each_dialect_has_its_own_shape() {
    let first = |dialect| {
        let step = MockBpp::new("http://127.0.0.1").unwrap().dialect(dialect).life().remove(0);
        serde_json::from_slice::<Value>(&step.body).unwrap()
    };
    let (old, new) = (first(Dialect::Ondc125), first(Dialect::Ondc20));
    assert_eq!(old["context"]["core_version"], "1.2.5");
    assert!(old["message"]["order"]["payment"].is_object());
    assert_eq!(new["context"]["version"], "2.0.2");
    assert!(new["message"]["order"]["payments"].is_array());
    assert!(new["message"]["order"]["fulfillments"][0]["stops"].is_array());
}

#[tokio::test]
async fn a_life_is_posted_in_order_on_one_connection() {
    let (url, mut posts) = server(StatusCode::OK, ACK).await;
    let seller = MockBpp::new(&format!("{url}/beckn/")).unwrap();
    let steps = seller.life();
    let answers = seller.play(&steps).await.unwrap();
    assert!(answers.iter().all(|answer| answer.is_ack() && answer.body == ACK));
    assert_eq!(answers.len(), steps.len());
    let mut connections = HashSet::new();
    for step in &steps {
        let seen = posts.recv().await.unwrap();
        assert_eq!((&*seen.path, &seen.body), (&*format!("/beckn/{}", step.action), &step.body));
        connections.insert(seen.from);
    }
    assert_eq!(connections.len(), 1);
}

#[tokio::test]
async fn a_nack_is_an_answer_with_its_error() {
    let nack = r#"{"message":{"ack":{"status":"NACK"}},
        "error":{"type":"CONTEXT-ERROR","code":"20006","path":"/context/action","message":"no"}}"#;
    let (url, _posts) = server(StatusCode::OK, nack).await;
    let answer = post(&url).await;
    assert_eq!(answer.acknowledgement, Some(Acknowledgement::Nack));
    assert!(!answer.is_ack());
    let error = answer.error.unwrap();
    assert_eq!((&*error.kind, &*error.code), ("CONTEXT-ERROR", "20006"));
    assert_eq!((&*error.path, &*error.message), ("/context/action", "no"));
}

#[tokio::test]
async fn an_ack_under_an_error_status_and_a_page_are_no_acks() {
    let (url, _posts) = server(StatusCode::SERVICE_UNAVAILABLE, ACK).await;
    assert!(!post(&url).await.is_ack());
    let (url, _posts) = server(StatusCode::OK, "<html>welcome</html>").await;
    let answer = post(&url).await;
    assert_eq!((answer.is_ack(), answer.acknowledgement, answer.status), (false, None, 200));
}

async fn post(url: &str) -> Answer {
    let seller = MockBpp::new(url).unwrap();
    seller.post(Action::OnStatus, Bytes::from_static(b"{}")).await.unwrap()
}

#[tokio::test]
async fn a_receiver_may_close_the_connection_after_each_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(async || ([(CONNECTION, "close")], ACK));
    tokio::spawn(axum::serve(listener, app).into_future());
    let seller = MockBpp::new(&url).unwrap();
    let answers = seller.play(&seller.life()).await.unwrap();
    assert!(answers.iter().all(Answer::is_ack));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_an_error() {
    let (url, _posts) = server(StatusCode::OK, "x".repeat(64 * 1024 + 1)).await;
    let seller = MockBpp::new(&url).unwrap();
    seller.post(Action::OnStatus, Bytes::new()).await.unwrap_err();
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_an_error_and_the_next_post_connects_anew() {
    // The first connection is accepted and left alone, the second is served.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let held = Arc::new(Mutex::new(None));
    let holder = Arc::clone(&held);
    tokio::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        *holder.lock().unwrap() = Some(first);
        axum::serve(listener, Router::new().fallback(async || ACK)).await.unwrap();
    });
    let seller = MockBpp::new(&url).unwrap().timeout(Duration::from_millis(200));
    let connection = seller.connect().await.unwrap();
    connection.post(Action::OnStatus, Bytes::new()).await.unwrap_err();
    let answer = connection.post(Action::OnStatus, Bytes::new()).await.unwrap();
    assert!(answer.is_ack());
    drop(held);
}

#[tokio::test]
async fn a_seller_that_hangs_up_has_sent_the_whole_callback() {
    let (url, mut posts) = server(StatusCode::OK, ACK).await;
    let seller = MockBpp::new(&url).unwrap();
    let step = seller.life().remove(0);
    seller.post_and_hang_up(step.action, step.body.clone()).await.unwrap();
    let seen = posts.recv().await.unwrap();
    assert_eq!((&*seen.path, &seen.body), ("/on_status", &step.body));
}

/// The signature of the secret key whose 32 bytes are all 7.
fn signer() -> Signer {
    let seed = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    Signer::new("mock-bpp.local|key-1", seed).unwrap()
}

#[tokio::test]
async fn a_seller_with_a_key_signs_each_post_and_is_its_bpp() {
    let (url, mut posts) = server(StatusCode::OK, ACK).await;
    let seller = MockBpp::new(&url).unwrap().signer(signer());
    let steps = seller.life();
    seller.play(&steps[..2]).await.unwrap();
    seller.post_and_hang_up(steps[3].action, steps[3].body.clone()).await.unwrap();
    let mut signatures = HashSet::new();
    for _ in 0..3 {
        let seen = posts.recv().await.unwrap();
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(body["context"]["bpp_id"], "mock-bpp.local");
        let header = seen.authorization.expect("it is signed");
        assert!(
            header.starts_with(r#"Signature keyId="mock-bpp.local|key-1|ed25519","#),
            "{header}"
        );
        signatures.insert(header);
    }
    assert_eq!(signatures.len(), 3, "each is over its own body");
    let other = MockBpp::new(&url).unwrap().bpp_id("shop.example").signer(signer());
    let body: Value = serde_json::from_slice(&other.life()[0].body).unwrap();
    assert_eq!(body["context"]["bpp_id"], "shop.example");
}

#[tokio::test]
async fn an_https_receiver_is_never_posted_to_in_the_clear() {
    let (url, mut posts) = server(StatusCode::OK, ACK).await;
    let seller = MockBpp::new(&url.replace("http:", "https:")).unwrap();
    let step = seller.life().remove(0);
    // Without any trusted certificate on this machine it fails before it connects.
    seller.post(step.action, step.body.clone()).await.unwrap_err();
    seller.post_and_hang_up(step.action, step.body).await.unwrap_err();
    posts.try_recv().unwrap_err();
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/elsewhere", axum::routing::any(async || ACK))
        .fallback(async || (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/elsewhere")]));
    tokio::spawn(axum::serve(listener, app).into_future());
    assert_eq!(post(&url).await.status, 307);
}

#[tokio::test]
async fn the_example_prints_each_request_with_its_answer_and_a_summary() {
    let (url, _posts) = server(StatusCode::OK, ACK).await;
    let mut out = Vec::new();
    mock_bpp::play(&url, &mut out).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<_> = out.lines().collect();
    let steps = MockBpp::new(&url).unwrap().life().len();
    assert_eq!(lines.len(), 2 * steps + 1);
    assert!(lines[0].starts_with("POST on_status: accepted"));
    assert!(lines[1].starts_with("  200 ACK"));
    assert_eq!(lines[2 * steps], format!("{steps} of {steps} callbacks were accepted"));
}
