//! What operators read of a database, and ask for in it, where it differs from files.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::bench::Bench;
use super::events::Part;
use super::ledgers::Ledgers;
use super::waiting::{WaitingRoom, Wanted};
use super::{Ledger, Sight};
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::event::Flag;
use crate::inbox::postgres::Server;
use crate::inbox::reader::expectations::Status;
use crate::inbox::reader::place::{Database, Place};
use crate::inbox::reader::selection::{Filter, Order};
use crate::inbox::reader::{Error, Progress};

fn elsewhere(bench: &Bench, url: &str, schema: &str) -> Place {
    let Place::Database(database) = &bench.place else { panic!("it is in files") };
    let (server, runtime) = (Server::of_test(url, schema), database.runtime.clone());
    Database { server, runtime }.into()
}

#[test]
fn what_is_no_inbox_of_this_version_says_so_and_names_nobody() {
    let Some(bench) = Bench::in_a_database() else { return };
    let missing = elsewhere(&bench, &bench.url(), "nothing");
    let error = Ledger::open(&missing).unwrap_err();
    assert!(matches!(error, Error::NoTables { .. }) && error.to_string().contains("`nothing`"));
    bench.write("UPDATE meta SET number = 1000 WHERE name = 'schema'");
    let error = Ledger::open(&bench.place).unwrap_err();
    assert!(matches!(error, Error::Tables(_)), "{error:?}");
    bench.write("UPDATE meta SET number = 1 WHERE name = 'schema'");
    Ledger::open(&bench.place).unwrap();
    let away = elsewhere(&bench, "postgres://who:secret@127.0.0.1:1/db", "inbox");
    let error = Ledger::open(&away).unwrap_err();
    assert!(matches!(error, Error::Unreached { .. }), "{error:?}");
    let told = format!("{} {error:?}", crate::words::Chain(&error));
    assert!(!told.contains("who") && !told.contains("secret"), "{told}");
}

#[test]
fn a_ledger_whose_connection_was_lost_is_opened_again() {
    let Some(mut bench) = Bench::in_a_database() else { return };
    bench.tell("t", "Accepted", "Pending");
    let ledgers = Ledgers::new(bench.place.clone());
    let both = |bench: &Bench| {
        let look = bench.block_on(ledgers.look(Ledger::last_seq));
        (look.ok(), bench.block_on(ledgers.at_once(Ledger::last_seq)).ok())
    };
    assert_eq!(both(&bench), (Some(1), Some(1)));
    bench.cluster().kill();
    assert_eq!(both(&bench), (None, None));
    bench.cluster().restart();
    assert_eq!(both(&bench), (Some(1), Some(1)));
    bench.cluster().kill();
    bench.cluster().restart();
    assert_eq!(both(&bench), (Some(1), Some(1)), "nobody has looked while it was away");
}

#[test]
fn who_reads_writes_nothing() {
    let Some(bench) = Bench::in_a_database() else { return };
    let ledger = bench.ledger();
    let refused = ledger.reader.try_to_write("DELETE FROM event").unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
}

/// Fills the log with so many events that nobody has sent, of which each hundredth is dead.
fn fill(bench: &Bench, count: u32) {
    bench.write(&format!(
        "INSERT INTO event (seq, id, action, seller, verified, transaction_id, message_id,
             received_at, flags, body_print, content_print, lane, standing)
         SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'on_status', 's', 1, 't' || n % 5000,
             'm' || n, n, 0, decode(lpad(to_hex(n), 32, '0'), 'hex'), '', n, 0
         FROM generate_series(1, {count}) n;
         INSERT INTO delivery (seq, replay, state, attempts, marks, flags)
         SELECT seq, 0, CASE WHEN seq % 100 = 0 THEN 2 ELSE 1 END, 1, 0,
             CASE WHEN seq % 1000 = 0 THEN {} ELSE 0 END FROM event;
         INSERT INTO body SELECT seq, '{{}}' FROM event;
         ANALYZE",
        Flag::Solicited.bit()
    ));
}

#[test]
fn a_walk_goes_through_a_long_log_a_part_at_a_time() {
    let Some(bench) = Bench::in_a_database() else { return };
    fill(&bench, 20_000);
    let ledger = bench.ledger();
    let dead = Filter { progress: Some(Progress::Dead), ..Filter::default() };
    for (order, first) in [(Order::OldestFirst, 100), (Order::NewestFirst, 20_000)] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = ledger.events(&dead, Part { order, after, limit: 90 }).unwrap();
            assert!(page.events.len() <= 90);
            found.extend(page.events.iter().map(|event| event.seq));
            after = page.next.as_deref().and_then(super::place);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found.len(), found[0]), (200, first));
        assert!(found.is_sorted_by(|one, next| match order {
            Order::OldestFirst => one < next,
            Order::NewestFirst => one > next,
        }));
    }
    let solicited = Filter { flag: Some(Flag::Solicited), ..dead.clone() };
    assert_eq!(ledger.reader.count(&solicited).unwrap(), 20);
    let hundreds: Vec<i64> = (100..=20_000).step_by(100).collect();
    assert_eq!(ledger.reader.seqs(&dead).unwrap(), hundreds);
    let of_it = Filter { transaction_id: Some("t7".to_owned()), ..Filter::default() };
    assert_eq!(ledger.reader.seqs(&of_it).unwrap(), [7, 5_007, 10_007, 15_007]);
    let page = ledger.events(&of_it, Part::newest(3)).unwrap();
    assert_eq!((page.events.len(), page.next.as_deref()), (3, Some("5007")));
    let asked = ledger.replay_matching(&dead, false, bench.by()).unwrap();
    assert_eq!((asked.requested, asked.pending), (200, 0));
}

