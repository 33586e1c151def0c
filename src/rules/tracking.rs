//! A tracking, and the contract of Beckn 2.0: both are small.

use super::catalogue::Id;
use super::finding::Check;
use super::format::{self, Form, FoundText, GPS, TIME, UUID};
use super::scope::Scope;
use crate::beckn::context::Dialect;
use crate::beckn::contract::Contract;
use crate::beckn::scalar::{Gps, Timestamp};
use crate::beckn::tracking::Tracking;

const URL: Form = Form {
    is: is_live_address,
    expected: "an http, https, ws or wss address",
    found: FoundText::Hidden,
};

/// Beckn 0.9.1 also tracks over a web socket.
fn is_live_address(text: &str) -> bool {
    format::is_address(text, &["http", "https", "ws", "wss"])
}

pub(super) fn check(check: &mut Check<'_>, tracking: &Tracking, scope: Scope) {
    let is_needed = scope.dialect == Dialect::C;
    let path = "/message/tracking/url";
    if is_needed && tracking.url.is_none() {
        check.report_missing(Id::TrackingUrl, path, URL.expected);
    }
    check.form(Id::TrackingUrl, path, &URL, tracking.url.as_deref());
    let (path, expected) = ("/message/tracking/status", "`active` or `inactive`");
    match &tracking.status {
        Some(status) if status.known().is_none() => {
            check.report_text(Id::TrackingStatus, path, expected, status.as_str());
        }
        None if is_needed => check.report_missing(Id::TrackingStatus, path, expected),
        _ => {}
    }
    let Some(location) = &tracking.location else { return };
    let path = "/message/tracking/location";
    let gps = location.gps.as_ref().map(Gps::as_str);
    check.form(Id::TrackingGps, format_args!("{path}/gps"), &GPS, gps);
    let taken = location.time.as_ref().and_then(|time| time.timestamp.as_ref());
    let (taken, updated) = (taken.map(Timestamp::as_str), &location.updated_at);
    let rule = Id::TrackingTimes;
    check.form(rule, format_args!("{path}/time/timestamp"), &TIME, taken);
    let updated = updated.as_ref().map(Timestamp::as_str);
    check.form(rule, format_args!("{path}/updated_at"), &TIME, updated);
}

pub(super) fn check_contract(check: &mut Check<'_>, contract: &Contract) {
    check.form(Id::ContractId, "/message/contract/id", &UUID, contract.id.as_deref());
    let Some(status) = contract.status.as_ref().filter(|status| status.known().is_none()) else {
        return;
    };
    let expected = "`DRAFT`, `ACTIVE`, `CANCELLED` or `COMPLETE`";
    let path = "/message/contract/status/code";
    check.report_text(Id::ContractStatus, path, expected, status.as_str());
}
