//! The command line, as a person or a script uses it.

use std::path::Path;
use std::process::Output;

use crate::harness::{Recorder, Seller, TestReceiver, binary, on_status, post_signed, sample};

/// Runs the binary on the inbox below a test's directory.
fn run(directory: &Path, arguments: &[&str]) -> Output {
    binary()
        .current_dir(directory)
        .env("BECKN_RECEIVER_INBOX__PATH", directory.join("inbox"))
        // Where no receiver of somebody else's is.
        .env("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:1")
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Runs a command that has to succeed, and returns what it printed.
#[track_caller]
pub(crate) fn output(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_and_shown_beside_a_running_receiver() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("", recorder.clone()).await;
    receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    receiver.accept("/on_status", on_status("t2", "m1", "Packed")).await;
    let events = recorder.wait_for(2).await;
    receiver.settle().await;
    let inbox = receiver.inbox();
    let listed = output(&inbox, &["events"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.lines().next().unwrap().contains("O-t2"), "newest first: {listed}");
    let narrowed = output(&inbox, &["events", "--transaction", "t1"]);
    assert!(narrowed.contains("O-t1") && !narrowed.contains("O-t2"), "{narrowed}");
    // Two transactions come in any order.
    let first = events.iter().find(|event| event.order_id() == Some("O-t1")).unwrap();
    let id = first.id.to_string();
    let shown = output(&inbox, &["show", &id]);
    assert!(shown.contains("O-t1") && shown.contains("done"), "{shown}");
    assert!(!shown.contains("\"order\""), "the body only when asked for: {shown}");
    let body = output(&inbox, &["show", &id, "--body"]);
    assert_eq!(body, on_status("t1", "m1", "Accepted"));
    let json = output(&inbox, &["events", "--json"]);
    for line in json.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["action"], "on_status");
    }
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_listed_with_what_the_seller_was_told() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    receiver.post("/on_status", on_status("t", "m", "A").replace("on_status", "on_track")).await;
    receiver.post("/on_status", "no JSON").await;
    let directory = receiver.stop().await;
    let long = output(directory.path(), &["refusals", "--cause", "json.syntax", "--long"]);
    assert!(long.contains("The body is not one JSON object in UTF-8."), "{long}");
    let listed = output(directory.path(), &["refusals"]);
    assert!(listed.contains("context.action") && listed.contains("seller.example"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_narrowed_by_seller_and_cause() {
    let seller = Seller::new("seller.example");
    let settings = format!("signature.pinned_keys = [\"{}\"]", seller.pinned());
    let receiver = TestReceiver::start(&settings, Recorder::new()).await;
    // The same seller three times: verified, only claimed, and by a signature that is none.
    let wrong = on_status("t", "m", "A").replace("on_status", "on_track");
    seller.post(&receiver, "/on_status", &wrong).await;
    receiver.post("/on_status", &wrong).await;
    post_signed(receiver.address, "/on_status", &seller.authorization(b"another"), &wrong).await;
    let other = wrong.replace("seller.example", "another.example");
    receiver.post("/on_status", other).await;
    let directory = receiver.stop().await;
    let check = |options: &[&str], expected: &[(&str, bool)]| {
        let line = [&["refusals", "--json"], options].concat();
        let listed = output(directory.path(), &line);
        let rows = listed.lines().map(|row| serde_json::from_str(row).unwrap());
        let found: Vec<(String, bool)> = rows
            .map(|row: serde_json::Value| {
                (row["cause"].as_str().unwrap().to_owned(), row["verified"].as_bool().unwrap())
            })
            .collect();
        let found: Vec<_> = found.iter().map(|(cause, is)| (&**cause, *is)).collect();
        assert_eq!(found, expected, "{options:?}: {listed}");
    };
    let (action, signature) = ("context.action", "signature.does_not_match");
    let all = [(action, false), (signature, false), (action, false), (action, true)];
    check(&[], &all);
    check(&["--seller", "seller.example"], &all[1..]);
    check(&["--seller", "seller.example", "--limit", "1"], &all[1..2]);
    check(&["--seller", "seller"], &[]);
    check(&["--cause", signature], &all[1..2]);
    check(&["--cause", "signature"], &all[1..2]);
    check(&["--cause", "context", "--seller", "another.example"], &all[..1]);
    // What is no whole word of a cause is none, nor is a pattern.
    for part in ["sign", "signature.", "signature.does", "%", "_______.action"] {
        check(&["--cause", part], &[]);
    }
}

#[test]
fn check_says_what_would_be_answered() {
    let directory = tempfile::tempdir().unwrap();
    let good = sample("on_status_ondc_1_2_5.json");
    let good = good.to_str().unwrap();
    let accepted = output(directory.path(), &["check", good]);
    assert!(accepted.contains("ACK to /on_status"), "{accepted}");
    let wrong = run(directory.path(), &["check", "--route", "on_track", good]);
    assert_eq!(wrong.status.code(), Some(1));
    let text = String::from_utf8(wrong.stdout).unwrap();
    assert!(text.contains("NACK") && text.contains("/context/action"), "{text}");
    let json = output(directory.path(), &["check", "--json", good]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["answer"], "ACK");
}

#[test]
fn mistakes_are_told_on_standard_error_with_a_code() {
    let directory = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], code: i32, text: &str| {
        let output = run(directory.path(), arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(text), "{arguments:?}: {told}");
    };
    check(&["surve"], 2, "serve");
    check(&["check", "nothing.json"], 1, "nothing.json");
    check(&["--config", "nothing.toml", "events"], 2, "nothing.toml");
    check(&["events"], 1, "no inbox");
    check(&["show", "not-an-id"], 2, "not-an-id");
    std::fs::write(directory.path().join("bad.toml"), "[http]\nlisten = 1\nlisten_ = 2\n").unwrap();
    check(&["--config", "bad.toml", "events"], 2, "bad.toml:2");
    check(&["--config", "bad.toml", "events"], 2, "bad.toml:3");
    check(&["health"], 1, "operations.listen");
}

#[test]
fn help_teaches_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let help = output(directory.path(), &["--help"]);
    for command in
        ["serve", "check", "events", "show", "dead-letters", "refusals", "replay", "health"]
    {
        assert!(help.contains(command), "{help}");
        assert!(!output(directory.path(), &[command, "--help"]).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_json_logs_every_line_on_standard_error_is_json() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = binary()
        .current_dir(directory.path())
        .env("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0")
        .env("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0")
        .env("BECKN_RECEIVER_LOG__FORMAT", "json")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut told = Vec::new();
    while told.last().is_none_or(|told| told != "ready") {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut log, &mut line).unwrap();
        let line: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        told.push(line["fields"]["message"].clone());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
