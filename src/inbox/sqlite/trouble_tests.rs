//! What goes wrong around an inbox, and that nothing is lost or stuck by it.

use std::time::Duration;

use chrono::TimeDelta;

use super::faults::{Fault, io_error};
use super::hand_out::claims;
use super::pages::ReadError;
use super::tests::{open, options, refusal};
use super::{Options, Shared};
use crate::clock::Clock as _;
use crate::event::Flag;
use crate::inbox::contract::{ManualClock, SAMPLE, Sample, new_id};
use crate::inbox::reader::Reader;
use crate::inbox::reader::refusals::RefusalFilter;
use crate::inbox::reader::replays::request_replay;
use crate::inbox::{Error, Inbox, Outlet, Settlement, Standing};

#[tokio::test]
async fn a_rejected_body_that_is_no_json_can_be_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options, &clock);
    let (mut record, mut event) = SAMPLE.callback(clock.now());
    record.standing = Standing::Rejected;
    record.message = None;
    event.flags.insert(Flag::Rejected);
    event.body = bytes::Bytes::from_static(b"{\"context\":");
    let body = event.body.clone();
    let id = new_id(inbox.append(record, event).await);
    request_replay(&options.path, id, clock.now()).unwrap();
    let claim = bench.claim(1).await.remove(0);
    assert_eq!((claim.event().id, &claim.event().body), (id, &body));
}

#[tokio::test]
async fn a_refusal_takes_no_more_room_than_its_bounds_however_long_its_texts_are() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { refusals_per_seller_and_cause: 3, ..options(&directory) };
    let (inbox, _bench) = open(&options, &ManualClock::new());
    let long = "é".repeat(900);
    for _ in 0..10 {
        let mut refusal = refusal(&format!("s{long}"), false, "context.bpp_id");
        refusal.path.clone_from(&long);
        refusal.message.clone_from(&long);
        inbox.refuse(refusal);
    }
    inbox.close().await;
    let kept = Reader::open(&options.path.as_path().into())
        .unwrap()
        .refusals(&RefusalFilter::default(), 100)
        .unwrap();
    assert_eq!(kept.len(), 3, "the quota of a seller with a long name");
    let lengths = [&kept[0].seller, &kept[0].path, &kept[0].message].map(String::len);
    assert_eq!(lengths, [255, 1024, 1024], "cut between characters");
}

#[tokio::test]
async fn what_waits_at_a_start_is_never_said_to_be_less() {
    let directory = tempfile::tempdir().unwrap();
    let (options, clock) = (options(&directory), ManualClock::new());
    let (inbox, bench) = open(&options, &clock);
    let samples = (0..300).map(|number| {
        let transaction = Some(&*format!("t{number}").leak());
        bench.append(Sample { transaction, ..SAMPLE })
    });
    assert!(futures_util::future::join_all(samples).await.iter().all(Result::is_ok));
    inbox.close().await;
    drop((inbox, bench));
    let (inbox, _bench) = open(&options, &clock);
    loop {
        let depth = inbox.depth();
        if !depth.is_counting {
            assert_eq!(depth.unsettled, 300);
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_panic_of_the_writer_ends_the_inbox_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (inbox, bench) = open(&options(&directory), &ManualClock::new());
    inbox.shared.faults.plant(Fault::Panic);
    let everyone = async {
        let (receipt, claims) = tokio::join!(bench.append(SAMPLE), inbox.claim(Outlet(0), 1));
        receipt.unwrap_err();
        claims.unwrap_err();
        inbox.failed().await;
        inbox.close().await;
    };
    tokio::time::timeout(Duration::from_secs(20), everyone).await.expect("nobody hangs");
    assert!(matches!(inbox.trouble(), Some(Error::Engine(_))));
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::Engine(_))));
}

/// Waits until the loader has seen the end of the log: before that the lanes may know only a part.
async fn loaded(shared: &Shared) {
    let waiting = async {
        while shared.lanes.is_loading() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the loader ends");
}

#[tokio::test]
async fn an_event_that_cannot_be_read_now_waits_and_the_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let poll = Duration::from_secs(5);
    let options = Options { tail_events: 0, poll, ..options(&directory) };
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options, &clock);
    let stuck = new_id(bench.append(SAMPLE).await);
    let whole = new_id(bench.append(Sample { transaction: Some("t2"), ..SAMPLE }).await);
    let shared = &inbox.shared;
    loaded(shared).await;
    let (_, held) = shared.hold(shared.lanes.take(Outlet(0), 1, clock.now()));
    assert!(claims(held, |_| Err(ReadError::Now(io_error()))).claims.is_empty());
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().id, whole, "the lane behind is handed out");
    assert!(
        shared.lanes.take(Outlet(0), 1, clock.now()).taken.is_empty(),
        "it is not tried before a poll"
    );
    clock.advance(5);
    assert_eq!(bench.claim(1).await[0].event().id, stuck);
}

#[tokio::test]
async fn an_event_that_makes_reading_panic_is_a_dead_letter_alone() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { tail_events: 0, ..options(&directory) };
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options, &clock);
    let culprit = new_id(bench.append(SAMPLE).await);
    let whole = new_id(bench.append(Sample { transaction: Some("t2"), ..SAMPLE }).await);
    let shared = &inbox.shared;
    loaded(shared).await;
    let (_, held) = shared.hold(shared.lanes.take(Outlet(0), 2, clock.now()));
    let handed_out = claims(held, |seq| {
        assert!(seq != 1, "a panic that a test planted");
        shared.pages.event(seq)
    });
    let ids: Vec<_> = handed_out.claims.iter().map(|claim| claim.event().id).collect();
    assert_eq!(ids, [whole]);
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    let dead = Reader::open(&options.path.as_path().into()).unwrap().dead_letters(10).unwrap();
    assert_eq!(dead.iter().map(|event| event.id).collect::<Vec<_>>(), [culprit]);
    assert!(dead[0].error.as_deref().unwrap().contains("panicked"));
}

#[tokio::test]
async fn no_event_waits_longer_than_the_longest_wait_whatever_the_clock_did() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options, &clock);
    let retry_tomorrow = |claim| {
        let at = clock.now() + TimeDelta::days(1);
        inbox.settle(claim, Settlement::Retry { at, error: "no".to_owned() });
    };
    let none_now = || inbox.shared.lanes.take(Outlet(0), 1, clock.now()).taken.is_empty();
    bench.append(SAMPLE).await.unwrap();
    retry_tomorrow(bench.claim(1).await.remove(0));
    clock.advance(900);
    retry_tomorrow(bench.claim(1).await.remove(0));
    // The clock is set back; the look after that is a poll later.
    clock.advance(-3600);
    assert!(none_now());
    clock.advance(899);
    assert!(none_now());
    clock.advance(1);
    retry_tomorrow(bench.claim(1).await.remove(0));
    inbox.close().await;
    drop((inbox, bench));
    let (_inbox, bench) = open(&options, &clock);
    bench.wait_for(|inbox| inbox.depth().unsettled == 1).await;
    clock.advance(900);
    assert_eq!(bench.claim(1).await[0].event().attempt, 4, "the time at rest was a day off");
}
