//! Starts receivers, posts to them, and waits for what they hand over.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beckn_receiver::mock::MockRecord;
use beckn_receiver::{
    Builder, Config, HandlerError, OrderEvent, OrderEventHandler, Receiver, ServeError,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// How long a condition may take to come true before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The answer that means "kept".
pub(crate) const ACK: &str = r#"{"message":{"ack":{"status":"ACK"}}}"#;

/// What a handler of a test does with an event.
type Behaviour = dyn Fn(&OrderEvent) -> Result<(), HandlerError> + Send + Sync;

/// Notes every event that it is given, then behaves as the test said.
#[derive(Clone)]
pub(crate) struct Recorder {
    seen: Arc<Mutex<Vec<OrderEvent>>>,
    news: Arc<Notify>,
    behaviour: Arc<Behaviour>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self::behaving(|_event| Ok(()))
    }

    pub(crate) fn behaving(
        behaviour: impl Fn(&OrderEvent) -> Result<(), HandlerError> + Send + Sync + 'static,
    ) -> Self {
        Self { seen: Arc::default(), news: Arc::default(), behaviour: Arc::new(behaviour) }
    }

    /// Returns every event seen so far, in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<OrderEvent> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `count` events have come, and returns them.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> impl Future<Output = Vec<OrderEvent>> {
        let place = std::panic::Location::caller();
        async move {
            let waiting = async {
                loop {
                    let news = self.news.notified();
                    let seen = self.seen();
                    if seen.len() >= count {
                        return seen;
                    }
                    news.await;
                }
            };
            tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
                panic!("{place}: expected {count} events, found {}", self.seen().len())
            })
        }
    }
}

impl OrderEventHandler for Recorder {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        self.seen.lock().unwrap().push(event.clone());
        self.news.notify_waiters();
        (self.behaviour)(event)
    }
}

/// A receiver in this process, on ports and a directory of its own.
pub(crate) struct TestReceiver {
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    directory: Option<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    work: Option<JoinHandle<Result<(), ServeError>>>,
    may_leave_unsettled: bool,
}

impl TestReceiver {
    /// Starts one with the settings' text and this handler.
    pub(crate) async fn start(settings: &str, handler: impl OrderEventHandler) -> Self {
        Self::start_in(TempDir::new().unwrap(), settings, handler).await
    }

    /// Starts one in a directory that another one left.
    pub(crate) async fn start_in(
        directory: TempDir,
        settings: &str,
        handler: impl OrderEventHandler,
    ) -> Self {
        Self::start_built(directory, settings, |builder| builder, handler).await
    }

    /// Starts one whose builder was touched up.
    pub(crate) async fn start_built(
        directory: TempDir,
        settings: &str,
        touch: impl FnOnce(Builder) -> Builder,
        handler: impl OrderEventHandler,
    ) -> Self {
        let config = config(directory.path(), settings);
        let receiver = touch(Receiver::builder(config)).start(handler).await.unwrap();
        Self::serve(directory, receiver).await
    }

    /// Starts one with the handlers that the settings name, and those that are added.
    pub(crate) async fn start_configured(
        directory: TempDir,
        settings: &str,
        touch: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let config = config(directory.path(), settings);
        let receiver = touch(Receiver::builder(config)).start_configured().await.unwrap();
        Self::serve(directory, receiver).await
    }

    async fn serve(directory: TempDir, receiver: Receiver) -> Self {
        let server = receiver.bind().await.unwrap();
        let (address, operations) =
            (server.callbacks_address().unwrap(), server.operations_address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let work = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self {
            address,
            operations,
            directory: Some(directory),
            stop: Some(stop),
            work: Some(work),
            may_leave_unsettled: false,
        }
    }

    /// Says that this test leaves events that nobody has taken.
    pub(crate) fn leaves_unsettled(mut self) -> Self {
        self.may_leave_unsettled = true;
        self
    }

    /// Posts a body and returns the answer.
    pub(crate) async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        post(self.address, path, body.as_ref()).await
    }

