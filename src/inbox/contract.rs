//! The contract suite: what every engine must do, written against `dyn Inbox`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{Claim, Error, Inbox, Outlet, Receipt, Record, Settlement, Standing};
use crate::beckn::action::Action;
use crate::clock::Clock;
use crate::event::{EventId, Flag, OrderEvent};
use crate::words::{Sender, SubscriberId};

/// A clock that the test drives.
#[derive(Debug)]
pub(crate) struct ManualClock(watch::Sender<DateTime<Utc>>);

impl ManualClock {
    /// Starts at a fixed moment.
    pub(crate) fn new() -> Arc<Self> {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Arc::new(Self(watch::Sender::new(start)))
    }

    /// Lets `seconds` pass.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.send_modify(|now| *now += TimeDelta::seconds(seconds));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            let _ = now.wait_for(|now| *now >= at).await;
        })
    }
}

/// A callback to be appended, told by what matters for duplicates and lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) seller: &'static str,
    pub(super) signed: bool,
    pub(super) transaction: Option<&'static str>,
    pub(super) message: Option<&'static str>,
    /// Only in the context: what a seller stamps again when it tries again.
    pub(super) stamp: u32,
    /// In the content.
    pub(super) state: &'static str,
}

/// A callback of one seller and one transaction.
pub(super) const SAMPLE: Sample = Sample {
    seller: "seller.example",
    signed: true,
    transaction: Some("t1"),
    message: Some("m1"),
    stamp: 1,
    state: "Accepted",
};

