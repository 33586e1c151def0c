//! The handler against real servers, each with a port and a store of its own.

mod opening;
mod outage;
mod publishing;
mod streams;
mod tls;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Config;
use tempfile::TempDir;
use tokio::time::Instant;

use super::{JetStream, Options};
use crate::beckn::action::Action;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler as _};
use crate::words::Template;

/// How long a condition may take to come true before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in a process of its own; killed when it is dropped.
struct Nats {
    directory: TempDir,
    settings: String,
    process: Child,
    port: u16,
}

impl Nats {
    /// Starts one; `None`, said aloud, on a machine that has none.
    async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// Starts one with these lines of settings.
    async fn start_with(settings: &str) -> Option<Self> {
        if Command::new("nats-server").arg("--version").output().is_err() {
            let is_needed = std::env::var_os("BECKN_RECEIVER_TEST_REQUIRE_SERVERS").is_some();
            assert!(!is_needed, "nats-server is not on PATH, and this run requires it");
            println!("skipped: nats-server is not on PATH");
            return None;
        }
        let directory = TempDir::new().unwrap();
        let settings = settings.replace("DIRECTORY", directory.path().to_str().unwrap());
        let process = spawn(&directory, &settings, -1);
        let mut nats = Self { directory, settings, process, port: 0 };
        nats.port = nats.wait_for_port().await;
        Some(nats)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The server writes where it listens when it does.
    async fn wait_for_port(&mut self) -> u16 {
        let file = self.path(&format!("nats-server_{}.ports", self.process.id()));
        let end = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let ports = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
            if let Some(url) = ports["nats"][0].as_str() {
                return url.rsplit(':').next().unwrap().parse().unwrap();
            }
            assert!(self.process.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < end, "the server does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it as a crash would.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends it a signal, as `STOP` and `CONT`.
    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &process]).status();
        assert!(status.unwrap().success());
    }

    /// Starts it again where it was, with what it has stored.
    async fn restart(&mut self) {
        self.process = spawn(&self.directory, &self.settings, self.port.into());
        self.wait_for_port().await;
    }

    /// Returns the options of a handler that creates its stream there.
    fn options(&self) -> Options {
        options(&format!("nats://127.0.0.1:{}", self.port))
    }

    /// Returns a client of the test's own.
    async fn context(&self) -> async_nats::jetstream::Context {
        let client = async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await;
        async_nats::jetstream::new(client.unwrap())
    }

    /// Creates a stream that is as it should be, but for what the test changes.
    async fn create(&self, change: impl FnOnce(&mut Config)) {
        let mut config =
            super::stream::settings("EVENTS", &Template::parse("beckn.{action}.{bpp_id}").unwrap());
        change(&mut config);
        self.context().await.create_stream(config).await.unwrap();
    }

    /// Returns every message of the stream, in order.
    async fn stored(&self) -> Vec<StreamMessage> {
        let mut stream = self.context().await.get_stream("EVENTS").await.unwrap();
        let last = stream.info().await.unwrap().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            messages.push(stream.get_raw_message(sequence).await.unwrap());
        }
        messages
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(directory: &TempDir, settings: &str, port: i32) -> Child {
    let path = directory.path().display();
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\nports_file_dir: \"{path}\"\n\
         jetstream {{ store_dir: \"{path}/store\" }}\n{settings}\n"
    );
    let file = directory.path().join("nats.conf");
    fs::write(&file, text).unwrap();
    let log = fs::File::create(directory.path().join("nats.log")).unwrap();
    Command::new("nats-server")
        .arg("-c")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn options(server: &str) -> Options {
    Options {
        servers: vec![server.to_owned()],
        subject: Template::parse("beckn.{action}.{bpp_id}").unwrap(),
        stream: "EVENTS".to_owned(),
        create_stream: true,
        content: Content::Envelope,
        user: String::new(),
        password: String::new(),
        token: String::new(),
        credentials_file: None,
        ca_file: None,
        ack_timeout: Duration::from_secs(5),
    }
}

/// Returns an event of this seller; each transaction makes another id.
fn event(seller: &str, transaction: &str) -> OrderEvent {
    let body = serde_json::json!({
        "context": {"bpp_id": seller, "transaction_id": transaction, "action": "on_status"},
        "message": {"order": {"id": "O-1"}},
    });
    OrderEvent::parse(Action::OnStatus, body.to_string()).unwrap()
}

/// Hands an event over that has to be taken.
async fn take(handler: &JetStream, event: &OrderEvent) {
    if let Err(error) = handler.handle(event).await {
        panic!("not taken: {}", error.chain());
    }
}

/// Hands an event over that must not be taken.
async fn refusal(handler: &JetStream, event: &OrderEvent) -> HandlerError {
    handler.handle(event).await.unwrap_err()
}

/// Hands an event over until it is taken, as the dispatcher does.
async fn take_in_the_end(handler: &JetStream, event: &OrderEvent) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = handler.handle(event).await {
        assert!(!error.is_permanent() && Instant::now() < end, "{}", error.chain());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ids(messages: &[StreamMessage]) -> Vec<String> {
    messages.iter().map(|message| header(message, "Nats-Msg-Id").to_owned()).collect()
}

fn header<'a>(message: &'a StreamMessage, name: &str) -> &'a str {
    message.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).as_str()
}
