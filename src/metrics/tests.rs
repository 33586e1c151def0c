//! The names, the bounds and the text format.

use std::collections::HashSet;
use std::time::Duration;

use super::families::FAMILIES;
use super::{Answer, FromSeller, Labels, Metrics, Now};
use crate::beckn::action::Action;
use crate::beckn::oddity::OddityKind;

fn metrics(sellers: usize) -> Metrics {
    Metrics::new(&Labels { sellers, ..Labels::default() })
}

fn count(metrics: &Metrics, seller: &str, verified: bool) {
    metrics.count_seller(FromSeller { seller, verified, answer: Answer::Ack }, Some(7));
}

/// Returns the sellers that have counts of their own, sorted.
fn sellers(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text(Now::default());
    let lines = text.lines().filter(|line| line.starts_with("beckn_receiver_seller_callbacks"));
    let mut found: Vec<String> = lines
        .map(|line| line.split("seller=\"").nth(1).unwrap().split("\"}").next().unwrap().to_owned())
        .collect();
    found.sort();
    found
}

#[test]
fn the_document_has_every_family_as_it_is_here() {
    let document = include_str!("../../docs/monitoring.md");
    let rows: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let labels: Vec<String> =
                family.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, labels) = (family.name, labels.join(", "));
            let (kind, unit, help) = (family.kind.as_str(), family.unit, family.help);
            format!("| `{name}` | {kind} | {unit} | {labels} | {help} |")
        })
        .collect();
    let missing: Vec<&String> =
        rows.iter().filter(|row| !document.lines().any(|line| line == row.as_str())).collect();
    assert!(missing.is_empty(), "docs/monitoring.md, the whole table:\n{}", rows.join("\n"));
    let listed = document.lines().filter(|line| line.starts_with("| `beckn_receiver_")).count();
    assert_eq!(listed, FAMILIES.len(), "it lists what there is not");
}

#[test]
fn no_two_families_share_a_name_and_units_are_in_the_names() {
    let names: HashSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    for family in FAMILIES {
        let ends = |unit: &str| family.name.ends_with(unit);
        assert_eq!(family.kind.as_str() == "counter", ends("_total"), "{}", family.name);
        assert_eq!(family.unit.starts_with("seconds"), ends("_seconds"), "{}", family.name);
        assert_eq!(family.unit == "bytes", ends("_bytes"), "{}", family.name);
    }
}

#[test]
fn invented_names_do_not_take_the_room_of_verified_sellers() {
    let metrics = metrics(4);
    for number in 0..1_000 {
        count(&metrics, &format!("unverified:{number}"), false);
    }
    for number in 0..1_000 {
        count(&metrics, &format!("seller-{number}"), true);
    }
    count(&metrics, "seller-1", true);
    let expected = ["other\",answer", "seller-0", "seller-1", "unverified:0", "unverified:1"];
    let found = sellers(&metrics);
    let has = |name: &str| found.iter().any(|seller| seller.contains(name));
    assert!(expected[1..].iter().all(|name| has(name)) && has("other"), "{found:?}");
    assert_eq!(found.len(), 5);
    let text = metrics.text(Now::default());
    let last = text.lines().filter(|line| line.starts_with("beckn_receiver_seller_last"));
    assert_eq!(last.count(), 4);
}

#[test]
fn without_room_everyone_is_other() {
    let metrics = metrics(0);
    count(&metrics, "seller.example", true);
    assert_eq!(sellers(&metrics).len(), 1);
    assert!(metrics.text(Now::default()).contains("answer=\"ack\",seller=\"other\"} 1"));
}

#[test]
fn each_closed_set_is_counted_under_its_own_word() {
    let metrics = metrics(0);
    for (count, kind) in (1..).zip(OddityKind::ALL) {
        metrics.odd(kind, count);
    }
    for action in Action::ALL {
        metrics.answered(Some(action), Answer::Nack);
    }
    metrics.answered(None, Answer::Error);
    let text = metrics.text(Now::default());
    let has = |line: &str| assert!(text.contains(line), "{line}");
    for (count, kind) in (1..).zip(OddityKind::ALL) {
        has(&format!("oddities_total{{kind=\"{}\"}} {count}", kind.as_str()));
    }
    for action in Action::ALL {
        has(&format!("callbacks_total{{action=\"{action}\",answer=\"nack\"}} 1"));
    }
    has("callbacks_total{action=\"other\",answer=\"error\"} 1");
}

#[test]
fn a_hostile_name_breaks_no_line() {
    let metrics = metrics(10);
    let long = "x".repeat(10_000);
    for name in ["a\"} 1\nevil 2", "back\\slash", "\u{202e}\r\0", &long, "", "é"] {
        count(&metrics, name, true);
    }
    metrics.refused("a \"rule\"\nof a buyer's");
    let text = metrics.text(Now { ready: true, oldest: Duration::from_secs(3), ..Now::default() });
    for line in text.lines() {
        let is_sample = line.starts_with("# ") || line.starts_with("beckn_receiver_");
        assert!(is_sample && !line.contains('\r') && line.len() < 1_000, "{line}");
    }
    assert!(text.contains("beckn_receiver_refusals_total{cause=\"buyer\"} 1"), "{text}");
    assert!(text.contains("beckn_receiver_oldest_unsettled_seconds 3"), "{text}");
}
