//! Every type that was seen at every path: the value is read, or absent, or noted.
//!
//! The survey of real bodies lists paths and the JSON types seen there. For each path and type a
//! minimal body is made, with a sample of that type at that path.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value, json};

use crate::beckn::callback::Callback;

use super::shared;

/// Keys that the models show under another name: how a wire path ends, and what takes its place.
const RENAMED: &[(&str, &str)] = &[
    ("context.bapId", "bap_id"),
    ("context.bapUri", "bap_uri"),
    ("context.bppId", "bpp_id"),
    ("context.bppUri", "bpp_uri"),
    ("context.messageId", "message_id"),
    ("context.networkId", "network_id"),
    ("context.receiverId", "receiver_id"),
    ("context.schemaContext", "schema_context"),
    ("context.senderId", "sender_id"),
    ("context.transactionId", "transaction_id"),
    ("order.beckn:id", "id"),
    ("order.beckn:orderStatus", "status"),
    ("order.docs", "documents"),
    ("order.fulfillment", "fulfillments/0"),
    ("order.payment", "payments/0"),
    ("items[].@ondc/org/cancellable", "cancellable"),
    ("items[].@ondc/org/returnable", "returnable"),
    ("items[].category_id", "category_ids/0"),
    ("items[].fulfillment_id", "fulfillment_ids/0"),
    ("items[].location_id", "location_ids/0"),
    ("payments[].url", "uri"),
    ("tags[].descriptor", "code"),
    (".@ondc/org/TAT", "tat"),
    (".@ondc/org/awb_no", "awb_no"),
    (".@ondc/org/buyer_app_finder_fee_amount", "finder_fee_amount"),
    (".@ondc/org/buyer_app_finder_fee_type", "finder_fee_type"),
    (".@ondc/org/category", "category"),
    (".@ondc/org/collected_by_status", "collected_by_status"),
    (".@ondc/org/collection_amount", "collection_amount"),
    (".@ondc/org/ebnexpirydate", "ewaybill_expiry"),
    (".@ondc/org/ewaybillno", "ewaybill_no"),
    (".@ondc/org/item_id", "item_id"),
    (".@ondc/org/item_quantity", "item_quantity"),
    (".@ondc/org/provider_name", "provider_name"),
    (".@ondc/org/settlement_basis", "settlement_basis"),
    (".@ondc/org/settlement_details", "settlement_details"),
    (".@ondc/org/settlement_window", "settlement_window"),
    (".@ondc/org/title_type", "title_type"),
    (".@ondc/org/withholding_amount", "withholding_amount"),
];

/// Paths that the models leave to the body, and why they do.
const UNREAD: &[&str] = &[
    // Footnote marks and blanks in keys: slips of single senders.
    "message.order.quote.breakup[].@ondc/org/item_id ",
    "message.order.quote.breakup[].@ondc/org/title_type ",
    "message.tracking.tags [^6]",
    "message.tracking.tags [^6][]",
    "message.tracking.tags [^6][].code",
    "message.tracking.tags [^6][].list",
    "message.tracking.tags [^6][].list[]",
    "message.tracking.tags [^6][].list[].code",
    "message.tracking.tags [^6][].list[].value",
    // Whether to show a tag is not what it says.
    "message.order.items[].tags[].display",
    "message.tracking.tags.display",
    "message.tracking.tags.list[].display",
    // Beckn 2.0 and JSON-LD: the order's id and state are read, the rest is in the body.
    "context.try",
    "context.requestDigest",
    "message.order.@type",
    "message.order.@context",
    "message.order.beckn:orderItems",
    "message.order.beckn:seller",
    "message.order.beckn:buyer",
    "message.order.beckn:fulfillment",
    "message.order.beckn:payment",
    "message.order.beckn:orderAttributes",
    "message.order.beckn:orderValue",
    "message.order.beckn:orderNumber",
    "message.tracking.trackingAttributes",
    "message.tracking.@context",
    "message.tracking.@type",
    "message.tracking.beckn:fulfillment",
    "message.tracking.beckn:order",
    "message.tracking.location.@type",
    // Shapes on a map and media that a callback after an order hardly ever has.
    "message.tracking.location.circle",
    "message.tracking.location.circle.gps",
    "message.tracking.location.circle.radius",
    "message.tracking.location.polygon",
    "message.tracking.location.3dspace",
    "message.tracking.location.Time",
    "message.tracking.location.Time.timestamp",
    "message.tracking.location.descriptor.audio",
    "message.tracking.location.descriptor.3d_render",
    "message.tracking.location.time.schedule",
    // Parts of an order that belong to its making, or to logistics alone.
    "message.orderId",
    "message.order.@ondc/org/linked_order",
    "message.order.offers",
    "message.order.add_ons",
    "message.order.items[].xinput",
    "message.order.items[].add_ons",
    "message.order.items[]._id",
    "message.order.items[].price.tags",
    "message.order.quote.breakup[].extProductId",
    // Messages of other actions.
    "message.update_target",
    "message.fulfillments",
    "message.provider",
    "message.items",
    "message.quote",
    "message.payments",
    // Not in any dialect: what logging tools and single senders add.
    "signature",
    "created_at",
    "action",
    "_id",
    "channel_id",
    "$schema",
    "//",
    "ackResponse",
    "request_time",
    "_comment",
    "context.bap_url",
    "context.message",
];

/// A row of the survey.
struct Row {
    path: String,
    types: Vec<String>,
}

fn rows(survey: &str) -> Vec<Row> {
    let structure = survey.split("## 4. Structure").nth(1).unwrap();
    let structure = structure.split("## 5. ").next().unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let path = cells.next()?.strip_suffix('`')?.to_owned();
        let types = cells.nth(2)?.split(", ");
        let types = types.map(|kind| kind.split(' ').next().unwrap_or_default().to_owned());
        Some(Row { path, types: types.collect() })
    };
    structure.lines().filter_map(row).collect()
}

