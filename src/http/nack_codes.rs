//! `docs/nack-codes.md` has every code, cause and answer, and nothing else. That its commands show
//! what they say is looked at with a running receiver, in `tests/it/nack_codes.rs`.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::body;
use super::callbacks::{Trouble, answer};
use crate::beckn::action::Action;
use crate::beckn::answer::{CODES, ErrorType};
use crate::inbox;
use crate::intake::Rejection;
use crate::rules::{self, CATALOGUE, Rule};
use crate::words::{Cause, Level, Profile};

const DOCUMENT: &str = include_str!("../../docs/nack-codes.md");

/// Returns the rows of the tables in the section of this heading, cell by cell.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let mut sections = DOCUMENT.split("\n## ");
    let section = sections.find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("no section `{heading}`"));
    let table = section.lines().filter(|line| line.starts_with('|'));
    table.skip(2).map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// Returns the first cells of a section's rows.
fn starts(heading: &str, cells: usize) -> Vec<String> {
    rows(heading).iter().map(|row| row[..cells].join(" | ")).collect()
}

/// Compares in the order of the document, and names the rows that are missing or too many.
#[track_caller]
fn check(heading: &str, cells: usize, expected: &[String]) {
    let found = starts(heading, cells);
    assert!(found == expected, "`{heading}` should have these rows:\n{}", expected.join("\n"));
}

/// Every reason for which a callback is not accepted, but for the rules and the signatures.
fn troubles() -> Vec<Trouble> {
    let unavailable = |error| Trouble::Rejected(Rejection::Unavailable(error));
    let key = |message: &str| {
        let (retry_after, message) = (std::time::Duration::ZERO, message.to_owned());
        Trouble::Rejected(Rejection::KeyUnavailable { retry_after, message })
    };
    vec![
        Trouble::UnknownPath,
        Trouble::Method(Action::OnStatus),
        Trouble::Body(body::Error::TooLong { limit: 1 }),
        Trouble::Encoding,
        // What `registry` says of a key that may be there.
        key("the key cannot be looked up now"),
        key(
            "this key id is new, and the registry was asked for its subscriber less than a minute ago",
        ),
        key(
            "the signature does not match the key that is known, and the registry cannot be asked now whether it changed",
        ),
        key("too many keys have to be looked up now"),
        unavailable(inbox::Error::NoSpace),
        unavailable(inbox::Error::QueueFull),
        unavailable(inbox::Error::TooManyUnsettled),
        Trouble::Body(body::Error::NoRoom),
        Trouble::TooManyRequests,
        Trouble::Late,
        unavailable(inbox::Error::Closed),
        Trouble::Draining,
    ]
}

#[test]
fn every_code_is_listed_with_who_sends_it() {
    let expected: Vec<String> =
        CODES.iter().map(|code| format!("{} | {}", code.code, code.name)).collect();
    check("The codes", 2, &expected);
    let of_rules = CATALOGUE.iter().map(|rule| rule.code.code);
    let sent: BTreeSet<_> = of_rules.chain(["20001", "20006", "23001"]).collect();
    for row in rows("The codes") {
        assert_eq!(row[2].starts_with("this receiver"), sent.contains(row[0]), "{row:?}");
    }
}

#[test]
fn every_cause_of_a_signature_is_listed_with_what_to_change() {
    let row = |cause: &Cause| {
        let name = cause.as_str();
        let breakage = name.strip_prefix("signature.").expect("their names begin so");
        let command = format!("`beckn-receiver trigger on_status --break {breakage}`");
        format!("`{name}` | {} | {} | {command}", cause.what(), cause.mend())
    };
    check("Signatures", 4, &Cause::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_cause_of_a_request_is_listed_with_its_status() {
    let mut expected = Vec::new();
    for trouble in troubles() {
        let (status, nack) = answer(&trouble, StatusCode::OK);
        let Some(cause) = trouble.of_request() else { continue };
        assert_eq!((nack.error_type, nack.code.as_str()), (ErrorType::Core, "20006"), "{cause}");
        expected.push(format!("`{cause}` | {}", status.as_u16()));
    }
    check("The request", 2, &expected);
}

#[test]
fn everything_that_the_receiver_could_not_do_is_listed_as_it_is_answered() {
    let mut expected = Vec::new();
    for trouble in troubles().iter().filter(|trouble| trouble.of_request().is_none()) {
        let (status, nack) = answer(trouble, StatusCode::OK);
        assert_eq!((nack.error_type, nack.code.as_str()), (ErrorType::Core, "23001"));
        let row = format!("{} | {}", status.as_u16(), nack.message);
        if !expected.contains(&row) {
            expected.push(row);
        }
    }
    // The answer to a panic, which the test beside it has to the letter.
    expected.push("500 | internal error, please retry".to_owned());
    check("What the receiver could not do", 2, &expected);
}

/// The first five cells of a rule's row.
fn row(rule: &Rule) -> String {
    let enforced = Profile::ALL.map(|profile| rule.level(profile) == Level::Enforce);
    let by = match enforced {
        [true, true, true] => "every profile",
        [false, false, true] => "strict",
        [false, false, false] => "none",
        other => panic!("{}: {other:?} has no name in the document", rule.name),
    };
    let (name, what) = (rule.name, rule.what);
    format!("`{name}` | {} | {} | {what} | {by}", rule.code.code, rule.error_type.as_str())
}

#[test]
fn every_rule_is_listed_once_with_a_command() {
    let tables = ["Rules", "Rules that need other settings"];
    let mut found: Vec<String> = tables.iter().flat_map(|table| starts(table, 5)).collect();
    let mut expected: Vec<String> = CATALOGUE.iter().map(row).collect();
    let of_text = "20006 | JSON-SCHEMA-ERROR | UTF-8, JSON, one object | every profile";
    expected.push(format!("`{}` | {of_text}", rules::MALFORMED));
    expected.sort();
    found.sort();
    assert!(found == expected, "the rules should have these rows:\n{}", expected.join("\n"));
    for row in tables.iter().flat_map(|table| rows(table)) {
        assert!(row[5].starts_with("`beckn-receiver "), "{row:?}");
    }
}
