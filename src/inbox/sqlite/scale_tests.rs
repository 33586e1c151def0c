//! What a large inbox depends on: the window of a start, selections, replays of many events.

use chrono::{DateTime, TimeDelta, Utc};

use super::tests::{open, options};
use super::{Options, SqliteInbox};
use crate::clock::Clock as _;
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample, new_id};
use crate::inbox::reader::audit::Audit;
use crate::inbox::reader::replays::{Replay, request_replays};
use crate::inbox::reader::selection::Filter;
use crate::inbox::reader::{Progress, Reader, Totals};
use crate::inbox::{Inbox, Receipt, Settlement};

#[tokio::test]
async fn duplicates_are_known_while_the_tables_of_a_start_are_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = Options { window_held: true, ..options(&directory) };
    let sample = |stamp| Sample { stamp, ..SAMPLE };
    let state = |state| Sample { state, stamp: 7, ..SAMPLE };
    let (inbox, bench) = open(&options, &clock);
    let first = new_id(bench.append(sample(1)).await);
    inbox.abandon();
    let (inbox, bench) = open(&options, &clock);
    // The body again, the content under the same ids, another content, and the latest content.
    assert_eq!(bench.append(sample(1)).await.unwrap(), Receipt::Duplicate { of: first });
    assert_eq!(bench.append(sample(2)).await.unwrap(), Receipt::Duplicate { of: first });
    let packed = new_id(bench.append(state("Packed")).await);
    assert_eq!(bench.append(state("Packed")).await.unwrap(), Receipt::Duplicate { of: packed });
    let again = new_id(bench.append(sample(3)).await);
    inbox.abandon();
    let (_inbox, bench) = open(&options, &clock);
    assert_eq!(bench.append(sample(4)).await.unwrap(), Receipt::Duplicate { of: again });
    assert_eq!(bench.append(state("Packed")).await.unwrap(), Receipt::Duplicate { of: packed });
}

/// Six events a second apart, of two sellers in turns: done, dead, dead and replayed (so pending
/// again), rejected, rejected and replayed and done, pending.
async fn fill(inbox: &SqliteInbox, bench: &Bench, options: &Options) {
    let sample = |stamp: u32, transaction| Sample {
        stamp,
        transaction: Some(transaction),
        message: None,
        seller: if stamp.is_multiple_of(2) { "even.example" } else { "odd.example" },
        signed: stamp < 3,
        ..SAMPLE
    };
    let dead = || Settlement::Dead { error: "no".to_owned() };
    let mut next = 0;
    let mut append = async |transaction| {
        next += 1;
        bench.clock.advance(1);
        bench.append(sample(next, transaction)).await.unwrap();
    };
    append("t1").await;
    inbox.settle(bench.claim(1).await.remove(0), Settlement::Done);
    append("t2").await;
    inbox.settle(bench.claim(1).await.remove(0), dead());
    append("t2").await;
    inbox.settle(bench.claim(1).await.remove(0), dead());
    for (stamp, transaction) in [(4, "t4"), (5, "t5")] {
        bench.clock.advance(1);
        bench.reject(sample(stamp, transaction)).await.unwrap();
    }
    bench.settle_down().await;
    request_replays(
        &options.path.as_path().into(),
        vec![5],
        &Audit::of_test(bench.clock.now()),
        |_| {},
    )
    .unwrap();
    inbox.settle(bench.claim(1).await.remove(0), Settlement::Done);
    bench.settle_down().await;
    request_replays(
        &options.path.as_path().into(),
        vec![3],
        &Audit::of_test(bench.clock.now()),
        |_| {},
    )
    .unwrap();
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    next = 5;
    let mut append = async |transaction| {
        next += 1;
        bench.clock.advance(1);
        bench.append(sample(next, transaction)).await.unwrap();
    };
    append("t6").await;
}