    /// Posts a body that has to be ACKed.
    #[track_caller]
    pub(crate) fn accept(&self, path: &str, body: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let answer = self.post(path, body).await;
            assert!(answer.is_ack(), "{place}: expected an ACK, found {answer}");
        }
    }

    /// Returns how many events are not settled, as the operations listener says when it has
    /// counted them.
    pub(crate) async fn unsettled(&self) -> u64 {
        let mut count = None;
        wait_until("unsettled events are counted", async || {
            let answer = request(self.operations, "GET /readyz HTTP/1.1\r\n", b"").await;
            let said = answer.body.lines().find_map(|line| line.strip_prefix("unsettled events: "));
            count = said.unwrap_or_else(|| panic!("not ready: {answer}")).parse().ok();
            count.is_some()
        })
        .await;
        count.expect("it was waited for")
    }

    /// Returns the directory of the inbox, as `--inbox`-like commands take it.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.directory.as_ref().expect("it runs").path().to_owned()
    }

    /// Waits until every event is settled.
    pub(crate) async fn settle(&self) {
        wait_until("every event is settled", async || self.unsettled().await == 0).await;
    }

    /// Stops it in order and returns its directory.
    pub(crate) async fn stop(mut self) -> TempDir {
        if !self.may_leave_unsettled {
            self.settle().await;
        }
        self.end().await;
        self.directory.take().unwrap()
    }

    async fn end(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.work.take().unwrap().await.unwrap().unwrap();
    }
}

impl Drop for TestReceiver {
    fn drop(&mut self) {
        // A test that has failed says why itself.
        assert!(
            self.work.is_none() || std::thread::panicking(),
            "end a TestReceiver by `stop`, which looks for what is left unsettled"
        );
    }
}

/// Returns the settings of a test: ports of the system's choice, a directory of its own.
pub(crate) fn config(directory: &Path, settings: &str) -> Config {
    let environment = [
        ("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0".to_owned()),
        ("BECKN_RECEIVER_INBOX__PATH", directory.join("inbox").display().to_string()),
        ("BECKN_RECEIVER_INBOX__MIN_FREE_BYTES", "0".to_owned()),
    ];
    Config::parse(settings, environment.map(|(name, value)| (name.to_owned(), value))).unwrap()
}