#[test]
fn expectations_are_told_of_and_withdrawn() {
    let Some(bench) = Bench::in_a_database() else { return };
    let event = bench.tell("t", "Accepted", "Pending");
    let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
    let at = (bench.clock.now() + TimeDelta::days(1)).timestamp_micros();
    for (id, met_seq) in ids.iter().zip(["1", "NULL", "NULL"]) {
        bench.write(&format!(
            "INSERT INTO expectation (id, action, message_id, transaction_id, bpp_id, registered_at,
             registered_by, due_at, met_seq) VALUES (decode('{}', 'hex'), 'on_status', 'm', 't',
             'seller.example', 0, 'app', {at}, {met_seq})",
            id.simple()
        ));
    }
    let ledger = bench.ledger();
    let open = ledger.expectations(Some(Status::Open), None, 10).unwrap().expectations;
    assert_eq!(
        open.iter().map(|one| &*one.id).collect::<Vec<_>>(),
        [ids[2].to_string(), ids[1].to_string()]
    );
    let met = ledger.expectation(ids[0]).unwrap().unwrap();
    assert_eq!((met.status.as_str(), met.event_id), ("met", Some(event.to_string())));
    let detail = ledger.event(event, Sight::Masked).unwrap().unwrap();
    assert_eq!(detail.expectation.unwrap().id, ids[0].to_string());
    assert_eq!(ledger.timeline("t", None, Sight::Masked).unwrap().expectations.len(), 3);
    assert!(ledger.withdraw(ids[1], bench.by()).unwrap());
    assert!(!ledger.withdraw(ids[1], bench.by()).unwrap());
    assert_eq!(ledger.expectation(ids[1]).unwrap(), None);
    let audits = ledger.audits(None, 10).unwrap();
    assert_eq!(audits.iter().map(|line| &*line.what).collect::<Vec<_>>(), ["withdraw"]);
}

#[test]
fn an_erasure_is_asked_for_under_a_fingerprint() {
    let Some(bench) = Bench::in_a_database() else { return };
    let transaction = format!("t{}", "\0é");
    bench.tell("other", "Accepted", "Pending");
    let ledger = bench.ledger();
    assert_eq!(ledger.erase(&transaction, bench.by()).unwrap().events, 0);
    assert!(ledger.audits(None, 10).unwrap().is_empty(), "of what nothing has, nothing is written");
    bench.tell(r"t\u0000é", "Accepted", "Pending");
    let erasure = ledger.erase(&transaction, bench.by()).unwrap();
    assert_eq!((erasure.events, erasure.pending), (1, 1));
    let [line] = &ledger.audits(None, 10).unwrap()[..] else { panic!("one line") };
    assert!(line.target.starts_with("transaction ") && !line.target.contains('é'), "{line:?}");
}

#[test]
fn who_waits_is_told_of_what_comes_and_of_what_had_come() {
    let Some(bench) = Bench::in_a_database() else { return };
    let room = WaitingRoom::new(bench.place.clone(), bench.inbox.arrivals(), 2);
    bench.tell("t1", "Accepted", "Pending");
    let now = bench.clock.now();
    let wait = |id: &str, wait: Duration| {
        let wanted = Wanted { message_id: id.to_owned(), action: Some(Action::OnStatus) };
        let room = Arc::clone(&room);
        async move { room.wait(wanted, wait, now).await.unwrap() }
    };
    let long = Duration::from_secs(20);
    assert_eq!(bench.block_on(wait("m-t1", long)), Some(1));
    assert_eq!(bench.block_on(wait("m-t9", Duration::from_millis(1))), None);
    let waiting = bench.spawn(wait("m-t2", long));
    let serving = bench.spawn(Arc::clone(&room).serve());
    while room.waiting() == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    bench.tell("t2", "Accepted", "Pending");
    assert_eq!(bench.block_on(waiting).unwrap(), Some(2));
    serving.abort();
}

#[test]
fn an_event_is_handed_out_whole_unless_it_was_erased() {
    let Some(bench) = Bench::in_a_database() else { return };
    for number in 0..3 {
        bench.tell(&format!("t{number}"), "Accepted", "Pending");
    }
    let erased = Flag::Erased.bit();
    bench.write(&format!(
        "UPDATE event SET flags = flags | {erased} WHERE seq = 2;
         UPDATE body SET body = '' WHERE seq = 2"
    ));
    let ledger = bench.ledger();
    let (mut found, part) = (Vec::new(), Part { order: Order::OldestFirst, ..Part::newest(10) });
    let end = ledger.hand_out(&Filter::default(), part, |event| {
        found.push((event.seq, event.context.transaction_id.as_deref().unwrap().to_owned()));
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap(), None);
    assert_eq!(found, [(1, "t0".to_owned()), (3, "t2".to_owned())]);
    let detail = ledger.event_at(2, Sight::Bodies).unwrap().unwrap();
    assert_eq!((detail.body, detail.body_bytes), (None, 0));
    assert_eq!(ledger.missing(0, 3).unwrap(), Some(0));
}
