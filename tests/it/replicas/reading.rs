//! What is read of a shared inbox, whoever is asked and whoever wrote it.

use std::net::SocketAddr;
use std::process::Output;

use serde_json::Value;
use tokio::task::JoinSet;

use super::app::App;
use super::{LEASE, Receivers, random_place};
use crate::harness::{ACK, Child, binary, on_status, post, request, wait_until};
use crate::stream::Reader;

const EVENTS: usize = 10_000;

/// Posts events of transactions of their own to whichever receiver.
async fn fill(addresses: Vec<SocketAddr>) {
    let mut writers = JoinSet::new();
    for writer in 0..24 {
        let addresses = addresses.clone();
        writers.spawn(async move {
            for number in (writer..EVENTS).step_by(24) {
                let body = on_status(&format!("t{number}"), "m", "Accepted");
                let at = addresses[random_place(addresses.len())];
                assert_eq!(post(at, "/on_status", body.as_bytes()).await.body, ACK);
            }
        });
    }
    writers.join_all().await;
}

/// Reads the stream of one receiver after the other, cut off at any place.
async fn stream(operations: &[SocketAddr]) -> Vec<u64> {
    let (mut seen, mut opened, mut left) = (Vec::new(), 0, 0);
    let mut reader: Option<Reader> = None;
    while seen.len() < EVENTS {
        if left == 0 || reader.is_none() {
            left = if opened < 50 { 1 + random_place(300) } else { usize::MAX };
            let resumed =
                seen.last().map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
            let at = operations[opened % operations.len()];
            reader = Some(Reader::open(at, "/v1/stream?after=0", &resumed).await);
            opened += 1;
        }
        let Some(event) = reader.as_mut().unwrap().next().await else {
            reader = None;
            continue;
        };
        seen.push(event.id.unwrap());
        left -= 1;
    }
    seen
}

