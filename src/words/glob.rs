//! Patterns that routes compare ids with.

use std::fmt;

use wildmatch::WildMatch;

/// More than any id has; how long comparing takes grows with it.
const LONGEST: usize = 1_024;

/// A pattern: `*` is any number of characters, `?` is one; everything else is itself, to the
/// letter.
#[derive(Clone)]
pub struct Glob {
    text: String,
    pattern: WildMatch,
}

impl Glob {
    /// Says what a text must be, to go after "expected".
    pub(crate) const FORM: &str =
        "a text that is not empty, in which * is any number of characters and ? is one";

    /// Reads a pattern; `None` when it is empty, and so could match nothing that there is.
    pub fn parse(text: &str) -> Option<Self> {
        let glob = || Self { text: text.to_owned(), pattern: WildMatch::new(text) };
        (!text.is_empty()).then(glob)
    }

    /// Returns the text that it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether `value` is one of those that the pattern means; what is longer than 1,024
    /// bytes is none, since a seller could make the comparing take long.
    pub fn matches(&self, value: &str) -> bool {
        value.len() <= LONGEST && self.pattern.matches(value)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        let matches = |pattern: &str, value: &str| Glob::parse(pattern).unwrap().matches(value);
        assert!(matches("ONDC:RET*", "ONDC:RET11"));
        assert!(matches("*", ""));
        assert!(matches("*.seller.example", "a.b.seller.example"));
        assert!(matches("a/*/c", "a/b/b/c"));
        assert!(matches("on_???????", "on_status1"));
        assert!(!matches("ONDC:RET*", "ondc:RET11"));
        assert!(!matches("seller.example", "xseller.example"));
        assert!(!matches("[ab]", "a"));
        assert!(Glob::parse("").is_none());
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let pattern = Glob::parse(&"*a".repeat(40)).unwrap();
        assert!(!pattern.matches(&"a".repeat(39)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(1_000))));
        let any = Glob::parse("*").unwrap();
        assert!(any.matches(&"a".repeat(1_024)) && !any.matches(&"a".repeat(1_025)));
    }
}