impl Sample {
    /// Returns the record and the event that intake would make of it.
    pub(super) fn callback(self, now: DateTime<Utc>) -> (Record, Box<OrderEvent>) {
        let field = |name: &str, value: Option<&str>| {
            value.map_or(String::new(), |value| format!(r#","{name}":"{value}""#))
        };
        let message = format!(r#"{{"order":{{"id":"o1","state":"{}"}}}}"#, self.state);
        let head = format!(
            r#"{{"context":{{"bap_id":"buyer.example","bpp_id":"{}","stamp":{}{}{}}},"message":"#,
            self.seller,
            self.stamp,
            field("transaction_id", self.transaction),
            field("message_id", self.message)
        );
        let body = Bytes::from(format!("{head}{message}}}"));
        let mut event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        event.received_at = now;
        event.sender = self.signed.then(|| Sender::new(SubscriberId::new(self.seller)));
        let span = head.len()..head.len() + message.len();
        let record = Record { message: Some(span), error: None, standing: Standing::Pending };
        (record, Box::new(event))
    }
}

/// What a test of the contract works with.
pub(super) struct Bench {
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) clock: Arc<ManualClock>,
}

impl Bench {
    /// Appends a sample as it comes from the wire.
    pub(super) async fn append(&self, sample: Sample) -> Result<Receipt, Error> {
        let (record, event) = sample.callback(self.clock.now());
        self.inbox.append(record, event).await
    }

    /// Appends a sample that a rule refuses and that is ACKed all the same.
    pub(super) async fn reject(&self, sample: Sample) -> Result<Receipt, Error> {
        let (mut record, mut event) = sample.callback(self.clock.now());
        record.standing = Standing::Rejected;
        event.flags.insert(Flag::Rejected);
        self.inbox.append(record, event).await
    }

    #[track_caller]
    fn claim_now(&self, limit: usize) -> Option<Vec<Claim>> {
        self.inbox.claim(Outlet(0), limit).now_or_never().map(Result::unwrap)
    }

    /// Claims up to `limit` events; waits for the first, at most a while.
    pub(super) async fn claim(&self, limit: usize) -> Vec<Claim> {
        tokio::time::timeout(Duration::from_secs(20), self.inbox.claim(Outlet(0), limit))
            .await
            .expect("there is something to claim")
            .unwrap()
    }

    /// Waits until nothing is unsettled.
    pub(super) async fn settle_down(&self) {
        self.wait_for(|inbox| inbox.depth().unsettled == 0).await;
    }

    /// Waits until `condition` holds, at most a while.
    pub(super) async fn wait_for(&self, condition: impl Fn(&dyn Inbox) -> bool) {
        let reached = async {
            while !condition(&*self.inbox) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the condition holds");
    }
}

/// Returns how many cases a property test has: its own number, unless a longer run asks for
/// another by proptest's variable, which a configuration written in code would hide.
pub(crate) fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(otherwise, |text| text.parse().expect("a number"))
}

#[track_caller]
pub(super) fn new_id(receipt: Result<Receipt, Error>) -> EventId {
    match receipt {
        Ok(Receipt::New { id, .. }) => id,
        other => panic!("expected a new event, got {other:?}"),
    }
}

/// Runs every test of the contract; `make` gives an empty inbox each time.
pub(super) async fn check_all(make: impl Fn() -> Bench) {
    duplicates(&make).await;
    parallel_repetitions_are_one_event(&make()).await;
    a_lane_hands_out_one_event_at_a_time(&make()).await;
    a_retry_waits_for_its_time_and_counts_its_attempts(&make()).await;
    a_dropped_claim_is_handed_out_again(&make()).await;
    a_waiting_claim_gets_what_comes(&make()).await;
    a_rejected_event_is_not_handed_out(&make()).await;
    what_is_accepted_after_a_rejection_is_new(&make).await;
    a_dropped_append_neither_loses_nor_duplicates(&make()).await;
    a_closed_inbox_says_so(&make()).await;
}

/// What a step of a duplicate table is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    New,
    Reused,
    /// A duplicate of the step with this number.
    Duplicate(usize),
}

async fn duplicates(make: &impl Fn() -> Bench) {
    use Is::{Duplicate, New, Reused};
    let a = SAMPLE;
    let b = Sample { state: "Packed", ..SAMPLE };
    let restamped = |sample: Sample| Sample { stamp: 2, ..sample };
    let no_message = Sample { message: None, ..SAMPLE };
    let other_seller = Sample { seller: "other.example", ..SAMPLE };
    let unsigned = Sample { signed: false, ..SAMPLE };
    let tables: &[(&str, &[(Sample, Is)])] = &[
        ("same bytes", &[(a, New), (a, Duplicate(0))]),
        ("stamped again", &[(a, New), (restamped(a), Duplicate(0))]),
        ("two states, one id", &[(a, New), (b, Reused), (restamped(b), Duplicate(1))]),
        ("A, B, A", &[(a, New), (b, Reused), (restamped(a), Reused)]),
        ("the first bytes again", &[(a, New), (b, Reused), (a, Duplicate(0))]),
        ("no message id", &[(no_message, New), (restamped(no_message), New)]),
        ("no message id, same bytes", &[(no_message, New), (no_message, Duplicate(0))]),
        ("another seller", &[(a, New), (other_seller, New)]),
        ("unsigned before signed", &[(unsigned, New), (a, New), (unsigned, Duplicate(0))]),
    ];
    for (name, steps) in tables {
        let bench = make();
        let mut ids = Vec::new();
        for (sample, is) in *steps {
            match (bench.append(*sample).await.unwrap(), is) {
                (Receipt::New { id, .. }, New | Reused) => ids.push((id, *is)),
                (Receipt::Duplicate { of }, Duplicate(step)) => {
                    assert_eq!(of, ids[*step].0, "{name}");
                    ids.push((of, *is));
                }
                (receipt, is) => panic!("{name}: expected {is:?}, got {receipt:?}"),
            }
        }
        let new: Vec<_> = ids.iter().filter(|(_, is)| !matches!(is, Duplicate(_))).collect();
        let mut seen = Vec::new();
        while seen.len() < new.len() {
            for claim in bench.claim(1).await {
                let event = claim.event();
                let is = if event.flags.contains(Flag::IdReused) { Reused } else { New };
                seen.push((event.id, is));
                bench.inbox.settle(claim, Settlement::Done);
            }
        }
        seen.sort_by_key(|(id, _)| *id);
        assert_eq!(seen.iter().collect::<Vec<_>>(), new, "{name}");
        assert!(bench.claim_now(1).is_none(), "{name}: a duplicate was handed out");
    }
}

async fn parallel_repetitions_are_one_event(bench: &Bench) {
    let posts = (0..50).map(|_| bench.append(SAMPLE));
    let receipts = futures_util::future::join_all(posts).await;
    let (mut new, mut duplicates) = (Vec::new(), Vec::new());
    for receipt in receipts {
        match receipt.unwrap() {
            Receipt::New { id, .. } => new.push(id),
            Receipt::Duplicate { of } => duplicates.push(of),
        }
    }
    assert_eq!(new.len(), 1);
    assert_eq!(duplicates, vec![new[0]; 49]);
    assert_eq!(bench.inbox.depth().unsettled, 1);
}

async fn a_lane_hands_out_one_event_at_a_time(bench: &Bench) {
    let second = Sample { state: "Packed", ..SAMPLE };
    let other_lane = Sample { transaction: Some("t2"), ..SAMPLE };
    let first = new_id(bench.append(SAMPLE).await);
    let second = new_id(bench.append(second).await);
    let other = new_id(bench.append(other_lane).await);
    let mut claims = bench.claim(10).await;
    if claims.len() == 1 {
        claims.extend(bench.claim(10).await);
    }
    claims.sort_by_key(|claim| claim.event().id);
    assert_eq!(claims.iter().map(|claim| claim.event().id).collect::<Vec<_>>(), [first, other]);
    assert!(bench.claim_now(10).is_none(), "the first lane is out");
    bench.inbox.settle(claims.remove(0), Settlement::Dead { error: "no".to_owned() });
    let claims = bench.claim(10).await;
    assert_eq!(claims[0].event().id, second);
}

async fn a_retry_waits_for_its_time_and_counts_its_attempts(bench: &Bench) {
    let id = new_id(bench.append(SAMPLE).await);
    bench.append(Sample { state: "Packed", ..SAMPLE }).await.unwrap();
    let started = bench.clock.now();
    let claim = bench.claim(1).await.remove(0);
    assert_eq!((claim.event().attempt, claim.first_attempt_at()), (1, None));
    let at = started + TimeDelta::seconds(10);
    bench.inbox.settle(claim, Settlement::Retry { at, error: "later".to_owned() });
    bench.clock.advance(9);
    assert!(bench.claim_now(1).is_none(), "it waits, and so does the event behind it");
    let waiting = bench.claim(1);
    let ((), mut claims) = tokio::join!(async { bench.clock.advance(1) }, waiting);
    let claim = claims.remove(0);
    assert_eq!(claim.event().id, id);
    assert_eq!((claim.event().attempt, claim.first_attempt_at()), (2, Some(started)));
}

async fn a_dropped_claim_is_handed_out_again(bench: &Bench) {
    let id = new_id(bench.append(SAMPLE).await);
    drop(bench.claim(1).await);
    let claim = bench.claim(1).await.remove(0);
    assert_eq!((claim.event().id, claim.event().attempt), (id, 1));
    bench.inbox.settle(claim, Settlement::Done);
    bench.settle_down().await;
    assert!(bench.claim_now(1).is_none());
}

async fn a_waiting_claim_gets_what_comes(bench: &Bench) {
    let (mut claims, receipt) = tokio::join!(bench.claim(1), bench.append(SAMPLE));
    assert_eq!(claims.remove(0).event().id, new_id(receipt));
}

async fn a_rejected_event_is_not_handed_out(bench: &Bench) {
    let id = new_id(bench.reject(SAMPLE).await);
    assert_eq!(bench.reject(SAMPLE).await.unwrap(), Receipt::Duplicate { of: id });
    assert!(bench.claim_now(1).is_none());
    assert_eq!(bench.inbox.depth().unsettled, 0);
}

async fn what_is_accepted_after_a_rejection_is_new(make: &impl Fn() -> Bench) {
    let restamped = Sample { stamp: 2, ..SAMPLE };
    let no_message = Sample { message: None, ..SAMPLE };
    for (rejected, accepted) in [(SAMPLE, SAMPLE), (SAMPLE, restamped), (no_message, no_message)] {
        let bench = make();
        new_id(bench.reject(rejected).await);
        let id = new_id(bench.append(accepted).await);
        let again = Receipt::Duplicate { of: id };
        assert_eq!(bench.append(accepted).await.unwrap(), again);
        assert_eq!(bench.reject(accepted).await.unwrap(), again);
        let claim = bench.claim(10).await.remove(0);
        assert_eq!(claim.event().id, id);
        assert!(!claim.event().flags.contains(Flag::IdReused), "its content is the same");
        bench.inbox.settle(claim, Settlement::Done);

        // Both in line at once, so that one commit may take them.
        let bench = make();
        let (first, second, third) =
            tokio::join!(bench.reject(rejected), bench.append(accepted), bench.append(accepted));
        new_id(first);
        let id = new_id(second);
        assert_eq!(third.unwrap(), Receipt::Duplicate { of: id });
        let claim = bench.claim(10).await.remove(0);
        assert_eq!(claim.event().id, id);
        assert!(!claim.event().flags.contains(Flag::IdReused), "its content is the same");
        bench.inbox.settle(claim, Settlement::Done);
    }
}

async fn a_dropped_append_neither_loses_nor_duplicates(bench: &Bench) {
    // Polled once, so that it is in line, then dropped: the seller hung up.
    assert!(bench.append(SAMPLE).now_or_never().is_none());
    let receipt = bench.append(SAMPLE).await.unwrap();
    assert!(matches!(receipt, Receipt::Duplicate { .. }), "{receipt:?}");
    let claim = bench.claim(10).await.remove(0);
    bench.inbox.settle(claim, Settlement::Done);
    bench.settle_down().await;
    assert!(bench.claim_now(1).is_none());
}

async fn a_closed_inbox_says_so(bench: &Bench) {
    bench.append(SAMPLE).await.unwrap();
    let waiting = Mutex::new(bench.claim(1).await);
    bench.inbox.close().await;
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::Closed)));
    assert!(matches!(bench.inbox.claim(Outlet(0), 1).await, Err(Error::Closed)));
    assert!(matches!(bench.inbox.trouble(), Some(Error::Closed)));
    waiting.lock().unwrap().clear();
}
