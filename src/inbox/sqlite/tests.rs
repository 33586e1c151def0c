//! What only this engine can show: files, crashes, failing commits, retention.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::faults::Fault;
use super::open_error::OpenError;
use super::{Options, SqliteInbox};
use crate::clock::Clock as _;
use crate::event::EventId;
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample, check_all, new_id};
use crate::inbox::reader::Reader;
use crate::inbox::reader::refusals::RefusalFilter;
use crate::inbox::reader::replays::{Replay, request_replay};
use crate::inbox::{Error, Inbox, Receipt, Refusal, Settlement};

/// Small bounds, a short look-around, and no demand on this machine's disk.
pub(super) fn options(directory: &TempDir) -> Options {
    Options {
        min_free_bytes: 0,
        poll: Duration::from_millis(5),
        ..Options::new(directory.path().join("inbox"))
    }
}

pub(super) fn open(options: &Options, clock: &Arc<ManualClock>) -> (Arc<SqliteInbox>, Bench) {
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

/// Lets another connection do something to the file.
pub(super) fn beside<T>(options: &Options, work: impl FnOnce(&Connection) -> T) -> T {
    let connection = Connection::open(options.path.join(super::schema::FILE)).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    work(&connection)
}

#[tokio::test]
async fn a_full_disk_fails_the_batch_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let full = Options { min_free_bytes: u64::MAX, ..options(&directory) };
    let clock = ManualClock::new();
    let (inbox, bench) = open(&full, &clock);
    bench.wait_for(|inbox| matches!(inbox.trouble(), Some(Error::NoSpace))).await;
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::NoSpace)));
    inbox.close().await;
    drop((inbox, bench));
    let (_inbox, bench) = open(&options(&directory), &clock);
    new_id(bench.append(SAMPLE).await);
}

#[tokio::test]
async fn a_commit_that_finds_no_room_fails_and_its_retry_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    inbox.plant(Fault::NoRoom);
    let large = "x".repeat(200_000);
    let (record, mut event) = SAMPLE.callback(clock.now());
    event.body = bytes::Bytes::from(format!("{} {large}", String::from_utf8_lossy(&event.body)));
    let refused = inbox.append(record.clone(), event.clone()).await;
    assert!(matches!(refused, Err(Error::NoSpace)), "{refused:?}");
    assert!(inbox.trouble().is_none());
    new_id(inbox.append(record, event).await);
    assert_eq!(bench.claim(10).await.len(), 1);
}

#[tokio::test]
async fn an_engine_that_fails_once_is_opened_again_and_thrice_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let kept = new_id(bench.append(SAMPLE).await);
    beside(&options, |file| file.execute_batch("ALTER TABLE body RENAME TO away").unwrap());
    let next = Sample { state: "Packed", ..SAMPLE };
    assert!(matches!(bench.append(next).await, Err(Error::Engine(_))));
    beside(&options, |file| file.execute_batch("ALTER TABLE away RENAME TO body").unwrap());
    assert_eq!(bench.append(SAMPLE).await.unwrap(), Receipt::Duplicate { of: kept });
    new_id(bench.append(next).await);
    assert_eq!(bench.claim(10).await.len(), 1, "the lane has two events and hands out one");

    beside(&options, |file| file.execute_batch("ALTER TABLE body RENAME TO away").unwrap());
    for stamp in 2..5 {
        let failing = Sample { state: "Delivered", stamp, ..SAMPLE };
        assert!(matches!(bench.append(failing).await, Err(Error::Engine(_))));
    }
    tokio::time::timeout(Duration::from_secs(20), inbox.failed()).await.unwrap();
    assert!(matches!(inbox.trouble(), Some(Error::Engine(_))));
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::Engine(_))));
}

#[tokio::test]
async fn what_a_failed_commit_left_on_the_disk_is_delivered_and_a_duplicate() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    inbox.plant(Fault::Kept);
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::Engine(_))));
    let receipt = bench.append(SAMPLE).await.unwrap();
    assert!(matches!(receipt, Receipt::Duplicate { .. }), "{receipt:?}");
    let claims = bench.claim(10).await;
    assert_eq!(claims.len(), 1);
    drop(claims);
    assert_eq!(bench.claim(10).await.len(), 1);
}

