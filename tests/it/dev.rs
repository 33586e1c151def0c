//! `dev`: a receiver, a registry and a seller in one process.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Child, binary, on_status, post};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    binary().current_dir(directory).args(arguments).output().unwrap()
}

fn trigger(directory: &Path, arguments: &[&str]) -> Output {
    run(directory, &[&["trigger"], arguments].concat())
}

#[track_caller]
fn accepted(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{told}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_in_another_terminal_is_verified() {
    let place = Arc::new(TempDir::new().unwrap());
    let network = Child::start_dev(Arc::clone(&place), &[]).await;
    let printed = accepted(&trigger(place.path(), &["on_status", "--state", "Packed"]));
    assert!(printed.contains("signed mock-bpp.local|key-1"), "{printed}");
    accepted(&trigger(place.path(), &["on_track", "--dialect", "ondc-2.0"]));
    let unsigned = post(network.address, "/on_status", on_status("t", "m", "x").as_bytes()).await;
    assert_eq!(unsigned.status, 401, "{unsigned}");
    let (events, log) = network.end().await;
    let verified = events.iter().filter(|line| line.contains(" mock-bpp.local ")).count();
    assert_eq!(verified, 2, "{events:#?}");
    assert!(events.iter().all(|line| line.contains(" verified ")), "{events:#?}");
    assert!(log.contains("signature.missing"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_data_lies_in_a_directory_of_its_own_and_outlives_it() {
    let place = Arc::new(TempDir::new().unwrap());
    let first = Child::start_dev(Arc::clone(&place), &[]).await;
    accepted(&trigger(place.path(), &["on_status"]));
    let file = place.path().join("beckn-dev/seller.json");
    let seller: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(seller["key_id"], "mock-bpp.local|key-1");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (_, log) = first.end().await;
    assert!(!log.contains(seller["private_key"].as_str().unwrap()), "{log}");
    let second = Child::start_dev(Arc::clone(&place), &[]).await;
    let again: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(again["private_key"], seller["private_key"], "the key is kept");
    assert_eq!(again["receiver"], format!("http://{}", second.address));
    accepted(&trigger(place.path(), &["on_status"]));
    second.end_quietly().await;
    let entries: Vec<String> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(entries, ["beckn-dev"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_override_its_settings() {
    let place = Arc::new(TempDir::new().unwrap());
    let optional = [("BECKN_RECEIVER_SIGNATURE__MODE", "optional")];
    let network = Child::start_dev(Arc::clone(&place), &optional).await;
    accepted(&trigger(place.path(), &["on_status", "--unsigned"]));
    let (events, _) = network.end().await;
    assert!(events[0].contains(" unverified "), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_trigger_says_what_to_do() {
    let place = TempDir::new().unwrap();
    let output = trigger(place.path(), &["on_status"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("beckn-receiver dev") && told.contains("--key-file"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_json_leaves_the_sellers_file_all_the_same() {
    let place = TempDir::new().unwrap();
    let mut network = binary()
        .current_dir(place.path())
        .arg("dev")
        .env("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0")
        .env("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0")
        .env("BECKN_RECEIVER_INBOX__MIN_FREE_BYTES", "0")
        .env("BECKN_RECEIVER_LOG__FORMAT", "json")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(network.stderr.take().unwrap());
    let mut message = serde_json::Value::Null;
    while message != "ready" {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended with: {message}");
        let said: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        message = said["fields"]["message"].clone();
    }
    accepted(&trigger(place.path(), &["on_status"]));
    network.kill().unwrap();
    network.wait().unwrap();
}

#[test]
fn a_key_of_somebody_elses_is_not_replaced() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("beckn-dev");
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("seller.json");
    let theirs = r#"{"receiver": "http://127.0.0.1:1", "key_id": "seller.example|live",
        "private_key": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "bap_id": "b"}"#;
    std::fs::write(&file, theirs).unwrap();
    let output = run(place.path(), &["dev"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for says in ["seller.example|live", "beckn-dev/seller.json", "--dir"] {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert!(!told.contains("BwcH"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_sends_help_is_accepted() {
    let place = Arc::new(TempDir::new().unwrap());
    let network = Child::start_dev(Arc::clone(&place), &[]).await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::os::unix::fs::symlink(examples, place.path().join("examples")).unwrap();
    // As it stands there, but that a shell joins the lines.
    let help = accepted(&run(place.path(), &["send", "--help"])).replace("\\\n", "");
    let shown = help.lines().filter_map(|line| line.trim().strip_prefix("beckn-receiver "));
    let mut shown = shown.filter(|line| line.starts_with("send examples/"));
    let example: Vec<&str> = shown.next().expect("an example").split_whitespace().collect();
    assert_eq!(shown.next(), None, "{help}");
    let output = run(place.path(), &example);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is odd about it");
    assert!(accepted(&output).contains("\"ACK\""));
    // Without the ids it is refused, and both are named at once.
    let output = run(place.path(), &example[..2]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for says in ["--bpp-id mock-bpp.local", "--bap-id buyer.local"] {
        assert!(example.join(" ").contains(says) && told.contains(says), "{says}: {told}");
    }
    network.end_quietly().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_finds_no_inbox_is_shown_the_one_of_dev() {
    let place = Arc::new(TempDir::new().unwrap());
    let told = |arguments: &[&str]| {
        let output = run(place.path(), arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nothing = told(&["events"]);
    assert!(nothing.contains("no inbox in ./data") && !nothing.contains("beckn-dev"), "{nothing}");
    let network = Child::start_dev(Arc::clone(&place), &[]).await;
    accepted(&trigger(place.path(), &["on_status", "--transaction", "t-1"]));
    network.end_quietly().await;
    let id = "01a1fc45-88d8-7342-b705-6f176883f432";
    for command in [&["events"][..], &["refusals"], &["dead-letters"], &["show", id]] {
        let told = told(command);
        let (_, line) = told.split_once("here: ").unwrap_or_else(|| panic!("{told}"));
        assert_eq!(line, "beckn-receiver events --inbox beckn-dev/inbox\n");
    }
    let listed = run(place.path(), &["events", "--inbox", "beckn-dev/inbox"]);
    assert!(accepted(&listed).contains("transaction=t-1"));
}

#[test]
fn it_takes_no_settings_file() {
    let place = TempDir::new().unwrap();
    let output = run(place.path(), &["dev", "--config", "config.toml"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("variables override"), "{told}");
}

#[test]
fn a_signature_without_any_key_to_verify_it_with_is_not_judged() {
    let place = TempDir::new().unwrap();
    std::fs::write(place.path().join("body.json"), "{}").unwrap();
    let header = crate::harness::Seller::new("seller.example").authorization(b"{}");
    let output = run(place.path(), &["verify", "body.json", "--authorization", &header]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--public-key") && told.contains("registry.url"), "{told}");
    assert!(output.stdout.is_empty(), "nothing is said of the seller");
}
