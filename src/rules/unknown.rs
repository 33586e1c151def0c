//! Names in the settings that no rule has.

use super::catalogue::CATALOGUE;
use crate::words::Outside;
use crate::words::nearest::nearest;

/// The settings name rules that do not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rules.levels: {}", self.text())]
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
    let describe = |name: &String| UnknownRule {
        name: name.clone(),
        nearest: nearest(name, known()).unwrap_or_default(),
    };
    let rules: Vec<UnknownRule> = names.filter(is_unknown).map(describe).collect();
    if rules.is_empty() { Ok(()) } else { Err(UnknownRules { rules }) }
}

fn known() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|rule| rule.name)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn an_unknown_rule_is_named_with_the_nearest() {
        let names = ["order.id", "context.timestmap", "orders.id"].map(str::to_owned);
        let error = check(names.iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rules.levels: unknown rule `context.timestmap`, nearest is `context.timestamp`; \
             unknown rule `orders.id`, nearest is `order.id`"
        );
    }
}
