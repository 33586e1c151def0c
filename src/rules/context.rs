//! The context: is it for us, can it be told apart, when was it made, where does it come from.

use chrono::{DateTime, TimeDelta, Utc};

use super::catalogue::Id;
use super::finding::{Check, Shown};
use super::format::{self, DURATION, Form, FoundText, TIME, UUID};
use super::scope::{Network, Scope};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::beckn::context::{Context, Dialect};
use crate::beckn::scalar::{IsoDuration, Timestamp};
use crate::words::SubscriberId;

/// How far ahead of our clock a seller's clock may be.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How long after its ttl a callback is still not called stale.
const GRACE: TimeDelta = TimeDelta::seconds(60);

const COUNTRY: Form = Form {
    is: format::is_country,
    expected: "an ISO 3166-1 alpha-3 code such as `IND`",
    found: FoundText::Shown,
};
const CITY: Form = Form {
    is: format::is_ondc_city,
    expected: "`std:` and a dialling code",
    found: FoundText::Shown,
};
const URI: Form =
    Form { is: is_web_address, expected: "an http or https address", found: FoundText::Hidden };

fn is_web_address(text: &str) -> bool {
    format::is_address(text, &["http", "https"])
}

/// The JSON Pointers of the keys that the dialects spell differently.
struct Pointers {
    bap_id: &'static str,
    bap_uri: &'static str,
    bpp_id: &'static str,
    bpp_uri: &'static str,
    transaction_id: &'static str,
    message_id: &'static str,
    country: &'static str,
    city: &'static str,
    version: &'static str,
}

const DIALECT_A: Pointers = Pointers {
    bap_id: "/context/bap_id",
    bap_uri: "/context/bap_uri",
    bpp_id: "/context/bpp_id",
    bpp_uri: "/context/bpp_uri",
    transaction_id: "/context/transaction_id",
    message_id: "/context/message_id",
    country: "/context/country",
    city: "/context/city",
    version: "/context/core_version",
};
const DIALECT_B: Pointers = Pointers {
    country: "/context/location/country/code",
    city: "/context/location/city/code",
    version: "/context/version",
    ..DIALECT_A
};
const DIALECT_C: Pointers = Pointers {
    bap_id: "/context/bapId",
    bap_uri: "/context/bapUri",
    bpp_id: "/context/bppId",
    bpp_uri: "/context/bppUri",
    transaction_id: "/context/transactionId",
    message_id: "/context/messageId",
    ..DIALECT_B
};

const fn pointers(scope: Scope) -> &'static Pointers {
    match scope.dialect {
        Dialect::A => &DIALECT_A,
        Dialect::B => &DIALECT_B,
        Dialect::C => &DIALECT_C,
    }
}

/// Returns whether there is a context to look at.
pub(super) fn check_presence(check: &mut Check<'_>, callback: &Callback) -> bool {
    let shape = &callback.shape;
    if !shape.context_has_keys {
        let found = super::payload::found(shape.context.as_str());
        let expected = "an object with at least one key";
        check.report(
            Id::ContextPresent,
            "/context",
            format_args!("expected {expected}, found {found}"),
        );
    }
    shape.context_has_keys
}

/// Looks at what an event cannot be processed without.
pub(super) fn check(
    check: &mut Check<'_>,
    (route, context): (Action, &Context),
    scope: Scope,
    subscriber_ids: &[SubscriberId],
) {
    let pointers = pointers(scope);
    check_action(check, route, context);
    let bap_id = context.bap_id.as_deref().filter(|id| !id.trim_ascii().is_empty());
    if !subscriber_ids.is_empty() {
        check_recipient(check, pointers.bap_id, bap_id, subscriber_ids);
    } else if bap_id.is_none() && scope.dialect != Dialect::B {
        check.report_missing(Id::ContextBapIdPresent, pointers.bap_id, "the buyer app's id");
    }
    let transaction_id = context.transaction_id.as_deref();
    let message_id = context.message_id.as_deref();
    check_id(check, Id::ContextTransactionId, pointers.transaction_id, transaction_id);
    check_id(check, Id::ContextMessageId, pointers.message_id, message_id);
    if scope.dialect != Dialect::A {
        let rule = Id::ContextTransactionIdUuid;
        check.form(rule, pointers.transaction_id, &UUID, transaction_id);
        check.form(Id::ContextMessageIdUuid, pointers.message_id, &UUID, message_id);
    }
}

fn check_action(check: &mut Check<'_>, route: Action, context: &Context) {
    let named = context.action();
    if named == Some(route) {
        return;
    }
    let (rule, path) = (Id::ContextAction, "/context/action");
    let Some(text) = context.action.as_deref() else {
        check.report(rule, path, format_args!("expected `{route}`, found nothing"));
        return;
    };
    let text = Shown(text);
    match named {
        Some(action) => check.report(
            rule,
            path,
            format_args!("expected `{route}`, found {text}: post it to /{action}"),
        ),
        None => check.report(rule, path, format_args!("expected `{route}`, found {text}")),
    }
}

/// A callback without `bap_id` is refused as one to another buyer app is: it could be one.
fn check_recipient(
    check: &mut Check<'_>,
    path: &str,
    bap_id: Option<&str>,
    subscriber_ids: &[SubscriberId],
) {
    let expected = "a subscriber id of this receiver";
    match bap_id {
        Some(id) if is_one_of(id, subscriber_ids) => {}
        Some(id) => check.report_text(Id::ContextBapId, path, expected, id),
        None => check.report_missing(Id::ContextBapId, path, expected),
    }
}

