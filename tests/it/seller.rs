//! `trigger` and `send`: the real binary as a seller app.

use std::collections::HashSet;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beckn_receiver::{Action, Flag};
use bytes::Bytes;
use ed25519_dalek::{Signature, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::harness::{ACK, Recorder, TestReceiver, binary, sample};

/// The private key of these tests, as a seed.
const SEED: [u8; 32] = [7; 32];

/// Returns the settings of a receiver that knows the seller of these tests.
fn pinned() -> String {
    let public = SigningKey::from_bytes(&SEED).verifying_key();
    let public = STANDARD.encode(public.as_bytes());
    format!("signature.pinned_keys = [\"mock-bpp.local|key-1|{public}\"]")
}

/// Runs the binary where no settings and no seller are, but for what the test put there.
async fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = binary();
    command.current_dir(directory).args(arguments);
    // Where no proxy is; one of the environment has no part in posts to this machine.
    command.env("http_proxy", "http://127.0.0.1:1");
    let ran = tokio::task::spawn_blocking(move || command.output());
    ran.await.unwrap().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that has to end with this code, and returns what it printed and told.
#[track_caller]
fn ends<'a>(
    code: i32,
    directory: &'a Path,
    arguments: &'a [&str],
) -> impl Future<Output = (String, String)> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let output = run(directory, arguments).await;
        let (out, told) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{place}: {arguments:?}: {out}{told}");
        (out, told)
    }
}

/// What a server of this file saw of one post.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: String,
    authorization: Option<String>,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn context(&self, key: &str) -> String {
        self.json()["context"][key].as_str().unwrap_or_default().to_owned()
    }
}

/// A server that notes what comes and answers always the same.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(status: StatusCode, answer: String) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let app = Router::new().fallback(async move |uri: Uri, head: HeaderMap, body: Bytes| {
            let authorization = head.get("authorization");
            let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
            noted.lock().unwrap().push(Seen { path: uri.path().to_owned(), authorization, body });
            (status, answer.clone()).into_response()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { url, seen }
    }

    async fn acking() -> Self {
        Self::start(StatusCode::OK, ACK.to_owned()).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Puts down what `dev` puts down: who the seller is, and where the receiver.
fn seller_file(directory: &Path, receiver: &str) {
    let dev = directory.join("beckn-dev");
    std::fs::create_dir(&dev).unwrap();
    let file = json!({
        "receiver": receiver,
        "key_id": "mock-bpp.local|key-1",
        "private_key": STANDARD.encode(SEED),
        "bap_id": "buyer.local",
    });
    std::fs::write(dev.join("seller.json"), file.to_string()).unwrap();
}

/// Takes a value out of the header of `beckn/protocol-specifications`' BECKN-006.
fn parameter<'a>(header: &'a str, name: &str) -> &'a str {
    let (_, rest) = header.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0
}

