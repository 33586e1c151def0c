//! Events forwarded over HTTP by the whole receiver: to an app that is down, that answers with
//! errors, that loses answers, and by a receiver that is killed meanwhile.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;

use crate::commands::output;
use crate::harness::{
    Child, Seller, TestReceiver, binary, on_status, sample, try_request, wait_until,
};
use crate::target::{Delivery, Does, Target};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Waits that do not slow a test down, everything to the target, signed.
const TO_APP: &str = "[dispatch]\nhandler = \"app\"\nretry_initial_ms = 1\nretry_cap_ms = 20\n\
    retry_attempts = 1000\npoll_ms = 5\n";

/// Returns settings that forward everything to this target.
fn settings(target: &Target) -> String {
    format!("{TO_APP}{}secrets = [\"{SECRET}\"]\n", target.settings())
}

async fn start(settings: &str) -> TestReceiver {
    TestReceiver::start_configured(TempDir::new().unwrap(), settings, |builder| builder).await
}

/// Runs a command beside a receiver that is in this process.
async fn command(receiver: &TestReceiver, arguments: &[&str]) -> String {
    let inbox = receiver.inbox();
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let run = move || output(&inbox, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Asserts that the signature is of this delivery, over the bytes as they came.
#[track_caller]
fn assert_signed(delivery: &Delivery) {
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let timestamp = delivery.header("webhook-timestamp");
    assert!(timestamp.parse::<u64>().is_ok(), "{timestamp}");
    mac.update(format!("{}.{timestamp}.", delivery.id()).as_bytes());
    mac.update(&delivery.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(delivery.header("webhook-signature"), expected);
}

/// Asserts that an event came under one delivery id only, and each lane's in the order of `seq`,
/// by their first arrivals; returns the transaction and the message of each.
#[track_caller]
fn assert_in_order(seen: &[Delivery]) -> BTreeSet<(String, String)> {
    let mut ids = HashSet::new();
    let (mut last, mut events) = (HashMap::<String, u64>::new(), BTreeSet::new());
    for delivery in seen.iter().filter(|delivery| ids.insert(delivery.id().to_owned())) {
        let envelope = delivery.envelope();
        assert_eq!(envelope["delivery_id"], delivery.id());
        let text = |member: &str| envelope[member].as_str().unwrap().to_owned();
        let (transaction, seq) = (text("transaction_id"), envelope["seq"].as_u64().unwrap());
        let before = last.insert(transaction.clone(), seq);
        assert!(before.is_none_or(|before| before < seq), "{transaction}: {seq} after {before:?}");
        let is_new = events.insert((transaction, text("message_id")));
        assert!(is_new, "another delivery id for the event of {}", delivery.id());
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_the_target_was_down_arrives_in_order() {
    const LANES: usize = 60;
    const STEPS: usize = 10;
    // The probe is refused; then now and then an error, and now and then an answer is lost.
    let answer = |number: usize| match number {
        1 => Does::Answers(500),
        number if number < 400 && number % 7 == 0 => Does::Answers(500),
        number if number < 400 && number % 11 == 0 => Does::Drops,
        _ => Does::Answers(200),
    };
    let mut target = Target::down(move |number, _| answer(number));
    let receiver = start(&settings(&target)).await;
    for step in 0..STEPS {
        let posts = (0..LANES).map(|lane| {
            let (lane, message) = (format!("t{lane}"), format!("m{step}"));
            receiver.accept("/on_status", on_status(&lane, &message, &format!("S{step}")))
        });
        futures_util::future::join_all(posts).await;
    }
    assert_eq!(receiver.unsettled().await, (LANES * STEPS) as u64);
    target.come_up();
    receiver.settle().await;
    let seen = target.seen();
    assert_eq!(assert_in_order(&seen).len(), LANES * STEPS);
    let last: HashMap<_, _> = seen.iter().map(Delivery::id).zip(1..).collect();
    let is_taken = |number| matches!(answer(number), Does::Answers(200));
    assert!(last.into_values().all(is_taken), "what was not taken came again");
    seen.iter().for_each(assert_signed);
    assert_eq!(command(&receiver, &["dead-letters"]).await, "");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_refuses_for_good_is_a_dead_letter_until_it_is_replayed() {
    let mended = Arc::new(AtomicBool::new(false));
    let target = Target::start({
        let mended = Arc::clone(&mended);
        move |_, delivery| match delivery.envelope()["order_id"].as_str() {
            _ if mended.load(Ordering::SeqCst) => Does::Answers(200),
            Some("O-gone") => Does::Answers(410),
            Some("O-bad") => Does::Answers(422),
            _ => Does::Answers(200),
        }
    });
    let receiver = start(&settings(&target)).await;
    for transaction in ["gone", "bad", "good"] {
        receiver.accept("/on_status", on_status(transaction, "m", "Accepted")).await;
    }
    receiver.settle().await;
    let dead = command(&receiver, &["dead-letters", "--json"]).await;
    let mut refused: HashMap<String, String> = HashMap::new();
    for line in dead.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let status = if text("order_id") == "O-gone" { 410 } else { 422 };
        assert_eq!(text("error"), format!("the target answered {status}"));
        refused.insert(text("order_id"), text("id"));
    }
    assert_eq!(refused.len(), 2, "{dead}");
    mended.store(true, Ordering::SeqCst);
    let id = &refused["O-bad"];
    command(&receiver, &["replay", id]).await;
    wait_until("the replay has come", async || target.seen().len() == 4).await;
    receiver.settle().await;
    let seen = target.seen();
    // Before, a target that drops repeated ids has seen its first round.
    assert!(seen[..3].iter().any(|delivery| delivery.id() == id));
    let replayed = seen[3].envelope();
    assert_eq!(seen[3].id(), format!("{id}-r1"));
    assert_eq!((&replayed["event_id"], &replayed["replay"]), (&(&**id).into(), &1.into()));
    assert_signed(&seen[3]);
    let dead = command(&receiver, &["dead-letters"]).await;
    assert!(dead.contains("O-gone") && !dead.contains("O-bad"), "{dead}");
    receiver.stop().await;
}

/// Posts callbacks of one transaction until the receiver is gone; returns those that it ACKed.
async fn post_until_killed(address: SocketAddr, lane: String) -> BTreeSet<(String, String)> {
    let mut acked = BTreeSet::new();
    for step in 0.. {
        let message = format!("m{step}");
        let body = on_status(&lane, &message, "Accepted");
        match try_request(address, "POST /on_status HTTP/1.1\r\n", body.as_bytes()).await {
            Ok(answer) if answer.is_ack() => _ = acked.insert((lane.clone(), message)),
            _ => break,
        }
    }
    acked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_forwarding_loses_nothing() {
    const BEFORE: usize = 100;
    // From the hundredth event on it answers nothing: the kill finds attempts that are out.
    let hangs = Arc::new(AtomicBool::new(true));
    let target = Target::start({
        let hangs = Arc::clone(&hangs);
        move |number, _| match number {
            BEFORE.. if hangs.load(Ordering::SeqCst) => Does::Hangs,
            _ => Does::Answers(200),
        }
    });
    let directory = Arc::new(TempDir::new().unwrap());
    std::fs::write(directory.path().join("config.toml"), settings(&target)).unwrap();
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    let posts = (0..8).map(|lane| post_until_killed(child.address, format!("t{lane}")));
    let posts = futures_util::future::join_all(posts);
    let kill = async {
        let is_stuck = async || target.seen().len() >= BEFORE + 4;
        wait_until("attempts are out", is_stuck).await;
        child.kill();
    };
    let (acked, ()) = futures_util::future::join(posts, kill).await;
    let acked: BTreeSet<_> = acked.into_iter().flatten().collect();
    let out = target.seen().len();
    hangs.store(false, Ordering::SeqCst);
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    child.settle().await;
    child.end_quietly().await;
    let seen = target.seen();
    let events = assert_in_order(&seen);
    let missing: Vec<_> = acked.difference(&events).collect();
    assert!(missing.is_empty(), "of {} ACKs: {missing:?}", acked.len());
    let again: HashSet<_> = seen[out..].iter().map(Delivery::id).collect();
    let unanswered = seen[BEFORE - 1..out].iter().map(Delivery::id);
    assert!(unanswered.into_iter().all(|id| again.contains(id)), "what had no answer came again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_handler_forwards_nothing_until_it_is_resumed() {
    let (app, other) = (Target::taking(), Target::taking());
    let route = "[[routes]]\nhandler = \"tracking\"\naction = \"on_track\"\n";
    let tracking = other.settings().replace("app", "tracking");
    let settings = format!("{}{tracking}{route}", settings(&app));
    // Paused while it is not running, so that no event slips out before it takes that up.
    let receiver = start(&settings).await;
    command(&receiver, &["pause", "app"]).await;
    let directory = receiver.stop().await;
    let receiver = TestReceiver::start_configured(directory, &settings, |builder| builder).await;
    for step in 0..20 {
        let (message, state) = (format!("m{step}"), format!("S{step}"));
        receiver.accept("/on_status", on_status("t", &message, &state)).await;
    }
    let tracked = on_status("tracked", "m", "A").replace("on_status", "on_track");
    receiver.accept("/on_track", tracked).await;
    // The other handler goes on, behind what waits.
    wait_until("the other has its event", async || receiver.unsettled().await == 20).await;
    assert_eq!((app.seen().len(), other.seen().len()), (0, 1));
    let handlers = command(&receiver, &["handlers"]).await;
    assert!(handlers.starts_with("app paused since 20"), "{handlers}");
    assert!(handlers.ends_with("tracking gets events\n"), "{handlers}");
    let resumed = command(&receiver, &["resume", "app"]).await;
    assert!(resumed.starts_with("app is resumed within "), "{resumed}");
    receiver.settle().await;
    assert_eq!(assert_in_order(&app.seen()).len(), 20);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_callback_comes_byte_for_byte() {
    let target = Target::taking();
    let settings = format!("{}content = \"callback\"\n", settings(&target));
    let receiver = start(&settings).await;
    let ours = on_status("t", "m", "आदेश").replace("\"message\":", " \"message\" :\r\n\t");
    let theirs = std::fs::read_to_string(sample("on_status_ondc_1_2_5.json")).unwrap();
    for body in [ours, theirs] {
        receiver.accept("/on_status", &body).await;
        receiver.settle().await;
        let delivery = target.seen().pop().unwrap();
        assert_eq!(delivery.body, body);
        assert_eq!(delivery.header("beckn-action"), "on_status");
        assert_eq!(delivery.header("beckn-event-id"), delivery.id());
        assert_signed(&delivery);
    }
    receiver.stop().await;
}

/// Returns what stands between backticks.
fn named(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_every_member_and_header_that_comes() {
    let (target, seller) = (Target::taking(), Seller::new("seller.example"));
    let keys = format!("signature.pinned_keys = [\"{}\"]\n", seller.pinned());
    let receiver = start(&(keys + &settings(&target))).await;
    // Of a repaired callback comes the body as well.
    let body = on_status("t", "m", "Accepted").replace("\"Accepted\"", "\"Accepted\",");
    assert!(seller.post(&receiver, "/on_status", &body).await.is_ack());
    receiver.settle().await;
    let document = include_str!("../../docs/your-handler.md");
    let (_, table) = document.split_once("The body is an envelope:\n").unwrap();
    let (table, after) = table.split_once("\n\n`content").unwrap();
    let cells = table.lines().filter_map(|line| line.split('|').nth(1));
    let members: BTreeSet<String> = cells.flat_map(named).collect();
    let delivery = target.seen().remove(0);
    let envelope = delivery.envelope();
    let sent: BTreeSet<_> = envelope.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, sent);
    let line = after.lines().find(|line| line.starts_with("The headers ")).unwrap();
    assert_eq!(named(line).collect::<BTreeSet<_>>(), delivery.names_with("beckn-"));
    assert_eq!(delivery.header("beckn-sender"), "seller.example");
    receiver.stop().await;
}

#[test]
fn mistakes_in_the_settings_are_told_and_secrets_are_not() {
    let directory = TempDir::new().unwrap();
    let check = |lines: &str, texts: &[&str]| {
        let handler = "[dispatch]\nhandler = \"app\"\n[handlers.app]\nkind = \"forward\"\n";
        std::fs::write(directory.path().join("config.toml"), format!("{handler}{lines}")).unwrap();
        let output = binary().current_dir(directory.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{lines}: {told}");
        for text in texts {
            assert!(told.contains(text), "expected {text} for {lines}, found {told}");
        }
        assert!(!told.contains("hush") && output.stdout.is_empty(), "{told}");
    };
    let way_out = ["secrets", "secrets_file", "allow_unsigned = true", "keygen --webhook"];
    check("url = \"http://app.example:8000/\"", &way_out);
    let signed = |url: &str| format!("url = \"{url}?token=hush\"\nsecrets = [\"{SECRET}\"]");
    check(&signed("http://169.254.169.254/latest/"), &["handlers.app", "169.254.169.254"]);
    check(&signed("http://[::ffff:169.254.169.254]/"), &["handlers.app", "not allowed"]);
    check("url = \"http://user:hush@app.example/\"", &["config.toml:5", "handlers.app.url"]);
    let local = "url = \"http://127.0.0.1:8000/\"\n";
    check(
        &format!("{local}secrets = [\"whsec_hush\"]"),
        &["config.toml:6", "handlers.app.secrets"],
    );
    let file = directory.path().join("webhook.secret");
    let by_file = format!("{local}secrets_file = \"webhook.secret\"");
    check(&by_file, &["handlers.app", "webhook.secret", "No such file"]);
    std::fs::write(&file, format!("{SECRET}\nwhsec_hush\n")).unwrap();
    check(&by_file, &["handlers.app", "webhook.secret", "line 2 is no secret"]);
    assert!(!directory.path().join("inbox").exists(), "nothing was opened");
}
