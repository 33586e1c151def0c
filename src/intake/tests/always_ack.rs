//! What becomes of a refused callback: a NACK, kept, or kept and delivered.

use std::sync::Arc;

use super::{Bench, Plan, Rejected, new_id, refused, told};
use crate::beckn::action::Action;
use crate::beckn::answer::ErrorType;
use crate::beckn::callback::Callback;
use crate::buyer_rule::{BuyerRule, Refuse};
use crate::event::Flag;
use crate::inbox::reader::Progress;
use crate::inbox::reader::replays::{Replay, request_replay};
use crate::inbox::{Inbox as _, Receipt, Settlement};
use crate::words::Profile;

/// Refuses the orders that were never placed.
struct Placed;

impl BuyerRule for Placed {
    fn name(&self) -> &'static str {
        "shop.placed"
    }

    async fn check(&self, _action: Action, callback: &Callback) -> Result<(), Refuse> {
        if callback.context.transaction_id.as_deref() != Some("unknown") {
            return Ok(());
        }
        Err(Refuse {
            code: "20007".to_owned(),
            error_type: ErrorType::Domain,
            path: "/message/order/id".to_owned(),
            message: "expected an order of ours".to_owned(),
        })
    }
}

fn bench(rejected: Rejected, tail_events: usize) -> Bench {
    Bench::new(Plan {
        rejected,
        tail_events,
        buyer_rules: vec![Arc::new(Placed)],
        ..Plan::of(Profile::Standard)
    })
}

fn callback(action: &str, transaction: &str, message: &str) -> String {
    format!(
        r#"{{"context":{{"action":"{action}","bap_id":"buyer.example","bpp_id":"seller.example",
            "transaction_id":"{transaction}","message_id":"m-1"}},"message":{message}}}"#
    )
}

const ORDER: &str = r#"{"order":{"id":"o-1","state":"Accepted"}}"#;

/// Asserts what the three settings make of a body that is refused as `expected`.
async fn check(body: &str, expected: &str) {
    let nack = bench(Rejected::Nack, 4096);
    assert_eq!(told(&refused(nack.accept(Action::OnStatus, body.to_owned()).await)), expected);
    assert_eq!(nack.reader().totals().unwrap(), crate::inbox::reader::Totals::default());

    for (rejected, tail_events, progress) in [
        (Rejected::Keep, 4096, Progress::Rejected),
        (Rejected::Deliver, 4096, Progress::Pending),
        (Rejected::Deliver, 0, Progress::Pending),
    ] {
        let bench = bench(rejected, tail_events);
        let id = new_id(bench.accept(Action::OnStatus, body.to_owned()).await);
        let again = bench.accept(Action::OnStatus, body.to_owned()).await.unwrap();
        assert_eq!(again, Receipt::Duplicate { of: id });
        let stored = bench.stored(id);
        assert_eq!((stored.summary.progress, &stored.body[..]), (progress, body.as_bytes()));
        assert!(stored.summary.flags.contains(Flag::Rejected));
        let rule = expected.split_once(' ').unwrap().0;
        assert_eq!(stored.warnings[0].rule, rule, "{:?}", stored.warnings);
        assert_eq!(stored.warnings.iter().filter(|warning| warning.rule == rule).count(), 1);
        assert_eq!(bench.inbox.depth().unsettled, u64::from(rejected == Rejected::Deliver));
        if rejected == Rejected::Keep {
            assert!(bench.hands_out_nothing());
            let replay = request_replay(bench.directory.path(), id, stored.summary.received_at);
            assert_eq!(replay.unwrap(), Replay::Requested);
        }
        let claim = bench.claim().await;
        assert_eq!((claim.event().id, &claim.event().warnings), (id, &stored.warnings));
        assert_eq!(claim.event().replay, u32::from(rejected == Rejected::Keep));
        assert!(claim.event().flags.contains(Flag::Rejected));
        bench.inbox.settle(claim, Settlement::Done);
    }
}

#[tokio::test]
async fn a_refused_callback_is_told_or_kept_or_delivered() {
    check("{\"context\":", "json.syntax 20006 JSON-SCHEMA-ERROR ").await;
    check("[]", "json.syntax 20006 JSON-SCHEMA-ERROR ").await;
    check("{}", "context.present 20006 CONTEXT-ERROR /context").await;
    check(
        &callback("on_update", "t-1", ORDER),
        "context.action 20006 CONTEXT-ERROR /context/action",
    )
    .await;
    check(
        &callback("on_status", "", ORDER),
        "context.transaction_id 20006 CONTEXT-ERROR /context/transaction_id",
    )
    .await;
    check(
        &callback("on_status", "t-1", r#"{"order":{}}"#),
        "payload.present 20006 JSON-SCHEMA-ERROR /message/order",
    )
    .await;
    check(
        &callback("on_status", "t-1", r#"{"ack":{"status":"ACK"}}"#),
        "payload.callback 20006 JSON-SCHEMA-ERROR /message/ack",
    )
    .await;
    check(
        &callback("on_status", "unknown", ORDER),
        "shop.placed 20007 DOMAIN-ERROR /message/order/id",
    )
    .await;
}

#[tokio::test]
async fn a_callback_that_no_rule_refuses_is_the_same_under_every_setting() {
    for rejected in [Rejected::Nack, Rejected::Keep, Rejected::Deliver] {
        let bench = bench(rejected, 4096);
        let id = new_id(bench.accept(Action::OnStatus, callback("on_status", "t-1", ORDER)).await);
        let claim = bench.claim().await;
        assert_eq!(claim.event().id, id);
        assert!(!claim.event().flags.contains(Flag::Rejected));
    }
}