/// Whether the test's key signed what came, computed without the receiver's own code.
fn is_signed(seen: &Seen) -> bool {
    let Some(header) = &seen.authorization else { return false };
    let (created, expires) = (parameter(header, "created"), parameter(header, "expires"));
    let digest = STANDARD.encode(blake2b_simd::blake2b(&seen.body).as_bytes());
    let signed = format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest}");
    let signature = STANDARD.decode(parameter(header, "signature")).unwrap();
    let key = SigningKey::from_bytes(&SEED).verifying_key();
    key.verify_strict(signed.as_bytes(), &Signature::from_slice(&signature).unwrap()).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_trigger_reaches_the_handler_and_prints_two_lines() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("[rules]\nprofile = \"strict\"", recorder.clone()).await;
    let directory = TempDir::new().unwrap();
    let url = format!("http://{}", receiver.address);
    for (action, state) in [("on_status", Some("Packed")), ("on_update", None), ("on_track", None)]
    {
        let mut line = vec!["trigger", action, "--to", &url, "--unsigned"];
        line.extend(state.iter().flat_map(|state| ["--state", state]));
        let (out, told) = ends(0, directory.path(), &line).await;
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        let start = format!("  → POST /{action}   ONDC:RET11/1.2.5   txn ");
        assert!(lines[0].starts_with(&start) && lines[0].ends_with("   unsigned"), "{out}");
        assert!(lines[1].starts_with("  ← 200 in ") && lines[1].ends_with(ACK), "{out}");
        assert_eq!(told, "");
    }
    let events = recorder.wait_for(3).await;
    let status = events.iter().find(|event| event.action == Action::OnStatus).unwrap();
    assert_eq!(status.state().map(ToString::to_string).as_deref(), Some("In-progress"));
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_handed_over_once() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start(&pinned(), recorder.clone()).await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &format!("http://{}", receiver.address));
    let line = ["trigger", "on_status", "--duplicate", "3"];
    let (out, _) = ends(0, directory.path(), &line).await;
    assert!(out.contains("1 × 3   signed mock-bpp.local|key-1"), "{out}");
    assert!(out.contains("3 ACK, 0 NACK, 0 failed"), "{out}");
    assert!(out.contains("latency p50 "), "{out}");
    receiver.settle().await;
    receiver.stop().await;
    assert_eq!(recorder.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callbacks_step_through_one_orders_life() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start(&pinned(), recorder.clone()).await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &format!("http://{}", receiver.address));
    let line = ["trigger", "on_status", "--count", "8", "--transaction", "t-1", "--json"];
    let (out, told) = ends(0, directory.path(), &line).await;
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["posts"], &summary["ack"]), (&json!(8), &json!(8)), "{out}{told}");
    let events = recorder.wait_for(8).await;
    receiver.stop().await;
    let states: Vec<_> = events.iter().map(|event| event.state().unwrap().to_string()).collect();
    let middle = ["In-progress"; 4];
    assert_eq!((&*states[0], &states[1..5]), ("Accepted", &middle.map(str::to_owned)[..]));
    assert_eq!(states[5..], ["Completed", "Completed", "Completed"]);
    let reused = events.iter().filter(|event| event.flags.contains(Flag::IdReused)).count();
    assert_eq!(reused, 0);
    let transaction = |event: &beckn_receiver::OrderEvent| event.context.transaction_id.clone();
    assert!(events.iter().all(|event| transaction(event).as_deref() == Some("t-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_is_signed_over_the_bytes_that_are_sent() {
    let server = Server::acking().await;
    let directory = TempDir::new().unwrap();
    let key_file = directory.path().join("key");
    std::fs::write(&key_file, format!("{}\n", STANDARD.encode(SEED))).unwrap();
    let key_file = key_file.to_str().unwrap();
    let key = ["--to", &server.url, "--key-id", "seller.example|k", "--key-file", key_file];
    let captured = sample("on_status_ondc_1_2_5.json");
    let captured = captured.to_str().unwrap();
    for line in [
        vec!["trigger", "on_track", "--dialect", "ondc-2.0"],
        vec!["send", captured],
        vec!["send", captured, "--as-is"],
    ] {
        let (out, _) = ends(0, directory.path(), &[&line[..], &key[..]].concat()).await;
        assert!(out.contains("signed seller.example|k"), "{out}");
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for post in &seen {
        assert!(is_signed(post), "{post:?}");
        let header = post.authorization.as_ref().unwrap();
        assert_eq!(parameter(header, "keyId"), "seller.example|k|ed25519");
        assert_eq!(post.context("bpp_id"), "seller.example");
    }
    assert_eq!(seen[0].path, "/on_track");
    assert_eq!(seen[0].context("version"), "2.0.2");
    let as_it_is = std::fs::read(captured).unwrap();
    assert_eq!(seen[2].body, as_it_is);
    assert_ne!(seen[1].context("message_id"), seen[2].context("message_id"));
    assert_eq!(seen[1].context("transaction_id"), seen[2].context("transaction_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_run_sends_every_request_as_often_as_it_says() {
    let server = Server::acking().await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &server.url);
    let many = ["--count", "30", "--duplicate", "2", "--shuffle", "--seed", "7", "--rate", "2000"];
    let (out, told) =
        ends(0, directory.path(), &[&["trigger", "on_status"][..], &many[..]].concat()).await;
    assert!(out.contains("60 ACK") && told.contains("--seed 7"), "{out}{told}");
    let seen = server.seen();
    let ids: HashSet<_> = seen.iter().map(|post| post.context("message_id")).collect();
    assert_eq!((seen.len(), ids.len()), (60, 30));
    for id in ids {
        let same: Vec<_> = seen.iter().filter(|post| post.context("message_id") == id).collect();
        assert_eq!((same.len(), same[0]), (2, same[1]), "to the byte the same, and its header");
        assert!(is_signed(same[0]));
    }
    let times: Vec<_> = seen.iter().map(|post| post.context("timestamp")).collect();
    assert!(!times.is_sorted(), "they did not come as they happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_callback_is_old_and_its_signature_is_new() {
    let server = Server::acking().await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &server.url);
    ends(0, directory.path(), &["trigger", "on_status", "--stale"]).await;
    let seen = &server.seen()[0];
    let created = parameter(seen.authorization.as_ref().unwrap(), "created");
    let created = chrono::DateTime::from_timestamp(created.parse().unwrap(), 0).unwrap();
    let dated: chrono::DateTime<chrono::Utc> = seen.context("timestamp").parse().unwrap();
    assert!((3_628..3_640).contains(&(created - dated).num_seconds()), "{created} {dated}");
    assert!(is_signed(seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_request_is_posted_and_its_refusal_is_the_answer() {
    let nack = r#"{"message":{"ack":{"status":"NACK"}},"error":{"type":"CONTEXT-ERROR","code":"20001","path":"","message":"signature.missing"}}"#;
    let server = Server::start(StatusCode::UNAUTHORIZED, nack.to_owned()).await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &server.url);
    let broken = |cause| ["trigger", "on_status", "--break", cause];
    let (out, _) = ends(1, directory.path(), &broken("missing")).await;
    assert!(out.contains("unsigned   broken missing") && out.contains("← 401 in "), "{out}");
    assert!(out.contains("\"code\":\"20001\""), "{out}");
    ends(1, directory.path(), &broken("body_minified")).await;
    let seen = server.seen();
    assert_eq!(seen[0].authorization, None);
    assert!(!is_signed(&seen[1]) && seen[1].body.contains(&b'\n'));
    let line = [&broken("does_not_match")[..], &["--count", "3"]].concat();
    let (out, _) = ends(1, directory.path(), &line).await;
    assert!(out.contains("0 ACK, 3 NACK, 0 failed"), "{out}");
    assert!(out.contains("3 × 401 NACK 20001 signature.missing"), "{out}");
    let (_, told) = ends(2, directory.path(), &broken("nonsense")).await;
    assert!(told.contains("body_minified") && told.contains("not_diagnosed"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_callbacks_are_repaired_with_a_notice() {
    let server = Server::acking().await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &server.url);
    let slipped = sample("mistakes/trailing_comma.txt");
    let captured = directory.path().join("captured.json");
    let template =
        "\u{feff}{\"context\":{\"action\":\"on_track\",\"bap_id\":\"{{bap_id}}\"},\"message\":{}}";
    std::fs::write(&captured, template).unwrap();
    let line = ["send", "captured.json", slipped.to_str().unwrap(), "--json"];
    let (out, told) = ends(0, directory.path(), &line).await;
    let reports: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 2, "{out}");
    assert_eq!((&reports[0]["file"], &reports[0]["ack"]), (&json!("captured.json"), &json!(true)));
    for notice in ["byte order mark", "{{bap_id}} with buyer.local", "commas before an end"] {
        assert!(told.contains(notice), "{told}");
    }
    let seen = server.seen();
    assert_eq!(
        (&*seen[0].path, seen[0].context("bap_id")),
        ("/on_track", "buyer.local".to_owned())
    );
    assert!(seen.iter().all(is_signed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_with_the_way_out() {
    let directory = TempDir::new().unwrap();
    let (_, told) = ends(2, directory.path(), &["trigger", "on_status"]).await;
    assert!(told.contains("beckn-receiver dev") && told.contains("--unsigned"), "{told}");
    let nobody = ["trigger", "on_status", "--to", "http://127.0.0.1:1"];
    let (_, told) = ends(2, directory.path(), &nobody).await;
    assert!(told.contains("who signs") && told.contains("--key-file"), "{told}");
    ends(2, directory.path(), &["trigger", "on_search"]).await;
    let position =
        ["trigger", "on_track", "--to", "http://127.0.0.1:1", "--unsigned", "--state", "x"];
    let (_, told) = ends(2, directory.path(), &position).await;
    assert!(told.contains("--state"), "{told}");
    let many = ["--unsigned", "--count", "1000000", "--duplicate", "2"];
    let (_, told) = ends(2, directory.path(), &[&nobody[..], &many[..]].concat()).await;
    assert!(told.contains("at most 1000000 posts"), "{told}");
    let (_, told) = ends(2, directory.path(), &["send", "captured.json"]).await;
    assert!(told.contains("beckn-receiver dev"), "{told}");
    let no_url = ["trigger", "on_status", "--to", "nowhere", "--unsigned"];
    let (_, told) = ends(2, directory.path(), &no_url).await;
    assert!(told.contains("cannot post to `nowhere`"), "{told}");
    std::fs::write(directory.path().join("key"), STANDARD.encode(SEED)).unwrap();
    let key = ["--key-id", "no-unique-key", "--key-file", "key"];
    let (_, told) = ends(2, directory.path(), &[&nobody[..], &key[..]].concat()).await;
    assert!(told.contains("cannot sign"), "{told}");
    // Nobody listens there: a failure is told in the place of an answer.
    let (out, _) = ends(1, directory.path(), &[&nobody[..], &["--unsigned"]].concat()).await;
    assert!(out.contains("← no answer"), "{out}");
    std::fs::write(directory.path().join("x.json"), "{\"context\":{}}").unwrap();
    let (_, told) =
        ends(1, directory.path(), &["send", "x.json", "--to", "http://127.0.0.1:1", "--unsigned"])
            .await;
    assert!(told.contains("--action"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_nobody_lists_is_sent_as_it_is_with_a_notice() {
    let server = Server::acking().await;
    let directory = TempDir::new().unwrap();
    let line = ["trigger", "on_status", "--to", &server.url, "--unsigned", "--state", "Lost"];
    let (_, told) = ends(0, directory.path(), &line).await;
    assert!(told.contains("`Lost`") && told.contains("Out-for-delivery"), "{told}");
    let code = "/message/order/fulfillments/0/state/descriptor/code";
    assert_eq!(server.seen()[0].json().pointer(code).unwrap(), "Lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_changed_on_purpose_before_it_is_signed() {
    let server = Server::acking().await;
    let directory = TempDir::new().unwrap();
    seller_file(directory.path(), &server.url);
    let ttl = ["--set", "/message/order/quote/ttl=soon", "--remove", "/message/order/items/0"];
    ends(0, directory.path(), &[&["trigger", "on_status", "--count", "2"][..], &ttl].concat())
        .await;
    let captured = sample("on_status_ondc_1_2_5.json");
    let send = ["send", captured.to_str().unwrap()];
    ends(0, directory.path(), &[&send[..], &ttl].concat()).await;
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for post in &seen {
        assert!(is_signed(post), "{post:?}");
        assert_eq!(post.json().pointer("/message/order/quote/ttl").unwrap(), "soon");
        let start = text(&post.body[..20]).split_whitespace().collect::<String>();
        assert!(start.starts_with("{\"context\":{"), "the context is still the first: {start}");
    }
    // The item's lines are gone, the ttl's is another, and so are the two that are always new.
    let (before, after) = (std::fs::read_to_string(&captured).unwrap(), text(&seen[2].body));
    let is_new = |line: &&str| !before.lines().any(|kept| kept == *line);
    let changed = after.lines().filter(is_new).map(|line| line.trim().split(':').next().unwrap());
    let mut changed: Vec<_> = changed.collect();
    changed.sort_unstable();
    assert_eq!(changed, ["\"message_id\"", "\"timestamp\"", "\"ttl\""]);
    assert!(after.lines().count() < before.lines().count());
    // What is not there is told before anything is posted.
    let wrong = ["--set", "/message/ordr/id=1"];
    for line in [&["trigger", "on_status", "--count", "2"][..], &send] {
        let (_, told) = ends(1, directory.path(), &[line, &wrong].concat()).await;
        assert!(told.contains("expected `ordr` in /message, found `order`"), "{told}");
    }
    let (_, told) = ends(2, directory.path(), &[&send[..], &wrong, &["--as-is"]].concat()).await;
    assert!(told.contains("--as-is"), "{told}");
    let broken = ["trigger", "on_status", "--break", "length", "--remove", "/context"];
    let (_, told) = ends(1, directory.path(), &broken).await;
    assert!(told.contains("context"), "{told}");
    assert_eq!(server.seen().len(), 3);
}
