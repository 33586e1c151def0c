//! The documents' own samples under the three profiles, and the event that the handler gets.

use super::{Bench, Plan, new_id, refused, told};
use crate::beckn::action::Action;
use crate::beckn::tests::seeds::{filled, seed};
use crate::event::{Flag, OrderEvent};
use crate::words::Profile;

const ACK: &str = "ACK";
const COMMA: &str = "json.trailing_comma 20006 JSON-SCHEMA-ERROR ";
const QUOTE_TTL: &str =
    "ondc.1_2_5.order.quote.ttl 20006 JSON-SCHEMA-ERROR /message/order/quote/ttl";
const TIMESTAMP: &str = "context.timestamp 20006 CONTEXT-ERROR /context/timestamp";

/// Each sample: its number, its route, whether its placeholders are filled, and what is said to
/// it under strict; under the other profiles all are `ACKed`.
const SAMPLES: [(&str, Action, bool, &str); 6] = [
    ("000", Action::OnTrack, true, ACK),
    ("001", Action::OnStatus, true, COMMA),
    ("002", Action::OnStatus, true, COMMA),
    ("003", Action::OnUpdate, true, COMMA),
    ("004", Action::OnStatus, true, QUOTE_TTL),
    ("004", Action::OnStatus, false, TIMESTAMP),
];

fn samples() -> impl Iterator<Item = (Action, String, &'static str)> {
    SAMPLES.into_iter().filter_map(|(number, route, fill, strict)| {
        let sample = seed(number)?;
        Some((route, if fill { filled(&sample) } else { sample }, strict))
    })
}

#[tokio::test]
async fn the_documents_samples_are_answered_as_the_profiles_say() {
    for profile in Profile::ALL {
        for (route, body, strict) in samples() {
            let bench = Bench::new(Plan::of(profile));
            let answer = match bench.accept(route, body.clone()).await {
                Ok(_receipt) => ACK.to_owned(),
                rejected => told(&refused(rejected)),
            };
            let expected = if profile == Profile::Strict { strict } else { ACK };
            assert_eq!(answer, expected, "{} on {route}", profile.as_str());
        }
    }
}

#[tokio::test]
async fn a_trailing_comma_is_told_with_its_place() {
    for (number, route, place) in [
        ("001", Action::OnStatus, "line 32 column 18"),
        ("002", Action::OnStatus, "line 89 column 22"),
        ("003", Action::OnUpdate, "line 32 column 18"),
    ] {
        let Some(body) = seed(number) else { return };
        let bench = Bench::new(Plan::of(Profile::Strict));
        let refused = refused(bench.accept(route, body).await);
        let start = format!("expected no comma before an end, found one at {place}");
        assert!(refused.message.starts_with(&start), "{}", refused.message);
    }
}

/// Compares what the handler gets with what the sample reads as, field by field; the fields
/// themselves are asserted where the models are.
#[track_caller]
fn check_same(event: &OrderEvent, route: Action, body: &str) {
    let read = OrderEvent::parse(route, body.to_owned()).unwrap();
    assert_eq!((event.action, &event.body), (route, &read.body));
    assert_eq!(event.context, read.context);
    assert_eq!(event.payload, read.payload);
    assert_eq!(event.error, read.error);
    assert_eq!(event.oddities, read.oddities);
    assert_eq!((event.sender.as_ref(), event.attempt, event.replay), (None, 1, 0));
}

#[tokio::test]
async fn the_handler_gets_the_typed_event_from_memory_and_from_the_disk() {
    for tail_events in [4096, 0] {
        for (route, body, strict) in samples() {
            let bench = Bench::new(Plan { tail_events, ..Plan::of(Profile::Standard) });
            let id = new_id(bench.accept(route, body.clone()).await);
            let claim = bench.claim().await;
            let event = claim.event();
            assert_eq!(event.id, id);
            check_same(event, route, &body);
            let (rule, _) = strict.split_once(' ').unwrap_or_default();
            let warned = event.warnings.iter().any(|warning| warning.rule == rule);
            assert_eq!(warned, strict != ACK, "what strict refuses, standard warns about");
            assert_eq!(event.flags.contains(Flag::Repaired), strict == COMMA);
            assert_eq!(event.oddities.len(), usize::from(strict == COMMA));
        }
    }
}
