//! A process that is killed loses nothing that it ACKed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{ACK, Child, on_status, post, wait_until};

/// How often the process is killed, and how many ACKs each life gives at least. The long form is
/// 20 and 5,000: `BECKN_RECEIVER_TEST_KILLS=20 BECKN_RECEIVER_TEST_ACKS=5000`.
fn asked(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Posts callbacks of transactions of its own over one connection until it breaks, and notes
/// which were ACKed.
async fn post_until_it_breaks(
    child: std::net::SocketAddr,
    next: Arc<AtomicUsize>,
    acked: Arc<Mutex<Vec<usize>>>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(child).await?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 1024];
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        let head = format!(
            "POST /on_status HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut length = 0;
        while !answer[..length].ends_with(ACK.as_bytes()) {
            let read = stream.read(&mut answer[length..]).await?;
            if read == 0 {
                return Ok(());
            }
            length += read;
        }
        acked.lock().unwrap().push(number);
    }
    Ok(())
}

fn orders(lines: &[String]) -> impl Iterator<Item = usize> {
    lines.iter().filter_map(|line| line.split(" order=O-t").nth(1)?.split(' ').next()?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acked_event_survives_kills_under_load_and_is_delivered() {
    let kills = asked("BECKN_RECEIVER_TEST_KILLS", 3);
    let acks = asked("BECKN_RECEIVER_TEST_ACKS", 1_000);
    let directory = Arc::new(TempDir::new().unwrap());
    let (next, acked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut printed: Vec<String> = Vec::new();
    for life in 1..=kills {
        let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let before = acked.lock().unwrap().len();
        let posts: Vec<_> = (0..16)
            .map(|_| {
                let (next, acked) = (Arc::clone(&next), Arc::clone(&acked));
                tokio::spawn(post_until_it_breaks(child.address, next, acked, Arc::clone(&stop)))
            })
            .collect();
        wait_until("enough was ACKed", async || acked.lock().unwrap().len() >= before + acks).await;
        printed.extend(child.kill());
        stop.store(true, Ordering::Relaxed);
        for post in posts {
            // The connection broke: that is what a kill does.
            let _ = post.await.unwrap();
        }
        println!("kill {life}: {} ACKs so far", acked.lock().unwrap().len());
    }
    let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
    let acked: HashSet<usize> = acked.lock().unwrap().iter().copied().collect();
    // A retry across the crash is a duplicate: it is ACKed and does not come again.
    for number in acked.iter().take(200) {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        assert_eq!(post(child.address, "/on_status", body.as_bytes()).await.body, ACK);
    }
    child.settle().await;
    let listed =
        crate::commands::output(child.directory(), &["events", "--limit", "10000000", "--json"]);
    printed.extend(child.end().await.0);
    let mut kept: BTreeMap<usize, usize> = BTreeMap::new();
    for line in listed.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = event["transaction_id"].as_str().unwrap()[1..].parse().unwrap();
        *kept.entry(number).or_default() += 1;
    }
    let delivered: HashSet<usize> = orders(&printed).collect();
    let lost = acked.iter().filter(|number| !kept.contains_key(number)).count();
    let undelivered = acked.iter().filter(|number| !delivered.contains(number)).count();
    let twice = kept.values().filter(|count| **count > 1).count();
    println!("{kills} kills, {} ACKs: {lost} lost, {undelivered} not delivered", acked.len());
    assert_eq!((lost, undelivered, twice), (0, 0, 0), "of {} ACKs", acked.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_synced_between_its_write_and_its_ack() {
    let child = Child::start(&[]).await;
    let trace = child.directory().join("trace");
    let id = child.id().to_string();
    let calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto";
    let mut strace = std::process::Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-p", &id, "-e", calls, "-o"])
        .arg(&trace)
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(strace) = &mut strace else {
        println!("skipped: strace is not there");
        return child.end_quietly().await;
    };
    let attached = async || {
        let traced = is_traced(child.id());
        traced || strace.try_wait().expect("strace can be waited for").is_some()
    };
    wait_until("strace has attached", attached).await;
    if !is_traced(child.id()) {
        println!("skipped: strace may not trace here");
        return child.end_quietly().await;
    }
    let marks = ["first", "second", "third"];
    for mark in marks {
        let body = on_status(mark, "m", "Accepted");
        assert_eq!(post(child.address, "/on_status", body.as_bytes()).await.body, ACK);
    }
    let is_ack = |line: &str| line.contains("HTTP/1.1 200");
    let mut traced = String::new();
    wait_until("strace has written what it saw", async || {
        traced = std::fs::read_to_string(&trace).unwrap();
        position(&traced, is_ack).len() == marks.len()
    })
    .await;
    child.kill();
    strace.wait().unwrap();
    let mut after = 0;
    for ack in position(&traced, is_ack) {
        let lines: Vec<&str> = traced.lines().skip(after).take(ack - after).collect();
        let write =
            lines.iter().position(|line| line.contains("pwrite64") && line.contains("-wal"));
        let sync = lines.iter().rposition(|line| is_sync(line));
        let (write, sync) = (write.expect("a write of the log"), sync.expect("a sync of the log"));
        assert!(write < sync, "{lines:#?}");
        after = ack;
    }
}

/// Whether every thread of the process is traced.
fn is_traced(process: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    tasks.map_while(Result::ok).all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}

fn position(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    text.lines().enumerate().filter(|(_, line)| wanted(line)).map(|(number, _)| number).collect()
}

/// A sync of the log that has returned: traced in one line, or in two with others between.
fn is_sync(line: &str) -> bool {
    let whole = line.contains("sync(") && line.contains("-wal") && line.ends_with("= 0");
    whole || (line.contains("sync resumed>") && line.ends_with("= 0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_signal_drains_and_ends_with_zero() {
    let child = Child::start(&[]).await;
    for number in 0..20 {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        assert_eq!(post(child.address, "/on_status", body.as_bytes()).await.body, ACK);
    }
    let (printed, log) = tokio::time::timeout(Duration::from_secs(30), child.end()).await.unwrap();
    assert!(log.contains("stopped"), "{log}");
    // What was not printed before the stop would be pending: the next start's affair.
    assert!(orders(&printed).count() <= 20);
}
