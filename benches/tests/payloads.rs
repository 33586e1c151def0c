//! What is measured with are callbacks that a receiver has nothing to say against.

use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use beckn_receiver::{Config, HandlerError, OrderEvent, OrderEventHandler, Receiver};
use beckn_receiver_benches::accept::action_of;
use beckn_receiver_benches::answer::ACK;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

/// Hands on what is said of each event: rules that warn, and odd shapes.
struct Tell(mpsc::UnboundedSender<Vec<String>>);

impl OrderEventHandler for Tell {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        let warnings = event.warnings.iter().map(|warning| warning.rule.to_string());
        let oddities = event.oddities.iter().map(|oddity| format!("{oddity:?}"));
        self.0.send(warnings.chain(oddities).collect()).map_err(HandlerError::permanent)
    }
}

#[tokio::test]
async fn every_payload_is_acked_without_a_warning() {
    let inbox = Path::new(env!("CARGO_TARGET_TMPDIR")).join("payloads");
    // What an earlier run left; the first has none.
    let _ = fs::remove_dir_all(&inbox);
    let mut config = Config::default();
    config.inbox.path = inbox;
    let (sender, mut told) = mpsc::unbounded_channel();
    let receiver = Receiver::builder(config).start(Tell(sender)).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("payloads");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut posted = 0;
    for file in files.filter(|file| file.extension().is_some_and(|end| end == "json")) {
        let path = format!("/{}", action_of(&file).unwrap());
        let request = Request::post(path).body(Body::from(fs::read(&file).unwrap())).unwrap();
        let answer = receiver.router().oneshot(request).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(answer, ACK.as_bytes(), "{}", file.display());
        assert_eq!(told.recv().await.unwrap(), Vec::<String>::new(), "{}", file.display());
        posted += 1;
    }
    assert_eq!(posted, 3);
    receiver.shutdown().await;
}