fn is_one_of(id: &str, subscriber_ids: &[SubscriberId]) -> bool {
    // Most sellers repeat our id as it is or as an address: neither needs a text of its own.
    let bare = id.strip_prefix("https://").unwrap_or(id).trim_end_matches('/');
    subscriber_ids.iter().any(|ours| ours.as_str() == bare)
        || subscriber_ids.contains(&SubscriberId::new(id))
}

fn check_id(check: &mut Check<'_>, rule: Id, path: &str, id: Option<&str>) {
    match id.filter(|id| !id.trim_ascii().is_empty()) {
        None => check.report_missing(rule, path, "an id"),
        Some(id) if format::is_bounded_id(id) => {}
        Some(id) => {
            let (limit, found) = (format::ID_CHARACTERS, id.chars().count());
            let message = format_args!("expected at most {limit} characters, found {found}");
            check.report(rule, path, message);
        }
    }
}

/// Looks at when the callback was made and how long it holds.
pub(super) fn check_times(
    check: &mut Check<'_>,
    context: &Context,
    scope: Scope,
    now: DateTime<Utc>,
) {
    let (timestamp, ttl) = (context.timestamp.as_ref(), context.ttl.as_ref());
    let path = "/context/timestamp";
    if timestamp.is_none() && scope.dialect != Dialect::B {
        check.report_missing(Id::ContextTimestamp, path, "an RFC 3339 time");
    }
    let time_text = timestamp.map(Timestamp::as_str);
    check.form(Id::ContextTimestamp, path, &TIME, time_text);
    let time = timestamp.and_then(Timestamp::utc);
    if let Some(time) = time.filter(|time| *time > now + AHEAD) {
        let ahead = (time - now).num_seconds();
        let message = format_args!("expected a time that has come, found one {ahead} s ahead");
        check.report(Id::ContextTimestampFuture, path, message);
    }
    check.form(Id::ContextTtl, "/context/ttl", &DURATION, ttl.map(IsoDuration::as_str));
    let until = || {
        let ttl = TimeDelta::from_std(ttl?.duration()?).ok()?;
        time?.checked_add_signed(ttl)?.checked_add_signed(GRACE)
    };
    if let Some(until) = until().filter(|until| *until < now) {
        let late = (now - until + GRACE).num_seconds();
        let message = format_args!("expected less time than the ttl, found {late} s more");
        check.report(Id::ContextStale, path, message);
    }
}

/// Looks at which network, place and version it is of, and who is at both ends.
pub(super) fn check_origin(check: &mut Check<'_>, context: &Context, scope: Scope) {
    let (pointers, is_a) = (pointers(scope), scope.dialect == Dialect::A);
    if is_a && context.domain.is_none() {
        check.report_missing(Id::ContextDomain, "/context/domain", "a domain");
    }
    let country = context.country();
    if is_a && country.is_none() {
        check.report_missing(Id::ContextCountry, pointers.country, "a country");
    }
    check.form(Id::ContextCountry, pointers.country, &COUNTRY, country);
    let city = context.city();
    if is_a && city.is_none() {
        check.report_missing(Id::ContextCity, pointers.city, "a city");
    }
    if is_a && scope.is_ondc() {
        check.form(Id::ContextCity, pointers.city, &CITY, city);
    }
    check_version(check, context, scope);
    check_uris(check, context, scope);
}

fn check_version(check: &mut Check<'_>, context: &Context, scope: Scope) {
    let path = pointers(scope).version;
    match (context.version(), scope.dialect) {
        // Beckn 1.x leaves it out; then it is `location` that told the dialect.
        (None, Dialect::A | Dialect::C) => {
            check.report_missing(Id::ContextVersion, path, "a version of the protocol");
        }
        (Some(version), Dialect::C) if version != "2.0.0" => {
            check.report_text(Id::ContextVersion, path, "`2.0.0`", version);
        }
        _ => {}
    }
}

fn check_uris(check: &mut Check<'_>, context: &Context, scope: Scope) {
    let pointers = pointers(scope);
    let bap_uri = context.bap_uri.as_deref();
    if bap_uri.is_none() && scope.dialect != Dialect::B {
        check.report_missing(Id::ContextBapUri, pointers.bap_uri, "the buyer app's address");
    }
    check.form(Id::ContextBapUri, pointers.bap_uri, &URI, bap_uri);
    if let (true, Some(uri), Some(id)) = (scope.is_ondc(), bap_uri, context.bap_id.as_deref())
        && !format::host(uri).eq_ignore_ascii_case(format::host(id))
    {
        let message = format_args!("expected the host of `bap_id`, found another");
        check.report(Id::ContextBapUriHost, pointers.bap_uri, message);
    }
    let is_needed =
        scope.dialect == Dialect::C || scope.is_1_2_5 && scope.network == Network::OndcLogistics;
    if is_needed && context.bpp_id.is_none() {
        check.report_missing(Id::ContextBppId, pointers.bpp_id, "the seller app's id");
    }
    let seller_uri = context.bpp_uri.as_deref();
    if is_needed && seller_uri.is_none() {
        check.report_missing(Id::ContextBppUri, pointers.bpp_uri, "the seller app's address");
    }
    check.form(Id::ContextBppUri, pointers.bpp_uri, &URI, seller_uri);
}
