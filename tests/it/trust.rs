//! Who is let in, over a socket: what an unsigned, a signed and a badly signed callback is answered.

use std::process::Stdio;

use tempfile::TempDir;

use crate::harness::{
    Child, PATIENCE, Recorder, Seller, TestReceiver, binary, on_status, post_signed,
};

/// Settings under which only these sellers' callbacks are taken.
fn required(sellers: &[&Seller]) -> String {
    let pinned: Vec<String> =
        sellers.iter().map(|seller| format!("\"{}\"", seller.pinned())).collect();
    format!(
        "subscriber_ids = [\"buyer.example\", \"second.example\"]\n\
         signature.mode = \"required\"\nsignature.pinned_keys = [{}]",
        pinned.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_callback_is_acked_and_its_sender_is_verified() {
    let (seller, recorder) = (Seller::new("seller.example"), Recorder::new());
    let receiver = TestReceiver::start(&required(&[&seller]), recorder.clone()).await;
    let answer = seller.post(&receiver, "/on_status", &on_status("t", "m", "Accepted")).await;
    assert!(answer.is_ack(), "{answer}");
    let events = recorder.wait_for(1).await;
    let sender = events[0].sender.as_ref().expect("a verified sender");
    assert_eq!(sender.subscriber().as_str(), "seller.example");
    assert_eq!(events[0].seller(), "seller.example");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_signature_is_answered_401_with_the_challenge() {
    let seller = Seller::new("seller.example");
    let receiver = TestReceiver::start(&required(&[&seller]), Recorder::new()).await;
    let answer = receiver.post("/on_status", on_status("t", "m", "Accepted")).await;
    assert_eq!(answer.status, 401, "{answer}");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Signature realm="buyer.example",headers="(created) (expires) digest""#)
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!((answer.error("type"), answer.error("code")), ("CORE-ERROR".into(), "20001".into()));
    assert!(answer.error("message").contains("found none"), "{answer}");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_takes_what_is_unsigned_and_refuses_what_is_signed_wrong() {
    let (seller, recorder) = (Seller::new("seller.example"), Recorder::new());
    let settings = format!("signature.pinned_keys = [\"{}\"]", seller.pinned());
    let receiver = TestReceiver::start(&settings, recorder.clone()).await;
    receiver.accept("/on_status", on_status("t", "m1", "Accepted")).await;
    let body = on_status("t", "m2", "Accepted");
    let other = seller.authorization(b"another body");
    let answer = post_signed(receiver.address, "/on_status", &other, &body).await;
    assert_eq!((answer.status, answer.error("code")), (401, "20001".to_owned()));
    let events = recorder.wait_for(1).await;
    assert_eq!(events[0].seller(), "unverified:seller.example");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn off_looks_at_no_signature() {
    let recorder = Recorder::new();
    let receiver = TestReceiver::start("signature.mode = \"off\"", recorder.clone()).await;
    let body = on_status("t", "m", "Accepted");
    let answer = post_signed(receiver.address, "/on_status", "Signature nonsense", &body).await;
    assert!(answer.is_ack(), "{answer}");
    assert!(recorder.wait_for(1).await[0].sender.is_none());
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_copy_does_not_swallow_the_signed_one() {
    let (seller, recorder) = (Seller::new("seller.example"), Recorder::new());
    let settings = format!("signature.pinned_keys = [\"{}\"]", seller.pinned());
    let receiver = TestReceiver::start(&settings, recorder.clone()).await;
    let body = on_status("t", "m", "Accepted");
    receiver.accept("/on_status", &body).await;
    let answer = seller.post(&receiver, "/on_status", &body).await;
    assert!(answer.is_ack(), "{answer}");
    let mut senders: Vec<bool> =
        recorder.wait_for(2).await.iter().map(|event| event.sender.is_some()).collect();
    senders.sort_unstable();
    assert_eq!(senders, [false, true]);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_callback_is_a_duplicate() {
    let (seller, recorder) = (Seller::new("seller.example"), Recorder::new());
    let receiver = TestReceiver::start(&required(&[&seller]), recorder.clone()).await;
    let body = on_status("t", "m", "Accepted");
    let header = seller.authorization(body.as_bytes());
    for _ in 0..3 {
        let answer = post_signed(receiver.address, "/on_status", &header, &body).await;
        assert!(answer.is_ack(), "{answer}");
    }
    receiver.stop().await;
    assert_eq!(recorder.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_signed_for_another_buyer_is_refused() {
    let (seller, recorder) = (Seller::new("seller.example"), Recorder::new());
    let receiver = TestReceiver::start(&required(&[&seller]), recorder.clone()).await;
    let body = on_status("t", "m", "Accepted").replace("\"buyer.example\"", "\"other.example\"");
    let answer = seller.post(&receiver, "/on_status", &body).await;
    assert_eq!((answer.status, answer.error("path")), (200, "/context/bap_id".to_owned()));
    for ours in ["second.example", "https://buyer.example/"] {
        let body = on_status("t", ours, "Accepted")
            .replace("\"bap_id\":\"buyer.example\"", &format!("\"bap_id\":\"{ours}\""));
        let answer = seller.post(&receiver, "/on_status", &body).await;
        assert!(answer.is_ack(), "{ours}: {answer}");
    }
    recorder.wait_for(2).await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_speaks_for_itself_only() {
    let (seller, thief) = (Seller::new("seller.example"), Seller::new("thief.example"));
    let receiver = TestReceiver::start(&required(&[&seller, &thief]), Recorder::new()).await;
    let answer = thief.post(&receiver, "/on_status", &on_status("t", "m", "Accepted")).await;
    assert_eq!((answer.status, answer.error("code")), (401, "20001".to_owned()));
    assert!(answer.error("message").contains("`thief.example`"), "{answer}");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn always_ack_is_not_for_forgers() {
    let seller = Seller::new("seller.example");
    let settings = format!("{}\nanswer.always_ack = true", required(&[&seller]));
    let receiver = TestReceiver::start(&settings, Recorder::new()).await;
    assert_eq!(receiver.post("/on_status", on_status("t", "m", "x")).await.status, 401);
    let header = seller.authorization_at(on_status("t", "m", "x").as_bytes(), 1_700_000_000);
    let answer =
        post_signed(receiver.address, "/on_status", &header, &on_status("t", "m", "x")).await;
    assert_eq!(answer.status, 401);
    assert!(answer.error("message").contains("s ago"), "{answer}");
    // What is signed and does not fit is kept as rejected.
    let answer = seller.post(&receiver, "/on_status", "no JSON").await;
    assert!(answer.is_ack(), "{answer}");
    receiver.leaves_unsettled().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_signature_is_kept_with_its_cause_and_told_in_the_log_without_it() {
    let seller = Seller::new("seller.example");
    let child = Child::start(&[
        ("BECKN_RECEIVER_SIGNATURE__MODE", "required"),
        ("BECKN_RECEIVER_SUBSCRIBER_IDS", "[\"buyer.example\"]"),
        ("BECKN_RECEIVER_SIGNATURE__PINNED_KEYS", &format!("[\"{}\"]", seller.pinned())),
    ])
    .await;
    let body = on_status("t", "m", "Accepted");
    let header = seller.authorization_at(body.as_bytes(), 1_700_000_000);
    post_signed(child.address, "/on_status", &header, &body).await;
    crate::harness::post(child.address, "/on_status", on_status("u", "n", "x").as_bytes()).await;
    let inbox = child.directory().join("inbox");
    let directory = TempDir::new().unwrap();
    let list = || {
        let output = binary()
            .current_dir(directory.path())
            .env("BECKN_RECEIVER_INBOX__PATH", &inbox)
            .args(["refusals", "--json"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    crate::harness::wait_until("the refusal is kept", async || {
        list().contains("signature.expired") && list().contains("signature.missing")
    })
    .await;
    // Who did not sign is found under the name that its body gives.
    assert_eq!(list().matches("unverified:seller.example").count(), 2, "{}", list());
    let (_, log) = child.end().await;
    assert!(log.contains("signature.expired") && log.contains("seller.example|key-1"), "{log}");
    let signature = header.split("signature=\"").nth(1).unwrap();
    assert!(!log.contains(&signature[..20]) && !log.contains("O-t"), "{log}");
}

/// Starts the binary off loopback and returns its exit code and what it said; 0 when it serves.
async fn start_outside(variables: &[(&str, &str)]) -> (i32, String) {
    let mut all = vec![
        ("BECKN_RECEIVER_HTTP__LISTEN", "0.0.0.0:0"),
        ("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0"),
    ];
    all.extend(variables);
    start(&TempDir::new().unwrap(), &all).await
}

async fn start(directory: &TempDir, variables: &[(&str, &str)]) -> (i32, String) {
    let mut process = binary()
        .current_dir(directory.path())
        .env("BECKN_RECEIVER_INBOX__PATH", directory.path().join("inbox"))
        .env("BECKN_RECEIVER_INBOX__MIN_FREE_BYTES", "0")
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = process.stderr.take().unwrap();
    let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(log).lines().map_while(Result::ok) {
            let _ = say.send(line);
        }
    });
    let mut text = String::new();
    let serves = async {
        while let Some(line) = said.recv().await {
            text.push_str(&line);
            text.push('\n');
            if line.starts_with("operations ") {
                return true;
            }
        }
        false
    };
    let serves = tokio::time::timeout(PATIENCE, serves).await.expect("it says in time");
    if serves {
        process.kill().unwrap();
        process.wait().unwrap();
        return (0, text);
    }
    let code = process.wait().unwrap().code().expect("no signal");
    (code, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_it_starts_only_after_a_decision_about_signatures() {
    let pinned = format!("[\"{}\"]", Seller::new("seller.example").pinned());
    let (code, told) = start_outside(&[]).await;
    assert_eq!(code, 2, "{told}");
    for way in ["signature.mode = \"required\"", "signature.allow_unsigned = true", "127.0.0.1:0"] {
        assert!(told.contains(way), "{told}");
    }
    let required = ("BECKN_RECEIVER_SIGNATURE__MODE", "required");
    let ours = ("BECKN_RECEIVER_SUBSCRIBER_IDS", "[\"buyer.example\"]");
    let keys = ("BECKN_RECEIVER_SIGNATURE__PINNED_KEYS", pinned.as_str());
    for (variables, missing) in [
        (vec![required], "subscriber_ids"),
        (vec![required, keys], "subscriber_ids"),
        (vec![required, ours], "registry.url"),
        (vec![("BECKN_RECEIVER_SIGNATURE__MODE", "off")], "signature.allow_unsigned"),
    ] {
        let (code, told) = start_outside(&variables).await;
        assert_eq!(code, 2, "{variables:?}: {told}");
        assert!(told.contains(missing), "{variables:?}: {told}");
    }
    for variables in [
        vec![("BECKN_RECEIVER_SIGNATURE__ALLOW_UNSIGNED", "true")],
        vec![required, ours, keys],
        vec![("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0")],
    ] {
        let (code, told) = start_outside(&variables).await;
        assert_eq!(code, 0, "{variables:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_as_shipped_start_on_loopback() {
    let directory = TempDir::new().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
    // As shipped, but for the ports and the directory, which others may use.
    let text = std::fs::read_to_string(shipped)
        .unwrap()
        .replace("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\"")
        .replace("listen = \"127.0.0.1:9090\"", "listen = \"127.0.0.1:0\"");
    std::fs::write(directory.path().join("config.toml"), text).unwrap();
    let (code, told) = start(&directory, &[]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_pinned_keys_is_read_and_its_mistakes_are_told_with_their_line() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keys");
    let variables = |file: &std::path::Path| {
        vec![
            ("BECKN_RECEIVER_SIGNATURE__MODE", "required".to_owned()),
            ("BECKN_RECEIVER_SUBSCRIBER_IDS", "[\"buyer.example\"]".to_owned()),
            ("BECKN_RECEIVER_SIGNATURE__PINNED_KEYS_FILE", file.display().to_string()),
        ]
    };
    let start_with = async |file: &std::path::Path| {
        let variables = variables(file);
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        start_outside(&variables).await
    };
    let (code, told) = start_with(&file).await;
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("signature.pinned_keys_file"), "{told}");
    let pinned = Seller::new("seller.example").pinned();
    std::fs::write(&file, format!("# sellers\n\n{pinned}\nnonsense\n")).unwrap();
    let (code, told) = start_with(&file).await;
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("keys:4: expected `subscriber id|unique key id|public key`"), "{told}");
    std::fs::write(&file, "# none yet\n").unwrap();
    let (code, told) = start_with(&file).await;
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("holds no key"), "{told}");
    std::fs::write(&file, format!("# sellers\n{pinned}\n")).unwrap();
    let (code, told) = start_with(&file).await;
    assert_eq!(code, 0, "{told}");
}
