//! What stays of a body, and what does not.

use super::{MASK, body, code, error, message, path};

/// Compares with `*` for the mask.
#[track_caller]
fn check(json: &str, expected: &str) {
    assert_eq!(body(json.as_bytes()).unwrap(), expected.replace('*', MASK), "{json}");
}

#[test]
fn what_is_known_to_be_harmless_stays_in_its_order() {
    check(
        r#"{"context":{"domain":"ONDC:RET10","city":"std:080","bpp_uri":"https://s.example/b","timestamp":"2026-01-02T03:04:05.000Z","ttl":"PT30S","key":"k","location":{"city":{"code":"std:080","name":"B"}}}}"#,
        r#"{"context":{"domain":"ONDC:RET10","city":"std:080","bpp_uri":"https://s.example/b","timestamp":"2026-01-02T03:04:05.000Z","ttl":"PT30S","key":"*","location":{"city":{"code":"std:080","name":"*"}}}}"#,
    );
    check(
        r#"{"message":{"order":{"state":"Accepted","id":"O-1","items":[{"id":"i1","quantity":{"count":2},"descriptor":{"name":"Rice"}}],"quote":{"price":{"value":"12.50","currency":"INR"}},"tags":[{"code":"c","list":[{"code":"d","value":"e"}]}],"payment":{"@ondc/org/settlement_basis":"delivery"},"beckn:status":"Open","x":[true,null,[]],"y":{}}}}"#,
        r#"{"message":{"order":{"state":"Accepted","id":"O-1","items":[{"id":"i1","quantity":{"count":2},"descriptor":{"name":"*"}}],"quote":{"price":{"value":"12.50","currency":"INR"}},"tags":[{"code":"c","list":[{"code":"d","value":"*"}]}],"payment":{"@ondc/org/settlement_basis":"delivery"},"beckn:status":"Open","x":[true,null,[]],"y":{}}}}"#,
    );
}

#[test]
fn nothing_stays_of_a_person_whatever_its_key() {
    check(
        r#"{"message":{"order":{"billing":{"name":"Asha","id":"9800000000","created_at":"2026-01-02","state":"KA"},"fulfillments":[{"agent":{"id":"a","person":{"code":"x"}},"end":{"location":{"gps":"1.0,2.0","id":"l"},"contact":{"phone":98}},"customerName":"R"}]}}}"#,
        r#"{"message":{"order":{"billing":{"name":"*","id":"*","created_at":"*","state":"*"},"fulfillments":[{"agent":{"id":"*","person":{"code":"*"}},"end":{"location":{"gps":"*","id":"*"},"contact":{"phone":"*"}},"customerName":"*"}]}}}"#,
    );
}

#[test]
fn what_does_not_look_like_what_belongs_there_is_masked() {
    check(
        r#"{"a":{"state":"with Asha Rao","code":"9800000000","type":"a@b.example","id":"x y","count":"many","timestamp":"soon","ttl":"Pune","status":7}}"#,
        r#"{"a":{"state":"*","code":"*","type":"*","id":"*","count":"*","timestamp":"*","ttl":"*","status":7}}"#,
    );
    check(
        r#"{"context":{"bap_uri":"https://u:p@h/","bpp_uri":"https://h/?t=1"},"asha@b.example":1,"Asha Rao":{"9800000000":2}}"#,
        r#"{"context":{"bap_uri":"*","bpp_uri":"*"},"*":"*","*":{"*":"*"}}"#,
    );
}

#[test]
fn a_body_with_trailing_commas_is_read_and_one_that_is_none_is_not() {
    check(r#"{"a":[1,],}"#, r#"{"a":["*"]}"#);
    for none in ["", "{", "Asha Rao", r#"{"a":1} Asha"#, "\u{7f}"] {
        assert_eq!(body(none.as_bytes()).filter(|shown| shown != "\"•••\""), None, "{none}");
    }
    assert_eq!(body(b"\xff"), None);
}

#[test]
fn a_body_that_is_nested_without_end_is_not_shown_and_ends_no_process() {
    const DEPTH: usize = 100_000;
    for (open, inner, close) in [("[", "", "]"), ("[", "1,", "]"), (r#"{"a":"#, "[],", "}")] {
        let nested = format!("{}{inner}{}", open.repeat(DEPTH), close.repeat(DEPTH));
        assert_eq!(body(nested.as_bytes()), None, "{open}{inner}");
        assert_eq!(error("Asha", nested.as_bytes()), MASK);
        assert_eq!(body(open.repeat(DEPTH).as_bytes()), None);
    }
    let shown = format!("{}{}", "[".repeat(100), "]".repeat(100));
    check(&shown, &shown);
}

#[test]
fn a_message_loses_a_value_that_is_masked_at_its_place() {
    let check = |rule: &str, path: &str, text: &str, expected: &str| {
        assert_eq!(message(rule, path, text), expected.replace('*', MASK), "{text}");
    };
    let state = "/message/order/state";
    check(
        "order.state",
        state,
        "expected a state, found `Happy`",
        "expected a state, found `Happy`",
    );
    check(
        "order.state",
        state,
        "expected a state, found `as ` told`",
        "expected a state, found `*`",
    );
    let gps = "/message/order/fulfillments/0/end/location/gps";
    check("order.fulfillments.gps", gps, "expected x, found `1,2`", "expected x, found `*`");
    check("order.fulfillments.gps", gps, "expected x, found nothing", "expected x, found nothing");
    check("a.rule_of_their_own", state, "Asha lives here", "*");
    assert_eq!(path("/message/order/items/0/Asha Rao"), format!("/message/order/items/0/{MASK}"));
    assert_eq!(path(""), "");
}

#[test]
fn an_error_loses_what_it_quotes_of_a_person() {
    let body = br#"{"message":{"order":{"id":"O-17","billing":{"name":"Asha Rao","phone":"9800000000"}}}}"#;
    let check = |text: &str, expected: &str| {
        assert_eq!(error(text, body), expected.replace('*', MASK));
    };
    check("the target answered 500", "the target answered 500");
    check("O-17: duplicate key (phone)=(9800000000)", "O-17: duplicate key (phone)=(*)");
    check("no account of Asha Rao, nor of Asha", "no account of *, nor of *");
    assert_eq!(error("Asha", b"no json"), MASK);
}

#[test]
fn a_state_is_shown_unless_it_is_none() {
    for state in ["In-progress", "Order picked up", "RIDE_ENDED"] {
        assert_eq!(code(state), state);
    }
    for text in ["", "a@b.example", "call 9800000000", "Rue de l'Église"] {
        assert_eq!(code(text), MASK, "{text}");
    }
}
