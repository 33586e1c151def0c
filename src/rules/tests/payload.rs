//! Orders and trackings, and what ONDC 1.2.5 adds.

use super::{ORDER, body, check, check_on, findings, rules};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::rules::{Profile, carries_another_payload};

#[test]
fn a_tracking_is_checked_and_another_payload_is_flagged() {
    let body = |message: &str| body(r#""action":"on_track""#, message);
    let check = |message: &str, expected: &[&str]| {
        check_on(Action::OnTrack, &body(message), expected);
    };
    check(r#"{"tracking":{"url":"wss://track.example/1"}}"#, &[]);
    check("{}", &["payload.present /message"]);
    check(r#"{"catalog":{}}"#, &["payload.present /message/tracking"]);
    check(ORDER, &["payload.of_action /message/order"]);
    check(
        r#"{"tracking":{"url":"track.example","status":"on","location":{"gps":"here",
            "time":{"timestamp":"now"},"updated_at":"today"}}}"#,
        &[
            "tracking.url /message/tracking/url",
            "tracking.status /message/tracking/status",
            "tracking.location.gps /message/tracking/location/gps",
            "tracking.location.times /message/tracking/location/time/timestamp",
            "tracking.location.times /message/tracking/location/updated_at",
        ],
    );
    let carries = |route: Action, message: &str| {
        carries_another_payload(route, &Callback::parse(body(message).as_bytes()).unwrap())
    };
    assert!(carries(Action::OnTrack, ORDER));
    assert!(!carries(Action::OnTrack, r#"{"tracking":{"id":"f-1"}}"#));
    assert!(carries(Action::OnStatus, r#"{"tracking":{"id":"f-1"}}"#));
    assert!(!carries(Action::OnStatus, ORDER));
    assert!(!carries(Action::OnTrack, "{}"));
}

/// One order with every value wrong, and every rule about an order.
#[test]
fn an_order_is_checked_from_top_to_bottom() {
    let order = r#"{"order":{"state":"Happy","provider":{"locations":[{"gps":"north"}]},
        "items":[{"quantity":{"count":1}},{"quantity":{"count":"1.5"}}],
        "billing":{"created_at":"then","updated_at":"now"},
        "fulfillments":[{"type":"Drone","state":{"descriptor":{"code":"Flying"}},
            "@ondc/org/TAT":"1 day","start":{"location":{"gps":"0"}},
            "end":{"time":{"timestamp":"soon","range":{"start":"a","end":"b"}}},
            "stops":[{"location":{"gps":"91,0"}}]}],
        "quote":{"price":{"value":"much"},"ttl":"P24H","breakup":[{"price":{"value":"1,0"},
            "@ondc/org/title_type":"gift","@ondc/org/item_quantity":{"count":"two"},
            "item":{"price":{"value":"free"}}}]},
        "payment":{"type":"LATER","status":"MAYBE","collected_by":"ME","params":{"amount":"?"},
            "@ondc/org/buyer_app_finder_fee_type":"share",
            "@ondc/org/buyer_app_finder_fee_amount":"3%","@ondc/org/withholding_amount":"x",
            "@ondc/org/settlement_details":[{"settlement_type":"cash"}],
            "@ondc/org/settlement_basis":"never","@ondc/org/settlement_window":"week"},
        "created_at":"2026-03-01","updated_at":"2026"}}"#;
    let expected = [
        "order.id /message/order/id",
        "order.state /message/order/state",
        "order.provider.locations.gps /message/order/provider/locations/0/gps",
        "order.items.quantity /message/order/items/1/quantity",
        "order.billing.times /message/order/billing/created_at",
        "order.billing.times /message/order/billing/updated_at",
        "order.fulfillments.type /message/order/fulfillments/0/type",
        "order.fulfillments.state /message/order/fulfillments/0/state/descriptor/code",
        "order.fulfillments.tat /message/order/fulfillments/0/@ondc~1org~1TAT",
        "order.fulfillments.gps /message/order/fulfillments/0/start/location/gps",
        "order.fulfillments.times /message/order/fulfillments/0/end/time/timestamp",
        "order.fulfillments.times /message/order/fulfillments/0/end/time/range/start",
        "order.fulfillments.times /message/order/fulfillments/0/end/time/range/end",
        "order.fulfillments.gps /message/order/fulfillments/0/stops/0/location/gps",
        "order.quote.price /message/order/quote/price/value",
        "order.quote.breakup.price /message/order/quote/breakup/0/price/value",
        "order.quote.breakup.price /message/order/quote/breakup/0/item/price/value",
        "order.quote.breakup.quantity \
         /message/order/quote/breakup/0/@ondc~1org~1item_quantity/count",
        "order.quote.breakup.title_type /message/order/quote/breakup/0/@ondc~1org~1title_type",
        "order.quote.ttl /message/order/quote/ttl",
        "order.payments.type /message/order/payment/type",
        "order.payments.status /message/order/payment/status",
        "order.payments.collected_by /message/order/payment/collected_by",
        "order.payments.amount /message/order/payment/params/amount",
        "order.payments.amount /message/order/payment/@ondc~1org~1buyer_app_finder_fee_amount",
        "order.payments.amount /message/order/payment/@ondc~1org~1withholding_amount",
        "order.payments.finder_fee_type \
         /message/order/payment/@ondc~1org~1buyer_app_finder_fee_type",
        "order.payments.settlement_type \
         /message/order/payment/@ondc~1org~1settlement_details/0/settlement_type",
        "order.payments.settlement_basis /message/order/payment/@ondc~1org~1settlement_basis",
        "order.payments.settlement_window /message/order/payment/@ondc~1org~1settlement_window",
        "order.created_at /message/order/created_at",
        "order.updated_at /message/order/updated_at",
    ];
    check(&body("", order), &expected);
    // Every pointer leads to what is there, but for what is missing.
    let json: serde_json::Value = serde_json::from_str(&body("", order)).unwrap();
    for line in &expected[1..] {
        let path = line.split_whitespace().last().unwrap();
        assert!(json.pointer(path).is_some(), "nothing at {path}");
    }
}

#[test]
fn the_pointer_names_the_key_that_was_sent() {
    let check = |order: &str, path: &str| {
        check(
            &body("", &format!(r#"{{"order":{{"id":"o-1",{order}}}}}"#)),
            &[&format!("order.{path}")],
        );
    };
    check(r#""fulfillment":{"type":"Drone"}"#, "fulfillments.type /message/order/fulfillment/type");
    check(
        r#""payments":[{"type":"ON-ORDER"},{"type":"LATER"}]"#,
        "payments.type /message/order/payments/1/type",
    );
    check(
        r#""payment":[{"type":"ON-ORDER"},{"type":"LATER"}]"#,
        "payments.type /message/order/payment/1/type",
    );
    check(r#""status":"Happy""#, "state /message/order/status");
}

#[test]
fn states_are_free_where_nothing_is_published() {
    let order = r#"{"order":{"id":"o-1","state":"Happy"}}"#;
    check(&body(r#""domain":"nic2004:52110","core_version":"0.9.1""#, order), &[]);
    check(&body(r#""domain":"ONDC:TRV10""#, order), &[]);
    let state = "order.state /message/order/state";
    check(&body(r#""domain":"nic2004:52110","core_version":"1.1.0""#, order), &[state]);
}

#[test]
fn ondc_1_2_5_makes_paths_mandatory() {
    let version = r#""core_version":"1.2.5""#;
    let strict = rules(Profile::Strict);
    let missing = |route: Action, changes: &str, message: &str| {
        let changes = format!(r#"{version},"action":"{route}"{changes}"#);
        let found = findings(&strict, route, &body(&changes, message));
        found.enforced.iter().filter(|one| one.rule.starts_with("ondc.1_2_5.")).count()
    };
    let order = r#"{"order":{"id":"o-1"}}"#;
    let tracking = r#"{"tracking":{"url":"https://track.example"}}"#;
    // 49, 15 and 17, less the ten of the context and the order's id, which are rules of their own.
    assert_eq!(missing(Action::OnStatus, "", order), 38);
    assert_eq!(missing(Action::OnUpdate, "", order), 4);
    assert_eq!(missing(Action::OnTrack, "", tracking), 7);
    assert_eq!(missing(Action::OnCancel, "", order), 0);
    let logistics = r#","domain":"ONDC:LOG11""#;
    assert_eq!(missing(Action::OnStatus, logistics, order), 0);
    assert_eq!(missing(Action::OnTrack, logistics, tracking), 2);
    check_on(
        Action::OnUpdate,
        &body(
            r#""core_version":"1.2.5","action":"on_update""#,
            r#"{"order":{"id":"o/1","fulfillments":[{"type":"Return"},{"id":"f-2"}],
                "payment":{"@ondc/org/settlement_details":[{"settlement_counterparty":"buyer"}]},
                "updated_at":"2026-03-01T10:00:00Z"}}"#,
        ),
        &[
            "ondc.1_2_5.order.id /message/order/id",
            "ondc.1_2_5.order.payment.settlement_details.settlement_phase \
             /message/order/payment/@ondc~1org~1settlement_details/0/settlement_phase",
            "ondc.1_2_5.order.times /message/order/updated_at",
        ],
    );
}

/// An order that has every path of ONDC 1.2.5.
const COMPLETE: &str = r#"{"order":{"id":"o-1","state":"Accepted",
    "provider":{"id":"p-1","locations":[{"id":"l-1"}]},
    "items":[{"id":"i-1","fulfillment_id":"f-1","quantity":{"count":1}}],
    "billing":{"name":"A","phone":"0","created_at":"2026-03-01T09:00:00.000Z",
        "updated_at":"2026-03-01T09:00:00.000Z",
        "address":{"name":"A","building":"1","locality":"L","city":"C","state":"S",
            "country":"IND","area_code":"1"}},
    "fulfillments":[{"id":"f-1","type":"Delivery","state":{"descriptor":{"code":"Packed"}}}],
    "quote":{"price":{"currency":"INR","value":"1"},"ttl":"P1D",
        "breakup":[{"@ondc/org/item_id":"i-1","title":"T","price":{"currency":"INR","value":"1"},
            "item":{"price":{"currency":"INR","value":"1"}}},{"price":{"value":"0"}}]},
    "payment":{"@ondc/org/buyer_app_finder_fee_amount":"3",
        "@ondc/org/settlement_details":[{"settlement_counterparty":"seller-app",
            "settlement_phase":"sale-amount"}],
        "params":{"currency":"INR","amount":"1"},
        "status":"PAID","type":"ON-ORDER","collected_by":"BAP"},
    "created_at":"2026-03-01T09:00:00.000Z","updated_at":"2026-03-01T09:00:00.000Z"}}"#;

#[test]
fn each_path_of_ondc_1_2_5_is_missed_by_its_own_rule() {
    let version = r#""core_version":"1.2.5""#;
    check(&body(version, COMPLETE), &[]);
    let strict = rules(Profile::Strict);
    let nothing = findings(&strict, Action::OnStatus, &body(version, ORDER));
    assert_eq!(nothing.enforced.len(), 38);
    for missing in nothing.enforced {
        let mut json: serde_json::Value = serde_json::from_str(&body(version, COMPLETE)).unwrap();
        // A second row has an amount of its own: both must go.
        let second = missing.path.replace("breakup/0", "breakup/1");
        for path in [missing.path.as_str(), &second] {
            if let Some(value) = json.pointer_mut(path) {
                value.take();
            }
        }
        check(&json.to_string(), &[&format!("{} {}", missing.rule, missing.path)]);
        // The name of the rule says the path.
        let last = missing.path.rsplit(['/', '1']).next().unwrap();
        let short = last.strip_prefix("buyer_app_").unwrap_or(last);
        assert!(missing.rule.ends_with(short), "{} for {}", missing.rule, missing.path);
    }
}

#[test]
fn each_path_of_a_tracking_of_ondc_1_2_5_is_missed_by_its_own_rule() {
    let complete = r#"{"tracking":{"id":"f-1","status":"active","location":{"gps":"12.9,77.6",
        "time":{"timestamp":"2026-03-01T09:00:00.000Z"}},"tags":[
        {"code":"order","list":[{"code":"id","value":"o-1"}]},
        {"code":"config","list":[{"code":"attr","value":"tracking.location.gps"}]},
        {"code":"path","list":[{"code":"lat_lng","value":"12.9,77.6"},
            {"code":"sequence","value":"1"}]}]}}"#;
    let check = |from: &str, to: &str, expected: &[&str]| {
        assert!(complete.contains(from), "{from}");
        let changes = r#""core_version":"1.2.5","action":"on_track""#;
        check_on(Action::OnTrack, &body(changes, &complete.replace(from, to)), expected);
    };
    check("id", "id", &[]);
    check(r#""id":"f-1","#, "", &["ondc.1_2_5.tracking.id /message/tracking/id"]);
    check("status", "state", &["ondc.1_2_5.tracking.status /message/tracking/status"]);
    check("\"gps", "\"at", &["ondc.1_2_5.tracking.location.gps /message/tracking/location/gps"]);
    check("\"order\"", "\"\"", &["ondc.1_2_5.tracking.tags.order.id /message/tracking/tags"]);
    check("attr", "type", &["ondc.1_2_5.tracking.tags.config.attr /message/tracking/tags"]);
    check("lat_lng", "at", &["ondc.1_2_5.tracking.tags.path.lat_lng /message/tracking/tags"]);
    check("sequence", "no", &["ondc.1_2_5.tracking.tags.path.sequence /message/tracking/tags"]);
    let time = "/message/tracking/location/time/timestamp";
    check(".000Z", "Z", &[&format!("ondc.1_2_5.tracking.times {time}")]);
}
