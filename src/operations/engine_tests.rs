//! Expecting, waiting and erasing, over an inbox of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use tempfile::TempDir;

use super::changes::By;
use super::waiting::{Error, WaitingRoom, Wanted};
use super::{Ledger, Sight};
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::event::{EventId, Flag, OrderEvent};
use crate::inbox::contract::ManualClock;
use crate::inbox::expectations::{ExpectError, Expecting as _, NewExpectation};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Inbox as _, Outlet, Receipt, Record, Refusal, Settlement, Standing};

struct Bench {
    clock: Arc<ManualClock>,
    inbox: Arc<SqliteInbox>,
    directory: TempDir,
}

fn open(directory: &Path, clock: &Arc<ManualClock>) -> Arc<SqliteInbox> {
    let options = Options {
        min_free_bytes: 0,
        poll: Duration::from_millis(5),
        expectations_limit: 3,
        ..Options::new(directory)
    };
    SqliteInbox::open(options, Arc::<ManualClock>::clone(clock)).unwrap()
}

impl Bench {
    fn new() -> Self {
        let (directory, clock) = (TempDir::new().unwrap(), ManualClock::new());
        let inbox = open(directory.path(), &clock);
        Self { clock, inbox, directory }
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.directory.path().into()).unwrap()
    }

    async fn tell(&self, transaction: &str, message: &str, mark: &str) -> Receipt {
        self.append(transaction, [message, mark], Standing::Pending).await
    }

    async fn append(&self, transaction: &str, texts: [&str; 2], standing: Standing) -> Receipt {
        let [message, mark] = texts;
        let body = format!(
            r#"{{"context":{{"bpp_id":"seller.example","transaction_id":"{transaction}",
            "message_id":"{message}"}},"message":{{"order":{{"id":"O-{mark}","state":"S-{mark}",
            "billing":{{"name":"N-{mark}"}}}}}}}}"#
        );
        let mut event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        event.received_at = self.clock.now();
        let record = Record { message: None, error: None, standing };
        self.inbox.append(record, Box::new(event)).await.unwrap()
    }

    fn expectation(&self, message_id: &str, seconds: i64) -> NewExpectation {
        let at = self.clock.now();
        NewExpectation {
            action: Action::OnStatus,
            message_id: message_id.to_owned(),
            transaction_id: Some("t".to_owned()),
            bap_id: None,
            bpp_id: Some("https://seller.example/".to_owned()),
            domain: None,
            by: "app".to_owned(),
            at,
            due_at: at + TimeDelta::seconds(seconds),
        }
    }

    fn status(&self, id: uuid::Uuid) -> (String, Option<String>) {
        let view = self.ledger().expectation(id).unwrap().unwrap();
        (view.status, view.event_id)
    }

    /// Settles the next event, and waits until that is on the disk.
    async fn settle(&self, settlement: Settlement) -> Box<OrderEvent> {
        let claim = self.inbox.claim(Outlet(0), 1).await.unwrap().remove(0);
        let event = claim.event().clone();
        let attempts =
            || self.ledger().event(event.id, Sight::Bodies).unwrap().unwrap().event.attempts;
        let before = attempts();
        self.inbox.settle(claim, settlement);
        until(|| attempts() != before).await;
        Box::new(event)
    }
}

async fn until(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("it comes to it");
}

fn id_of(receipt: Receipt) -> EventId {
    match receipt {
        Receipt::New { id, .. } => id,
        receipt @ Receipt::Duplicate { .. } => panic!("{receipt:?}"),
    }
}

#[tokio::test]
async fn an_expectation_is_met_by_what_comes_and_by_what_had_come() {
    let bench = Bench::new();
    let early = id_of(bench.tell("t", "m1", "a").await);
    bench.tell("other", "m2", "b").await;
    let first = bench.inbox.expect(bench.expectation("m1", 30)).await.unwrap();
    assert_eq!(bench.status(first.id), ("met".to_owned(), Some(early.to_string())));
    let second = bench.inbox.expect(bench.expectation("m2", 30)).await.unwrap();
    assert_eq!(second.met, None, "another transaction");
    assert_eq!(bench.status(second.id), ("open".to_owned(), None));
    let id = id_of(bench.tell("t", "m2", "c").await);
    assert_eq!(bench.status(second.id), ("met".to_owned(), Some(id.to_string())));
    let detail = bench.ledger().event(id, Sight::Masked).unwrap().unwrap();
    assert_eq!(detail.event.flags, ["solicited"]);
    assert_eq!(detail.expectation.unwrap().id, second.id.to_string());
    let early = bench.ledger().event(early, Sight::Masked).unwrap().unwrap();
    assert_eq!(early.event.flags, ["solicited"]);
    assert_eq!(bench.ledger().timeline("t", None, Sight::Masked).unwrap().expectations.len(), 2);
    assert_eq!(bench.inbox.expectation_counts().read(), [2, 2, 0]);
    // Also after a crash.
    let third = bench.inbox.expect(bench.expectation("m3", 30)).await.unwrap();
    bench.inbox.abandon();
    let Bench { clock, inbox, directory } = bench;
    drop(inbox);
    let inbox = open(directory.path(), &clock);
    let bench = Bench { clock, inbox, directory };
    let id = id_of(bench.tell("t", "m3", "d").await);
    assert_eq!(bench.status(third.id), ("met".to_owned(), Some(id.to_string())));
}

