//! The `jetstream` and `rabbitmq` handlers in the whole receiver, against real servers that die.

#[cfg(feature = "jetstream")]
mod jetstream;
mod load;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use self::load::Load;
use crate::commands::output;
use crate::harness::{Child, on_status, post, request, wait_until};

/// How many callbacks are at least ACKed, or handed over, between two events of a run.
const SOME: usize = 100;

/// A message as a consumer of the broker's gets it.
#[derive(Debug)]
struct Message {
    /// What a consumer recognises a repetition by.
    id: String,
    /// The event's place in the inbox, as `beckn-seq` says.
    seq: u64,
    transaction: String,
}

impl Message {
    /// Reads one whose body is an envelope.
    fn new(id: &str, seq: &str, envelope: &[u8]) -> Self {
        let envelope: serde_json::Value = serde_json::from_slice(envelope).unwrap();
        assert_eq!(envelope["delivery_id"], id);
        let transaction = envelope["transaction_id"].as_str().unwrap().to_owned();
        Self { id: id.to_owned(), seq: seq.parse().unwrap(), transaction }
    }
}

/// A broker, and a durable consumer at it.
trait Broker {
    /// Returns the settings of a handler, without its table's head.
    fn settings(&self) -> String;

    /// Takes what has come since the last time, in order.
    async fn arrived(&mut self) -> Vec<Message>;
}

/// A broker of the test's own.
trait Mortal: Broker {
    /// Ends it as a crash would.
    fn kill(&mut self);

    /// Starts it on what it left.
    async fn start(&mut self);
}

/// Writes settings that send everything to this handler, with waits that do not slow a test down.
fn write_settings(directory: &Path, handler: &str) {
    let settings = format!(
        "[dispatch]\nhandler = \"bus\"\nretry_initial_ms = 20\nretry_cap_ms = 500\n\
         retry_attempts = 1000\npoll_ms = 20\n[handlers.bus]\n{handler}"
    );
    std::fs::write(directory.join("config.toml"), settings).unwrap();
}

/// Returns how many events wait, of a receiver that has to be ready; after a start it counts them
/// first.
async fn unsettled(child: &Child) -> usize {
    let mut count = None;
    wait_until("unsettled events are counted", async || {
        let ready = request(child.operations, "GET /readyz HTTP/1.1\r\n", b"").await;
        assert_eq!(ready.status, 200, "{ready}");
        let mut said =
            ready.body.lines().filter_map(|line| line.strip_prefix("unsettled events: "));
        let said = said.next().expect("it says how many");
        count = (!said.ends_with("still counting")).then(|| said.parse().unwrap());
        count.is_some()
    })
    .await;
    count.unwrap()
}

/// Waits until the broker has taken some more.
async fn some_are_taken(child: &Child, load: &Load) {
    let taken = async || load.acked().saturating_sub(unsettled(child).await);
    let before = taken().await;
    wait_until("some are taken", async || taken().await >= before + SOME).await;
}

/// The broker is away when the receiver starts, then dies twice under load, and so does the
/// receiver; then each callback that was ACKed has come, and in order.
async fn nothing_that_was_acked_is_lost(broker: &mut impl Mortal) {
    let directory = Arc::new(TempDir::new().unwrap());
    write_settings(directory.path(), &broker.settings());
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    let load = Load::start(child.address);
    load.some_are_acked().await;
    assert!(unsettled(&child).await >= SOME, "nobody takes anything, and it is ready");
    broker.start().await;
    some_are_taken(&child, &load).await;
    for _ in 0..2 {
        broker.kill();
        load.some_are_acked().await;
        broker.start().await;
        some_are_taken(&child, &load).await;
    }
    child.kill();
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    load.go_on_at(child.address);
    load.some_are_acked().await;
    let acked = load.end().await;
    wait_until("all is settled", async || unsettled(&child).await == 0).await;
    let arrived = broker.arrived().await;
    let kept = output(directory.path(), &["events", "--limit", "10000000", "--json"]);
    check(&acked, &kept, &arrived);
    child.end_quietly().await;
}

/// Compares what was ACKed by transaction, in order of posting, with what the inbox lists and with
/// what has come.
fn check(acked: &BTreeMap<String, Vec<String>>, kept: &str, arrived: &[Message]) {
    let mut ids: BTreeMap<String, Vec<(i64, String, String)>> = BTreeMap::new();
    for line in kept.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        let row = (event["seq"].as_i64().unwrap(), text("message_id"), text("id"));
        ids.entry(text("transaction_id")).or_default().push(row);
    }
    for rows in ids.values_mut() {
        rows.sort_unstable();
    }
    let messages = |(transaction, rows): (&String, &Vec<(i64, String, String)>)| {
        (transaction.clone(), rows.iter().map(|(_, message, _)| message.clone()).collect())
    };
    let listed: BTreeMap<String, Vec<String>> = ids.iter().map(messages).collect();
    assert_eq!(&listed, acked, "each is in the inbox once, in order of posting");

    let mut seen = BTreeSet::new();
    let mut firsts: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for message in arrived.iter().filter(|message| seen.insert(&message.id)) {
        let before = last.insert(&message.transaction, message.seq);
        assert!(before.is_none_or(|before| before < message.seq), "{before:?} before {message:?}");
        firsts.entry(message.transaction.clone()).or_default().push(&message.id);
    }
    for (transaction, rows) in &ids {
        let expected: Vec<&String> = rows.iter().map(|(_, _, id)| id).collect();
        let come: Vec<&String> = firsts.remove(transaction).unwrap_or_default();
        assert_eq!(come, expected, "{transaction}: each has come, by its id and in order");
    }
    assert!(firsts.is_empty(), "nobody posted {firsts:?}");
    let events: usize = ids.values().map(Vec::len).sum();
    println!("{events} ACKed, {} arrived, of them {} again", arrived.len(), arrived.len() - events);
}

