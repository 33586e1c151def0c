//! What each end of an attempt makes of its event.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{POLICY, append, callee, open};
use crate::clock::Clock as _;
use crate::dispatch::attempt::attempt;
use crate::dispatch::{Desk, Options};
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler};
use crate::inbox::contract::ManualClock;
use crate::inbox::reader::selection::Filter;
use crate::inbox::reader::{Progress, Reader, Summary};
use crate::inbox::{Claim, Inbox as _, Outlet};
use crate::retry::Policy;

/// How the handler ends.
#[derive(Debug, Clone)]
enum End {
    Takes,
    Fails(String),
    FailsWithCause,
    AsksFor(u64),
    Refuses,
    RefusesAndAsks,
    Panics,
    PanicsWithFormat,
    PanicsWithValue,
    /// It panics before there is a future.
    PanicsAtOnce,
    Hangs,
}

impl OrderEventHandler for End {
    fn handle(&self, event: &OrderEvent) -> impl Future<Output = Result<(), HandlerError>> + Send {
        assert!(!matches!(self, End::PanicsAtOnce), "at once");
        let id = event.order_id().unwrap().to_owned();
        async move {
            match self {
                End::Takes => Ok(()),
                End::Fails(text) => Err(HandlerError::transient(text.as_str())),
                End::FailsWithCause => Err(std::io::Error::other("no".parse::<u8>().unwrap_err()))?,
                End::AsksFor(seconds) => {
                    Err(HandlerError::transient("later").retry_after(Duration::from_secs(*seconds)))
                }
                End::Refuses => Err(HandlerError::permanent("unknown order")),
                End::RefusesAndAsks => {
                    let error = HandlerError::permanent("unknown order");
                    Err(error.retry_after(Duration::from_secs(3)))
                }
                End::Panics | End::PanicsAtOnce => panic!("boom"),
                End::PanicsWithFormat => panic!("boom at {id}"),
                End::PanicsWithValue => std::panic::panic_any(7),
                End::Hangs => std::future::pending().await,
            }
        }
    }
}

/// Lets one attempt end so, and returns what is at rest of its event, and when it ended.
async fn settled(end: End, retry: Policy) -> (Summary, chrono::DateTime<chrono::Utc>) {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let inbox = open(&directory, 4096, &clock);
    append(&inbox, &clock, "t1", 1).await.unwrap();
    let claim: Claim = inbox.claim(Outlet(0), 1).await.unwrap().remove(0);
    let desk = Arc::new(Desk {
        states: Arc::default(),
        inbox: Arc::<crate::inbox::sqlite::SqliteInbox>::clone(&inbox),
        callee: callee(end),
        outlet: Outlet(0),
        clock: Arc::<ManualClock>::clone(&clock),
        options: Options {
            attempt_timeout: Duration::from_secs(2),
            sampling: crate::trace::Sampling::share(1.0),
            drain_timeout: Duration::ZERO,
            retry,
        },
        metrics: crate::metrics::Metrics::default().handler("app"),
    });
    // The attempt begins first; what has not ended by itself ends when its time is over.
    tokio::join!(attempt(desk, claim), async { clock.advance(2) });
    inbox.close().await;
    let reader = Reader::open(&directory.path().into()).unwrap();
    (reader.events(&Filter::default(), 1).unwrap().remove(0), clock.now())
}

async fn check_with(retry: Policy, end: End, expected: (Progress, &str)) {
    let (event, _) = settled(end.clone(), retry).await;
    let error = event.error.as_deref().unwrap_or_default();
    assert_eq!((event.progress, error), expected, "{end:?}");
    assert_eq!(event.next_at.is_some(), expected.0 == Progress::Pending, "{end:?}");
    assert_eq!((event.attempts, event.replay), (1, 0), "{end:?}");
}

async fn check(end: End, expected: (Progress, &str)) {
    check_with(POLICY, end, expected).await;
}

#[tokio::test]
async fn each_end_of_an_attempt_settles_its_event() {
    use Progress::{Dead, Done, Pending};
    check(End::Takes, (Done, "")).await;
    check(End::Fails("no stock".to_owned()), (Pending, "no stock")).await;
    check(End::FailsWithCause, (Pending, "invalid digit found in string")).await;
    check(End::AsksFor(30), (Pending, "later")).await;
    check(End::Refuses, (Dead, "unknown order")).await;
    check(End::RefusesAndAsks, (Dead, "unknown order")).await;
    check(End::Panics, (Pending, "the handler panicked: boom")).await;
    check(End::PanicsWithFormat, (Pending, "the handler panicked: boom at o1")).await;
    check(End::PanicsWithValue, (Pending, "the handler panicked: no message")).await;
    check(End::PanicsAtOnce, (Pending, "the handler panicked: at once")).await;
    check(End::Hangs, (Pending, "the handler took longer than 2000 ms")).await;
}

#[tokio::test]
async fn what_may_not_be_tried_again_is_given_up_with_its_cause() {
    let once = Policy { attempts: 1, ..POLICY };
    let no_time = Policy { give_up_after: Duration::ZERO, ..POLICY };
    // The attempt itself took two seconds of the three, and the next would be a second later.
    let too_late = Policy { give_up_after: Duration::from_millis(2700), ..POLICY };
    let hung = "given up: the handler took longer than 2000 ms";
    for policy in [once, no_time] {
        let fails = End::Fails("no stock".to_owned());
        check_with(policy, fails, (Progress::Dead, "given up: no stock")).await;
        check_with(policy, End::Hangs, (Progress::Dead, hung)).await;
        let panicked = "given up: the handler panicked: boom";
        check_with(policy, End::Panics, (Progress::Dead, panicked)).await;
        check_with(policy, End::Takes, (Progress::Done, "")).await;
        check_with(policy, End::Refuses, (Progress::Dead, "unknown order")).await;
    }
    check_with(too_late, End::Hangs, (Progress::Dead, hung)).await;
}

#[tokio::test]
async fn the_next_attempt_is_when_the_policy_or_the_handler_says() {
    let check = async |end: End, expected: RangeInclusive<i64>| {
        let (event, ended) = settled(end.clone(), POLICY).await;
        // A handler that answers ends at once, two seconds before the clock stands still.
        let ended = if matches!(end, End::Hangs) { ended } else { ended - Duration::from_secs(2) };
        let wait = (event.next_at.unwrap() - ended).num_milliseconds();
        assert!(expected.contains(&wait), "{end:?}: {wait} ms");
    };
    check(End::Fails("no stock".to_owned()), 800..=1200).await;
    check(End::Panics, 800..=1200).await;
    check(End::Hangs, 800..=1200).await;
    check(End::AsksFor(0), 800..=1200).await;
    check(End::AsksFor(30), 30_000..=30_000).await;
    check(End::AsksFor(500), 60_000..=60_000).await;
}

#[tokio::test]
async fn a_long_error_is_cut_between_characters() {
    let text = format!("x{}", "é".repeat(3000));
    let (event, _) = settled(End::Fails(text.clone()), POLICY).await;
    let error = event.error.unwrap();
    assert_eq!(error.len(), 1999);
    assert!(text.starts_with(&error));
}
