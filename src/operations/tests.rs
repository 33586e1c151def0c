//! What operators read, of an inbox that a receiver has written.

use std::sync::Arc;

use tempfile::TempDir;

use super::changes::By;
use super::events::Part;
use super::{Ledger, Sight};
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::event::{EventId, OrderEvent};
use crate::inbox::contract::ManualClock;
use crate::inbox::reader::selection::{Filter, Order};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Inbox as _, Outlet, Receipt, Record, Settlement, Standing};

/// An inbox of a test, and the ledger beside it.
pub(super) struct Bench {
    pub(super) clock: Arc<ManualClock>,
    inbox: Arc<SqliteInbox>,
    directory: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let (directory, clock) = (TempDir::new().unwrap(), ManualClock::new());
        let options = Options { min_free_bytes: 0, ..Options::new(directory.path()) };
        let inbox = SqliteInbox::open(options, Arc::<ManualClock>::clone(&clock)).unwrap();
        Self { clock, inbox, directory }
    }

    /// Appends an event; `None` for a duplicate.
    pub(super) async fn append(&self, mut event: OrderEvent) -> Option<EventId> {
        event.received_at = self.clock.now();
        let record = Record { message: None, error: None, standing: Standing::Pending };
        match self.inbox.append(record, Box::new(event)).await.unwrap() {
            Receipt::New { id, .. } => Some(id),
            Receipt::Duplicate { .. } => None,
        }
    }

    /// Appends an `on_status` of transaction `t` that tells of these states.
    async fn tell(&self, transaction: &str, state: &str, code: &str) -> EventId {
        self.clock.advance(1);
        let body = format!(
            r#"{{"context":{{"bpp_id":"seller.example","transaction_id":"{transaction}",
            "message_id":"m"}},"message":{{"order":{{"id":"O-{transaction}","state":"{state}",
            "fulfillments":[{{"id":"F","type":"Delivery","state":{{"descriptor":{{"code":"{code}"}}
            }}}}]}}}}}}"#
        );
        let event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        self.append(event).await.expect("it is new")
    }

    /// Hands the next event over, and waits until what became of it is on the disk.
    async fn settle(&self, settlement: Settlement) {
        let claim = self.inbox.claim(Outlet(0), 1).await.unwrap().remove(0);
        let pending = self.ledger().status().unwrap().pending;
        self.inbox.settle(claim, settlement);
        while self.ledger().status().unwrap().pending == pending {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::open(self.directory.path()).unwrap()
    }

    fn by(&self) -> By<'static> {
        By { who: "oncall", now: self.clock.now() }
    }
}

#[tokio::test]
async fn pages_join_without_a_gap_in_both_orders() {
    let bench = Bench::new();
    for number in 0..7 {
        bench.tell(&format!("t{}", number % 2), &format!("state {number}"), "Pending").await;
        bench.tell("t2", &format!("state {number}"), "Pending").await;
    }
    let ledger = bench.ledger();
    let filter = Filter { transaction_id: Some("t2".to_owned()), ..Filter::default() };
    for (order, expected) in [
        (Order::OldestFirst, (1..=7).map(|number| 2 * number).collect::<Vec<u64>>()),
        (Order::NewestFirst, (1..=7).rev().map(|number| 2 * number).collect()),
    ] {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = ledger.events(&filter, Part { order, after, limit: 3 }).unwrap();
            found.extend(page.events.iter().map(|event| event.seq));
            pages += 1;
            let Some(next) = page.next else { break };
            after = super::place(&next);
        }
        assert_eq!((found, pages), (expected, 3));
    }
    let of_state = Filter { state: Some("state 3".to_owned()), ..filter };
    let page = ledger.events(&of_state, Part::newest(10)).unwrap();
    assert_eq!((page.events.len(), page.next), (1, None));
}

#[tokio::test]
async fn an_event_is_found_by_its_id_with_its_attempts_and_without_its_body() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(bench.tell(&format!("t{number}"), "Accepted", "Pending").await);
    }
    bench.settle(Settlement::Done).await;
    let ledger = bench.ledger();
    for (seq, id) in (1..).zip(&ids) {
        let detail = ledger.event(*id, Sight::Masked).unwrap().unwrap();
        assert_eq!((detail.event.seq, detail.event.id), (seq, id.to_string()));
        assert!(detail.masked);
    }
    let first = ledger.event(ids[0], Sight::Bodies).unwrap().unwrap();
    assert_eq!((first.event.progress.as_str(), first.attempts.len()), ("done", 1));
    assert_eq!(first.attempts[0].error, None);
    assert!(first.body.unwrap().contains("\"O-t0\""));
    let unknown = EventId::new(uuid::Uuid::nil());
    assert_eq!(ledger.event(unknown, Sight::Masked).unwrap(), None);
}

