//! Several handlers on one inbox: who gets what, pauses, routes that change.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tempfile::TempDir;

use super::tests::options;
use super::{Options, SqliteInbox};
use crate::clock::Clock as _;
use crate::inbox::contract::{ManualClock, SAMPLE, Sample};
use crate::inbox::reader::Reader;
use crate::inbox::reader::audit::Audit;
use crate::inbox::reader::handlers::{KnownHandler, set_paused};
use crate::inbox::{Claim, Inbox as _, Outlet, Outlets, Receipt, Settlement};

const APP: Outlet = Outlet(0);
const TRIPS: Outlet = Outlet(1);

/// Sends what a seller called `trips.…` sends to the second handler.
fn outlets() -> Outlets {
    Outlets::new(vec!["app".to_owned(), "trips".to_owned()], |address| {
        if address.bpp_id.is_some_and(|id| id.starts_with("trips.")) { TRIPS } else { APP }
    })
}

struct Bench {
    directory: TempDir,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), clock: ManualClock::new() }
    }

    fn open_with(&self, outlets: Outlets) -> Arc<SqliteInbox> {
        let options = Options { outlets, ..options(&self.directory) };
        SqliteInbox::open(options, Arc::<ManualClock>::clone(&self.clock)).unwrap()
    }

    fn open(&self) -> Arc<SqliteInbox> {
        self.open_with(outlets())
    }

    async fn append(&self, inbox: &SqliteInbox, sample: Sample) -> crate::event::EventId {
        let (record, event) = sample.callback(self.clock.now());
        match inbox.append(record, event).await.unwrap() {
            Receipt::New { id, .. } => id,
            receipt @ Receipt::Duplicate { .. } => panic!("{receipt:?}"),
        }
    }

    fn pause(&self, name: &str, paused: bool) {
        let audit = Audit::of_test(self.clock.now());
        set_paused(&options(&self.directory).path.into(), &[name.to_owned()], paused, &audit)
            .unwrap();
    }
}

fn claim_now(inbox: &SqliteInbox, outlet: Outlet) -> Option<Vec<Claim>> {
    inbox.claim(outlet, 10).now_or_never().map(Result::unwrap)
}

async fn claim(inbox: &SqliteInbox, outlet: Outlet) -> Claim {
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(20), inbox.claim(outlet, 1));
    waiting.await.expect("there is something to claim").unwrap().remove(0)
}

const TRIP: Sample = Sample { seller: "trips.example", transaction: Some("t2"), ..SAMPLE };

#[tokio::test]
async fn a_claim_gets_the_events_of_its_handler() {
    let bench = Bench::new();
    let inbox = bench.open();
    let order = bench.append(&inbox, SAMPLE).await;
    let trip = bench.append(&inbox, TRIP).await;
    let claimed = claim(&inbox, TRIPS).await;
    assert_eq!(claimed.event().id, trip);
    assert!(claim_now(&inbox, TRIPS).is_none());
    assert_eq!(claim(&inbox, APP).await.event().id, order);
    // A retry comes back to the handler that it was for.
    let at = bench.clock.now();
    inbox.settle(claimed, Settlement::Retry { at, error: "later".to_owned() });
    let again = claim(&inbox, TRIPS).await;
    assert_eq!((again.event().id, again.event().attempt), (trip, 2));
    inbox.close().await;
}

#[tokio::test]
async fn an_event_waits_for_those_before_it_whoever_takes_them() {
    let bench = Bench::new();
    // One lane, two handlers: the state decides.
    let by_action = Outlets::new(vec!["app".to_owned(), "trips".to_owned()], |address| {
        if address.bap_id.is_none() { TRIPS } else { APP }
    });
    let inbox = bench.open_with(by_action);
    let first = bench.append(&inbox, SAMPLE).await;
    let (mut record, mut event) =
        Sample { state: "Packed", message: Some("m2"), ..SAMPLE }.callback(bench.clock.now());
    event.context.bap_id = None;
    record.error = None;
    let second = inbox.append(record, event).await.unwrap();
    let Receipt::New { id: second, .. } = second else { panic!("{second:?}") };
    assert!(claim_now(&inbox, TRIPS).is_none(), "the first of the lane is not settled");
    let claimed = claim(&inbox, APP).await;
    assert_eq!(claimed.event().id, first);
    inbox.settle(claimed, Settlement::Done);
    assert_eq!(claim(&inbox, TRIPS).await.event().id, second);
    inbox.close().await;
}

