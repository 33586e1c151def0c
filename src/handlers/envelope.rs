//! What leaves the process: the event as JSON with the callback inside, or the bare callback.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::SecondsFormat;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::beckn::oddity::Oddity;
use crate::beckn::repair::repair;
use crate::config::Content;
use crate::event::{Flag, OrderEvent};
use crate::trace::{Sampling, traceparent};
use crate::words::Violation;
#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
use crate::words::template::Place;
use crate::words::template::push_escaped;

/// What an envelope says before the callback.
#[derive(Debug, Serialize)]
struct Head<'a> {
    event_id: String,
    delivery_id: String,
    seq: u64,
    action: &'static str,
    domain: Option<&'a str>,
    bap_id: Option<&'a str>,
    bpp_id: Option<&'a str>,
    transaction_id: Option<&'a str>,
    message_id: Option<&'a str>,
    order_id: Option<&'a str>,
    received_at: String,
    attempt: u32,
    replay: u32,
    /// The subscriber whose signature was verified; null: unverified.
    sender: Option<&'a str>,
    flags: Vec<&'static str>,
    warnings: Vec<Warning<'a>>,
    oddities: &'a [Oddity],
    /// The body as it came, when the callback is a repaired copy of it, or cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Debug, Serialize)]
struct Warning<'a> {
    rule: &'a str,
    path: &'a str,
    message: &'a str,
}

impl<'a> From<&'a Violation> for Warning<'a> {
    fn from(violation: &'a Violation) -> Self {
        let Violation { rule, path, message } = violation;
        Self { rule, path, message }
    }
}

/// Returns what is handed over of `event`.
pub(crate) fn body(event: &OrderEvent, content: Content) -> Bytes {
    match content {
        Content::Envelope => envelope(event),
        Content::Callback => event.body.clone(),
    }
}

/// Writes the head and, as its last member, the callback in the seller's own bytes: reading and
/// writing them again would change numbers and repeated keys.
fn envelope(event: &OrderEvent) -> Bytes {
    let callback = readable(event);
    let is_verbatim = matches!(callback, Some(Cow::Borrowed(_)));
    let context = &event.context;
    let head = Head {
        event_id: event.id.to_string(),
        delivery_id: event.delivery_id(),
        seq: event.seq,
        action: event.action.as_str(),
        domain: context.domain.as_deref(),
        bap_id: context.bap_id.as_deref(),
        bpp_id: context.bpp_id.as_deref(),
        transaction_id: context.transaction_id.as_deref(),
        message_id: context.message_id.as_deref(),
        order_id: event.order_id(),
        received_at: event.received_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        attempt: event.attempt,
        replay: event.replay,
        sender: event.sender.as_ref().map(|sender| sender.subscriber().as_str()),
        flags: event.flags.iter().map(Flag::as_str).collect(),
        warnings: event.warnings.iter().map(Warning::from).collect(),
        oddities: &event.oddities,
        body_base64: (!is_verbatim).then(|| STANDARD.encode(&event.body)),
    };
    let mut json = Vec::with_capacity(event.body.len() + 1024);
    serde_json::to_writer(&mut json, &head).expect("texts and numbers can be written as JSON");
    let brace = json.pop();
    debug_assert_eq!(brace, Some(b'}'), "a struct is an object");
    json.extend_from_slice(b",\"callback\":");
    json.extend_from_slice(callback.as_deref().unwrap_or("null").as_bytes());
    json.push(b'}');
    Bytes::from(json)
}

/// Returns the body as one JSON value: as it came, or repaired; `None` when it cannot be read, as
/// a callback that was `ACKed` although it was refused for just this.
fn readable(event: &OrderEvent) -> Option<Cow<'_, str>> {
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let text = str::from_utf8(&event.body).ok()?;
    if is_json(text) {
        return Some(Cow::Borrowed(text));
    }
    let text = text.trim_start_matches('\u{feff}');
    let repaired = repair(text).map_or_else(|| text.to_owned(), |repaired| repaired.text);
    is_json(&repaired).then_some(Cow::Owned(repaired))
}

/// Returns what fills a place of a template.
#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
pub(crate) fn place(event: &OrderEvent, place: Place) -> Option<&str> {
    let context = &event.context;
    match place {
        Place::Action => Some(event.action.as_str()),
        Place::Domain => context.domain.as_deref(),
        Place::BapId => context.bap_id.as_deref(),
        Place::BppId => event.bpp_id(),
        Place::TransactionId => context.transaction_id.as_deref(),
        Place::MessageId => context.message_id.as_deref(),
        Place::OrderId => event.order_id(),
    }
}

