//! What only this engine can show: files, crashes, failing commits, retention.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{OpenError, Options, SqliteInbox};
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample, check_all, new_id};
use crate::inbox::{Inbox, Receipt, Settlement};

/// Small bounds, a short look-around, and no demand on this machine's disk.
fn options(directory: &TempDir) -> Options {
    Options {
        min_free_bytes: 0,
        poll: Duration::from_millis(5),
        ..Options::new(directory.path().join("inbox"))
    }
}

fn open(options: &Options, clock: &Arc<ManualClock>) -> (Arc<SqliteInbox>, Bench) {
    let clock = Arc::clone(clock);
    let inbox = SqliteInbox::open(options.clone(), Arc::<ManualClock>::clone(&clock)).unwrap();
    (Arc::clone(&inbox), Bench { inbox, clock })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    let directories = std::sync::Mutex::new(Vec::new());
    check_all(|| {
        let directory = tempfile::tempdir().unwrap();
        let (_, bench) = open(&options(&directory), &ManualClock::new());
        directories.lock().unwrap().push(directory);
        bench
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_when_every_event_is_read_back() {
    let directories = std::sync::Mutex::new(Vec::new());
    check_all(|| {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { tail_events: 0, ..options(&directory) };
        let (_, bench) = open(&options, &ManualClock::new());
        directories.lock().unwrap().push(directory);
        bench
    })
    .await;
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_crash_and_known_as_a_duplicate() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options(&directory), &clock);
    let id = new_id(bench.append(SAMPLE).await);
    inbox.abandon();
    drop((inbox, bench));
    let (_inbox, bench) = open(&options(&directory), &clock);
    assert_eq!(bench.append(SAMPLE).await.unwrap(), Receipt::Duplicate { of: id });
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().id, id);
    let (_, event) = SAMPLE.callback(claim.event().received_at);
    assert_eq!(claim.event().body, event.body);
    assert_eq!(claim.event().sender, event.sender);
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_inbox() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let (inbox, _bench) = open(&options(&directory), &clock);
    let refused = SqliteInbox::open(options(&directory), Arc::<ManualClock>::clone(&clock));
    let Err(OpenError::Locked { holder, .. }) = refused else { panic!("{refused:?}") };
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    inbox.close().await;
    drop(SqliteInbox::open(options(&directory), clock).unwrap());
}

#[tokio::test]
async fn done_events_stay_done_after_a_clean_end() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options(&directory), &clock);
    bench.append(SAMPLE).await.unwrap();
    let second = new_id(bench.append(Sample { state: "Packed", ..SAMPLE }).await);
    let claim = bench.claim(1).await.remove(0);
    inbox.settle(claim, Settlement::Done);
    inbox.close().await;
    drop((inbox, bench));
    let (_inbox, bench) = open(&options(&directory), &clock);
    let claim = bench.claim(10).await.remove(0);
    assert_eq!(claim.event().id, second);
}
