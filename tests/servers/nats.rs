//! A NATS server with JetStream, a port and a store of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::Context;
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a condition may take to come true before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server in a process of its own; killed when it is dropped.
pub(crate) struct Nats {
    directory: TempDir,
    settings: String,
    pub(crate) process: Child,
    pub(crate) port: u16,
}

impl Nats {
    /// Starts one; `None`, said aloud, on a machine that has none.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// Starts one with these lines of settings.
    pub(crate) async fn start_with(settings: &str) -> Option<Self> {
        if Command::new("nats-server").arg("--version").output().is_err() {
            super::skip("nats-server on PATH");
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
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was, with what it has stored.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(&self.directory, &self.settings, self.port.into());
        self.wait_for_port().await;
    }

    /// Returns a client of the test's own.
    pub(crate) async fn context(&self) -> Context {
        let client = async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await;
        async_nats::jetstream::new(client.unwrap())
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
