//! Text, context, and whether there is something to process.

use super::{ORDER, anyone, body, check, check_on, context, findings, rules};
use crate::beckn::action::Action;
use crate::rules::Profile;

#[test]
fn a_context_is_checked_key_by_key() {
    let check = |changes: &str, expected: &[&str]| check(&body(changes, ORDER), expected);
    check("", &[]);
    check(r#""action":"on_search""#, &["context.action /context/action"]);
    check(r#""action":"beckn/on_status""#, &[]);
    check(r#""action":null"#, &["context.action /context/action"]);
    check(r#""bap_id":"https://Buyer.Example/""#, &[]);
    check(
        r#""bap_id":"other.example""#,
        &["context.bap_id /context/bap_id", "context.bap_uri_host /context/bap_uri"],
    );
    check(r#""bap_id":null"#, &["context.bap_id /context/bap_id"]);
    check(r#""transaction_id":"""#, &["context.transaction_id /context/transaction_id"]);
    check(r#""transaction_id":" ""#, &["context.transaction_id /context/transaction_id"]);
    check(r#""transaction_id":7"#, &[]);
    check(
        &format!(r#""message_id":"{}""#, "ü".repeat(257)),
        &["context.message_id /context/message_id"],
    );
    check(&format!(r#""message_id":"{}""#, "ü".repeat(256)), &[]);
    check(r#""domain":null"#, &["context.domain /context/domain"]);
    check(r#""country":"India""#, &["context.country /context/country"]);
    check(r#""city":null"#, &["context.city /context/city"]);
    check(r#""city":"*""#, &["context.city /context/city"]);
    check(r#""bap_uri":"buyer.example""#, &["context.bap_uri /context/bap_uri"]);
    check(r#""bap_uri":null"#, &["context.bap_uri /context/bap_uri"]);
    check(r#""bap_uri":"https://cdn.example/""#, &["context.bap_uri_host /context/bap_uri"]);
    check(r#""bpp_id":null,"bpp_uri":null"#, &[]);
    check(r#""bpp_uri":"seller""#, &["context.bpp_uri /context/bpp_uri"]);
    check(r#""core_version":null,"bpp_id":null"#, &["context.version /context/core_version"]);
}

#[test]
fn times_are_checked_against_now() {
    let check = |changes: &str, expected: &[&str]| check(&body(changes, ORDER), expected);
    let timestamp = "context.timestamp /context/timestamp";
    check(r#""timestamp":null"#, &[timestamp]);
    check(r#""timestamp":"{{timestamp}}""#, &[timestamp]);
    check(r#""timestamp":"2026-03-01T09:59:58""#, &[timestamp]);
    check(r#""timestamp":"2026-03-01T10:05:00Z""#, &[]);
    let future = "context.timestamp_future /context/timestamp";
    check(r#""timestamp":"2026-03-01T10:05:01Z""#, &[future]);
    check(r#""ttl":"PT30s""#, &["context.ttl /context/ttl"]);
    check(r#""ttl":null,"timestamp":"2020-03-01T10:00:00Z""#, &[]);
    let stale = "context.stale /context/timestamp";
    check(r#""timestamp":"2026-03-01T09:58:30Z""#, &[]);
    check(r#""timestamp":"2026-03-01T09:58:29Z""#, &[stale]);
    check(r#""timestamp":"0001-01-01T00:00:00Z""#, &[stale]);
    check(r#""ttl":"P99999999999999Y""#, &[]);
}

#[test]
fn other_dialects_need_other_keys() {
    let id = "6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3f";
    let b = r#"{"action":"on_status","bap_id":"buyer.example","version":"1.1.0",
        "transaction_id":"t-1","message_id":"m-1"}"#;
    let of =
        |context: &str, message: &str| format!(r#"{{"context":{context},"message":{message}}}"#);
    check(
        &of(b, ORDER),
        &[
            "context.transaction_id_uuid /context/transaction_id",
            "context.message_id_uuid /context/message_id",
        ],
    );
    let b = b.replace("t-1", id).replace("m-1", id);
    check(&of(&b, ORDER), &[]);
    let c = format!(
        r#"{{"action":"on_status","bapId":"other.example","version":"2.0.1",
        "transactionId":"{id}","location":{{"country":{{"code":"india"}}}}}}"#
    );
    check(
        &of(&c, r#"{"contract":{"id":"c-1","status":{"code":"Active"}}}"#),
        &[
            "context.bap_id /context/bapId",
            "context.message_id /context/messageId",
            "context.timestamp /context/timestamp",
            "context.country /context/location/country/code",
            "context.version /context/version",
            "context.bap_uri /context/bapUri",
            "context.bpp_id /context/bppId",
            "context.bpp_uri /context/bppUri",
            "contract.id /message/contract/id",
            "contract.status /message/contract/status/code",
        ],
    );
}

#[test]
fn without_a_context_nothing_else_is_asked_of_it() {
    for context in ["null", "{}", "[]", "\"context\"", "7"] {
        let body = format!(r#"{{"context":{context},"message":{ORDER}}}"#);
        check(&body, &["context.present /context"]);
    }
    check(&format!(r#"{{"message":{ORDER}}}"#), &["context.present /context"]);
}

#[test]
fn something_to_process_is_asked_of_every_callback() {
    let check = |message: &str, expected: &[&str]| check(&body("", message), expected);
    check("null", &["payload.present /message"]);
    check("{}", &["payload.present /message"]);
    check("\"None\"", &["payload.present /message"]);
    check(r#"{"order":{}}"#, &["payload.present /message/order"]);
    check(r#"{"order":null}"#, &["payload.present /message/order"]);
    check(r#"{"order":"o-1"}"#, &["payload.present /message/order"]);
    check(r#"{"catalog":{"id":"1"}}"#, &["payload.present /message/order"]);
    check(r#"{"contract":{}}"#, &["payload.present /message/contract"]);
    check(r#"{"ack":{"status":"ACK"}}"#, &["payload.callback /message/ack"]);
    check(r#"{"ack":{"status":"ACK"},"order":{"id":"o-1"}}"#, &[]);
    check(r#"{"contract":{"status":{"code":"ACTIVE"}}}"#, &[]);
    check(r#"{"tracking":{"status":"active"}}"#, &["payload.of_action /message/tracking"]);
}

#[test]
fn an_error_alone_is_something_to_process() {
    let body = |error: &str| format!(r#"{{"context":{},"error":{error}}}"#, context(""));
    check(&body(r#"{"code":"40002"}"#), &[]);
    check(&body(r#"{"code":null}"#), &["payload.present /message"]);
    check(&body("null"), &["payload.present /message"]);
}

#[test]
fn other_callbacks_need_any_key() {
    let check = |message: &str, expected: &[&str]| {
        check_on(Action::OnSearch, &body(r#""action":"on_search""#, message), expected);
    };
    check(r#"{"catalog":{}}"#, &[]);
    check(r#"{"catalog":{},"ack":{}}"#, &[]);
    check(r#"{"order":{"state":"Created"}}"#, &[]);
    check(r#"{"ack":{}}"#, &["payload.callback /message/ack"]);
    check("{}", &["payload.present /message"]);
}

#[test]
fn a_message_says_what_was_expected_and_found_and_nothing_personal() {
    let check = |body: &str, expected: &str| {
        let found = findings(&rules(Profile::Strict), Action::OnStatus, body);
        assert_eq!(found.enforced[0].message, expected);
    };
    check(
        &body(r#""action":"on_search""#, ORDER),
        "expected `on_status`, found `on_search`: post it to /on_search",
    );
    check(
        &body(&format!(r#""action":"{}\n""#, "x".repeat(70)), ORDER),
        &format!("expected `on_status`, found `{}…`", "x".repeat(64)),
    );
    check(&body(r#""action":"a\u001bb""#, ORDER), r"expected `on_status`, found `a\u{1b}b`");
    check(
        &body(&format!(r#""message_id":"{}""#, "x".repeat(300)), ORDER),
        "expected at most 256 characters, found 300",
    );
    check(&body("", "{}"), "expected an object with `order`, found an empty object");
    check(&body("", "[]"), "expected an object with `order`, found array");
    check(
        &body("", r#"{"order":{"id":"o-1","quote":{"price":{"value":"secret"}}}}"#),
        "expected a decimal number, found another text",
    );
    check(
        &body("", r#"{"order":{"id":"o-1","provider":{"locations":[{"gps":"secret"}]}}}"#),
        "expected latitude, comma, longitude in degrees, found another text",
    );
}

#[test]
fn what_was_read_over_is_told_with_its_place() {
    let repaired = body("", r#"{"order":{"id":"o-1",}}"#);
    check(&repaired, &["json.trailing_comma "]);
    check(&format!("\u{feff}{repaired}"), &["json.bom ", "json.trailing_comma "]);
    let found = findings(&rules(Profile::Strict), Action::OnStatus, &repaired);
    let column = repaired.find(",}").unwrap() + 1;
    let message = format!("expected no comma before an end, found one at line 1 column {column}");
    assert_eq!(found.enforced[0].message, message);
}

#[test]
fn without_subscriber_ids_any_recipient_is_ours_but_one_is_named() {
    let check = |changes: &str, expected: Option<&str>| {
        let found =
            findings(&anyone(Profile::Strict), Action::OnStatus, &body(changes, ORDER)).enforced;
        assert_eq!(found.first().map(|first| &*first.rule), expected, "{changes}");
    };
    check(r#""bap_id":"other.example""#, None);
    check(r#""bap_id":null"#, Some("context.bap_id_present"));
    check(
        r#""bap_id":null,"core_version":null,"version":"1.1.0""#,
        Some("context.transaction_id_uuid"),
    );
}

#[test]
fn logistics_1_2_5_names_the_seller_app() {
    let changes = r#""domain":"ONDC:LOG11","core_version":"1.2.5","bpp_id":null,"bpp_uri":null"#;
    let expected = ["context.bpp_id /context/bpp_id", "context.bpp_uri /context/bpp_uri"];
    check(&body(changes, ORDER), &expected);
}
