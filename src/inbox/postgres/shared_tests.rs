//! What operators and the buyer app ask for, with two receivers that share the inbox.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;

use super::connect::connect;
use super::tests::{open, options};
use super::{Options, PostgresInbox};
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::event::{Address, Flag, OrderEvent};
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample};
use crate::inbox::expectations::{ExpectError, Expecting as _, NewExpectation};
use crate::inbox::{
    Claim, Found, Inbox as _, Outlet, Outlets, Receipt, Record, Refusal, Settlement, Standing,
};
use crate::servers::postgres::Postgres;

/// Two receivers on one inbox.
struct Two {
    options: Options,
    clock: Arc<ManualClock>,
    inboxes: [Arc<PostgresInbox>; 2],
    benches: [Bench; 2],
    _cluster: Postgres,
}

impl Two {
    async fn start(change: impl FnOnce(&mut Options)) -> Option<Self> {
        let cluster = Postgres::start()?;
        let mut options = options(&cluster, "shared");
        change(&mut options);
        let clock = ManualClock::new();
        let (one, other) =
            (open(options.clone(), &clock).await, open(options.clone(), &clock).await);
        let (inboxes, benches) = ([one.0, other.0], [one.1, other.1]);
        Some(Self { options, clock, inboxes, benches, _cluster: cluster })
    }

    async fn execute(&self, sql: &str) -> u64 {
        connect(&self.options.server).await.unwrap().execute(sql, &[]).await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        let client = connect(&self.options.server).await.unwrap();
        client.query_one(&format!("SELECT ({sql})::bigint"), &[]).await.unwrap().get(0)
    }

    async fn wait_for(&self, sql: &str, wanted: i64) {
        let waiting = async {
            while self.number(sql).await != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| {
            panic!("waited in vain for {wanted} by {sql}");
        });
    }

    async fn claim(&self, receiver: usize) -> Claim {
        let claiming = self.inboxes[receiver].claim(Outlet(0), 1);
        let claims = tokio::time::timeout(Duration::from_secs(20), claiming).await;
        claims.expect("something is to be claimed").unwrap().remove(0)
    }

    /// Appends a sample and settles it as done.
    async fn deliver(&self, sample: Sample) -> Receipt {
        let receipt = self.benches[0].append(sample).await.unwrap();
        let claim = self.claim(1).await;
        self.inboxes[1].settle(claim, Settlement::Done);
        self.wait_for("SELECT count(*) FROM pending", 0).await;
        receipt
    }