/// An answer as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is_ack(&self) -> bool {
        self.status == 200 && self.body == ACK
    }

    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Returns a field of the NACK's error.
    #[track_caller]
    pub(crate) fn error(&self, field: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a JSON answer");
        assert_eq!(body["message"]["ack"]["status"], "NACK", "{self}");
        body["error"][field].as_str().expect("a text").to_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

/// Posts over a connection of its own.
pub(crate) async fn post(address: SocketAddr, path: &str, body: &[u8]) -> Answer {
    request(address, &format!("POST {path} HTTP/1.1\r\ncontent-type: application/json\r\n"), body)
        .await
}

/// Sends a request with this start line and these headers, and reads the answer to its end.
pub(crate) async fn request(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    try_request(address, head, body).await.expect("an answer")
}

/// As [`request`], for a receiver that may be gone.
pub(crate) async fn try_request(
    address: SocketAddr,
    head: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let names_host = head.to_ascii_lowercase().contains("\r\nhost:");
    let host = if names_host { String::new() } else { format!("host: {address}\r\n") };
    let head = format!("{head}{host}connection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    // A receiver that refuses by the header may close before it has read the body.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.map_err(std::io::Error::from)??;
    let answer = String::from_utf8(answer).map_err(std::io::Error::other)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Waits until a condition holds; it is looked at again every few milliseconds.
#[track_caller]
pub(crate) fn wait_until<C: AsyncFnMut() -> bool>(
    what: &str,
    mut condition: C,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !condition().await {
            assert!(tokio::time::Instant::now() < end, "{place}: waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Returns an `on_status` of ours with these ids and this state.
pub(crate) fn on_status(transaction: &str, message: &str, state: &str) -> String {
    stamped(transaction, message, state, "2026-01-02T03:04:05.000Z")
}

/// As [`on_status`], with the context's timestamp.
pub(crate) fn stamped(transaction: &str, message: &str, state: &str, timestamp: &str) -> String {
    format!(
        r#"{{"context":{{"domain":"ONDC:RET10","country":"IND","city":"std:080","action":"on_status","core_version":"1.2.0","bap_id":"buyer.example","bap_uri":"https://buyer.example/beckn","bpp_id":"seller.example","bpp_uri":"https://seller.example/beckn","transaction_id":"{transaction}","message_id":"{message}","timestamp":"{timestamp}","ttl":"PT30S"}},"message":{{"order":{{"id":"O-{transaction}","state":"{state}"}}}}}}"#
    )
}

/// Returns the path of a sample payload.
pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/payloads").join(name)
}

/// Returns the receiver's binary.
pub(crate) fn binary() -> std::process::Command {
    unset(std::process::Command::new(env!("CARGO_BIN_EXE_beckn-receiver")))
}

/// Takes settings of the environment away, and what the tests are told by it.
pub(crate) fn unset(mut command: std::process::Command) -> std::process::Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BECKN_RECEIVER_") {
            command.env_remove(name);
        }
    }
    command
}

/// A process that does not outlive a test that fails.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A receiver in a process of its own, with the `print` handler.
pub(crate) struct Child {
    process: Running,
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    printed: std::thread::JoinHandle<Vec<String>>,
    log: std::thread::JoinHandle<String>,
    directory: Arc<TempDir>,
}

impl Child {
    /// Starts one in a directory of its own.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(TempDir::new().unwrap()), &[], variables).await
    }

    /// Starts one in this directory, by a wrapper as `strace` when there is one.
    pub(crate) async fn start_in(
        directory: Arc<TempDir>,
        wrapper: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = match wrapper.split_first() {
            None => binary(),
            Some((program, arguments)) => {
                let mut command = unset(std::process::Command::new(program));
                command.args(arguments).arg(env!("CARGO_BIN_EXE_beckn-receiver"));
                command
            }
        };
        command
            .env("BECKN_RECEIVER_INBOX__PATH", directory.path().join("inbox"))
            .envs(variables.iter().copied());
        Self::spawn(command, directory).await
    }

    /// Starts `dev` in this directory.
    pub(crate) async fn start_dev(directory: Arc<TempDir>, variables: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.arg("dev").envs(variables.iter().copied());
        Self::spawn(command, directory).await
    }

    async fn spawn(mut command: std::process::Command, directory: Arc<TempDir>) -> Self {
        let mut process = command
            .current_dir(directory.path())
            .env("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0")
            .env("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0")
            .env("BECKN_RECEIVER_INBOX__MIN_FREE_BYTES", "0")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let printed = process.stdout.take().unwrap();
        let printed = std::thread::spawn(move || lines(printed).collect());
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
        let log = process.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            for line in lines(log) {
                text.push_str(&line);
                text.push('\n');
                let _ = say.send(line);
            }
            text
        });
        let (mut address, mut operations) = (None, None);
        while address.is_none() || operations.is_none() {
            let line = tokio::time::timeout(PATIENCE, said.recv()).await.expect("it says in time");
            let Some(line) = line else { panic!("it ended: {}", log.join().unwrap()) };
            let told = |line: &str| line.split("http://").nth(1)?.split('/').next()?.parse().ok();
            if let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) {
                // A log in JSON has no room for the greeting.
                let told = |name: &str| line["fields"][name].as_str()?.parse().ok();
                address = address.or_else(|| told("listen"));
                operations = operations.or_else(|| told("operations"));
                continue;
            }
            match line.split_whitespace().next() {
                Some("callbacks" | "receiver") => address = told(&line),
                Some("operations") => operations = told(&line),
                _ => {}
            }
        }
        let (address, operations) = (address.unwrap(), operations.unwrap());
        Self { process: Running(process), address, operations, printed, log, directory }
    }

    /// Returns the directory that it runs in.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Returns the most memory that was resident at a time.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Waits until every event is settled.
    pub(crate) async fn settle(&self) {
        wait_until("every event is settled", async || {
            let ready = request(self.operations, "GET /readyz HTTP/1.1\r\n", b"").await;
            ready.body.contains("unsettled events: 0\n")
        })
        .await;
    }

    /// Kills it as a power cut would, and returns the lines that it had printed.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.printed.join().unwrap()
    }

    /// Stops it by a signal and returns what it printed and logged.
    pub(crate) async fn end(mut self) -> (Vec<String>, String) {
        let status = std::process::Command::new("kill")
            .args(["-TERM", &self.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
        wait_until("it has ended", async || self.process.0.try_wait().unwrap().is_some()).await;
        (self.printed.join().unwrap(), self.log.join().unwrap())
    }

    /// Stops it where what it said does not matter.
    pub(crate) async fn end_quietly(self) {
        self.end().await;
    }

    /// Waits until it ends by itself, and returns its exit code and log.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until("it ends by itself", async || {
            status = self.process.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        (status.unwrap().code(), self.log.join().unwrap())
    }
}

