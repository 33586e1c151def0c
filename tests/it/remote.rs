//! The commands over the API of a receiver: what they print is what a command beside it prints.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use beckn_receiver::HandlerError;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Recorder, TestReceiver, binary, on_status, request, wait_until};

/// What stands between a command and a receiver: it notes each request, and may cut a stream.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Starts one that cuts so many streams, each in the middle of its second event.
    async fn start(to: SocketAddr, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, cuts) = (Arc::clone(&asked), Arc::new(AtomicUsize::new(cuts)));
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.unwrap();
                tokio::spawn(carry(near, far, Arc::clone(&noted), Arc::clone(&cuts)));
            }
        });
        Self { url, asked, _task: task }
    }
}

/// Carries one request and its answer.
async fn carry(
    mut near: TcpStream,
    mut far: TcpStream,
    asked: Arc<Mutex<Vec<String>>>,
    cuts: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if near.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let header = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| format!(" [{name}: {value}]"))
        })
    };
    let line = text.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
    let (token, last) = (header("authorization"), header("last-event-id"));
    let noted = [line, token.as_deref().unwrap_or(""), last.as_deref().unwrap_or("")].concat();
    let is_stream = line.starts_with("GET /v1/stream");
    asked.lock().unwrap().push(noted);
    // Each request has a connection of its own, and so a note of its own.
    head.splice(end..end, *b"\r\nconnection: close");
    let one_less = |left: usize| left.checked_sub(1);
    let is_cut =
        is_stream && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
    // Either side may be gone first.
    let _ = far.write_all(&head).await;
    if !is_cut {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        return;
    }
    let mut answer = Vec::new();
    let cut = loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((at, _)) = text.match_indices("event: callback").nth(1)
            && text.len() > at + 60
        {
            break at + 60;
        }
        drop(text);
        assert!(far.read_buf(&mut answer).await.unwrap() > 0, "the stream has no second event");
    };
    near.write_all(&answer[..cut]).await.unwrap();
}

/// A receiver, its proxy, and the token of its first start in a file.
struct Scene {
    receiver: TestReceiver,
    proxy: Proxy,
    token_file: PathBuf,
    token: String,
}

impl Scene {
    async fn start(handler: Recorder, cuts: usize) -> Self {
        Self::of(TestReceiver::start("", handler).await, cuts).await
    }

    async fn of(receiver: TestReceiver, cuts: usize) -> Self {
        let proxy = Proxy::start(receiver.operations, cuts).await;
        let lines = receiver.inbox().join("inbox/operations-tokens");
        let lines = std::fs::read_to_string(lines).unwrap();
        let token = lines.trim().rsplit('|').next().unwrap().to_owned();
        let token_file = receiver.inbox().join("token");
        // As the receiver keeps it.
        let line = format!("# who asks\nadmin|read,bodies,act|{token}\n");
        std::fs::write(&token_file, line).unwrap();
        Self { receiver, proxy, token_file, token }
    }

    /// Runs a command from afar, with the token.
    async fn far(&self, arguments: &[&str]) -> String {
        let file = self.token_file.to_str().unwrap();
        let line = [arguments, &["--url", &self.proxy.url, "--token-file", file]].concat();
        printed(run(&line, &[]).await)
    }

    /// Runs a command beside the receiver.
    async fn near(&self, arguments: &[&str]) -> String {
        let inbox = self.receiver.inbox().join("inbox");
        printed(run(&[arguments, &["--inbox", inbox.to_str().unwrap()]].concat(), &[]).await)
    }

    async fn newest(&self) -> String {
        let listed = self.near(&["events", "--limit", "1", "--json"]).await;
        let event: serde_json::Value = serde_json::from_str(&listed).unwrap();
        event["id"].as_str().unwrap().to_owned()
    }
}

/// Runs the binary with these arguments and variables, where no settings are.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = binary();
    command.current_dir(std::env::temp_dir()).args(arguments).envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Returns what a command has printed that has to succeed.
