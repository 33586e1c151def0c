//! What leaves an inbox by age and by size, when, and what stays.

use std::time::Duration;

use bytes::Bytes;

use super::tests::{beside, open, options};
use super::{Options, SqliteInbox};
use crate::clock::Clock as _;
use crate::event::{EventId, Flag};
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample, new_id};
use crate::inbox::reader::Reader;
use crate::inbox::reader::selection::Filter;
use crate::inbox::{Inbox as _, Receipt, Seq, Settlement, Standing};

fn ids(options: &Options) -> Vec<EventId> {
    let events = Reader::open(&options.path.as_path().into())
        .unwrap()
        .events(&Filter::default(), 100)
        .unwrap();
    events.iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn settled_events_leave_by_age_and_unsettled_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let sample = |transaction| Sample { transaction: Some(transaction), ..SAMPLE };
    let done = new_id(bench.append(sample("done")).await);
    let dead = new_id(bench.append(sample("dead")).await);
    let last = new_id(bench.append(sample("pending")).await);
    let mut claims = bench.claim(3).await;
    while claims.len() < 3 {
        claims.extend(bench.claim(3).await);
    }
    let mut waiting = Vec::new();
    for claim in claims {
        match claim.event().context.transaction_id.as_deref() {
            Some("done") => inbox.settle(claim, Settlement::Done),
            Some("dead") => inbox.settle(claim, Settlement::Dead { error: "no".to_owned() }),
            _ => waiting.push(claim),
        }
    }
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    assert_eq!(ids(&options), [last, dead, done]);
    clock.advance(31 * 86_400);
    bench.wait_for(|_| ids(&options) == [last, dead]).await;
    clock.advance(60 * 86_400);
    bench.wait_for(|_| ids(&options) == [last]).await;
    inbox.settle(waiting.remove(0), Settlement::Done);
    clock.advance(60 * 86_400);
    bench.wait_for(|_| ids(&options).is_empty()).await;
    inbox.close().await;
    drop((inbox, bench));
    let (_inbox, bench) = open(&options, &clock);
    let receipt = bench.append(SAMPLE).await.unwrap();
    assert!(matches!(receipt, Receipt::New { seq: Seq(4), .. }), "no seq twice: {receipt:?}");
}

#[tokio::test]
async fn settled_events_leave_when_the_files_are_too_large() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = Options { retention_bytes: 0, ..options(&directory) };
    let (inbox, bench) = open(&options, &clock);
    bench.append(SAMPLE).await.unwrap();
    let kept = new_id(bench.append(Sample { state: "Packed", ..SAMPLE }).await);
    let claim = bench.claim(1).await.remove(0);
    inbox.settle(claim, Settlement::Done);
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    clock.advance(120);
    bench.wait_for(|_| ids(&options) == [kept]).await;
}

/// Accepts 1 MiB that is settled from the start: it leaves when there is no room.
async fn append_settled(inbox: &SqliteInbox, bench: &Bench, filler: u8) -> EventId {
    let (mut record, mut event) = SAMPLE.callback(bench.clock.now());
    (record.standing, record.message) = (Standing::Rejected, None);
    event.flags.insert(Flag::Rejected);
    event.body = body_of(filler);
    new_id(inbox.append(record, event).await)
}

fn body_of(filler: u8) -> Bytes {
    vec![filler; 1 << 20].into()
}

/// Fills an inbox beyond its room, with nobody but the commits to let events leave: it looks around
/// when it starts, and then not for an hour. Returns what came, the oldest first.
async fn overfill(inbox: &SqliteInbox, bench: &Bench) -> Vec<EventId> {
    let mut ids = vec![append_settled(inbox, bench, 0).await];
    // The pass that begins with the start finds its end.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for filler in 1..=6 {
        ids.push(append_settled(inbox, bench, filler).await);
    }
    ids
}

fn narrow(options: Options) -> Options {
    Options { retention_bytes: 4 << 20, poll: Duration::from_hours(1), ..options }
}

#[tokio::test]
async fn a_commit_takes_along_what_has_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = narrow(options(&directory));
    let (inbox, bench) = open(&options, &ManualClock::new());
    let filled = overfill(&inbox, &bench).await;
    new_id(bench.append(SAMPLE).await);
    let kept = ids(&options);
    assert!(!kept.contains(&filled[0]), "the oldest is there until the inbox looks around");
    assert!(kept.contains(&filled[6]), "the newest has room");
}

#[tokio::test]
async fn a_commit_goes_on_without_what_cannot_leave() {
    let directory = tempfile::tempdir().unwrap();
    let options = narrow(options(&directory));
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options, &clock);
    // The body leaves before its event does.
    let refuse = "CREATE TRIGGER stuck BEFORE DELETE ON event BEGIN SELECT raise(ABORT, 'no'); END";
    beside(&options, |file| file.execute_batch(refuse).unwrap());
    let filled = overfill(&inbox, &bench).await;
    let brought = new_id(bench.append(SAMPLE).await);
    let after = new_id(bench.append(Sample { state: "Packed", ..SAMPLE }).await);
    let everything: Vec<_> = filled.iter().copied().chain([brought, after]).rev().collect();
    assert_eq!(ids(&options), everything);
    let oldest =
        Reader::open(&options.path.as_path().into()).unwrap().event(filled[0]).unwrap().unwrap();
    assert_eq!(oldest.body, body_of(0), "it left by half");
    assert!(inbox.trouble().is_none(), "{:?}", inbox.trouble());
    inbox.abandon();
    drop((inbox, bench));
    beside(&options, |file| file.execute_batch("DROP TRIGGER stuck").unwrap());
    let options = Options { poll: Duration::from_millis(5), ..options };
    let (_inbox, bench) = open(&options, &clock);
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().id, brought, "what the commit brought is there after a crash");
    bench.wait_for(|_| !ids(&options).contains(&filled[0])).await;
}