    fn expectation(&self, message: &str) -> NewExpectation {
        let at = self.clock.now();
        NewExpectation {
            action: Action::OnStatus,
            message_id: message.to_owned(),
            transaction_id: Some("t1".to_owned()),
            bap_id: None,
            bpp_id: Some("https://seller.example/".to_owned()),
            domain: None,
            by: "app".to_owned(),
            at,
            due_at: at + TimeDelta::seconds(30),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_expected_at_one_receiver_is_met_at_another() {
    let Some(two) = Two::start(|options| options.expectations_limit = 2).await else { return };
    let [one, other] = &two.inboxes;
    let before = one.expect(two.expectation("m1")).await.unwrap();
    assert_eq!(before.met, None);
    let mut another = two.expectation("m1");
    another.bpp_id = Some("another.example".to_owned());
    let other_seller = other.expect(another).await.unwrap();
    // The other learns of how many there are by looking.
    two.benches[1].wait_for(|_| other.open_expectations() == 2).await;
    let refused = other.expect(two.expectation("m2")).await;
    assert!(matches!(refused, Err(ExpectError::TooMany)), "{refused:?}");
    two.benches[1].append(SAMPLE).await.unwrap();
    let claim = two.claim(0).await;
    assert!(claim.event().flags.contains(Flag::Solicited));
    one.settle(claim, Settlement::Done);
    let met = "SELECT count(*) FROM expectation WHERE met_seq IS NOT NULL";
    assert_eq!(two.number(met).await, 1);
    assert_eq!(other.expectation_counts().read(), [1, 1, 0]);
    // What came before it was asked for.
    let unverified = Sample { signed: false, message: Some("m3"), stamp: 3, ..SAMPLE };
    two.benches[1].append(unverified).await.unwrap();
    two.benches[1].wait_for(|_| one.open_expectations() == 1).await;
    let after = one.expect(two.expectation("m3")).await.unwrap();
    assert!(after.met.is_some());
    let solicited = Flag::Solicited.bit();
    let marked = format!("SELECT count(*) FROM event WHERE flags & {solicited} <> 0");
    assert_eq!(two.number(&marked).await, 2);
    let open = other.overdue(two.clock.now() + TimeDelta::seconds(31)).await.unwrap();
    assert_eq!(open.iter().map(|open| open.id).collect::<Vec<_>>(), [other_seller.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_is_told_by_one_receiver_and_what_comes_then_is_late() {
    let Some(two) = Two::start(|_| ()).await else { return };
    let [one, other] = &two.inboxes;
    one.expect(two.expectation("m1")).await.unwrap();
    two.clock.advance(31);
    let silence = || {
        let body = r#"{"context":{"message_id":"m1"},"error":{"code":"20009"}}"#;
        let mut event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        event.received_at = two.clock.now();
        event.flags.insert(Flag::Silence);
        Box::new(event)
    };
    let record = || Record { message: None, error: None, standing: Standing::Pending };
    let seen = [one.overdue(two.clock.now()).await, other.overdue(two.clock.now()).await];
    let [first, second] = seen.map(|overdue| overdue.unwrap().remove(0));
    let told = tokio::join!(
        one.tell_silence(&first, record(), silence()),
        other.tell_silence(&second, record(), silence()),
    );
    let told = [told.0.unwrap(), told.1.unwrap()];
    assert_eq!(told.iter().flatten().count(), 1, "{told:?}");
    assert_eq!(two.number("SELECT count(*) FROM event").await, 1);
    let claim = two.claim(1).await;
    assert!(claim.event().flags.contains(Flag::Silence));
    other.settle(claim, Settlement::Done);
    two.benches[0].append(SAMPLE).await.unwrap();
    let late = "SELECT count(*) FROM expectation WHERE met_seq > silent_seq";
    assert_eq!(two.number(late).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_comes_before_what_waits_and_is_asked_for_once() {
    let Some(two) = Two::start(|_| ()).await else { return };
    let Receipt::New { id, seq } = two.deliver(SAMPLE).await else { panic!("it is new") };
    let second = Sample { message: Some("m2"), stamp: 2, ..SAMPLE };
    two.benches[0].append(second).await.unwrap();
    let claim = two.claim(0).await;
    let at = two.clock.now() + TimeDelta::seconds(60);
    two.inboxes[0].settle(claim, Settlement::Retry { at, error: "later".to_owned() });
    two.wait_for("SELECT count(*) FROM lane WHERE due_at IS NOT NULL", 1).await;
    let request = format!("INSERT INTO replay_request VALUES ({}, 0), (99, 0)", seq.0);
    two.execute(&request).await;
    let claim = two.claim(1).await;
    assert_eq!((claim.event().id, claim.event().replay, claim.event().attempt), (id, 1, 1));
    two.inboxes[1].settle(claim, Settlement::Done);
    assert_eq!(two.number("SELECT count(*) FROM replay_request").await, 0);
    // The other still waits for its time.
    two.wait_for("SELECT count(*) FROM lane WHERE owner IS NULL AND due_at IS NOT NULL", 1).await;
    two.clock.advance(61);
    let claim = two.claim(0).await;
    assert_eq!(claim.event().attempt, 2);
    two.inboxes[0].settle(claim, Settlement::Done);
    two.wait_for("SELECT count(*) FROM lane", 0).await;
    // What the other has done it learns by looking.
    two.benches[0].settle_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_at_every_receiver() {
    let Some(two) = Two::start(|_| ()).await else { return };
    two.execute("UPDATE handler SET paused_at = 1 WHERE name = 'app'").await;
    two.benches[0].append(SAMPLE).await.unwrap();
    for inbox in &two.inboxes {
        let claiming = inbox.claim(Outlet(0), 1);
        tokio::time::timeout(Duration::from_millis(100), claiming).await.unwrap_err();
    }
    two.execute("UPDATE handler SET paused_at = NULL").await;
    let claim = two.claim(1).await;
    two.inboxes[1].settle(claim, Settlement::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_to_the_handler_that_the_settings_name_now() {
    let Some(two) = Two::start(|_| ()).await else { return };
    two.benches[0].append(SAMPLE).await.unwrap();
    for inbox in &two.inboxes {
        inbox.close().await;
    }
    let names = vec!["other".to_owned(), "new".to_owned()];
    let outlets = Outlets::new(names, |address: &Address<'_>| {
        assert_eq!(
            (address.bpp_id, address.bap_id),
            (Some("seller.example"), Some("buyer.example"))
        );
        Outlet(1)
    });
    let options = Options { outlets, ..two.options.clone() };
    let (inbox, _bench) = open(options, &two.clock).await;
    let claims = tokio::time::timeout(Duration::from_secs(20), inbox.claim(Outlet(1), 1)).await;
    inbox.settle(claims.unwrap().unwrap().remove(0), Settlement::Done);
    two.wait_for("SELECT count(*) FROM pending", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_or_too_much_leaves_and_what_is_not_settled_stays() {
    let Some(two) = Two::start(|options| {
        options.retention_days = 1;
        options.dead_letter_days = 3;
        options.retention_bytes = 4 << 10;
    })
    .await
    else {
        return;
    };
    let of =
        |number: u32, transaction| Sample { stamp: number, transaction, message: None, ..SAMPLE };
    for number in 0..8 {
        two.deliver(of(number, Some("t1"))).await;
    }
    let held = "SELECT number FROM meta WHERE name = 'log_bytes'";
    assert!(two.number(held).await > 8 << 10);
    two.benches[0].append(of(8, Some("t2"))).await.unwrap();
    let claim = two.claim(0).await;
    two.inboxes[0].settle(claim, Settlement::Dead { error: "no".to_owned() });
    two.wait_for("SELECT count(*) FROM delivery WHERE state = 2", 1).await;
    two.benches[0].append(of(9, Some("t3"))).await.unwrap();
    let claim = two.claim(0).await;
    // A pass is made once a minute.
    two.clock.advance(61);
    let in_room = format!("SELECT (({held}) <= 4096)::int");
    two.wait_for(&in_room, 1).await;
    let left = two.number("SELECT count(*) FROM event").await;
    assert!((2..6).contains(&left), "{left}");
    two.clock.advance(2 * 24 * 3_600);
    two.wait_for("SELECT count(*) FROM event", 2).await;
    two.clock.advance(2 * 24 * 3_600);
    two.wait_for("SELECT count(*) FROM event", 1).await;
    two.inboxes[0].settle(claim, Settlement::Done);
    two.clock.advance(61);
    let nothing = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM body)
         + (SELECT count(*) FROM delivery) + (SELECT count(*) FROM attempt)";
    two.wait_for(nothing, 0).await;
    assert_eq!(two.number(held).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_transaction_leaves_nothing_of_itself_and_is_still_recognised() {
    let Some(two) = Two::start(|_| ()).await else { return };
    two.deliver(SAMPLE).await;
    let pending = Sample { message: Some("m2"), stamp: 2, ..SAMPLE };
    two.benches[0].append(pending).await.unwrap();
    let kept = Sample { transaction: Some("t10"), ..SAMPLE };
    two.benches[0].append(kept).await.unwrap();
    let refused = Refusal {
        at: two.clock.now(),
        route: "on_status".to_owned(),
        seller: "seller.example".to_owned(),
        verified: false,
        cause: "json",
        path: "/context".to_owned(),
        message: "told".to_owned(),
        transaction_id: None,
        status: 200,
        body: Bytes::from_static(br#"{"transaction_id":"t1""#),
        body_bytes: 22,
    };
    two.inboxes[0].refuse(refused);
    two.wait_for("SELECT count(*) FROM refusal", 1).await;
    two.inboxes[0].expect(two.expectation("m9")).await.unwrap();
    two.execute(
        "INSERT INTO audit (at, who, what, target) VALUES (1, 'me', 'replay',
        'transaction=t1 state=x')",
    )
    .await;
    two.execute("INSERT INTO erase_request VALUES ('t1', 1, NULL)").await;
    let of_it = "SELECT count(*) FROM event WHERE transaction_id = 't1'";
    two.wait_for(of_it, 1).await;
    two.wait_for("SELECT count(*) FROM erase_request WHERE looked_at IS NOT NULL", 1).await;
    for _ in 0..2 {
        let claim = two.claim(1).await;
        two.inboxes[1].settle(claim, Settlement::Done);
    }
    two.wait_for("SELECT count(*) FROM pending", 0).await;
    two.clock.advance(31);
    two.wait_for("SELECT count(*) FROM erase_request", 0).await;
    assert_eq!(two.number(of_it).await, 0);
    let traces = "SELECT (SELECT count(*) FROM body WHERE position('\"t1\"' IN body) > 0)
         + (SELECT count(*) FROM refusal WHERE position('\"t1\"' IN body) > 0 OR message <> '')
         + (SELECT count(*) FROM expectation)
         + (SELECT count(*) FROM audit WHERE target <> 'transaction=erased state=x')";
    assert_eq!(two.number(traces).await, 0);
    assert_eq!(two.number("SELECT count(*) FROM event WHERE transaction_id = 't10'").await, 1);
    let again = two.benches[1].append(SAMPLE).await.unwrap();
    assert!(matches!(again, Receipt::Duplicate { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_knows_what_other_receivers_were_told() {
    let Some(two) = Two::start(|_| ()).await else { return };
    for (number, message) in ["m1", "m2", "m3"].into_iter().enumerate() {
        let stamp = u32::try_from(number).unwrap();
        let sample = Sample { message: Some(message), stamp, state: message, ..SAMPLE };
        two.benches[0].append(sample).await.unwrap();
        let mut claim = two.claim(number % 2).await;
        let told: Vec<&str> =
            claim.told_before().iter().map(|before| before.states.as_str()).collect();
        assert_eq!(told, ["m1", "m2"][..number]);
        claim.find(Found { flags: crate::event::Flags::default(), states: message.to_owned() });
        two.inboxes[number % 2].settle(claim, Settlement::Done);
        two.wait_for("SELECT count(*) FROM pending", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_is_told_that_its_lease_ends_before_another_has_the_lane() {
    let lease = Duration::from_secs(1);
    let Some(two) = Two::start(|options| options.lease = lease).await else { return };
    two.benches[0].append(SAMPLE).await.unwrap();
    let claim = two.claim(0).await;
    two.inboxes[0].stand_still();
    let other = two.claim(1);
    tokio::select! {
        biased;
        () = claim.lost() => {}
        _ = other => panic!("another has it already"),
    }
    drop(claim);
    let claim = two.claim(1).await;
    assert_eq!(claim.event().attempt, 1, "it was handed back");
    two.inboxes[1].settle(claim, Settlement::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_has_a_bounded_number_of_connections() {
    let Some(two) = Two::start(|_| ()).await else { return };
    for number in 0..20 {
        two.deliver(Sample { stamp: number, message: None, ..SAMPLE }).await;
        two.inboxes[0].expect(two.expectation("m")).await.unwrap();
    }
    let connections = "SELECT count(*) - 1 FROM pg_stat_activity
         WHERE backend_type = 'client backend'";
    let found = two.number(connections).await;
    assert!(found <= 2 * 8, "{found}");
}
