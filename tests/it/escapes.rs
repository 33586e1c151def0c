//! Text of a seller never does anything to a terminal or to a line of the log.

use std::io::{BufRead as _, BufReader};

use crate::harness::{Child, binary, post, request, wait_until};

/// What clears a screen, renames a window, rings, goes back, turns letters round, and begins a line
/// of its own.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;title\u{7}\r\u{8}\u{9b}31m\u{85}\u{202e}\u{200f}\u{2066}\u{feff}\nforged line";

/// The characters of it that reach no output, but for the line ends of the output's own lines.
const NEVER: &[char] = &[
    '\u{1b}', '\u{7}', '\r', '\u{8}', '\u{9b}', '\u{85}', '\u{202e}', '\u{200f}', '\u{2066}',
    '\u{feff}',
];

#[track_caller]
fn assert_plain(what: &str, output: &str) {
    if let Some(found) = output.find(NEVER) {
        let shown: String = output[found..].chars().take(80).collect();
        panic!("{what}: {shown:?}");
    }
    assert!(!output.lines().any(|line| line.starts_with("forged line")), "{what}: {output:?}");
}

/// Returns a callback with hostile text wherever a text may be.
fn hostile(action: &str) -> String {
    let text = serde_json::Value::from(HOSTILE);
    format!(
        r#"{{"context":{{"action":"{action}","domain":{text},"country":{text},"city":{text},"core_version":"1.2.0","bap_id":{text},"bap_uri":{text},"bpp_id":{text},"bpp_uri":{text},"transaction_id":{text},"message_id":{text},"timestamp":{text},"ttl":{text}}},"message":{{"order":{{"id":{text},"state":{text},"provider":{{"id":{text},"locations":[{{"gps":{text}}}]}},"items":[{{"id":{text},"quantity":{{"count":{text}}}}}],"billing":{{"name":{text},"phone":{text},"created_at":{text}}},"fulfillments":[{{"id":{text},"type":{text},"state":{{"descriptor":{{"code":{text}}}}},"tracking":[{text}]}}],"quote":{{"price":{{"value":{text}}},"ttl":{text}}},"payment":{{"@ondc/org/settlement_basis":{text},"type":{text}}},{text}:{text}}}}}}}"#
    )
}

/// Runs a command on the inbox of a child, and returns all that it wrote.
fn output(child: &Child, arguments: &[&str]) -> String {
    let output = binary()
        .current_dir(child.directory())
        .env("BECKN_RECEIVER_OPERATIONS__LISTEN", child.operations.to_string())
        .args(arguments)
        .args(["--inbox", child.directory().join("inbox").to_str().unwrap()])
        .output()
        .unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let all = format!("{}{}", String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    assert!(output.status.success(), "{arguments:?}: {all:?}");
    all
}

async fn post_all(child: &Child) {
    for action in ["on_status", "on_update", "on_cancel"] {
        let answer = post(child.address, &format!("/{action}"), hostile(action).as_bytes()).await;
        assert!(answer.is_ack(), "{answer}");
    }
    // Refused for their content, their path, and their signature.
    let mut refused = vec![
        post(child.address, "/on_status", hostile("on_track").as_bytes()).await,
        post(child.address, "/on_status", HOSTILE.as_bytes()).await,
        post(child.address, "/on_%1b%5b2Jstatus%c2%9b", b"{}").await,
    ];
    for value in
        ["\u{9b}31m\u{202e}", "Signature keyId=\"a\u{9b}|\u{202e}|ed25519\",algorithm=\"\u{85}\""]
    {
        let head = format!("POST /on_status HTTP/1.1\r\nauthorization: {value}\r\n");
        refused.push(request(child.address, &head, hostile("on_status").as_bytes()).await);
    }
    for answer in refused {
        assert!(!answer.is_ack(), "{answer}");
        assert!(!answer.head.contains(NEVER_BUT_LINE_ENDS), "{:?}", answer.head);
    }
}

/// A head has line ends of its own.
const NEVER_BUT_LINE_ENDS: &[char] = &['\u{1b}', '\u{7}', '\u{8}', '\u{9b}', '\u{85}', '\u{202e}'];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_reaches_no_json_log_raw() {
    let child = Child::start(&[
        ("BECKN_RECEIVER_LOG__LEVEL", "debug"),
        ("BECKN_RECEIVER_LOG__FORMAT", "json"),
    ])
    .await;
    post_all(&child).await;
    child.settle().await;
    let (_, log) = child.end().await;
    assert!(log.lines().count() > 3, "{log}");
    assert_plain("the log", &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_reaches_no_terminal_and_no_log_raw() {
    let child = Child::start(&[("BECKN_RECEIVER_LOG__LEVEL", "debug")]).await;
    post_all(&child).await;
    child.settle().await;
    // They are kept beside the answers, a little later.
    wait_until("every refusal is kept", async || {
        output(&child, &["refusals", "--json"]).lines().count() == 5
    })
    .await;
    let listed = output(&child, &["events", "--json"]);
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(first["order_id"], HOSTILE, "it is kept as it came");
    let id = first["id"].as_str().unwrap();
    let commands: &[&[&str]] = &[
        &["events"],
        &["events", "--json"],
        &["events", "--seller", HOSTILE],
        &["show", id],
        &["show", id, "--json"],
        &["timeline", HOSTILE],
        &["timeline", HOSTILE, "--json"],
        &["order", HOSTILE],
        &["order", HOSTILE, "--json"],
        &["refusals", "--long"],
        &["refusals", "--json", "--bodies"],
        &["refusals", "1"],
        &["dead-letters"],
        &["handlers"],
        &["replay", "--order", HOSTILE, "--dry-run"],
        &["replay", "--order", HOSTILE],
        &["sellers"],
        &["sellers", "--json"],
        &["expectations"],
        &["audit"],
        &["audit", "--json"],
    ];
    for command in commands {
        assert_plain(&format!("{command:?}"), &output(&child, command));
    }
    child.settle().await;
    let (printed, log) = child.end().await;
    assert!(printed.len() >= 3, "{printed:?}");
    assert_plain("print", &printed.join("\n"));
    assert_plain("the log", &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_what_comes_plainly_and_ends_at_ctrl_c_with_0() {
    let child = Child::start(&[]).await;
    post_all(&child).await;
    let mut tail = binary()
        .current_dir(child.directory())
        .args(["tail", "--from", "1", "--inbox"])
        .arg(child.directory().join("inbox"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    for action in ["on_status", "on_update", "on_cancel"] {
        let line = lines.next().unwrap();
        assert!(line.contains(action), "in the order of the log: {line}");
        assert_plain("tail", &line);
    }
    // What comes later is shown, too.
    let later = hostile("on_rating");
    assert!(post(child.address, "/on_rating", later.as_bytes()).await.is_ack());
    assert!(lines.next().unwrap().contains("on_rating"));
    let id = tail.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    child.settle().await;
    child.end_quietly().await;
}
