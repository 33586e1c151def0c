//! Takes note of what is violated; nothing is written while nothing is.

use std::fmt;

use super::catalogue::{CATALOGUE, COUNT, Id};
use super::format::{Form, FoundText};
use crate::beckn::scalar::Decimal;
use crate::words::{Level, Outside, Violation};

/// How many violations of one callback are kept; the enforced ones go first.
pub(super) const VIOLATIONS: usize = 64;

/// How many characters of a found value are shown.
const SHOWN_CHARACTERS: usize = 64;

/// What a callback violates, in the order of the checks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// What refuses it.
    pub(crate) enforced: Vec<Violation>,
    /// What travels with the event.
    pub(crate) warnings: Vec<Violation>,
}

/// One callback's check: the levels that hold, and what was found so far.
#[derive(Debug)]
pub(super) struct Check<'a> {
    levels: &'a [Level; COUNT],
    findings: Findings,
}

impl<'a> Check<'a> {
    pub(super) fn new(levels: &'a [Level; COUNT]) -> Check<'a> {
        Check { levels, findings: Findings::default() }
    }

    pub(super) fn is_on(&self, rule: Id) -> bool {
        self.levels[rule as usize] != Level::Off
    }

    /// Takes note that `rule` is violated at the JSON Pointer `path`.
    pub(super) fn report(
        &mut self,
        rule: Id,
        path: impl fmt::Display,
        message: fmt::Arguments<'_>,
    ) {
        let list = match self.levels[rule as usize] {
            Level::Enforce => &mut self.findings.enforced,
            Level::Warn => &mut self.findings.warnings,
            Level::Off => return,
        };
        if list.len() < VIOLATIONS {
            let name = CATALOGUE[rule as usize].name;
            list.push(Violation::new(name, path.to_string(), message.to_string()));
        }
    }

    /// Takes note of something that is not there.
    pub(super) fn report_missing(&mut self, rule: Id, path: impl fmt::Display, expected: &str) {
        self.report(rule, path, format_args!("expected {expected}, found nothing"));
    }

    /// Takes note of a text that is none of the published ones.
    pub(super) fn report_text(
        &mut self,
        rule: Id,
        path: impl fmt::Display,
        expected: &str,
        found: &str,
    ) {
        self.report(rule, path, format_args!("expected {expected}, found {}", Shown(found)));
    }

    /// Looks at the format of a text that is there.
    pub(super) fn form(
        &mut self,
        rule: Id,
        path: impl fmt::Display,
        form: &Form,
        text: Option<&str>,
    ) {
        let Some(text) = text else { return };
        if !self.is_on(rule) || (form.is)(text) {
            return;
        }
        match form.found {
            FoundText::Shown => self.report_text(rule, path, form.expected, text),
            FoundText::Hidden => {
                let expected = form.expected;
                self.report(rule, path, format_args!("expected {expected}, found another text"));
            }
        }
    }

    /// Looks at an amount that is there; it is never shown.
    pub(super) fn amount(&mut self, rule: Id, path: impl fmt::Display, amount: Option<&Decimal>) {
        if amount.is_some_and(|amount| !amount.is_number()) {
            let message = format_args!("expected a decimal number, found another text");
            self.report(rule, path, message);
        }
    }

    /// Looks at a count of items that is there.
    pub(super) fn count(&mut self, rule: Id, path: impl fmt::Display, count: Option<&Decimal>) {
        if let Some(count) = count.filter(|count| count.integer().is_none()) {
            self.report_text(rule, path, "a whole number", count.as_str());
        }
    }

    pub(super) fn into_findings(mut self) -> Findings {
        let left = VIOLATIONS.saturating_sub(self.findings.enforced.len());
        self.findings.warnings.truncate(left);
        self.findings
    }
}

/// A found value in a message: cut, escaped, between backticks.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => write!(f, "`{}…`", Outside(&self.0[..end])),
            None => write!(f, "`{}`", Outside(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_text_is_cut_and_escaped() {
        assert_eq!(Shown("on_search").to_string(), "`on_search`");
        assert_eq!(Shown("a\nb").to_string(), r"`a\u{a}b`");
        assert_eq!(Shown(&"x".repeat(65)).to_string(), format!("`{}…`", "x".repeat(64)));
    }

    #[test]
    fn violations_are_bounded_and_the_enforced_ones_go_first() {
        let mut levels = [Level::Warn; COUNT];
        levels[Id::OrderId as usize] = Level::Enforce;
        let mut check = Check::new(&levels);
        for number in 0..100 {
            check.report_missing(Id::OrderUpdatedAt, format_args!("/{number}"), "a time");
        }
        check.report_missing(Id::OrderId, "/message/order/id", "an id");
        let findings = check.into_findings();
        assert_eq!((findings.enforced.len(), findings.warnings.len()), (1, VIOLATIONS - 1));
    }

    #[test]
    fn a_rule_that_is_off_finds_nothing() {
        let levels = [Level::Off; COUNT];
        let mut check = Check::new(&levels);
        check.report_missing(Id::OrderId, "/message/order/id", "an id");
        assert_eq!(check.into_findings(), Findings::default());
    }
}
