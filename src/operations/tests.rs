//! What operators read, of an inbox that a receiver has written.

use super::bench::on_each_engine;
use super::events::Part;
use super::{Ledger, Sight};
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::event::{EventId, Flag, OrderEvent};
use crate::inbox::reader::Progress;
use crate::inbox::reader::refusals::RefusalFilter;
use crate::inbox::reader::selection::{Filter, Order};
use crate::inbox::{Outlet, Receipt, Record, Refusal, Settlement, Standing};

#[test]
fn pages_join_without_a_gap_in_both_orders() {
    on_each_engine(|bench| {
        for number in 0..7 {
            bench.tell(&format!("t{}", number % 2), &format!("state {number}"), "Pending");
            bench.tell("t2", &format!("state {number}"), "Pending");
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
    });
}

#[test]
fn an_event_is_found_by_its_id_with_its_attempts_and_without_its_body() {
    on_each_engine(|bench| {
        let mut ids = Vec::new();
        for number in 0..40 {
            ids.push(bench.tell(&format!("t{number}"), "Accepted", "Pending"));
        }
        bench.settle(Settlement::Done);
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
    });
}

#[test]
fn a_timeline_and_an_order_say_what_changed() {
    on_each_engine(|bench| {
        bench.tell("other", "Accepted", "Pending");
        bench.tell("t", "Accepted", "Pending");
        bench.tell("t", "In-progress", "Packed");
        bench.tell("t", "In-progress", "Agent-assigned");
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
    });
}

#[test]
fn every_change_is_in_the_audit() {
    on_each_engine(|bench| {
        let settled = bench.tell("t", "Accepted", "Pending");
        bench.settle(Settlement::Dead { error: "no".to_owned() });
        bench.tell("u", "Accepted", "Pending");
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
    });
}

#[test]
fn failed_attempts_repetitions_and_tallies_are_told() {
    on_each_engine(|bench| {
        let id = bench.tell("t", "Accepted", "Pending");
        let at = bench.clock.now();
        for attempt in 1..=2 {
            let claim = bench.block_on(bench.inbox.claim(Outlet(0), 1)).unwrap().remove(0);
            assert_eq!(claim.event().attempt, attempt);
            bench.inbox.settle(claim, Settlement::Retry { at, error: format!("no {attempt}") });
        }
        bench.settle(Settlement::Done);
        let body = bench.ledger().body(id).unwrap().unwrap();
        for _ in 0..3 {
            bench.clock.advance(1);
            let event = Box::new(OrderEvent::parse(Action::OnStatus, body.clone()).unwrap());
            let record = Record { message: None, error: None, standing: Standing::Pending };
            let receipt = bench.block_on(bench.inbox.append(record, event)).unwrap();
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
        bench.close();
        bench.until(|ledger| {
            ledger.event(id, Sight::Masked).unwrap().unwrap().event.duplicates == 3
        });
        let told = |ledger: &Ledger| ledger.sellers(bench.clock.now()).unwrap();
        bench.until(|ledger| told(ledger).iter().any(|one| one.refused + one.duplicates == 4));
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
    });
}

#[test]
fn filters_name_events_by_what_they_say_and_by_what_became_of_them() {
    on_each_engine(|bench| {
        let mut ids = Vec::new();
        for number in 0..6 {
            let state = if number % 2 == 0 { "Accepted" } else { "In-progress" };
            ids.push(bench.tell(&format!("t{number}"), state, "Pending"));
        }
        let mut rejected = OrderEvent::parse(Action::OnSearch, "{\"context\":{}}").unwrap();
        rejected.received_at = bench.clock.now();
        let record = Record { message: None, error: None, standing: Standing::Rejected };
        bench.block_on(bench.inbox.append(record, Box::new(rejected))).unwrap();
        let place = |id: EventId| ids.iter().position(|one| *one == id).unwrap() as u64 + 1;
        let done = place(bench.settle(Settlement::Done));
        let dead = place(bench.settle(Settlement::Dead { error: "no".to_owned() }));
        let others: Vec<u64> = (1..=6).filter(|seq| ![done, dead].contains(seq)).collect();
        let check = |filter: Filter, expected: &[u64]| {
            let ledger = bench.ledger();
            let part = Part { order: Order::OldestFirst, ..Part::newest(100) };
            let page = ledger.events(&filter, part).unwrap();
            let found: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
            assert_eq!((&found[..], page.next), (expected, None), "{filter}");
            let replay = ledger.replay_matching(&filter, true, bench.by()).unwrap();
            assert_eq!(replay.requested + replay.pending, expected.len() as u64, "{filter}");
        };
        let any = Filter::default;
        let text = |text: &str| Some(text.to_owned());
        check(any(), &[1, 2, 3, 4, 5, 6, 7]);
        check(Filter { action: text("on_search"), ..any() }, &[7]);
        check(Filter { seller: text("seller.example"), ..any() }, &[1, 2, 3, 4, 5, 6]);
        check(Filter { transaction_id: text("t3"), ..any() }, &[4]);
        check(Filter { message_id: text("m-t4"), ..any() }, &[5]);
        check(Filter { order_id: text("O-t0"), ..any() }, &[1]);
        check(Filter { any_id: text("O-t0"), ..any() }, &[1]);
        check(Filter { any_id: text("m-t1"), ..any() }, &[2]);
        check(Filter { state: text("In-progress"), ..any() }, &[2, 4, 6]);
        check(Filter { state: text("a\0"), ..any() }, &[]);
        let third = bench.ledger().event_at(3, Sight::Masked).unwrap().unwrap().event.received_at;
        check(Filter { received_since: Some(third), ..any() }, &[3, 4, 5, 6, 7]);
        check(Filter { received_until: Some(third), ..any() }, &[1, 2]);
        check(Filter { progress: Some(Progress::Done), ..any() }, &[done]);
        check(Filter { progress: Some(Progress::Dead), ..any() }, &[dead]);
        check(Filter { progress: Some(Progress::Pending), ..any() }, &others);
        check(Filter { progress: Some(Progress::Rejected), ..any() }, &[7]);
        check(Filter { flag: Some(Flag::Erased), ..any() }, &[]);
        let both = Filter { transaction_id: text("t3"), state: text("In-progress"), ..any() };
        check(both, &[4]);
        let status = bench.ledger().status().unwrap();
        let counts = [status.pending, status.done, status.dead, status.rejected, status.last_seq];
        assert_eq!(counts, [4, 1, 1, 1, 7]);
        let oldest = bench.ledger().event_at(others[0].cast_signed(), Sight::Masked).unwrap();
        let oldest = oldest.unwrap().event.received_at;
        assert_eq!(bench.ledger().standing().unwrap(), (1, Some(oldest)));
    });
}

#[test]
fn refusals_are_told_by_their_seller_and_cause_and_by_the_transaction_in_their_bodies() {
    on_each_engine(|bench| {
        let bodies = [
            "{\"transaction_id\":\"t\\u00e9\"}",
            "{\"transaction_id\":\"té\"}",
            "{\"té\": 1, ",
            "té",
        ];
        let causes = ["signature.expired", "signature.missing", "signatures", "context.ttl"];
        for (body, cause) in bodies.into_iter().zip(causes) {
            bench.inbox.refuse(Refusal {
                at: bench.clock.now(),
                route: "on_status".to_owned(),
                seller: "unverified:seller.example".to_owned(),
                verified: false,
                cause,
                path: "/context".to_owned(),
                message: "a\0b".to_owned(),
                transaction_id: None,
                status: 401,
                body: body.into(),
                body_bytes: 40,
            });
        }
        bench.close();
        bench.until(|ledger| ledger.refusals_count() == 4);
        let ledger = bench.ledger();
        let check = |seller: Option<&str>, cause: Option<&str>, expected: &[&str]| {
            let filter = RefusalFilter {
                seller: seller.map(str::to_owned),
                cause: cause.map(str::to_owned),
            };
            let page = ledger.refusals(&filter, None, 10, Sight::Bodies).unwrap();
            let found: Vec<&str> = page.refusals.iter().map(|one| &*one.cause).collect();
            assert_eq!(found, expected, "{filter:?}");
        };
        check(None, None, &["context.ttl", "signatures", "signature.missing", "signature.expired"]);
        check(None, Some("signature"), &["signature.missing", "signature.expired"]);
        check(Some("seller.example"), Some("context.ttl"), &["context.ttl"]);
        check(Some("seller"), None, &[]);
        // As a JSON string, whole: as it is, and as our writer escapes it.
        assert_eq!(ledger.erasure("té").unwrap().refusals, 2);
        assert_eq!(ledger.erasure("t").unwrap().refusals, 0);
    });
}