/// Returns what goes beside the body as headers, so that a consumer can sort events without
/// reading them, and knows of a bare callback what an envelope would say.
///
/// A value is visible ASCII: every other byte, and `%`, is `%` and two hexadecimal digits.
pub(crate) fn headers(event: &OrderEvent, sampling: Sampling) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("beckn-event-id", event.id.to_string()),
        ("beckn-seq", event.seq.to_string()),
        ("beckn-action", event.action.as_str().to_owned()),
        ("beckn-received-at", event.received_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        ("beckn-attempt", event.attempt.to_string()),
        ("beckn-replay", event.replay.to_string()),
        ("traceparent", traceparent(event, sampling)),
    ];
    if let Some(sender) = &event.sender {
        let mut value = String::new();
        let stays = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
        push_escaped(&mut value, sender.subscriber().as_str(), stays);
        headers.push(("beckn-sender", value));
    }
    headers
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{body, headers};
    use crate::beckn::action::Action;
    use crate::config::Content;
    use crate::event::{Flag, OrderEvent};
    use crate::trace::Sampling;
    use crate::words::{Sender, SubscriberId, Violation};

    const CALLBACK: &str = r#"{"context":{"domain":"ONDC:RET11","bap_id":"buyer.example",
        "bpp_id":"seller.example","transaction_id":"t/1","message_id":"m"},
        "message":{"order":{"id":"O-1","quote":{"price":{"value":1.10}}}}}"#;

    fn read(event: &OrderEvent) -> (Value, String) {
        let json = String::from_utf8(body(event, Content::Envelope).to_vec()).unwrap();
        (serde_json::from_str(&json).unwrap(), json)
    }

    #[test]
    fn an_envelope_says_what_is_known_and_holds_the_callback_as_it_came() {
        let mut event = OrderEvent::parse(Action::OnStatus, CALLBACK).unwrap();
        (event.seq, event.attempt, event.replay) = (7, 2, 1);
        event.sender = Some(Sender::new(SubscriberId::written("seller.example")));
        event.flags.insert(Flag::IdReused);
        event.warnings.push(Violation::new("order.id", "/message/order/id", "expected, found"));
        let (envelope, json) = read(&event);
        assert!(json.ends_with(&format!(",\"callback\":{CALLBACK}}}")), "{json}");
        assert_eq!(envelope["delivery_id"], format!("{}-r1", event.id));
        assert_eq!(envelope["event_id"], event.id.to_string());
        let of = |name: &str| envelope[name].clone();
        assert_eq!((of("seq"), of("attempt"), of("replay")), (7.into(), 2.into(), 1.into()));
        assert_eq!(of("action"), "on_status");
        assert_eq!((of("domain"), of("bap_id")), ("ONDC:RET11".into(), "buyer.example".into()));
        assert_eq!((of("transaction_id"), of("order_id")), ("t/1".into(), "O-1".into()));
        assert_eq!(of("received_at"), "1970-01-01T00:00:00.000000Z");
        assert_eq!(of("sender"), "seller.example");
        assert_eq!(of("flags"), serde_json::json!(["id_reused"]));
        assert_eq!(envelope["warnings"][0]["rule"], "order.id");
        assert_eq!(envelope.get("body_base64"), None);
    }

    #[test]
    fn a_repaired_body_comes_in_both_forms() {
        let event = OrderEvent::parse(Action::OnTrack, "\u{feff}{\"message\":{\"tracking\":{},},}")
            .unwrap();
        let (envelope, _) = read(&event);
        assert_eq!(envelope["callback"], serde_json::json!({"message": {"tracking": {}}}));
        assert_eq!(envelope["body_base64"], "77u/eyJtZXNzYWdlIjp7InRyYWNraW5nIjp7fSx9LH0=");
        assert_eq!(envelope["oddities"][0]["found"].as_str().map(str::is_empty), Some(false));
    }

    #[test]
    fn a_body_that_is_no_json_cannot_break_the_envelope() {
        let mut event = OrderEvent::parse(Action::OnTrack, "{}").unwrap();
        for bad in [&b"{},\"sender\":\"x\""[..], b"{} {}", b"", b"\xff", b"null}", b"// {}"] {
            event.body = bytes::Bytes::from_static(bad);
            let (envelope, _) = read(&event);
            assert_eq!(envelope["callback"], Value::Null);
            assert!(envelope["body_base64"].is_string(), "{bad:?}");
            assert_eq!(envelope["sender"], Value::Null);
        }
    }

    #[test]
    fn a_bare_callback_is_the_body_itself() {
        let event = OrderEvent::parse(Action::OnStatus, CALLBACK).unwrap();
        assert_eq!(body(&event, Content::Callback), CALLBACK);
    }

    #[test]
    fn headers_are_visible_ascii() {
        let mut event = OrderEvent::parse(Action::OnStatus, CALLBACK).unwrap();
        event.sender = Some(Sender::new(SubscriberId::written("é\r\nx: y %")));
        let headers = headers(&event, Sampling::share(1.0));
        assert!(headers.iter().all(|(_, value)| value.bytes().all(|b| b.is_ascii_graphic())));
        assert!(headers.contains(&("beckn-sender", "%C3%A9%0D%0Ax:%20y%20%25".to_owned())));
    }
}