#[tokio::test]
async fn an_event_that_ends_the_process_three_times_is_a_dead_letter() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let culprit = new_id(bench.append(SAMPLE).await);
    let _claims = bench.claim(10).await;
    inbox.abandon();
    for end in 2..=3 {
        let (inbox, bench) = open(&options, &clock);
        let claims = bench.claim(10).await;
        assert_eq!(claims[0].event().id, culprit, "the process ends for the {end}. time");
        inbox.abandon();
    }
    let (inbox, bench) = open(&options, &clock);
    let after = Sample { state: "Packed", ..SAMPLE };
    let after = new_id(bench.append(after).await);
    let claims = bench.claim(10).await;
    assert_eq!(claims[0].event().id, after, "the culprit does not block its lane");
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    let dead = Reader::open(&options.path.as_path().into()).unwrap().dead_letters(10).unwrap();
    assert_eq!(dead.iter().map(|event| event.id).collect::<Vec<_>>(), [culprit]);
    assert!(dead[0].error.as_deref().unwrap().contains("three times"));
    inbox.close().await;
}

#[tokio::test]
async fn an_innocent_event_loses_its_mark_when_an_attempt_ends() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let id = new_id(bench.append(SAMPLE).await);
    inbox.abandon();
    for _ in 0..6 {
        let (inbox, bench) = open(&options, &clock);
        let claim = bench.claim(10).await.remove(0);
        assert_eq!(claim.event().id, id);
        let marked = |file: &Connection| -> i64 {
            file.query_row("SELECT marks FROM delivery", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(beside(&options, marked), 1, "the mark is durable before the event is out");
        let at = clock.now();
        inbox.settle(claim, Settlement::Retry { at, error: "no".to_owned() });
        bench.wait_for(|_| beside(&options, marked) == 0).await;
        inbox.abandon();
    }
}

#[tokio::test]
async fn a_replay_is_another_round_beside_a_running_process_and_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let id = new_id(bench.append(SAMPLE).await);
    let replay = || request_replay(&options.path, id, clock.now()).unwrap();
    assert_eq!(replay(), Replay::StillPending);
    let claim = bench.claim(1).await.remove(0);
    inbox.settle(claim, Settlement::Dead { error: "no".to_owned() });
    bench.settle_down().await;
    assert_eq!(replay(), Replay::Requested);
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().delivery_id(), format!("{id}-r1"));
    assert_eq!((claim.event().attempt, claim.first_attempt_at()), (1, None));
    inbox.settle(claim, Settlement::Done);
    inbox.close().await;
    drop((inbox, bench));
    assert_eq!(replay(), Replay::Requested);
    let (inbox, bench) = open(&options, &clock);
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().delivery_id(), format!("{id}-r2"));
    drop(claim);
    inbox.abandon();
    let (inbox, bench) = open(&options, &clock);
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().replay, 2, "an open replay survives a crash");
    inbox.settle(claim, Settlement::Done);
    bench.settle_down().await;
    let unknown = EventId::new(uuid::Uuid::nil());
    assert_eq!(request_replay(&options.path, unknown, clock.now()).unwrap(), Replay::Unknown);
}

pub(super) fn refusal(seller: &str, verified: bool, cause: &'static str) -> Refusal {
    Refusal {
        at: chrono::DateTime::UNIX_EPOCH,
        route: "on_status".to_owned(),
        seller: seller.to_owned(),
        verified,
        cause,
        path: "/context".to_owned(),
        message: "no".to_owned(),
        transaction_id: None,
        status: 200,
        body: bytes::Bytes::from_static(b"0123456789"),
        body_bytes: 10,
    }
}

#[tokio::test]
async fn refusals_are_kept_within_their_quotas_and_counted_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        refusals_kept: 20,
        refusals_per_seller_and_cause: 3,
        refusal_body_bytes: 4,
        ..options(&directory)
    };
    let (inbox, _bench) = open(&options, &ManualClock::new());
    for _ in 0..5 {
        inbox.refuse(refusal("seller.example", true, "json"));
    }
    for unverified in 0..40 {
        inbox.refuse(refusal(&format!("unverified:{unverified}"), false, "json"));
    }
    inbox.close().await;
    let reader = Reader::open(&options.path.as_path().into()).unwrap();
    let kept = reader.refusals(&RefusalFilter::default(), 100).unwrap();
    assert_eq!(kept.iter().filter(|refusal| refusal.verified).count(), 3);
    assert_eq!(kept.iter().filter(|refusal| !refusal.verified).count(), 10);
    assert_eq!((&kept[0].body[..], kept[0].body_bytes), (&b"0123"[..], 10));
    assert_eq!(reader.totals().unwrap().refused, 45);
}

