//! The examples run, on a free port.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use beckn_receiver::Config;
use tempfile::TempDir;

use crate::commands::output;
use crate::harness::{self, ACK, on_status, post, request, unset};
use crate::target::Target;

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
    let mut process = unset(Command::new(example(name)))
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

/// Returns the path of a settings file of the examples.
fn settings(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/settings").join(name)
}

#[test]
fn settings_are_allowed_and_lead_to_handlers_that_there_are() {
    let directory = TempDir::new().unwrap();
    let mut kinds = Vec::new();
    for entry in std::fs::read_dir(settings("")).unwrap() {
        let file = entry.unwrap().path();
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let routed = config.routes.iter().map(|route| &route.handler);
        let led_to: Vec<_> = routed.chain([&config.dispatch.handler]).collect();
        for handler in &led_to {
            let is_there = *handler == "print" || config.handlers.contains_key(*handler);
            assert!(is_there, "{}: no handler {handler}", file.display());
        }
        for (name, handler) in &config.handlers {
            assert!(led_to.contains(&name), "{}: nothing leads to {name}", file.display());
            kinds.push(handler.kind.as_str());
        }
        let listed = output(directory.path(), &["-c", file.to_str().unwrap(), "route"]);
        assert!(listed.ends_with(&format!("else {}\n", config.dispatch.handler)), "{listed}");
    }
    for kind in ["forward", "jetstream", "rabbitmq"] {
        assert!(kinds.contains(&kind), "an example of {kind}: {kinds:?}");
    }
}

/// Starts the receiver with a settings file of the examples, in this directory, and its handlers
/// led to these targets.
async fn serve(directory: TempDir, name: &str, targets: &[(&str, &Target)]) -> harness::Child {
    std::fs::copy(settings(name), directory.path().join("config.toml")).unwrap();
    let urls = targets.iter().map(|(handler, target)| {
        let variable = format!("BECKN_RECEIVER_HANDLERS__{handler}__URL");
        (variable, format!("http://{}/", target.address))
    });
    let urls: Vec<_> = urls.collect();
    let urls: Vec<_> = urls.iter().map(|(name, url)| (&**name, &**url)).collect();
    harness::Child::start_in(Arc::new(directory), &[], &urls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_that_forward_deliver_a_signed_event() {
    let (directory, app) = (TempDir::new().unwrap(), Target::taking());
    // As the file says to do first.
    output(directory.path(), &["keygen", "--webhook", "--out", "webhook.secret"]);
    let child = serve(directory, "forward.toml", &[("APP", &app)]).await;
    let body = on_status("t", "m", "Accepted");
    assert_eq!(post(child.address, "/on_status", body.as_bytes()).await.body, ACK);
    child.settle().await;
    child.end_quietly().await;
    let delivery = app.seen().remove(0);
    assert_eq!(delivery.envelope()["order_id"], "O-t");
    assert!(delivery.header("webhook-signature").starts_with("v1,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_with_routes_deliver_to_each_its_own() {
    let (app, tracking) = (Target::taking(), Target::taking());
    let targets = [("APP", &app), ("TRACKING", &tracking)];
    let child = serve(TempDir::new().unwrap(), "routes.toml", &targets).await;
    let posts =
        [("on_status", "ONDC:RET10"), ("on_track", "ONDC:RET10"), ("on_status", "ONDC:TRV10")];
    for (number, (action, domain)) in posts.into_iter().enumerate() {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        let body = body.replace("on_status", action).replace("ONDC:RET10", domain);
        let answer = post(child.address, &format!("/{action}"), body.as_bytes()).await;
        assert_eq!(answer.body, ACK);
    }
    child.settle().await;
    let (printed, _) = child.end().await;
    let orders = |target: &Target| {
        let orders =
            target.seen().into_iter().map(|delivery| delivery.envelope()["order_id"].clone());
        orders.collect::<Vec<_>>()
    };
    assert_eq!((orders(&app), orders(&tracking)), (vec!["O-t0".into()], vec!["O-t1".into()]));
    assert!(matches!(&*printed, [line] if line.contains("O-t2")), "{printed:?}");
}