#[tokio::test]
async fn a_filter_selects_the_same_for_lists_counts_and_replays() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let start = clock.now();
    fill(&inbox, &bench, &options).await;
    let reader = Reader::open(&options.path.as_path().into()).unwrap();
    let check = |filter: Filter, expected: &[i64]| {
        assert_eq!(reader.seqs(&filter).unwrap(), expected, "{filter:?}");
        assert_eq!(reader.count(&filter).unwrap(), expected.len() as u64, "{filter:?}");
        let list = |limit| -> Vec<i64> {
            reader.events(&filter, limit).unwrap().iter().map(|event| event.seq).collect()
        };
        let newest: Vec<i64> = expected.iter().rev().copied().collect();
        assert_eq!(list(10), newest, "{filter:?}");
        assert_eq!(list(1), newest[..newest.len().min(1)], "{filter:?}");
        assert!(list(0).is_empty());
    };
    let text = |text: &str| Some(text.to_owned());
    let at = |seconds| -> Option<DateTime<Utc>> { Some(start + TimeDelta::seconds(seconds)) };
    let any = Filter::default;
    check(any(), &[1, 2, 3, 4, 5, 6]);
    check(Filter { progress: Some(Progress::Done), ..any() }, &[1, 5]);
    check(Filter { progress: Some(Progress::Dead), ..any() }, &[2]);
    check(Filter { progress: Some(Progress::Pending), ..any() }, &[3, 6]);
    check(Filter { progress: Some(Progress::Rejected), ..any() }, &[4]);
    check(Filter { action: text("on_status"), ..any() }, &[1, 2, 3, 4, 5, 6]);
    check(Filter { action: text("on_update"), ..any() }, &[]);
    check(Filter { seller: text("even.example"), ..any() }, &[2, 4, 6]);
    check(Filter { transaction_id: text("t2"), ..any() }, &[2, 3]);
    check(Filter { order_id: text("o1"), received_since: at(5), ..any() }, &[5, 6]);
    check(Filter { received_since: at(2), received_until: at(4), ..any() }, &[2, 3]);
    let dead = Some(Progress::Dead);
    check(Filter { transaction_id: text("t2"), progress: dead, ..any() }, &[2]);
    let totals = Totals { pending: 2, done: 2, dead: 1, rejected: 1, refused: 0 };
    assert_eq!(reader.totals().unwrap(), totals);
    assert_eq!(reader.dead_letters(10).unwrap().len(), 1);
}

#[tokio::test]
async fn many_events_are_replayed_in_steps_and_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = options(&directory);
    let (inbox, bench) = open(&options, &clock);
    let events = 300;
    for stamp in 1..=events {
        let receipt = bench.reject(Sample { stamp, message: None, ..SAMPLE }).await;
        assert!(matches!(receipt.unwrap(), Receipt::New { .. }));
    }
    // Backwards, and more than there are.
    let mut steps = Vec::new();
    request_replays(
        &options.path.as_path().into(),
        (1..=1500).rev().collect(),
        &Audit::of_test(clock.now()),
        |step| {
            let requested = step.iter().filter(|(_, replay)| *replay == Replay::Requested).count();
            steps.push((step.len(), requested));
        },
    )
    .unwrap();
    assert_eq!(steps, [(1024, 300), (476, 0)]);
    bench.wait_for(|inbox| inbox.depth().unsettled == 300).await;
    for seq in 1..=u64::from(events) {
        let claim = bench.claim(1).await.remove(0);
        assert_eq!((claim.event().seq, claim.event().replay), (seq, 1));
        inbox.settle(claim, Settlement::Done);
    }
    bench.settle_down().await;
}

#[tokio::test]
async fn a_replay_leaves_half_of_the_room_to_what_comes_in() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = Options { unsettled_limit: 8, ..options(&directory) };
    let (inbox, bench) = open(&options, &clock);
    for stamp in 1..=6 {
        bench.reject(Sample { stamp, message: None, ..SAMPLE }).await.unwrap();
    }
    request_replays(
        &options.path.as_path().into(),
        (1..=6).collect(),
        &Audit::of_test(clock.now()),
        |_| {},
    )
    .unwrap();
    bench.wait_for(|inbox| inbox.depth().unsettled == 4).await;
    for stamp in 7..=10 {
        bench.append(Sample { stamp, message: None, ..SAMPLE }).await.unwrap();
    }
    assert_eq!(inbox.depth().unsettled, 8, "no more were taken up");
    let mut seqs = Vec::new();
    while seqs.len() < 10 {
        let claim = bench.claim(1).await.remove(0);
        seqs.push(claim.event().seq);
        inbox.settle(claim, Settlement::Done);
    }
    assert_eq!(seqs, [1, 2, 3, 4, 7, 8, 9, 10, 5, 6]);
    bench.settle_down().await;
}
