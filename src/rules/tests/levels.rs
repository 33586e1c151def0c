//! Levels, bounds, and the catalogue with its document.

use std::collections::BTreeMap;

use super::{ORDER, body, findings, rules};
use crate::beckn::action::Action;
use crate::rules::{CATALOGUE, Profile, Rule, Rules, find};
use crate::words::Level;

#[test]
fn a_level_is_overridden_by_name() {
    let body = body(r#""message_id":null,"timestamp":null"#, ORDER);
    let level = |name: &str, level: Level| {
        let levels = BTreeMap::from([(name.to_owned(), level)]);
        let rules = Rules::new(Profile::Standard, &levels, &[]).unwrap();
        let found = findings(&rules, Action::OnStatus, &body);
        (found.enforced.len(), found.warnings.len())
    };
    assert_eq!(level("order.id", Level::Warn), (1, 1));
    assert_eq!(level("context.message_id", Level::Warn), (0, 2));
    assert_eq!(level("context.message_id", Level::Off), (0, 1));
    assert_eq!(level("context.timestamp", Level::Enforce), (2, 0));
    let unknown = BTreeMap::from([("order.ids".to_owned(), Level::Off)]);
    let error = Rules::new(Profile::Standard, &unknown, &[]).unwrap_err();
    assert!(error.to_string().contains("`order.id`"), "{error}");
}

#[test]
fn what_is_violated_in_a_long_list_is_bounded() {
    let items = vec![r#"{"quantity":{"count":"x"}}"#; 1000].join(",");
    let body = body("", &format!(r#"{{"order":{{"items":[{items}],"state":"Happy"}}}}"#));
    let count = |profile: Profile| {
        let found = findings(&rules(profile), Action::OnStatus, &body);
        (found.enforced.len(), found.warnings.len())
    };
    assert_eq!(count(Profile::Strict), (64, 0));
    assert_eq!(count(Profile::Standard), (0, 64));
}

#[test]
fn the_minimum_is_enforced_under_every_profile_and_nothing_else_under_standard() {
    let minimum: Vec<&str> = CATALOGUE
        .iter()
        .filter(|rule| rule.standard == Level::Enforce)
        .map(|rule| rule.name)
        .collect();
    let expected = [
        "payload.callback",
        "context.present",
        "context.action",
        "context.bap_id",
        "context.transaction_id",
        "context.message_id",
        "payload.present",
    ];
    assert_eq!(minimum, expected);
    for rule in &CATALOGUE {
        let is_minimum = minimum.contains(&rule.name);
        assert_eq!(rule.lenient == Level::Enforce, is_minimum, "{}", rule.name);
        assert!(rule.strict != Level::Off, "{}", rule.name);
        assert!(!is_minimum || rule.strict == Level::Enforce, "{}", rule.name);
    }
}

/// A name that is another's beginning could not be written beside it in TOML without quotes.
#[test]
fn names_are_unique_and_none_is_the_section_of_another() {
    for rule in &CATALOGUE {
        assert!(std::ptr::eq(find(rule.name).unwrap(), rule), "{} twice", rule.name);
        let section = format!("{}.", rule.name);
        let inside = CATALOGUE.iter().find(|other| other.name.starts_with(&section));
        assert!(inside.is_none(), "{} is a section", rule.name);
    }
}

/// The rows of the table, as the catalogue has them.
fn documented() -> String {
    let row = |rule: &Rule| {
        let levels = [rule.lenient, rule.standard, rule.strict].map(Level::as_str).join(" | ");
        let (code, kind) = (rule.code.code, rule.error_type.as_str());
        let (name, what, source) = (rule.name, rule.what, rule.source);
        format!("| `{name}` | {what} | {source} | {levels} | {code} | {kind} |\n")
    };
    CATALOGUE.iter().map(row).collect::<Vec<_>>().concat()
}

#[test]
fn the_documented_table_is_the_catalogue() {
    let text = include_str!("../../../docs/rules.md");
    let rows: String = text.split_inclusive('\n').filter(|line| line.starts_with("| `")).collect();
    let expected = documented();
    assert!(rows == expected, "docs/rules.md should have these rows:\n{expected}");
}
