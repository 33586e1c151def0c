//! Other people's bodies: the documents' samples and the corpus beside the checkout.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{anyone, findings, now};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::beckn::tests::seeds::{filled, seed};
use crate::beckn::tests::shared;
use crate::rules::{Profile, carries_another_payload};

/// The first enforced violation as `rule path`, or `accepted`.
fn verdict(profile: Profile, route: Action, body: &str) -> String {
    let found = findings(&anyone(profile), route, body);
    let text = found.enforced.first().map(|first| format!("{} {}", first.rule, first.path));
    text.unwrap_or_else(|| "accepted".to_owned())
}

#[test]
fn the_documents_samples_are_judged_as_the_profiles_say() {
    let check = |number: &str, route: Action, strict: &str| {
        let Some(body) = seed(number) else { return };
        let body = if strict.contains("timestamp") { body } else { filled(&body) };
        assert_eq!(verdict(Profile::Lenient, route, &body), "accepted", "{number}");
        assert_eq!(verdict(Profile::Standard, route, &body), "accepted", "{number}");
        assert_eq!(verdict(Profile::Strict, route, &body), strict, "{number}");
    };
    check("000", Action::OnTrack, "accepted");
    check("001", Action::OnStatus, "json.trailing_comma ");
    check("002", Action::OnStatus, "json.trailing_comma ");
    check("003", Action::OnUpdate, "json.trailing_comma ");
    check("004", Action::OnStatus, "ondc.1_2_5.order.quote.ttl /message/order/quote/ttl");
    check("004", Action::OnStatus, "context.timestamp /context/timestamp");
}

#[test]
fn a_trailing_comma_is_refused_with_its_place() {
    let Some(body) = seed("001") else { return };
    let found = findings(&anyone(Profile::Strict), Action::OnStatus, &body);
    let line = body[..body.find("},\n            ],").unwrap()].lines().count();
    let message = format!("expected no comma before an end, found one at line {line} column 18");
    assert_eq!(found.enforced[0].message, message);
}

#[test]
fn a_sample_with_placeholders_is_accepted_with_warnings() {
    let Some(body) = seed("004") else { return };
    let found = findings(&anyone(Profile::Standard), Action::OnStatus, &body);
    assert!(found.enforced.is_empty());
    assert!(found.warnings.iter().any(|one| one.rule == "context.timestamp"));
}

/// Every file of the corpus: its folder, which is its action, and its bytes.
fn corpus() -> Vec<(String, PathBuf, Vec<u8>)> {
    let Some(folder) = shared("corpus") else { return Vec::new() };
    let index = fs::read_to_string(folder.join("index.csv")).unwrap();
    let files = index.lines().skip(1).map(|line| line.split(',').next().unwrap());
    files
        .map(|file| {
            let path = folder.join(file);
            let bytes = fs::read(&path).unwrap();
            (file.split('/').next().unwrap().to_owned(), path, bytes)
        })
        .collect()
}

const OURS: [Action; 3] = [Action::OnStatus, Action::OnUpdate, Action::OnTrack];

#[test]
fn real_bodies_are_accepted_under_standard() {
    let rules = anyone(Profile::Standard);
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for (folder, _, bytes) in corpus() {
        let Some(route) = OURS.into_iter().find(|action| action.as_str() == folder) else {
            continue;
        };
        // Those with trailing commas are read as well; they are not among the complete ones.
        if serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
            continue;
        }
        let callback = Callback::parse(&bytes).unwrap();
        let found = rules.check(route, &callback, now());
        let other = carries_another_payload(route, &callback);
        let verdict = match found.enforced.first() {
            Some(first) => first.path.clone(),
            None if other => "accepted, another payload".to_owned(),
            None => "accepted".to_owned(),
        };
        *verdicts.entry(verdict).or_default() += 1;
    }
    if verdicts.is_empty() {
        return;
    }
    let expected = BTreeMap::from(
        [
            ("accepted", 833),
            ("accepted, another payload", 8),
            ("/context/action", 1),
            ("/context/transaction_id", 5),
            ("/message", 1),
            ("/message/order", 9),
        ]
        .map(|(verdict, count)| (verdict.to_owned(), count)),
    );
    assert_eq!(verdicts, expected);
}

#[test]
fn real_bodies_on_the_wrong_route_are_refused_for_what_is_wrong() {
    let rules = anyone(Profile::Standard);
    let mut refused = 0;
    for (folder, path, bytes) in corpus() {
        if OURS.iter().any(|action| action.as_str() == folder) {
            continue;
        }
        let Ok(callback) = Callback::parse(&bytes) else { continue };
        for route in OURS {
            let found = rules.check(route, &callback, now());
            let expected =
                if folder == "ack_response" { "/message/ack" } else { "/context/action" };
            let first = found.enforced.first().map(|first| first.path.as_str());
            assert_eq!(first, Some(expected), "{} on {route}", path.display());
        }
        refused += 1;
    }
    // Three of the 151 are no JSON, also without trailing commas: they are refused before any rule.
    assert!(matches!(refused, 0 | 148), "{refused}");
}