/// Returns a sample of a type; its text, where it has one, is `12`, `1.5` or `true`.
fn sample(row: &Row, kind: &str) -> Value {
    let thing = json!({"code": "12", "of no meaning here": 1});
    match kind {
        "string" if row.types[0] == "bool" => json!("true"),
        "string" => json!("12"),
        "string(empty)" => json!(""),
        "int" => json!(12),
        "float" => json!(1.5),
        "bool" => json!(true),
        "null" => Value::Null,
        "object" => thing,
        "object(empty)" => json!({}),
        "array" if row.path.ends_with("_ids") || row.path.ends_with("ontext") => json!(["12"]),
        "array" => json!([thing]),
        "array(empty)" => json!([]),
        other => panic!("{other} at {}", row.path),
    }
}

fn text_of(sample: &Value) -> Option<String> {
    match sample {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(sample.to_string()),
        _ => None,
    }
}

/// Builds the smallest body that has the sample at the path; returns the pointer to it as well.
fn body(path: &str, sample: Value) -> (Value, String) {
    let mut value = sample;
    let mut pointer = String::new();
    for segment in path.split('.').rev() {
        let key = segment.strip_suffix("[]");
        if key.is_some() {
            value = json!([value]);
            pointer.insert_str(0, "/0");
        }
        let key = key.unwrap_or(segment);
        value = Value::Object(Map::from_iter([(key.to_owned(), value)]));
        pointer.insert_str(0, &format!("/{}", key.replace('~', "~0").replace('/', "~1")));
    }
    // An error without a code is none.
    if path.starts_with("error.") && value["error"].get("code").is_none() {
        value["error"]["code"] = json!("12");
    }
    (value, pointer)
}

/// Returns where the models show what is at this path.
fn place(path: &str) -> String {
    let mut place = String::new();
    let mut walked = String::new();
    let mut segments = path.split('.').peekable();
    while let Some(segment) = segments.next() {
        let key = segment.strip_suffix("[]").unwrap_or(segment);
        walked.push_str(if walked.is_empty() { "" } else { "." });
        let here = format!("{walked}{key}");
        let renamed = RENAMED.iter().find(|(end, _)| here.ends_with(end));
        place.push('/');
        place.push_str(renamed.map_or(key, |(_, name)| name));
        let one_group = key == "tags" && segments.peek().is_some();
        if segment.ends_with("[]") || one_group {
            place.push_str("/0");
        }
        walked.push_str(segment);
    }
    place
}

/// Shows a callback as one document.
fn shown(callback: &Callback) -> Value {
    let mut shown = json!({"context": callback.context, "error": callback.error});
    if callback.shape.message_keys > 0 {
        shown["message"] = json!({});
        if let Value::Object(payload) = serde_json::to_value(&callback.payload).unwrap() {
            shown["message"] = Value::Object(payload);
        }
    }
    shown
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks one type at one path; says what is wrong.
fn check(row: &Row, kind: &str) -> Result<(), String> {
    let sample = sample(row, kind);
    let (body, pointer) = body(&row.path, sample.clone());
    let callback = Callback::parse(body.to_string().as_bytes()).unwrap();
    let shown = shown(&callback);
    let value = shown.pointer(&place(&row.path)).filter(|value| !value.is_null());
    let here: Vec<_> = callback.oddities.iter().filter(|one| one.path == pointer).collect();
    let fail = |what: &str| Err(format!("{} as {kind}: {what}: {shown} {here:?}", row.path));
    if kind == "null" || kind.ends_with("(empty)") {
        let is_default = value.is_some_and(|value| *value == json!({}) && row.path == "context");
        return match value {
            Some(_) if !is_default => fail("not absent"),
            _ if !callback.oddities.is_empty() => fail("odd"),
            _ => Ok(()),
        };
    }
    let most_are_such = kind == row.types[0];
    match (value, &here[..]) {
        (_, [_, _, ..]) => fail("noted twice"),
        (_, [one]) if most_are_such || one.found != json_type(&sample) => fail("wrongly noted"),
        (None, []) => fail("neither read nor noted"),
        (None, [_]) => Ok(()),
        (Some(value), _) => match text_of(&sample) {
            Some(text) if !value.to_string().contains(&text) => fail("another value"),
            _ => Ok(()),
        },
    }
}

#[test]
fn every_type_that_was_seen_is_read_or_absent_or_noted() {
    let Some(survey) = shared("corpus/wire-types.md") else { return };
    let rows = rows(&fs::read_to_string(survey).unwrap());
    assert!(rows.len() > 300, "{}", rows.len());
    let unread: BTreeSet<_> = UNREAD.iter().copied().collect();
    let read = rows.iter().filter(|row| !unread.contains(row.path.as_str()));
    let failed: Vec<_> =
        read.flat_map(|row| row.types.iter().filter_map(|kind| check(row, kind).err())).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_the_models_leave_out_is_listed_and_is_really_there() {
    let Some(survey) = shared("corpus/wire-types.md") else { return };
    let rows = rows(&fs::read_to_string(survey).unwrap());
    let paths: BTreeSet<_> = rows.iter().map(|row| row.path.as_str()).collect();
    for path in UNREAD {
        assert!(paths.contains(path), "{path} is not in the survey");
    }
    let one = |path: &str| rows.iter().find(|row| row.path == path).unwrap();
    for path in UNREAD {
        let row = one(path);
        let says_something = |kind: &&String| !kind.ends_with("(empty)") && *kind != "null";
        let kind = row.types.iter().find(says_something).unwrap();
        assert!(check(row, kind).is_err(), "{path} is read after all");
    }
}
