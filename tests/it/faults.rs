//! Disks that fail, and directories that are not fit.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{ACK, Child, binary, on_status, post, request, wait_until};

/// Builds the library that makes syncs fail; `None`, said, where there is no C compiler.
fn failing_sync(directory: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fail_sync.c");
    let library = directory.join("fail_sync.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .is_ok_and(|status| status.success());
    if !built {
        println!("skipped: no C compiler");
    }
    built.then_some(library)
}

async fn start_with_failing_sync(directory: &Arc<TempDir>) -> Option<(Child, PathBuf)> {
    let library = failing_sync(directory.path())?;
    let switch = directory.path().join("fail");
    let variables =
        [("LD_PRELOAD", library.to_str().unwrap()), ("FAIL_SYNC", switch.to_str().unwrap())];
    Some((Child::start_in(Arc::clone(directory), &[], &variables).await, switch))
}

/// Waits until nothing is left for the writer to settle.
async fn settled(child: &Child) {
    wait_until("everything is settled", async || {
        let ready = request(child.operations, "GET /readyz HTTP/1.1\r\n", b"").await;
        ready.body.contains("unsettled events: 0\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_answered_503_and_the_retry_is_a_new_event() {
    let directory = Arc::new(TempDir::new().unwrap());
    let Some((child, switch)) = start_with_failing_sync(&directory).await else { return };
    let body = |number: usize| on_status(&format!("t{number}"), "m", "Accepted");
    assert_eq!(post(child.address, "/on_status", body(0).as_bytes()).await.body, ACK);
    settled(&child).await;
    std::fs::write(&switch, "").unwrap();
    let failed = post(child.address, "/on_status", body(1).as_bytes()).await;
    assert_eq!((failed.status, failed.error("code")), (503, "23001".to_owned()));
    assert_eq!(failed.header("retry-after"), Some("1"));
    std::fs::remove_file(&switch).unwrap();
    wait_until("the inbox has recovered", async || {
        post(child.address, "/on_status", body(1).as_bytes()).await.body == ACK
    })
    .await;
    assert_eq!(post(child.address, "/on_status", body(2).as_bytes()).await.body, ACK);
    settled(&child).await;
    let (printed, _log) = child.end().await;
    let mut orders: Vec<&str> =
        printed.iter().filter_map(|line| line.split(" order=").nth(1)?.split(' ').next()).collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders, ["O-t0", "O-t1", "O-t2"]);
    let listed = crate::commands::output(directory.path(), &["events"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_broken_ends_the_process() {
    let directory = Arc::new(TempDir::new().unwrap());
    let Some((child, switch)) = start_with_failing_sync(&directory).await else { return };
    std::fs::write(&switch, "").unwrap();
    for number in 0..20 {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        let head = "POST /on_status HTTP/1.1\r\n";
        match crate::harness::try_request(child.address, head, body.as_bytes()).await {
            Ok(answer) => assert_eq!(answer.status, 503, "{answer}"),
            Err(_) => break,
        }
    }
    let (code, log) = child.ended().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("inbox"), "{log}");
}

/// The script that mounts a small disk where only the receiver sees it, and starts it there.
const ON_A_SMALL_DISK: &str = "mkdir -p disk && mount -t tmpfs -o size=6m tmpfs disk \
    && head -c 2m /dev/zero > disk/ballast \
    && BECKN_RECEIVER_INBOX__PATH=$PWD/disk/inbox exec \"$0\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_until_there_is_room() {
    let probe =
        Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: a disk of its own cannot be mounted here");
        return;
    }
    let directory = Arc::new(TempDir::new().unwrap());
    let wrapper = ["unshare", "-rm", "sh", "-c", ON_A_SMALL_DISK];
    let child = Child::start_in(Arc::clone(&directory), &wrapper, &[]).await;
    let padding = "x".repeat(200_000);
    let body = |number: usize| {
        on_status(&format!("t{number}"), "m", "Accepted").replace("Accepted", &padding)
    };
    let mut acked = 0;
    let refused = loop {
        let answer = post(child.address, "/on_status", body(acked).as_bytes()).await;
        if answer.status == 503 {
            break answer;
        }
        assert_eq!(answer.body, ACK);
        acked += 1;
        assert!(acked < 100, "the disk of 6 MB never filled");
    };
    assert_eq!(refused.error("code"), "23001");
    let disk = PathBuf::from(format!("/proc/{}/root{}", child.id(), directory.path().display()));
    std::fs::remove_file(disk.join("disk/ballast")).unwrap();
    wait_until("there is room again", async || {
        post(child.address, "/on_status", body(acked).as_bytes()).await.body == ACK
    })
    .await;
    settled(&child).await;
    let (printed, _log) = child.end().await;
    assert_eq!(printed.len(), acked + 1);
}

/// Starts the receiver in a directory that is not fit, and returns what it says.
fn told(directory: &Path, inbox: &Path) -> String {
    let output = binary()
        .current_dir(directory)
        .env("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0")
        .env("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0")
        .env("BECKN_RECEIVER_INBOX__PATH", inbox)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_receiver_is_told_who_holds_the_inbox() {
    let child = Child::start(&[]).await;
    let told = told(child.directory(), &child.directory().join("inbox"));
    assert!(told.contains(&child.id().to_string()), "{told}");
    child.end().await;
}

#[test]
fn directories_and_files_that_are_not_fit_are_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    assert!(told(directory.path(), &file).contains("file"));
    assert!(told(directory.path(), Path::new("/proc/nowhere/inbox")).contains("/proc/nowhere"));
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere; then this directory is fit.
    if std::fs::write(closed.join("probe"), "").is_err() {
        assert!(told(directory.path(), &closed.join("inbox")).contains("closed"));
    }
}