async fn get(operations: SocketAddr, path: &str) -> Value {
    let answer = request(operations, &format!("GET {path} HTTP/1.1\r\n"), b"").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// Reads pages by their cursor, each of another receiver.
async fn pages(operations: &[SocketAddr]) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    let mut asked = 0;
    while seen.len() < EVENTS {
        let at = operations[asked % operations.len()];
        asked += 1;
        let after = seen.last().map_or(String::new(), |last| format!("&after={last}"));
        let page = get(at, &format!("/v1/events?order=oldest&limit=173{after}")).await;
        let events = page["events"].as_array().unwrap();
        seen.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
        if events.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_miss_nothing_and_see_nothing_twice_while_three_write() {
    let app = App::start(|_| std::time::Duration::ZERO).await;
    let Some(receivers) = Receivers::start(3, &app.settings(), LEASE * 15).await else { return };
    let operations: Vec<_> = receivers.running.iter().map(|child| child.operations).collect();
    let addresses = receivers.addresses.lock().unwrap().clone();
    let ((), streamed, paged) =
        tokio::join!(fill(addresses), stream(&operations), pages(&operations));
    let rows = receivers.database().await.query("SELECT seq FROM event ORDER BY seq", &[]).await;
    let there: Vec<u64> =
        rows.unwrap().iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect();
    assert_eq!(there.len(), EVENTS);
    assert!(streamed == there, "the stream is not the log");
    assert!(paged == there, "the pages are not the log");
    receivers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_one_receiver_is_woken_by_a_callback_at_another() {
    let app = App::start(|_| std::time::Duration::ZERO).await;
    let Some(receivers) = Receivers::start(2, &app.settings(), LEASE).await else { return };
    let [one, other] = [&receivers.running[0], &receivers.running[1]];
    let waiting = get(one.operations, "/v1/wait?message_id=m1&timeout=20");
    let posting = async {
        wait_until("somebody waits", async || {
            let metrics = request(one.operations, "GET /metrics HTTP/1.1\r\n", b"").await;
            metrics.body.lines().any(|line| line.starts_with("beckn_receiver_waiters 1"))
        })
        .await;
        let body = on_status("t", "m1", "Accepted");
        assert_eq!(post(other.address, "/on_status", body.as_bytes()).await.body, ACK);
    };
    let (came, ()) = tokio::join!(waiting, posting);
    assert_eq!(came["event"]["message_id"], "m1", "{came}");
    receivers.end().await;
}

/// Runs a command with the settings of a receiver.
async fn command(receivers: &Receivers, beside: &Child, arguments: &[&str]) -> Output {
    let mut command = binary();
    command
        .current_dir(beside.directory())
        .envs(receivers.variables())
        .env("BECKN_RECEIVER_OPERATIONS__LISTEN", beside.operations.to_string())
        .env("BECKN_RECEIVER_INBOX__PATH", beside.directory().join("inbox"))
        .args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_look_into_the_database_and_what_they_ask_for_is_done() {
    let app = App::start(|_| std::time::Duration::ZERO).await;
    let Some(receivers) = Receivers::start(2, &app.settings(), LEASE).await else { return };
    let beside = &receivers.running[0];
    let run = async |arguments: &[&str]| {
        let output = command(&receivers, beside, arguments).await;
        let [said, told] = [output.stdout, output.stderr].map(String::from_utf8);
        (output.status.code(), said.unwrap(), told.unwrap())
    };
    let ok = async |arguments: &[&str]| {
        let (code, said, told) = run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {said}{told}");
        said
    };
    ok(&["pause", "app"]).await;
    for number in 0..3 {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        assert_eq!(post(beside.address, "/on_status", body.as_bytes()).await.body, ACK);
    }
    assert_eq!(ok(&["events", "--progress", "pending", "--json"]).await.lines().count(), 3);
    assert!(ok(&["handlers"]).await.contains("paused"));
    assert_eq!(app.attempts().len(), 0);
    ok(&["resume", "app"]).await;
    let done = async |count| {
        wait_until("they are done", async || {
            ok(&["events", "--progress", "done", "--json"]).await.lines().count() == count
        })
        .await;
    };
    done(3).await;
    ok(&["replay", "--transaction", "t1"]).await;
    wait_until("it was handed over again", async || app.attempts().len() == 4).await;
    ok(&["erase", "--transaction", "t2"]).await;
    wait_until("it is erased", async || {
        ok(&["events", "--transaction", "t2", "--json"]).await.is_empty()
    })
    .await;
    let audit = ok(&["audit"]).await;
    for what in ["pause", "resume", "replay", "erase"] {
        assert!(audit.contains(what), "{audit}");
    }
    let (_, checked, _) = run(&["doctor"]).await;
    let database = checked.lines().find(|line| line.contains(" database "));
    let database = database.unwrap_or_else(|| panic!("{checked}"));
    assert!(database.starts_with("ok") && database.contains("round trip"), "{checked}");
    assert!(checked.contains("0 pending, 3 done"), "{checked}");
    let (code, _, refused) = run(&["backup", "copy"]).await;
    assert_eq!(code, Some(2));
    assert!(refused.contains("pg_dump"), "{refused}");
    receivers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_named_without_what_it_is_entered_by() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = [
        ("postgres://me:hidden@127.0.0.1:1/inbox", "127.0.0.1"),
        ("postgres://me:hid den@127.0.0.1:x/inbox", "%-codes"),
        ("postgres://me:h@hid/d%en@127.0.0.1/inbox", "%-codes"),
        ("postgres://me:hidden@127.0.0.1/inbox?sslmode=verify-full", "prefer or require"),
    ];
    for (url, expected) in wrong {
        for command in ["serve", "doctor", "events"] {
            let output = binary()
                .current_dir(directory.path())
                .env("BECKN_RECEIVER_INBOX__ENGINE", "postgres")
                .env("BECKN_RECEIVER_POSTGRES__URL", url)
                .arg(command)
                .output()
                .unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_ne!(output.status.code(), Some(0), "{said}");
            assert!(said.contains(expected) && !said.contains("hid"), "{command}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_database_leaves_no_gap_in_the_log() {
    let app = App::start(|_| std::time::Duration::ZERO).await;
    let Some(mut receivers) = Receivers::start(1, &app.settings(), LEASE).await else { return };
    let one = receivers.running[0].address;
    let (operations, directory) =
        (receivers.running[0].operations, receivers.running[0].directory().to_owned());
    let body = |number: u32| on_status(&format!("t{number}"), "m", "Accepted");
    assert_eq!(post(one, "/on_status", body(1).as_bytes()).await.body, ACK);
    receivers.cluster.kill();
    wait_until("it says so without a callback", async || {
        request(operations, "GET /readyz HTTP/1.1\r\n", b"").await.status == 503
    })
    .await;
    receivers.cluster.restart();
    wait_until("it is ready again", async || {
        request(operations, "GET /readyz HTTP/1.1\r\n", b"").await.status == 200
    })
    .await;
    assert_eq!(post(one, "/on_status", body(2).as_bytes()).await.body, ACK);
    let mut stream = Reader::open(operations, "/v1/stream?after=1", "").await;
    let next = stream.next().await.unwrap();
    assert_eq!((next.kind.as_str(), next.id), ("callback", Some(2)), "nothing is missing");
    drop(stream);
    // The command looks into the database and not at the receiver.
    let mut tail = binary();
    tail.current_dir(&directory)
        .envs(receivers.variables())
        .args(["tail", "--from", "0", "--json"])
        .stdout(std::process::Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let stdout = tail.stdout.take().unwrap();
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        line
    });
    let first: Value = serde_json::from_str(&first.await.unwrap()).unwrap();
    assert_eq!(first["seq"], 1);
    let stopped =
        std::process::Command::new("kill").args(["-INT", &tail.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    assert!(tail.wait().unwrap().success());
    receivers.end().await;
}
