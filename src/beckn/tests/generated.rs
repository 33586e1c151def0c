//! Any JSON at any place: nothing fails, nothing grows without bound, the spans hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::beckn::callback::Callback;
use crate::beckn::oddity::ODDITY_LIMIT;

fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ];
    let text = prop_oneof![Just(String::new()), " ?[0-9A-Za-z:.,-]{1,12}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Keys that the models know, so that what is generated gets read.
fn key() -> impl Strategy<Value = String> {
    let known = [
        "context",
        "message",
        "error",
        "order",
        "tracking",
        "contract",
        "id",
        "state",
        "status",
        "items",
        "quantity",
        "count",
        "selected",
        "fulfillment",
        "fulfillments",
        "start",
        "end",
        "stops",
        "location",
        "gps",
        "address",
        "city",
        "time",
        "range",
        "timestamp",
        "tags",
        "list",
        "code",
        "value",
        "descriptor",
        "images",
        "quote",
        "price",
        "breakup",
        "item",
        "payment",
        "payments",
        "params",
        "amount",
        "@ondc/org/settlement_details",
        "billing",
        "provider",
        "locations",
        "agent",
        "person",
        "name",
        "type",
        "tracking",
        "cancellation",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>()]
}

#[track_caller]
fn check(body: &str) {
    let whole: Value = serde_json::from_str(body).unwrap();
    let callback = Callback::parse(body.as_bytes()).unwrap();
    assert!(callback.oddities.len() <= ODDITY_LIMIT + 1);
    for oddity in &callback.oddities {
        assert!(oddity.count > 1 || whole.pointer(&oddity.path).is_some(), "{oddity:?}");
    }
    serde_json::to_string(&callback.payload).unwrap();
    for (key, span) in [("message", callback.content.message), ("error", callback.content.error)] {
        let Some(span) = span else { continue };
        let value: Value = serde_json::from_str(&body[span]).unwrap();
        assert_eq!(Some(&value), whole.get(key), "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_message_is_read(message in any_json(), error in any_json(), context in any_json()) {
        let body = json!({"context": context, "message": message, "error": error});
        check(&body.to_string());
        check(&format!(" {body:#} \n"));
    }

    #[test]
    fn any_payload_is_read(order in any_json(), tracking in any_json(), contract in any_json()) {
        check(&json!({"message": {"order": order}}).to_string());
        check(&json!({"message": {"tracking": tracking, "contract": contract}}).to_string());
    }

    #[test]
    fn any_object_is_read(entries in prop::collection::vec((key(), any_json()), 0..8)) {
        let body = Value::Object(entries.into_iter().collect());
        check(&body.to_string());
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Callback::parse(&body);
    }

    #[test]
    fn any_text_near_json_is_read_or_refused(body in r#"[ \n{}\[\]",:0-9a-e\\-]{0,60}"#) {
        let _ = Callback::parse(body.as_bytes());
    }
}
