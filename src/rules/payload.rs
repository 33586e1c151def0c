//! The text as a whole, and whether there is something to process in it.

use super::catalogue::Id;
use super::finding::Check;
use crate::beckn::action::Action;
use crate::beckn::callback::{Callback, Payload};
use crate::beckn::context::Dialect;

/// Names what was found where an object with a key should be.
pub(super) fn found(json_type: &'static str) -> &'static str {
    if json_type == "object" { "an empty object" } else { json_type }
}

/// Looks at what was read over, and at whether this is a callback.
pub(super) fn check_text(check: &mut Check<'_>, route: Action, callback: &Callback) {
    let shape = &callback.shape;
    if shape.bom {
        let message = format_args!("expected JSON, found a byte order mark before it");
        check.report(Id::JsonBom, "", message);
    }
    if let Some(place) = shape.trailing_comma {
        let (line, column) = (place.line, place.column);
        check.report(
            Id::JsonTrailingComma,
            "",
            format_args!(
                "expected no comma before an end, found one at line {line} column {column}"
            ),
        );
    }
    if is_answer(route, callback) {
        let message = format_args!("expected a callback, found an answer to one");
        check.report(Id::PayloadCallback, "/message/ack", message);
    }
}

/// Returns whether the body is what a callback is answered with: nothing to process but `ack`.
fn is_answer(route: Action, callback: &Callback) -> bool {
    let is_all = route.follows_an_order() || callback.shape.message_keys == 1;
    callback.shape.has_ack && is_all && matches!(callback.payload, Payload::None)
}

/// Looks at whether there is something to process, and whether it is what the action carries.
pub(super) fn check_payload(check: &mut Check<'_>, route: Action, callback: &Callback) {
    if super::carries_another_payload(route, callback) {
        let expected = payload_keys(route, callback).1;
        let key = callback.shape.payload.map_or("", |payload| payload.key);
        let message = format_args!("expected {expected}, found `{key}`");
        check.report(Id::PayloadOfAction, format_args!("/message/{key}"), message);
    }
    let is_reported = is_answer(route, callback) && check.is_on(Id::PayloadCallback);
    if !is_reported && !is_usable(route, callback) {
        report_unusable(check, route, callback);
    }
}

fn is_usable(route: Action, callback: &Callback) -> bool {
    if callback.error.is_some() || !matches!(callback.payload, Payload::None) {
        return true;
    }
    // What the other callbacks carry is not typed: that there is something must do.
    let keys_of_answers = usize::from(callback.shape.has_ack);
    !route.follows_an_order() && callback.shape.message_keys > keys_of_answers
}

fn report_unusable(check: &mut Check<'_>, route: Action, callback: &Callback) {
    let (key, expected) = payload_keys(route, callback);
    let rule = Id::PayloadPresent;
    let shape = &callback.shape;
    if shape.message_keys == 0 {
        let found = found(shape.message.as_str());
        let message = format_args!("expected an object with {expected}, found {found}");
        check.report(rule, "/message", message);
    } else if let Some(seen) = shape.payload {
        let (key, found) = (seen.key, found(seen.found.as_str()));
        let message = format_args!("expected an object with at least one key, found {found}");
        check.report(rule, format_args!("/message/{key}"), message);
    } else if key.is_empty() {
        let message = format_args!("expected an object with {expected}, found `ack` alone");
        check.report(rule, "/message", message);
    } else {
        let message = format_args!("expected {expected}, found nothing");
        check.report(rule, format_args!("/message/{key}"), message);
    }
}

/// Returns the key of the action's payload, and how a message names it.
fn payload_keys(route: Action, callback: &Callback) -> (&'static str, &'static str) {
    match (route, callback.context.dialect()) {
        (Action::OnTrack, _) => ("tracking", "`tracking`"),
        (Action::OnStatus | Action::OnUpdate, Some(Dialect::C)) => ("contract", "`contract`"),
        (Action::OnStatus | Action::OnUpdate, _) => ("order", "`order`"),
        _ => ("", "at least one key"),
    }
}