fn lines(stream: impl std::io::Read) -> impl Iterator<Item = String> {
    use std::io::BufRead as _;
    std::io::BufReader::new(stream).lines().map_while(Result::ok)
}

/// A seller that signs, written after BECKN-006 and not with the receiver's own code.
pub(crate) struct Seller {
    subscriber: String,
    unique_key: String,
    key: ed25519_dalek::SigningKey,
}

impl Seller {
    /// Returns the seller of this id; each has a key of its own.
    pub(crate) fn new(subscriber: &str) -> Self {
        Self::with_key(subscriber, "key-1", subscriber.as_bytes())
    }

    fn with_key(subscriber: &str, unique_key: &str, seed: &[u8]) -> Self {
        let hash = blake2b_simd::blake2b(seed);
        let seed = hash.as_bytes()[..32].try_into().expect("32 bytes");
        Self {
            subscriber: subscriber.to_owned(),
            unique_key: unique_key.to_owned(),
            key: ed25519_dalek::SigningKey::from_bytes(&seed),
        }
    }

    /// Returns the same seller with another key, of this id.
    pub(crate) fn rekeyed(&self, unique_key: &str) -> Self {
        Self::with_key(&self.subscriber, unique_key, self.key.as_bytes())
    }

    /// Returns what a registry lists of it.
    pub(crate) fn record(&self) -> MockRecord {
        MockRecord::new(&self.subscriber, &self.unique_key, self.public())
    }

    /// Returns the public key as a registry holds it.
    pub(crate) fn public(&self) -> String {
        base64(self.key.verifying_key().as_bytes())
    }

    /// Returns the private key, as a file of ours holds it.
    pub(crate) fn private(&self) -> String {
        base64(self.key.as_bytes())
    }

    /// Returns the line that pins its key.
    pub(crate) fn pinned(&self) -> String {
        format!("{}|{}|{}", self.subscriber, self.unique_key, self.public())
    }

    /// Returns the `Authorization` of a body that is signed now.
    pub(crate) fn authorization(&self, body: &[u8]) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.authorization_at(body, now.expect("after 1970").as_secs())
    }

    /// Returns the `Authorization` of a body that was signed then, valid for five minutes.
    pub(crate) fn authorization_at(&self, body: &[u8], created: u64) -> String {
        use ed25519_dalek::Signer as _;
        let (id, unique_key, expires) = (&self.subscriber, &self.unique_key, created + 300);
        let digest = base64(blake2b_simd::blake2b(body).as_bytes());
        let signed =
            format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest}");
        let signature = base64(&self.key.sign(signed.as_bytes()).to_bytes());
        format!(
            r#"Signature keyId="{id}|{unique_key}|ed25519",algorithm="ed25519",created="{created}",expires="{expires}",headers="(created) (expires) digest",signature="{signature}""#
        )
    }

    /// Posts a body that it has signed.
    pub(crate) async fn post(&self, receiver: &TestReceiver, path: &str, body: &str) -> Answer {
        post_signed(receiver.address, path, &self.authorization(body.as_bytes()), body).await
    }
}

/// Posts with this `Authorization`.
pub(crate) async fn post_signed(
    address: SocketAddr,
    path: &str,
    authorization: &str,
    body: &str,
) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nauthorization: {authorization}\r\n");
    request(address, &head, body.as_bytes()).await
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
