//! How single shapes are read: one table a kind.

use serde_json::{Value, json};

use crate::beckn::callback::{Callback, Malformed, Payload};
use crate::beckn::context::Dialect;
use crate::beckn::oddity::{ODDITY_LIMIT, OddityKind};
use crate::beckn::scalar::{Decimal, Gps, IsoDuration, Timestamp};

fn parse(body: &str) -> Callback {
    Callback::parse(body.as_bytes()).unwrap()
}

/// Reads an order and shows it in its normalised form, with the paths of the oddities.
fn order(order: &Value) -> (Value, Vec<String>) {
    let callback = parse(&json!({"message": {"order": order}}).to_string());
    let shown = serde_json::to_value(&callback.payload).unwrap();
    let oddities = callback.oddities.into_iter().map(|oddity| oddity.path).collect();
    (shown["order"].clone(), oddities)
}

#[track_caller]
fn check_order(sent: &Value, expected: &Value, oddities: &[&str]) {
    let (shown, found) = order(sent);
    assert_eq!(&shown, expected);
    assert_eq!(found, oddities);
}

#[test]
fn keys_of_both_dialects_unite() {
    let a = json!({"fulfillment": {"id": "f1"}, "payment": {"uri": "u"}, "state": "Accepted",
        "items": [{"id": "i", "fulfillment_id": "f1", "quantity": {"count": 1}}]});
    let b = json!({"fulfillments": [{"id": "f1"}], "payments": [{"url": "u"}],
        "status": "ACTIVE", "items": [{"id": "i", "fulfillment_ids": ["f1"]}]});
    let (a, odd_a) = order(&a);
    let (b, odd_b) = order(&b);
    for key in ["fulfillments", "payments"] {
        assert_eq!(a[key], b[key]);
    }
    assert_eq!(a["items"][0]["fulfillment_ids"], b["items"][0]["fulfillment_ids"]);
    assert!(odd_a.is_empty() && odd_b.is_empty());
}

#[test]
fn one_is_read_for_many_and_many_for_one() {
    let items = json!({"items": {"id": "i"}});
    check_order(&items, &json!({"items": [{"id": "i"}]}), &["/message/order/items"]);
    let list = json!({"fulfillment": [{"id": "a"}, {"id": "b"}]});
    let expected = json!({"fulfillments": [{"id": "a"}, {"id": "b"}]});
    check_order(&list, &expected, &["/message/order/fulfillment"]);
    let cancellation = json!({"cancellation": [{"cancelled_by": "c"}]});
    let expected = json!({"cancellation": {"cancelled_by": "c"}});
    check_order(&cancellation, &expected, &["/message/order/cancellation"]);
    check_order(&json!({"payment": [{"id": "p"}]}), &json!({"payments": [{"id": "p"}]}), &[]);
}

#[test]
fn null_and_empty_mean_absent_and_are_not_odd() {
    let id = json!({"id": "o", "state": "", "quote": {}, "items": [], "provider": null,
        "billing": [], "tags": {}, "created_at": " ", "fulfillments": [{}, null],
        "payment": ""});
    check_order(&id, &json!({"id": "o"}), &[]);
}

