//! The examples run, on a free port.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{ACK, on_status, post, request};

/// Returns the binary of an example, which `cargo test` builds beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(name)
}

struct Running {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

/// Starts an example with settings of its own and reads its address from its first line.
fn start(name: &str) -> Running {
    let directory = TempDir::new().unwrap();
    let settings = directory.path().join("settings.toml");
    let text = "[http]\nlisten = \"127.0.0.1:0\"\n[operations]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&settings, text).unwrap();
    let mut process = Command::new(example(name))
        .arg(settings)
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} is not built ({error}): run all of `cargo test`"));
    let mut line = String::new();
    BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().parse();
    let address = address.unwrap_or_else(|_| panic!("{name} says no address: {line}"));
    Running { process, address, _directory: directory }
}

impl Running {
    /// Returns the first line that it prints, and stops it.
    async fn first_line(mut self) -> String {
        let stdout = self.process.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            line
        })
        .await
        .unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        line
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_handler_gets_typed_events() {
    let example = start("custom_handler");
    let body = on_status("t", "m", "Accepted");
    assert_eq!(post(example.address, "/on_status", body.as_bytes()).await.body, ACK);
    assert_eq!(example.first_line().await, "on_status: order O-t is Accepted\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_lives_inside_an_app() {
    let example = start("embed_in_axum");
    let home = request(example.address, "GET / HTTP/1.1\r\n", b"").await;
    assert_eq!(home.body, "my buyer app\n");
    let body = on_status("t", "m", "Accepted");
    assert_eq!(post(example.address, "/beckn/on_status", body.as_bytes()).await.body, ACK);
    let line = example.first_line().await;
    assert!(line.starts_with("on_status of order Some(\"O-t\"): "), "{line}");
}