#[tokio::test]
async fn a_paused_handler_gets_nothing_until_it_is_resumed_also_after_a_restart() {
    let bench = Bench::new();
    let inbox = bench.open();
    bench.pause("app", true);
    let paused_at = Some(bench.clock.now());
    wait_for(|| inbox.shared.lanes.is_paused(APP)).await;
    let order = bench.append(&inbox, SAMPLE).await;
    let trip = bench.append(&inbox, TRIP).await;
    assert!(claim_now(&inbox, APP).is_none());
    let claimed = claim(&inbox, TRIPS).await;
    assert_eq!(claimed.event().id, trip, "the other goes on");
    inbox.settle(claimed, Settlement::Done);
    inbox.close().await;
    drop(inbox);

    let inbox = bench.open();
    bench.append(&inbox, Sample { state: "Packed", ..SAMPLE }).await;
    assert!(claim_now(&inbox, APP).is_none(), "a restart does not resume it");
    let known = Reader::open(&options(&bench.directory).path.into()).unwrap().handlers().unwrap();
    let handler = |name: &str, paused_at| KnownHandler { name: name.to_owned(), paused_at };
    assert_eq!(known, [handler("app", paused_at), handler("trips", None)]);
    let waiting = tokio::spawn({
        let inbox = Arc::clone(&inbox);
        async move { claim(&inbox, APP).await.event().id }
    });
    bench.pause("app", false);
    assert_eq!(waiting.await.unwrap(), order, "who waits is woken");
    inbox.close().await;
}

#[tokio::test]
async fn a_handler_that_is_gone_is_forgotten_unless_it_is_paused() {
    let bench = Bench::new();
    bench.open().close().await;
    bench.pause("trips", true);
    bench.open_with(Outlets::one("other")).close().await;
    let names = |bench: &Bench| -> Vec<String> {
        let known =
            Reader::open(&options(&bench.directory).path.into()).unwrap().handlers().unwrap();
        known.into_iter().map(|handler| handler.name).collect()
    };
    assert_eq!(names(&bench), ["other", "trips"]);
    bench.pause("trips", false);
    bench.open_with(Outlets::one("other")).close().await;
    assert_eq!(names(&bench), ["other"]);
}

#[tokio::test]
async fn what_waits_goes_where_the_routes_of_the_next_start_say() {
    let bench = Bench::new();
    let inbox = bench.open_with(Outlets::one("app"));
    let trip = bench.append(&inbox, TRIP).await;
    let unsigned = Sample { signed: false, transaction: Some("t3"), ..TRIP };
    let unsigned = bench.append(&inbox, unsigned).await;
    inbox.close().await;
    drop(inbox);
    let inbox = bench.open();
    let first = claim(&inbox, TRIPS).await;
    let second = claim(&inbox, TRIPS).await;
    assert_eq!([first.event().id, second.event().id], [trip, unsigned]);
    assert!(claim_now(&inbox, APP).is_none());
    inbox.close().await;
}

#[tokio::test]
async fn an_event_goes_to_the_same_handler_when_it_comes_and_after_a_restart() {
    for bpp_id in
        [Some("trips.example"), Some("https://trips.example/"), Some("trips.example/"), None]
    {
        let bench = Bench::new();
        let inbox = bench.open();
        let (record, mut event) = TRIP.callback(bench.clock.now());
        event.context.bpp_id = bpp_id.map(Into::into);
        inbox.append(record, event).await.unwrap();
        drop(claim(&inbox, TRIPS).await);
        assert!(claim_now(&inbox, APP).is_none(), "{bpp_id:?}");
        inbox.close().await;
        drop(inbox);
        let inbox = bench.open();
        drop(claim(&inbox, TRIPS).await);
        assert!(claim_now(&inbox, APP).is_none(), "{bpp_id:?} after a restart");
        inbox.close().await;
    }
}

#[tokio::test]
async fn what_a_crash_left_behind_does_not_wait_for_a_paused_handler() {
    let bench = Bench::new();
    let samples = [
        Sample { transaction: Some("a1"), ..SAMPLE },
        Sample { transaction: Some("a2"), ..SAMPLE },
        TRIP,
    ];
    let inbox = bench.open();
    for sample in samples {
        bench.append(&inbox, sample).await;
    }
    inbox.abandon();
    drop(inbox);
    // All three are out when the process is killed: each is marked.
    let inbox = bench.open();
    let out = [claim(&inbox, APP).await, claim(&inbox, APP).await, claim(&inbox, TRIPS).await];
    inbox.abandon();
    // A killed process hands nothing back.
    out.into_iter().for_each(std::mem::forget);
    drop(inbox);
    let inbox = bench.open();
    // Marked events go out one at a time: the others wait for the first.
    let first = claim(&inbox, APP).await;
    assert!(claim_now(&inbox, TRIPS).is_none() && claim_now(&inbox, APP).is_none());
    bench.pause("trips", true);
    wait_for(|| inbox.shared.lanes.is_paused(TRIPS)).await;
    inbox.settle(first, Settlement::Done);
    inbox.settle(claim(&inbox, APP).await, Settlement::Done);
    inbox.close().await;
}

async fn wait_for(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("it happens");
}
