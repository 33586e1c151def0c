//! The text of the models' fields.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// A text of a callback. Up to 24 bytes lie in it and not beside it.
///
/// Nine of ten texts of an order are that short, and an order has a hundred: what it costs to
/// find room for each of them, and to give it back on another thread, is most of what a model of
/// `String`s costs. It is used like a `&str`; `String::from` takes it over.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(CompactString);

impl Text {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(CompactString::new(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.into_string()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Text;

    #[test]
    fn a_text_is_as_large_as_a_string_and_knows_when_it_is_absent() {
        assert_eq!(size_of::<Text>(), size_of::<String>());
        assert_eq!(size_of::<Option<Text>>(), size_of::<Option<String>>());
    }

    #[test]
    fn a_text_is_what_was_put_in() {
        for text in [
            "",
            "order-31",
            "2026-03-14T09:12:30.412Z",
            "a longer text than lies in place",
            "₹ é 🚚",
        ] {
            let kept = Text::from(text);
            assert_eq!(kept, text);
            assert_eq!(kept, Text::from(text.to_owned()));
            assert_eq!(kept.to_string(), text);
            assert_eq!(String::from(kept.clone()), text);
            assert_eq!(format!("{kept:?}"), format!("{text:?}"));
            assert_eq!(serde_json::to_string(&kept).unwrap(), serde_json::to_string(text).unwrap());
            assert!(HashSet::from([kept]).contains(text), "it hashes like a `str`");
        }
    }
}
