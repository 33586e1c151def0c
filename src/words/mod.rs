//! The words that every floor shares: who sent it, how strict a rule is, what was found wrong.

mod cause;
mod glob;
mod host_name;
mod key_id;
pub(crate) mod nearest;
mod seldom;
pub(crate) mod template;
mod token_line;

pub(crate) use cause::{Cause, Untrusted};
pub use glob::Glob;
pub use host_name::HostName;
pub use key_id::{KeyId, PinnedKey};
pub(crate) use key_id::{holds_key, holds_secret};
pub(crate) use seldom::Seldom;
pub use template::Template;
pub(crate) use token_line::TokenLine;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// A registered participant.
///
/// Real networks write an id as a host (`buyer.example`), a host with a path
/// (`buyer.example/ondc`) or a URL (`https://buyer.example/`): the scheme and trailing slashes
/// are dropped.
///
/// Our own ids are compared with the host in lower case ([`SubscriberId::new`]). Those that a
/// registry vouches for keep their letters: to a registry that compares texts, `SELLER.example` may
/// be somebody else than `seller.example`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(String);

impl SubscriberId {
    /// Returns the id of `text`, its host in lower case; the path is kept as it is.
    pub fn new(text: &str) -> Self {
        let Self(rest) = Self::written(text);
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // ASCII only: `K` for Kelvin is another host than `k`.
        Self(format!("{}{path}", host.to_ascii_lowercase()))
    }

    /// Returns the id of `text`, in its own letters.
    pub(crate) fn written(text: &str) -> Self {
        Self(Self::bare(text).to_owned())
    }

    /// Returns the id in `text`, without its scheme, blanks and trailing slashes.
    pub(crate) fn bare(text: &str) -> &str {
        let text = text.trim();
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let rest = if lower.starts_with("https://") {
            &text[8..]
        } else if lower.starts_with("http://") {
            &text[7..]
        } else {
            text
        };
        rest.trim_end_matches('/')
    }

    /// Returns the normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The subscriber whose signature over the callback was verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sender(SubscriberId);

impl Sender {
    /// Takes the proof that `subscriber` signed.
    pub(crate) const fn new(subscriber: SubscriberId) -> Self {
        Self(subscriber)
    }

    /// Returns the subscriber.
    pub fn subscriber(&self) -> &SubscriberId {
        &self.0
    }
}

/// What a rule does with a callback that breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// The callback is refused with a NACK.
    Enforce,
    /// The callback is accepted; the violation travels with the event.
    Warn,
    /// The rule is not looked at.
    Off,
}

impl Level {
    /// Every level.
    pub const ALL: [Level; 3] = [Level::Enforce, Level::Warn, Level::Off];

    /// Returns the level as settings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Enforce => "enforce",
            Level::Warn => "warn",
            Level::Off => "off",
        }
    }
}

/// Which level every rule has unless `rules.levels` says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Enforces only what the inbox itself needs.
    Lenient,
    /// Enforces what is needed to process the event safely, warns about the rest.
    Standard,
    /// Enforces every rule.
    Strict,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 3] = [Profile::Lenient, Profile::Standard, Profile::Strict];

    /// Returns the profile as settings spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Profile::Lenient => "lenient",
            Profile::Standard => "standard",
            Profile::Strict => "strict",
        }
    }
}

/// A rule that a callback does not satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule's name: one of ours, or the name that a buyer's rule gave itself.
    pub rule: Cow<'static, str>,
    /// A JSON Pointer to what is wrong; empty for the whole body.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
}

impl Violation {
    /// Makes a violation of `rule` at the JSON Pointer `path`.
    pub fn new(
        rule: impl Into<Cow<'static, str>>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { rule: rule.into(), path: path.into(), message: message.into() }
    }
}

/// Text from outside, cut and escaped so that it can go to a log, a terminal or a header.
///
/// At most 128 characters are shown; control characters, and whatever else could move a cursor or
/// end a line, are escaped.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'a>(pub &'a str);

/// An error and its causes in one line, outermost first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// How many characters of an outside text are shown.
const OUTSIDE_CHARACTERS: usize = 128;

impl fmt::Display for Outside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plain(f, self.0, OUTSIDE_CHARACTERS)
    }
}

/// A message of ours that holds text from outside, escaped like [`Outside`] and hardly ever cut.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a>(pub(crate) &'a str);

/// How many characters of a message are shown: more than any of ours has.
#[cfg(feature = "cli")]
const MESSAGE_CHARACTERS: usize = 2_048;

#[cfg(feature = "cli")]
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plain(f, self.0, MESSAGE_CHARACTERS)
    }
}

fn write_plain(f: &mut fmt::Formatter<'_>, text: &str, most: usize) -> fmt::Result {
    use std::fmt::Write as _;
    for (count, character) in text.chars().enumerate() {
        if count == most {
            return f.write_char('…');
        }
        if is_plain(character) {
            f.write_char(character)?;
        } else {
            write!(f, "{}", character.escape_unicode())?;
        }
    }
    Ok(())
}

/// JSON of ours, with each character escaped that could do something to a terminal: JSON itself
/// escapes only the oldest of them.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainJson<'a>(pub(crate) &'a str);

#[cfg(feature = "cli")]
impl fmt::Display for PlainJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::fmt::Write as _;
        for character in self.0.chars() {
            if is_plain(character) {
                f.write_char(character)?;
                continue;
            }
            // They stand in strings only, where every character may be written so.
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(f, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// Controls, and the marks that reorder or hide text, could forge a line of a log.
pub(crate) fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{Outside, SubscriberId};

    #[test]
    fn spellings_of_one_subscriber_are_equal() {
        let check = |text: &str, expected: &str| {
            assert_eq!(SubscriberId::new(text).as_str(), expected, "{text}");
        };
        check("buyer.example", "buyer.example");
        check("https://Buyer.Example/", "buyer.example");
        check("HTTP://buyer.example/Ondc/", "buyer.example/Ondc");
        check(" buyer.example/Ondc ", "buyer.example/Ondc");
        check("", "");
        check("käufer.example", "käufer.example");
    }

    #[test]
    fn letters_that_look_alike_are_not_equal() {
        let kelvin = "\u{212a}irana.example";
        assert_ne!(SubscriberId::new(kelvin), SubscriberId::new("kirana.example"));
        assert_ne!(SubscriberId::written("A.example"), SubscriberId::written("a.example"));
        assert_eq!(SubscriberId::written(" HTTPS://A.example// ").as_str(), "A.example");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn json_stays_the_same_json_and_becomes_plain() {
        let text = "a\u{1b}\u{9b}\u{202e}\u{e0001}क";
        let json = serde_json::to_string(text).unwrap();
        let plain = super::PlainJson(&json).to_string();
        assert_eq!(plain, r#""a\u001b\u009b\u202e\udb40\udc01क""#);
        assert_eq!(serde_json::from_str::<String>(&plain).unwrap(), text);
    }

    #[test]
    fn outside_text_cannot_forge_a_line_nor_fill_it() {
        assert_eq!(Outside("a\nb\u{1b}[1m\u{202e}c").to_string(), r"a\u{a}b\u{1b}[1m\u{202e}c");
        assert_eq!(Outside(&"x".repeat(500)).to_string().chars().count(), 129);
    }
}
