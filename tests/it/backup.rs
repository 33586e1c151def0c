//! Copying an inbox and bringing it back, by the commands.

use std::path::Path;

use crate::harness::{Recorder, TestReceiver, on_status};
use crate::remote::{printed, run};

/// Runs a command that has to fail, and returns what it said.
async fn failed(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(arguments, variables).await;
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_copied_beside_its_receiver_and_brought_back_elsewhere() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    receiver.settle().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (copy, again) = (elsewhere.path().join("copy"), elsewhere.path().join("inbox"));
    let inbox = receiver.inbox().join("inbox");
    let backup = ["backup", text(&copy), "--inbox", text(&inbox)];
    assert!(printed(run(&backup, &[]).await).contains("holds the inbox of"));
    assert!(failed(&backup, &[]).await.contains("nothing is overwritten"));
    let named = [("BECKN_RECEIVER_URL", "http://127.0.0.1:1")];
    assert!(failed(&backup[..2], &named).await.contains("name the inbox by --inbox"));
    let over = failed(&["restore", text(&copy), "--inbox", text(&inbox)], &[]).await;
    assert!(over.contains("cannot be used"), "{over}");
    let directory = receiver.stop().await;
    let restore = ["restore", text(&copy), "--inbox", text(&again)];
    assert!(printed(run(&restore, &[]).await).contains("comes again at the next start"));
    assert!(failed(&restore, &[]).await.contains("nothing is overwritten"));
    drop(directory);
    let receiver = TestReceiver::start_in(elsewhere, "", Recorder::new()).await;
    receiver.accept("/on_status", on_status("t2", "m1", "Accepted")).await;
    let listed = printed(run(&["events", "--inbox", text(&again)], &[]).await);
    assert!(listed.contains("O-t1") && listed.contains("O-t2"), "{listed}");
    receiver.stop().await;
}