#[track_caller]
pub(crate) fn printed(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_afar_a_command_prints_what_it_prints_beside_the_receiver() {
    let recorder = Recorder::new();
    let scene = Scene::start(recorder.clone(), 0).await;
    let receiver = &scene.receiver;
    let expect = r#"{"action":"on_status","message_id":"m9","transaction_id":"t1","ttl_s":3600}"#;
    request(receiver.operations, "POST /v1/expectations HTTP/1.1\r\n", expect.as_bytes()).await;
    receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    receiver.post("/on_status", on_status("t", "m", "A").replace("on_status", "on_track")).await;
    receiver.settle().await;
    let paused = scene.far(&["pause", "app"]).await;
    assert!(paused.starts_with("app is paused"), "{paused}");
    // A start takes note of a pause before anything is handed over.
    let directory = scene.receiver.stop().await;
    let receiver = TestReceiver::start_in(directory, "", recorder.clone()).await;
    let scene = Scene::of(receiver, 0).await;
    let receiver = &scene.receiver;
    receiver.accept("/on_status", on_status("t1", "m2", "In-progress")).await;
    receiver.accept("/on_status", on_status("t1", "m3", "Completed")).await;
    wait_until("what came is counted", async || {
        let sellers = scene.near(&["sellers"]).await;
        let is_whole = sellers.contains("accepted=3 duplicates=1 refused=1");
        is_whole && scene.near(&["refusals"]).await.contains("context.action")
    })
    .await;
    let id = scene.newest().await;
    let commands: &[&[&str]] = &[
        &["events"],
        &["events", "--json"],
        &["events", "--seller", "seller.example", "--state", "Accepted"],
        &["show", &id],
        &["show", &id, "--json"],
        &["show", &id, "--body"],
        &["timeline", "t1"],
        &["timeline", "t1", "--json"],
        &["order", "O-t1"],
        &["dead-letters"],
        &["refusals"],
        &["refusals", "1"],
        &["refusals", "--json", "--bodies"],
        &["handlers"],
        &["sellers"],
        &["sellers", "--seller", "seller.example", "--json"],
        &["expectations"],
        &["expectations", "--status", "open", "--json"],
        &["audit"],
    ];
    for command in commands {
        let (near, far) = (scene.near(command).await, scene.far(command).await);
        assert_eq!(near, far, "{command:?}");
        assert_eq!(near.is_empty(), *command == ["dead-letters"], "{command:?}");
    }
    let listed = scene.far(&["events"]).await;
    assert!(listed.lines().next().unwrap().contains(" waits behind "), "{listed}");
    assert!(listed.contains(" waits for `resume app`, paused since "), "{listed}");
    assert!(scene.far(&["resume", "app"]).await.starts_with("app is resumed"));
    recorder.wait_for(3).await;
    scene.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_page_by_page() {
    let scene = Scene::start(Recorder::new(), 0).await;
    for hundred in 0..6 {
        let post = |number: usize| {
            scene.receiver.accept("/on_status", on_status(&format!("{hundred}-{number}"), "m", "A"))
        };
        join_all((0..100).map(post)).await;
    }
    let listed = scene.far(&["events", "--limit", "550", "--action", "on_status"]).await;
    assert_eq!(listed.lines().count(), 550);
    assert_eq!(listed, scene.near(&["events", "--limit", "550"]).await);
    let asked = scene.proxy.asked.lock().unwrap().clone();
    let pages: Vec<&str> = asked
        .iter()
        .filter_map(|asked| asked.strip_prefix("GET /v1/events?action=on_status&order=newest"))
        .filter_map(|rest| rest.split(" [").next())
        .collect();
    assert_eq!(pages, ["&limit=500", "&after=101&limit=50"]);
    scene.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_handed_over_again_and_erased_from_afar() {
    let recorder = Recorder::new();
    let scene = Scene::start(recorder.clone(), 0).await;
    scene.receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    scene.receiver.settle().await;
    let first = scene.newest().await;
    scene.receiver.accept("/on_status", on_status("t2", "m1", "Accepted")).await;
    scene.receiver.settle().await;
    let told = scene.far(&["replay", &first]).await;
    assert!(told.starts_with(&format!("{first} requested")), "{told}");
    assert_eq!(recorder.wait_for(3).await[2].id.to_string(), first);
    scene.receiver.settle().await;
    let told = scene.far(&["erase", "--transaction", "t-1"]).await;
    assert!(told.contains("nothing is kept of this transaction id"), "{told}");
    let told = scene.far(&["erase", "--transaction", "t1"]).await;
    assert!(told.contains("erases 1 event and 0 refusals"), "{told}");
    wait_until("the transaction is erased", async || {
        scene.far(&["events", "--flag", "erased"]).await.contains(&first)
    })
    .await;
    assert_eq!(scene.far(&["events", "--transaction", "t1"]).await, "");
    let told = scene.far(&["replay", &first]).await;
    assert_eq!(told, format!("{first} not possible: it was erased\n"));
    for place in ["near", "far"] {
        let arguments = ["replay", "--seller", "seller.example", "--dry-run"];
        let told = match place {
            "near" => scene.near(&arguments).await,
            _ => scene.far(&arguments).await,
        };
        assert_eq!(
            told, "1 event would be handed over again\n1 would not: they were erased\n",
            "{place}"
        );
    }
    let told = scene.far(&["replay", "--seller", "seller.example"]).await;
    assert!(told.starts_with("1 requested") && told.contains("1 not possible"), "{told}");
    recorder.wait_for(4).await;
    let audit = scene.far(&["audit"]).await;
    assert!(audit.contains(" admin erase transaction ") && !audit.contains("t1"), "{audit}");
    scene.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_quotes_a_person_is_shown_to_who_may_see_bodies() {
    let recorder =
        Recorder::behaving(|_event| Err(HandlerError::permanent("no account of Asha Rao")));
    let scene = Scene::start(recorder, 0).await;
    let body = on_status("t1", "m1", "Accepted");
    let body = body.replace(r#""state":"#, r#""billing":{"name":"Asha Rao"},"state":"#);
    scene.receiver.accept("/on_status", body).await;
    scene.receiver.settle().await;
    for command in [&["dead-letters"][..], &["events", "--json"], &["timeline", "t1", "--json"]] {
        let told = scene.far(command).await;
        assert!(told.contains("no account of Asha Rao"), "{command:?}: {told}");
        assert_eq!(told, scene.near(command).await, "{command:?}");
        let masked = printed(run(&[command, &["--url", &scene.proxy.url]].concat(), &[]).await);
        assert!(masked.contains("no account of •••"), "{command:?}: {masked}");
    }
    scene.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_and_a_token_goes_into_its_header_only() {
    let scene = Scene::start(Recorder::new(), 0).await;
    scene.receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    scene.receiver.settle().await;
    let (id, url) = (scene.newest().await, scene.proxy.url.clone());
    let unknown = "01a1fc45-88d8-7342-b705-000000000009";
    let check = async |arguments: &[&str], token: &str, code: i32, text: &str| {
        let output = run(arguments, &[("BECKN_RECEIVER_TOKEN", token)]).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(text) && !told.contains("0123456"), "{arguments:?}: {told}");
    };
    let (right, wrong) = (scene.token.as_str(), "0123456789abcdef0123456789abcdef");
    check(&["show", unknown, "--url", &url], right, 1, "there is no event").await;
    check(&["show", &id, "--body", "--url", &url], "", 1, "403 permission").await;
    check(&["handlers", "--url", &url], wrong, 1, "--token-file names the file").await;
    check(&["events", "--url", &url, "--inbox", "x"], "", 2, "cannot be used with").await;
    check(&["serve", "--url", &url], "", 2, "for commands that look into an inbox").await;
    for command in ["backup", "restore"] {
        check(&[command, "x", "--url", &url], "", 2, "on the receiver's own machine").await;
    }
    let nobody = ["handlers", "--url", "http://127.0.0.1:1"];
    check(&nobody, right, 1, "no receiver at 127.0.0.1:1").await;
    let shown = ["show", &id, "--body", "--url", &url];
    let body = run(&shown, &[("BECKN_RECEIVER_TOKEN", right)]).await;
    assert_eq!(printed(body), on_status("t1", "m1", "Accepted"));
    let asked = scene.proxy.asked.lock().unwrap().pop().unwrap();
    let expected = format!("GET /v1/events/{id}/body [authorization: Bearer {right}]");
    assert_eq!(asked, expected);
    scene.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_says_does_nothing_to_a_terminal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        let said = "{\"error\":{\"code\":\"x\",\"message\":\"no \\u001b[1m\"}}";
        let answer = format!("HTTP/1.1 403 x\r\nconnection: close\r\n\r\n{said}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let output = run(&["handlers", "--url", &url], &[]).await;
    server.await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(r"403 x: no \u{1b}[1m"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_is_cut_goes_on_behind_the_last_event() {
    let scene = Scene::start(Recorder::new(), 1).await;
    for transaction in ["t1", "t2"] {
        scene.receiver.accept("/on_status", on_status(transaction, "m", "Accepted")).await;
    }
    let mut tail = binary()
        .args(["tail", "--from", "1", "--url", &scene.proxy.url])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let out = tail.stdout.take().unwrap();
    let (told, mut lines) = tokio::sync::mpsc::channel(8);
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(out)) {
            told.blocking_send(line.unwrap()).unwrap();
        }
    });
    let mut next = async |order: &str| {
        let line: String = lines.recv().await.unwrap();
        assert!(line.contains(order), "{order}: {line}");
    };
    next("order=O-t1 ").await;
    next("order=O-t2 ").await;
    scene.receiver.accept("/on_status", on_status("t3", "m", "Accepted")).await;
    next("order=O-t3 ").await;
    tail.kill().unwrap();
    tail.wait().unwrap();
    reading.await.unwrap();
    let asked = scene.proxy.asked.lock().unwrap().clone();
    let streams: Vec<String> =
        asked.into_iter().filter(|asked| asked.contains("/v1/stream")).collect();
    assert_eq!(streams, ["GET /v1/stream?after=0", "GET /v1/stream?after=0 [last-event-id: 1]"]);
    scene.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_over_what_has_left_the_log() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    for transaction in ["t1", "t2", "t3"] {
        receiver.accept("/on_status", on_status(transaction, "m", "Accepted")).await;
    }
    let directory = receiver.stop().await;
    // As retention does it.
    let file = directory.path().join("inbox/inbox.sqlite3");
    let connection = rusqlite::Connection::open(file).unwrap();
    for table in ["delivery", "body", "event"] {
        connection.execute(&format!("DELETE FROM {table} WHERE seq = 1"), []).unwrap();
    }
    drop(connection);
    let receiver = TestReceiver::start_in(directory, "", Recorder::new()).await;
    let mut tail = binary()
        .args(["tail", "--from", "1", "--url", &format!("http://{}", receiver.operations)])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let out = tail.stdout.take().unwrap();
    let lines = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(out));
        lines.take(2).map(Result::unwrap).collect::<Vec<_>>()
    });
    let lines = lines.await.unwrap();
    assert!(lines[0].contains("O-t2") && lines[1].contains("O-t3"), "{lines:?}");
    tail.kill().unwrap();
    tail.wait().unwrap();
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_the_commands_do_not_stop_a_receiver_nor_its_own_inbox() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    let inbox = receiver.inbox().join("inbox");
    let variables = [("BECKN_RECEIVER_URL", "http://127.0.0.1:1"), ("BECKN_RECEIVER_TOKEN", "x")];
    let listed = printed(run(&["events", "--inbox", inbox.to_str().unwrap()], &variables).await);
    assert!(listed.contains("O-t1") && listed.contains("handler=app"), "{listed}");
    receiver.stop().await;
}