/// An event that is done is replayed: it comes to a consumer that drops ids it has seen.
async fn a_replay_has_an_id_of_its_own(broker: &mut impl Broker) {
    let directory = Arc::new(TempDir::new().unwrap());
    write_settings(directory.path(), &broker.settings());
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    let body = on_status("t", "m", "Accepted");
    assert!(post(child.address, "/on_status", body.as_bytes()).await.is_ack());
    let mut seen: Vec<String> = Vec::new();
    let mut new = async || {
        let ids = broker.arrived().await.into_iter().map(|message| message.id);
        let new: Vec<String> = ids.filter(|id| !seen.contains(id)).collect();
        seen.extend(new.iter().cloned());
        new
    };
    wait_until("it is done", async || unsettled(&child).await == 0).await;
    let [id] = &new().await[..] else { panic!("expected one event") };
    output(directory.path(), &["replay", id]);
    wait_until("the replay comes", async || new().await == [format!("{id}-r1")]).await;
    child.end_quietly().await;
}

/// Says what a receiver logs, at its most talkative, of a handler with a password that is wrong.
async fn log_with_a_wrong_password(directory: Arc<TempDir>, said: &str) -> String {
    let variables = [("BECKN_RECEIVER_LOG__LEVEL", "trace,async_nats=trace,amqprs=trace")];
    let child = Child::start_in(Arc::clone(&directory), &[], &variables).await;
    let body = on_status("t", "m", "Accepted");
    assert!(post(child.address, "/on_status", body.as_bytes()).await.is_ack());
    let mut listed = String::new();
    wait_until("an attempt has failed", async || {
        listed = output(directory.path(), &["events", "--json"]);
        listed.contains(said)
    })
    .await;
    let (_, log) = child.end().await;
    assert!(log.contains(said), "it is told: {log}");
    log + &listed
}

/// A password is read from its file; a wrong one is told of, and shown nowhere.
async fn a_password_comes_from_a_file(broker: &mut impl Broker, right: &str, said: &str) {
    const WRONG: &str = "hush-wrong-hush";
    let directory = Arc::new(TempDir::new().unwrap());
    let file = directory.path().join("password");
    let handler = format!("password_file = \"{}\"\n{}", file.display(), broker.settings());
    write_settings(directory.path(), &handler);
    std::fs::write(&file, format!("{WRONG}\n")).unwrap();
    let log = log_with_a_wrong_password(Arc::clone(&directory), said).await;
    assert!(!log.contains(WRONG), "{log}");
    std::fs::write(&file, format!("{right}\n")).unwrap();
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    wait_until("it is taken", async || unsettled(&child).await == 0).await;
    assert_eq!(broker.arrived().await.len(), 1);
    let (_, log) = child.end().await;
    assert!(!log.contains(right), "{log}");
}

/// While the broker is away the log says so once, however often it is tried, and in the end that
/// events are taken again.
async fn an_outage_is_told_once(broker: &mut impl Mortal) {
    let directory = Arc::new(TempDir::new().unwrap());
    write_settings(directory.path(), &broker.settings());
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    let load = Load::start(child.address);
    load.some_are_acked().await;
    load.end().await;
    // Five failures make it known as down, then it is probed after 1, 2 and 4 s.
    wait_until("it is down and was probed three times", async || {
        let listed = output(directory.path(), &["events", "--json", "--limit", "10000"]);
        let attempts = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["attempts"].as_u64().unwrap()
        };
        listed.lines().map(attempts).sum::<u64>() >= 8
    })
    .await;
    broker.start().await;
    wait_until("all is settled", async || unsettled(&child).await == 0).await;
    let (_, log) = child.end().await;
    let count = |said: &str| log.lines().filter(|line| line.contains(said)).count();
    let told = (count("seems to be down"), count("takes events again"));
    assert_eq!(told, (1, 1), "{log}");
    assert_eq!((count("async_nats"), count("amqprs")), (0, 0), "{log}");
    // One a probe, besides those that were out when it was taken for down.
    let lines = log.lines().count();
    assert!(lines < 50, "{log}");
    println!("{lines} lines of log");
}