#[tokio::test]
async fn a_timeline_and_an_order_say_what_changed() {
    let bench = Bench::new();
    bench.tell("other", "Accepted", "Pending").await;
    bench.tell("t", "Accepted", "Pending").await;
    bench.tell("t", "In-progress", "Packed").await;
    bench.tell("t", "In-progress", "Agent-assigned").await;
    let timeline = bench.ledger().timeline("t", None, Sight::Masked).unwrap();
    assert_eq!(timeline.state.as_deref(), Some("In-progress"));
    assert_eq!(timeline.order_ids, ["O-t"]);
    let codes = timeline.entries.iter().map(|entry| entry.fulfillments[0].state.as_deref());
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [Some("Pending"), Some("Packed"), Some("Agent-assigned")]
    );
    let order = bench.ledger().order("O-t", None, Sight::Masked).unwrap();
    let changes: Vec<(&str, Option<&str>, &str)> = order
        .changes
        .iter()
        .map(|change| (change.what.as_str(), change.from.as_deref(), change.to.as_str()))
        .collect();
    assert_eq!(
        changes,
        [
            ("state", None, "Accepted"),
            ("fulfillment F", None, "Pending"),
            ("state", Some("Accepted"), "In-progress"),
            ("fulfillment F", Some("Pending"), "Packed"),
            ("fulfillment F", Some("Packed"), "Agent-assigned"),
        ]
    );
    assert_eq!(order.fulfillments[0].state.as_deref(), Some("Agent-assigned"));
}

#[tokio::test]
async fn every_change_is_in_the_audit() {
    let bench = Bench::new();
    let settled = bench.tell("t", "Accepted", "Pending").await;
    bench.settle(Settlement::Dead { error: "no".to_owned() }).await;
    bench.tell("u", "Accepted", "Pending").await;
    let ledger = bench.ledger();
    let dry = ledger.replay_matching(&Filter::default(), true, bench.by()).unwrap();
    assert_eq!((dry.requested, dry.pending, dry.erased), (1, 1, 0));
    assert!(ledger.audits(None, 10).unwrap().is_empty(), "nothing was changed");
    let unknown = EventId::new(uuid::Uuid::nil());
    let replay = ledger.replay(&[settled, unknown], bench.by()).unwrap();
    assert_eq!((replay.requested, replay.unknown.len()), (1, 1));
    assert!(ledger.set_paused("app", true, bench.by()).unwrap());
    assert!(!ledger.set_paused("nobody", true, bench.by()).unwrap());
    let audits = ledger.audits(None, 10).unwrap();
    let said: Vec<(&str, &str, &str)> =
        audits.iter().map(|line| (&*line.who, &*line.what, &*line.target)).collect();
    assert_eq!(said, [("oncall", "pause", "app"), ("oncall", "replay", "2 events")]);
    assert!(ledger.status().unwrap().handlers[0].paused_at.is_some());
}

#[tokio::test]
async fn failed_attempts_repetitions_and_tallies_are_told() {
    let bench = Bench::new();
    let id = bench.tell("t", "Accepted", "Pending").await;
    let at = bench.clock.now();
    for attempt in 1..=2 {
        let claim = bench.inbox.claim(Outlet(0), 1).await.unwrap().remove(0);
        assert_eq!(claim.event().attempt, attempt);
        bench.inbox.settle(claim, Settlement::Retry { at, error: format!("no {attempt}") });
    }
    bench.settle(Settlement::Done).await;
    let body = bench.ledger().body(id).unwrap().unwrap();
    for _ in 0..3 {
        bench.clock.advance(1);
        let event = Box::new(OrderEvent::parse(Action::OnStatus, body.clone()).unwrap());
        let record = Record { message: None, error: None, standing: Standing::Pending };
        let receipt = bench.inbox.append(record, event).await.unwrap();
        assert_eq!(receipt, Receipt::Duplicate { of: id });
    }
    bench.inbox.refuse(crate::inbox::Refusal {
        at: bench.clock.now(),
        route: "on_status".to_owned(),
        seller: "unverified:seller.example".to_owned(),
        verified: false,
        cause: "signature.expired",
        path: String::new(),
        message: String::new(),
        transaction_id: None,
        status: 401,
        body: bytes::Bytes::new(),
        body_bytes: 0,
    });
    bench.inbox.close().await;
    let ledger = bench.ledger();
    let detail = ledger.event(id, Sight::Bodies).unwrap().unwrap();
    let told: Vec<_> =
        detail.attempts.iter().map(|one| (one.attempt, one.error.as_deref())).collect();
    assert_eq!(told, [(1, Some("no 1")), (2, Some("no 2")), (3, None)]);
    assert_eq!(detail.event.duplicates, 3);
    assert_eq!(detail.event.last_duplicate_at, Some(bench.clock.now()));
    let sellers = ledger.sellers(bench.clock.now()).unwrap();
    let [seller] = sellers.as_slice() else { panic!("{sellers:?}") };
    assert_eq!((seller.seller.as_str(), seller.verified), ("unverified:seller.example", false));
    let counts = [seller.accepted, seller.duplicates, seller.refused, seller.untrusted];
    assert_eq!(counts, [1, 3, 1, 1]);
    assert_eq!(seller.last_seen, bench.clock.now());
    assert_eq!((seller.quarters.len(), seller.quarters[0].duplicates), (1, 3));
}