#[tokio::test]
async fn expectations_are_bounded_and_can_be_withdrawn() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for number in 0..3 {
        let new = bench.expectation(&format!("m{number}"), 30);
        ids.push(bench.inbox.expect(new).await.unwrap().id);
    }
    let refused = bench.inbox.expect(bench.expectation("m3", 30)).await;
    assert!(matches!(refused, Err(ExpectError::TooMany)), "{refused:?}");
    let by = By { who: "app", now: bench.clock.now() };
    assert!(bench.ledger().withdraw(ids[1], by).unwrap());
    assert!(!bench.ledger().withdraw(ids[1], by).unwrap());
    bench.clock.advance(31);
    let overdue = bench.inbox.overdue(bench.clock.now()).await.unwrap();
    let overdue: Vec<_> = overdue.iter().map(|one| one.id).collect();
    assert_eq!(overdue, [ids[0], ids[2]], "of the withdrawn one nothing is told");
    bench.inbox.expect(bench.expectation("m3", 30)).await.unwrap();
    assert_eq!(bench.ledger().audits(None, 10).unwrap()[0].what, "withdraw");
    let page = bench.ledger().expectations(None, None, 2).unwrap();
    assert_eq!((page.expectations.len(), page.next.is_some()), (2, true));
}

#[tokio::test]
async fn who_waits_is_told_of_what_comes_and_of_what_had_come() {
    let bench = Bench::new();
    let path = bench.directory.path().into();
    let room = WaitingRoom::new(path, bench.inbox.arrivals(), 2);
    let serving = tokio::spawn(Arc::clone(&room).serve());
    let now = bench.clock.now();
    let wanted = |id: &str| Wanted { message_id: id.to_owned(), action: Some(Action::OnStatus) };
    bench.tell("t", "m1", "a").await;
    let long = Duration::from_secs(20);
    assert_eq!(room.wait(wanted("m1"), long, now).await.unwrap(), Some(1));
    assert_eq!(room.wait(wanted("m9"), Duration::from_millis(1), now).await.unwrap(), None);
    let (first, second) = (room.wait(wanted("m2"), long, now), room.wait(wanted("m3"), long, now));
    let both = async {
        until(|| room.waiting() == 2).await;
        let full = room.wait(wanted("m4"), long, now).await;
        assert!(matches!(full, Err(Error::Full)), "{full:?}");
        bench.tell("t", "m3", "b").await;
        // What a rule has rejected is nothing that came.
        bench.append("t", ["m2", "r"], Standing::Rejected).await;
        bench.tell("t", "m2", "c").await;
    };
    let (first, second, ()) = tokio::join!(first, second, both);
    assert_eq!((first.unwrap(), second.unwrap()), (Some(4), Some(2)));
    assert_eq!(room.waiting(), 0);
    serving.abort();
}

/// Returns which files hold a text.
fn holders(directory: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    entries.filter(holds).collect()
}