#[tokio::test]
async fn what_cannot_be_read_back_is_a_dead_letter() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { tail_events: 0, ..options(&directory) };
    let (_inbox, bench) = open(&options, &ManualClock::new());
    let damaged = new_id(bench.append(SAMPLE).await);
    let whole = new_id(bench.append(Sample { state: "Packed", ..SAMPLE }).await);
    beside(&options, |file| {
        file.execute("UPDATE body SET body = x'7b' WHERE seq = 1", []).unwrap();
    });
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().id, whole);
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    let dead = Reader::open(&options.path.as_path().into()).unwrap().dead_letters(10).unwrap();
    assert_eq!(dead[0].id, damaged);
}

#[tokio::test]
async fn too_many_unsettled_events_and_a_full_queue_refuse_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { unsettled_limit: 1, ..options(&directory) };
    let (inbox, bench) = open(&options, &ManualClock::new());
    bench.append(SAMPLE).await.unwrap();
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::TooManyUnsettled)));
    assert!(matches!(inbox.trouble(), Some(Error::TooManyUnsettled)));
    let claim = bench.claim(1).await.remove(0);
    inbox.settle(claim, Settlement::Done);
    bench.settle_down().await;
    bench.append(SAMPLE).await.unwrap();
    for (queue_limit, queue_bytes) in [(0, 1 << 20), (1, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { queue_limit, queue_bytes, ..self::options(&directory) };
        let (inbox, bench) = open(&options, &ManualClock::new());
        assert!(matches!(bench.append(SAMPLE).await, Err(Error::QueueFull)));
        assert!(matches!(inbox.trouble(), Some(Error::QueueFull)));
    }
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused() {
    let clock = ManualClock::new();
    let check = |prepare: &dyn Fn(&Options), expected: fn(&OpenError) -> bool| {
        let directory = tempfile::tempdir().unwrap();
        let options = options(&directory);
        std::fs::create_dir(&options.path).unwrap();
        prepare(&options);
        let error = SqliteInbox::open(options, Arc::<ManualClock>::clone(&clock)).unwrap_err();
        assert!(expected(&error), "{error:?}");
    };
    let sql = |sql: &'static str| {
        move |options: &Options| beside(options, |file| file.execute_batch(sql).unwrap())
    };
    check(&sql("CREATE TABLE other (x); PRAGMA application_id = 7"), |error| {
        matches!(error, OpenError::OtherApplication)
    });
    check(&sql("CREATE TABLE other (x)"), |error| matches!(error, OpenError::OtherApplication));
    check(
        &sql("CREATE TABLE meta (x); PRAGMA application_id = 0x42524978; PRAGMA user_version = 99"),
        |error| matches!(error, OpenError::NewerSchema { found: 99, .. }),
    );
    let garbage = |options: &Options| {
        std::fs::write(options.path.join(super::schema::FILE), "no database at all, ".repeat(99))
            .unwrap();
    };
    check(&garbage, |error| matches!(error, OpenError::Damaged { .. }));
    let in_the_way = |options: &Options| {
        std::fs::remove_dir(&options.path).unwrap();
        std::fs::write(&options.path, "a file").unwrap();
    };
    check(&in_the_way, |error| matches!(error, OpenError::Directory { .. }));
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let (_inbox, bench) = open(&options, &ManualClock::new());
    bench.append(SAMPLE).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&options.path), 0o700);
    for file in std::fs::read_dir(&options.path).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn the_window_is_packed_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let count = u32::try_from(super::packs::PACK_ENTRIES).unwrap() + 600;
    let sample = |stamp| Sample { message: None, stamp, ..SAMPLE };
    for first in (0..count).step_by(512) {
        let appends = (first..count.min(first + 512)).map(|stamp| bench.append(sample(stamp)));
        futures_util::future::join_all(appends).await;
    }
    inbox.abandon();
    let packs = |file: &Connection| -> i64 {
        file.query_row("SELECT count(*) FROM window_pack", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(beside(&options, packs), 1);
    let (_inbox, bench) = open(&options, &clock);
    for stamp in [0, 1000, 4095, 4096, count - 1] {
        let receipt = bench.append(sample(stamp)).await.unwrap();
        assert!(matches!(receipt, Receipt::Duplicate { .. }), "{stamp}: {receipt:?}");
    }
}