#[test]
fn what_is_absent_does_not_hide_what_another_key_says() {
    let sent = json!({"fulfillment": {"id": "f"}, "fulfillments": []});
    check_order(&sent, &json!({"fulfillments": [{"id": "f"}]}), &[]);
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let callback = parse(r#"{"message":{"order":{"id":"a","id":"b"}}}"#);
    let Payload::Order(order) = callback.payload else { panic!() };
    assert_eq!(order.id.as_deref(), Some("b"));
}

#[track_caller]
fn check_amount(sent: &str, expected: Option<&str>, odd: Option<OddityKind>) {
    let callback = parse(&format!(
        r#"{{"message":{{"order":{{"quote":{{"price":{{"currency":"INR","value":{sent}}}}}}}}}}}"#
    ));
    let Payload::Order(order) = &callback.payload else { panic!() };
    let price = order.quote.as_ref().unwrap().price.as_ref().unwrap();
    assert_eq!(price.value.as_ref().map(Decimal::as_str), expected, "{sent}");
    let oddities: Vec<_> = callback.oddities.iter().map(|oddity| oddity.kind).collect();
    assert_eq!(oddities, odd.into_iter().collect::<Vec<_>>(), "{sent}");
    if odd.is_some() {
        assert_eq!(callback.oddities[0].path, "/message/order/quote/price/value");
    }
}

#[test]
fn an_amount_keeps_its_digits_and_a_number_is_never_rounded() {
    check_amount(r#""530.00""#, Some("530.00"), None);
    check_amount(r#""174.81     ""#, Some("174.81"), None);
    check_amount(r#""-20""#, Some("-20"), None);
    check_amount("0.1", Some("0.1"), Some(OddityKind::Type));
    check_amount("370", Some("370"), Some(OddityKind::Type));
    check_amount("-1.50", Some("-1.5"), Some(OddityKind::Type));
    check_amount("1.0", Some("1"), Some(OddityKind::Type));
    check_amount("9007199254740992", Some("9007199254740992"), Some(OddityKind::Type));
    check_amount("9007199254740993", None, Some(OddityKind::NumberTooLarge));
    check_amount("-9007199254740993", None, Some(OddityKind::NumberTooLarge));
    check_amount("123456789012345678901234567890", None, Some(OddityKind::NumberTooLarge));
    check_amount("1e400", None, Some(OddityKind::NumberTooLarge));
    check_amount("null", None, None);
    check_amount("[]", None, None);
    check_amount(r#"{"a":1}"#, None, Some(OddityKind::Type));
}

#[test]
fn tags_of_all_three_forms_become_groups() {
    let expected = json!({"tags": [{"code": "g", "list": [{"code": "c", "value": "v"}]}]});
    let ondc = json!({"tags": [{"code": "g", "list": [{"code": "c", "value": "v"}]}]});
    check_order(&ondc, &expected, &[]);
    let beckn = json!({"tags": [{"descriptor": {"code": "g"}, "display": true,
        "list": [{"descriptor": {"code": "c", "name": "C"}, "value": "v"}]}]});
    check_order(&beckn, &expected, &[]);
    let free = json!({"tags": {"c": "v", "n": 2, "yes": true, "none": null}});
    let list = json!([{"code": "c", "value": "v"}, {"code": "n", "value": "2"},
        {"code": "yes", "value": "true"}]);
    check_order(&free, &json!({"tags": [{"list": list}]}), &[]);
    let single = json!({"tags": {"code": "g", "list": [{"code": "c", "value": "v"}]}});
    check_order(&single, &expected, &[]);
    let texts = json!({"tags": ["a"]});
    check_order(&texts, &json!({}), &["/message/order/tags/0"]);
}

#[test]
fn an_address_and_a_city_are_text_or_object() {
    let text = json!({"billing": {"address": "1 Road", "city": "Pune"}});
    let shown = json!({"billing": {"address": {"text": "1 Road"}, "city": {"name": "Pune"}}});
    check_order(&text, &shown, &[]);
    let object = json!({"billing": {"address": {"door": "1"}, "city": {"code": "std:020"}}});
    check_order(&object, &object, &[]);
}

#[test]
fn a_bare_text_for_a_state_is_its_code() {
    let bare = json!({"fulfillments": [{"state": "Packed"}]});
    let shown = json!({"fulfillments": [{"state": {"descriptor": {"code": "Packed"}}}]});
    check_order(&bare, &shown, &["/message/order/fulfillments/0/state"]);
}

#[test]
fn a_pointer_is_escaped() {
    let sent = json!({"payment": {"@ondc/org/withholding_amount": 4.5}});
    let shown = json!({"payments": [{"withholding_amount": "4.5"}]});
    check_order(&sent, &shown, &["/message/order/payment/@ondc~1org~1withholding_amount"]);
}

#[test]
fn a_json_ld_order_has_id_and_state() {
    let sent = json!({"beckn:id": "o", "beckn:orderStatus": "CONFIRMED"});
    check_order(&sent, &json!({"id": "o", "status": "CONFIRMED"}), &[]);
}

#[track_caller]
fn check_error(sent: &Value, expected: Option<&str>) {
    let callback = parse(&json!({"context": {}, "error": sent}).to_string());
    assert_eq!(callback.error.and_then(|error| error.code).as_deref(), expected);
}

#[test]
fn an_error_without_a_code_is_no_error() {
    check_error(&json!(null), None);
    check_error(&json!({"type": null, "code": null, "path": null, "message": null}), None);
    check_error(&json!({"code": "", "message": "fine"}), None);
    check_error(&json!({"code": "30018", "message": "no such order"}), Some("30018"));
    check_error(&json!({"code": 30018}), Some("30018"));
    check_error(&json!({"errorCode": "E1", "errorMessage": "m"}), Some("E1"));
}

#[track_caller]
fn check_context(sent: &Value, dialect: Option<Dialect>, version: Option<&str>) {
    let context = parse(&json!({"context": sent}).to_string()).context;
    assert_eq!((context.dialect(), context.version()), (dialect, version));
    assert_eq!(context.city(), Some("std:080"));
    assert_eq!(context.transaction_id.as_deref(), Some("t"));
}

#[test]
fn contexts_of_all_dialects_unite() {
    let a = json!({"core_version": "1.2.0", "city": "std:080", "transaction_id": "t"});
    check_context(&a, Some(Dialect::A), Some("1.2.0"));
    let place = json!({"city": {"code": "std:080"}, "country": {"code": "IND"}});
    let b = json!({"version": "2.0.0", "location": place, "transaction_id": "t"});
    check_context(&b, Some(Dialect::B), Some("2.0.0"));
    let c = json!({"version": "2.0.0", "location": place, "transactionId": "t", "bapId": "b"});
    check_context(&c, Some(Dialect::C), Some("2.0.0"));
    check_context(&json!({"city": "std:080", "transaction_id": "t"}), None, None);
}

#[test]
fn the_payload_is_what_is_in_the_message() {
    let contract = json!({"id": "c", "status": {"code": "ACTIVE"}});
    let callback = parse(&json!({"message": {"contract": contract}}).to_string());
    let Payload::Contract(contract) = &callback.payload else { panic!() };
    assert_eq!(contract.status.as_ref().unwrap().as_str(), "ACTIVE");
    let shape = callback.shape.payload.unwrap();
    assert_eq!((shape.key, shape.has_keys), ("contract", true));
    let empty = parse(r#"{"message":{"order":{}}}"#);
    assert_eq!(empty.payload, Payload::None);
    assert!(!empty.shape.payload.unwrap().has_keys);
    assert!(parse(r#"{"message":{"ack":{"status":"ACK"}}}"#).shape.has_ack);
}

#[track_caller]
fn check_spans(body: &str, message: Option<&str>, error: Option<&str>) {
    let content = parse(body).content;
    assert_eq!(content.message.map(|span| &body[span]), message, "{body}");
    assert_eq!(content.error.map(|span| &body[span]), error, "{body}");
}

#[test]
fn the_raw_message_and_error_are_located_in_the_original() {
    check_spans(r#"{"message" : {"a":1} , "error":null}"#, Some(r#"{"a":1}"#), Some("null"));
    check_spans("{\"error\":\n\"}\" }", None, Some("\"}\""));
    check_spans("\u{feff}{\"message\":[1]}", Some("[1]"), None);
    check_spans(r#"{"message":{"a":[1,],},"x":1,}"#, Some(r#"{"a":[1,],}"#), None);
    check_spans(r#"{"message":1,"message":2}"#, Some("2"), None);
    // A key with escapes cannot be located: neither span is given, the whole body counts.
    check_spans(r#"{"mess\u0061ge":1,"error":2}"#, None, None);
    check_spans(r#"{"message":1,"\u0061":2}"#, None, None);
}

#[track_caller]
fn check_malformed(body: &[u8], expected: &str) {
    let refusal = Callback::parse(body).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn what_is_not_one_object_is_told_without_its_text() {
    check_malformed(b"{\"a\":\"\xff\"}", "expected UTF-8, found another byte at offset 6");
    check_malformed(b"[{}]", "expected an object, found array");
    check_malformed(b"null", "expected an object, found null");
    check_malformed(b" 1.5 ", "expected an object, found number");
    assert!(matches!(
        Callback::parse(b"{\"secret\":\n tru}"),
        Err(Malformed::Json { line: 2, column: 5, ref what }) if !what.contains("tru}")
    ));
    for body in ["", "{", "{} {}", "{\"a\":1,,}", "{'a':1}", "{\"a\":NaN}"] {
        let refusal = Callback::parse(body.as_bytes()).unwrap_err();
        assert!(matches!(refusal, Malformed::Json { .. }), "{body}");
    }
}

#[test]
fn a_long_list_is_cut_and_noted_once() {
    let items = vec!["{\"id\":\"i\"}"; 2_500].join(",");
    let callback = parse(&format!(r#"{{"message":{{"order":{{"items":[{items}]}}}}}}"#));
    let Payload::Order(order) = &callback.payload else { panic!() };
    assert_eq!(order.items.len(), 2_000);
    let [oddity] = &callback.oddities[..] else { panic!("{:?}", callback.oddities) };
    assert_eq!((oddity.name(), &*oddity.path), ("list_too_long", "/message/order/items"));
}

#[test]
fn lists_in_lists_share_a_bound() {
    let stops = vec!["{\"id\":\"s\"}"; 1_500].join(",");
    let fulfillments = vec![format!(r#"{{"stops":[{stops}]}}"#); 30].join(",");
    let body = format!(r#"{{"message":{{"order":{{"fulfillments":[{fulfillments}]}}}}}}"#);
    let callback = parse(&body);
    let [oddity] = &callback.oddities[..] else { panic!("{:?}", callback.oddities) };
    assert_eq!(oddity.name(), "list_too_long");
    let Payload::Order(order) = callback.payload else { panic!() };
    let read: usize = order.fulfillments.iter().map(|one| one.stops.len()).sum();
    assert!((15_000..=20_000).contains(&read), "{read}");
}

#[test]
fn oddities_are_bounded_and_the_rest_is_counted() {
    let items = vec!["{\"id\":1}"; 100].join(",");
    let callback = parse(&format!(r#"{{"message":{{"order":{{"items":[{items}]}}}}}}"#));
    assert_eq!(callback.oddities.len(), ODDITY_LIMIT + 1);
    let last = callback.oddities.last().unwrap();
    assert_eq!((last.kind, last.count), (OddityKind::More, 36));
}

#[test]
fn deep_nesting_is_refused_or_read_past_but_never_overflows() {
    let deep = |depth: usize, inner: &str| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"message\":{{\"{inner}\":{open}{close}}}}}")
    };
    parse(&deep(100_000, "unknown"));
    let refusal = Callback::parse(deep(100_000, "order").as_bytes()).unwrap_err();
    assert!(matches!(refusal, Malformed::Json { .. }));
}

#[track_caller]
fn check_time(text: &str, expected: Option<&str>) {
    let time = Timestamp::new(text).utc().map(|time| time.to_rfc3339());
    assert_eq!(time.as_deref(), expected, "{text}");
}

#[test]
fn a_timestamp_is_read_as_sellers_write_it() {
    check_time("2024-05-22T10:00:00.123Z", Some("2024-05-22T10:00:00.123+00:00"));
    check_time("2024-05-22T10:00:00+05:30", Some("2024-05-22T04:30:00+00:00"));
    check_time("2024-05-22T10:00:00.1234567890Z", Some("2024-05-22T10:00:00.123456789+00:00"));
    check_time("2024-12-31T09:20:14.356", Some("2024-12-31T09:20:14.356+00:00"));
    check_time("2024-12-31 09:20:14", Some("2024-12-31T09:20:14+00:00"));
    check_time(" 2024-05-22", Some("2024-05-22T00:00:00+00:00"));
    for text in ["2024-05-22T10:00:45:112Z", "024-01-17T00:00:00Z", "22024-01-17", "{{timestamp}}"]
    {
        check_time(text, None);
    }
}

#[track_caller]
fn check_duration(text: &str, expected: Option<u64>) {
    assert_eq!(IsoDuration::new(text).seconds(), expected, "{text}");
}

#[test]
fn a_duration_is_read_as_sellers_write_it() {
    check_duration("PT30S", Some(30));
    check_duration("PT30s", Some(30));
    check_duration("P24H", Some(86_400));
    check_duration("P1DT2H3M4S", Some(93_784));
    check_duration("PT10M", Some(600));
    check_duration("P1M", Some(2_592_000));
    check_duration("P2.0416666666666665D", Some(176_400));
    for text in
        ["", "P", "PT", "30S", "PT-3S", "P1DT", "PTinfS", "P1e9D", "PT5", "P99999999999999999999Y"]
    {
        check_duration(text, None);
    }
}

#[test]
fn a_position_is_read_with_and_without_a_blank() {
    let at = |text| Gps::new(text).coordinates();
    assert_eq!(at("12.914028, 77.638698"), Some((12.914_028, 77.638_698)));
    assert_eq!(at("-33.86,151.2"), Some((-33.86, 151.2)));
    for text in ["", "12.9", "91,0", "0,181", "NaN,0", "12.9;77.6"] {
        assert_eq!(at(text), None, "{text}");
    }
}

#[test]
fn a_decimal_tells_whether_it_is_a_number_and_an_integer() {
    let read = |text| (Decimal::new(text).is_number(), Decimal::new(text).integer());
    assert_eq!(read("2"), (true, Some(2)));
    assert_eq!(read("2.0"), (true, Some(2)));
    assert_eq!(read("-2.50"), (true, None));
    assert_eq!(read("+.5"), (true, None));
    assert_eq!(read("1,000"), (false, None));
    assert_eq!(read("1."), (false, Some(1)));
    assert_eq!(read(""), (false, None));
}

#[test]
fn free_tags_count_as_elements() {
    let tags: Vec<_> = (0..21_000).map(|number| format!("\"t{number}\":1")).collect();
    let body = format!(r#"{{"message":{{"order":{{"tags":{{{}}}}}}}}}"#, tags.join(","));
    let callback = parse(&body);
    let Payload::Order(order) = &callback.payload else { panic!() };
    assert_eq!(order.tags.groups[0].list.len(), 20_000);
    assert_eq!(callback.oddities.len(), 1);
}

#[test]
fn an_origin_and_a_destination_are_found_in_either_dialect() {
    let gps = |stop: Option<&crate::beckn::order::Stop>| {
        stop.unwrap().location.as_ref().unwrap().gps.as_ref().unwrap().as_str().to_owned()
    };
    let at = |gps: &str| json!({"location": {"gps": gps}});
    let stop = |kind: &str, gps: &str| json!({"type": kind, "location": {"gps": gps}});
    let a = json!({"start": at("1,1"), "end": at("2,2")});
    let b = json!({"stops": [stop("START", "1,1"), stop("other", "9,9"), stop("end", "2,2")]});
    for fulfillment in [a, b] {
        let body = json!({"message": {"order": {"fulfillments": [fulfillment]}}});
        let Payload::Order(order) = parse(&body.to_string()).payload else { panic!() };
        let one = &order.fulfillments[0];
        assert_eq!((gps(one.origin()), gps(one.destination())), ("1,1".into(), "2,2".into()));
    }
}
