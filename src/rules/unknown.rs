//! Names in the settings that no rule has.

use super::catalogue::CATALOGUE;
use crate::words::Outside;

/// The settings name rules that do not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct UnknownRules {
    rules: Vec<UnknownRule>,
}

/// A name that no rule has, and the rule whose name is nearest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UnknownRule {
    name: String,
    nearest: &'static str,
}

impl UnknownRules {
    fn text(&self) -> String {
        let one = |rule: &UnknownRule| {
            format!("unknown rule `{}`, nearest is `{}`", Outside(&rule.name), rule.nearest)
        };
        self.rules.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// Refuses names that no rule has.
pub(super) fn check<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), UnknownRules> {
    let is_unknown = |name: &&String| super::find(name).is_none();
    let describe = |name: &String| UnknownRule { name: name.clone(), nearest: nearest(name) };
    let rules: Vec<UnknownRule> = names.filter(is_unknown).map(describe).collect();
    if rules.is_empty() { Ok(()) } else { Err(UnknownRules { rules }) }
}

/// Returns the rule whose name takes the fewest changes.
fn nearest(name: &str) -> &'static str {
    let names = CATALOGUE.iter().map(|rule| rule.name);
    names.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

/// Returns how many characters must be put in, taken out or replaced to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (line, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::{check, distance};

    #[test]
    fn an_unknown_rule_is_named_with_the_nearest() {
        let names = ["order.id", "context.timestmap", "orders.id"].map(str::to_owned);
        let error = check(names.iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown rule `context.timestmap`, nearest is `context.timestamp`; \
             unknown rule `orders.id`, nearest is `order.id`"
        );
    }

    #[test]
    fn the_distance_counts_changes() {
        assert_eq!(distance("ttl", "ttl"), 0);
        assert_eq!(distance("tl", "ttl"), 1);
        assert_eq!(distance("", "ttl"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