fn is_erased(directory: &Path) -> bool {
    let file = rusqlite::Connection::open(directory.join("inbox.sqlite3")).unwrap();
    file.busy_timeout(Duration::from_secs(5)).unwrap();
    let open: i64 = file
        .query_row(
            "SELECT (SELECT count(*) FROM erase_request)
             + coalesce((SELECT value FROM meta WHERE name = 'truncate_due'), 0)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    open == 0
}

/// Fills an inbox with two transactions, each with texts of its own everywhere.
async fn filled() -> (Bench, EventId) {
    let bench = Bench::new();
    let mut erased = None;
    for (transaction, mark) in [("t-GONE", "GONE"), ("t-KEPT", "KEPT")] {
        for number in 0..20 {
            let message = format!("m{number}-{mark}");
            let id = id_of(bench.tell(transaction, &message, &format!("{number}-{mark}")).await);
            erased = erased.or(Some(id));
        }
        let at = bench.clock.now();
        for _ in 0..2 {
            bench.settle(Settlement::Retry { at, error: format!("E-{mark}") }).await;
        }
        for _ in 0..20 {
            bench.settle(Settlement::Dead { error: format!("D-{mark}") }).await;
        }
        bench.inbox.refuse(Refusal {
            at,
            route: "on_status".to_owned(),
            seller: "seller.example".to_owned(),
            verified: true,
            cause: "context.ttl",
            path: "/context".to_owned(),
            message: format!("M-{mark}"),
            transaction_id: None,
            status: 200,
            body: Bytes::from(format!(r#"{{"transaction_id":"{transaction}","x":"R-{mark}"}}"#)),
            body_bytes: 40,
        });
        let new = NewExpectation {
            transaction_id: Some(transaction.to_owned()),
            ..bench.expectation(&format!("x-{mark}"), 30)
        };
        bench.inbox.expect(new).await.unwrap();
    }
    let ledger = bench.ledger();
    until(|| ledger.refusals_count() == 2).await;
    (bench, erased.unwrap())
}

#[tokio::test]
async fn an_erased_transaction_is_in_no_file_and_the_other_is_whole() {
    let (bench, id) = filled().await;
    let directory = bench.directory.path().to_owned();
    let before = bench.ledger().event(id, Sight::Bodies).unwrap().unwrap();
    let by = By { who: "app", now: bench.clock.now() };
    let asked = bench.ledger().erase("t-GONE", by).unwrap();
    assert_eq!((asked.events, asked.pending, asked.refusals), (20, 0, 1));
    // Appends go on meanwhile.
    for number in 0..20 {
        bench.tell("t-KEPT", &format!("later{number}"), &format!("later{number}-KEPT")).await;
    }
    until(|| is_erased(&directory)).await;
    assert_eq!(holders(&directory, "GONE"), Vec::<std::path::PathBuf>::new());
    for text in ["t-KEPT", "N-7-KEPT", "N-later7-KEPT", "E-KEPT", "D-KEPT", "R-KEPT", "x-KEPT"] {
        assert!(!holders(&directory, text).is_empty(), "{text}");
    }
    let after = bench.ledger().event(id, Sight::Bodies).unwrap().unwrap();
    assert_eq!((after.body, after.event.transaction_id, after.event.error), (None, None, None));
    assert_eq!(after.event.flags, ["erased"]);
    assert_eq!((after.event.seq, after.event.seller), (before.event.seq, before.event.seller));
    let replay = bench.ledger().replay(&[id], by).unwrap();
    assert_eq!((replay.requested, replay.erased), (0, 1));
    let again = bench.tell("t-GONE", "m0-GONE", "0-GONE").await;
    assert_eq!(again, Receipt::Duplicate { of: id }, "its fingerprints are kept");
    let audits = bench.ledger().audits(None, 10).unwrap();
    assert!(audits.iter().any(|line| line.what == "erase" && line.target.starts_with("transac")));
}

#[tokio::test]
async fn of_an_id_that_nothing_has_as_a_whole_nothing_is_erased() {
    let (bench, _) = filled().await;
    let by = By { who: "app", now: bench.clock.now() };
    for id in ["{", "e", "t-GON", "nothing"] {
        let asked = bench.ledger().erase(id, by).unwrap();
        assert_eq!((asked.events, asked.refusals), (0, 0), "{id}");
    }
    assert!(is_erased(bench.directory.path()), "nothing is asked of the writer");
    assert!(bench.ledger().audits(None, 10).unwrap().is_empty());
}

#[tokio::test]
async fn an_erasing_that_a_crash_cuts_short_goes_on_at_the_next_start() {
    let (bench, _) = filled().await;
    let by = By { who: "app", now: bench.clock.now() };
    bench.ledger().erase("t-GONE", by).unwrap();
    bench.inbox.abandon();
    let Bench { clock, inbox, directory } = bench;
    drop(inbox);
    for _ in 0..3 {
        open(directory.path(), &clock).abandon();
    }
    let inbox = open(directory.path(), &clock);
    until(|| is_erased(directory.path())).await;
    assert_eq!(holders(directory.path(), "GONE"), Vec::<std::path::PathBuf>::new());
    assert!(!holders(directory.path(), "N-7-KEPT").is_empty());
    inbox.close().await;
}

#[tokio::test]
async fn an_event_that_is_not_settled_is_erased_once_it_is() {
    let bench = Bench::new();
    bench.tell("t-GONE", "m", "GONE").await;
    let by = By { who: "app", now: bench.clock.now() };
    assert_eq!(bench.ledger().erase("t-GONE", by).unwrap().pending, 1);
    let event = bench.settle(Settlement::Retry { at: by.now, error: "E-GONE".to_owned() }).await;
    assert!(event.body.windows(4).any(|window| window == b"GONE"), "it is handed over whole");
    bench.settle(Settlement::Done).await;
    until(|| is_erased(bench.directory.path())).await;
    assert_eq!(holders(bench.directory.path(), "GONE"), Vec::<std::path::PathBuf>::new());
    let kept = bench.ledger().event(event.id, Sight::Masked).unwrap().unwrap();
    assert!(kept.event.flags.contains(&Flag::Erased.as_str().to_owned()));
}
