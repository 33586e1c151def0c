//! The rules at their boundary: a body goes in, violations come out.

mod envelope;
mod levels;
mod payload;
mod real;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Findings, Profile, Rules};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::words::SubscriberId;

const BUYER: &str = "buyer.example";

fn now() -> DateTime<Utc> {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn rules(profile: Profile) -> Rules {
    Rules::new(profile, &BTreeMap::new(), &[SubscriberId::new(BUYER)]).unwrap()
}

/// Rules of someone to whom every callback is addressed.
fn anyone(profile: Profile) -> Rules {
    Rules::new(profile, &BTreeMap::new(), &[]).unwrap()
}

/// A context of dialect A that breaks no rule, with some keys replaced or, by `null`, left out.
fn context(changes: &str) -> String {
    let mut context: serde_json::Map<String, serde_json::Value> = serde_json::from_str(
        r#"{"domain":"ONDC:RET10","country":"IND","city":"std:080","core_version":"1.2.0",
            "action":"on_status","bap_id":"buyer.example","bap_uri":"https://buyer.example/beckn",
            "bpp_id":"seller.example","bpp_uri":"https://seller.example/beckn",
            "transaction_id":"t-1","message_id":"m-1","timestamp":"2026-03-01T09:59:58.000Z",
            "ttl":"PT30S"}"#,
    )
    .unwrap();
    let changes: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&format!("{{{changes}}}")).unwrap();
    context.extend(changes);
    serde_json::Value::Object(context).to_string()
}

fn body(changes: &str, message: &str) -> String {
    format!(r#"{{"context":{},"message":{message}}}"#, context(changes))
}

fn findings(rules: &Rules, route: Action, body: &str) -> Findings {
    rules.check(route, &Callback::parse(body.as_bytes()).unwrap(), now())
}

/// Asserts what strict rules find, as `rule path` each.
#[track_caller]
fn check_on(route: Action, body: &str, expected: &[&str]) {
    let found = findings(&rules(Profile::Strict), route, body);
    let all: Vec<String> = found
        .enforced
        .iter()
        .chain(&found.warnings)
        .map(|one| format!("{} {}", one.rule, one.path))
        .collect();
    assert_eq!(all, expected, "{body}\n{found:#?}");
}

#[track_caller]
fn check(body: &str, expected: &[&str]) {
    check_on(Action::OnStatus, body, expected);
}

const ORDER: &str = r#"{"order":{"id":"o-1"}}"#;
