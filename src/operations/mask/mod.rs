//! Shows what a body says without what tells of a person.
//!
//! # Constraints
//! - What is shown is listed, what is masked is not: networks add fields each month, and a seller
//!   writes what it likes where it likes. A value stays only when its place is known to be harmless
//!   ([`places`]) and it looks like what belongs there ([`shapes`]).
//! - The structure stays: keys that look like keys, lists, `null`, `true` and `false`. A mask says
//!   nothing of what it hides, not its length either.
//! - What was bought, and all free text, is masked: a person may be named in it, and a medicine
//!   tells of one.
//! - One pass over the bytes; nothing is built of it but the text that is shown.

mod places;
mod shapes;

use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use self::places::Place;
use crate::beckn::repair::repair;
use crate::rules;
use crate::words::Cause;

/// What stands in place of what is hidden.
pub(crate) const MASK: &str = "•••";

/// How many hidden texts are looked for in a handler's error.
const HIDDEN_TEXTS: usize = 4_096;

/// How much is written at most: a mask may be longer than what it hides.
const OUT_LIMIT: usize = 64 << 20;

/// Returns a word of a vocabulary, as a state or a type, where the seller wrote one; what is none is
/// masked. Some write their states with blanks.
pub(crate) fn code(text: &str) -> String {
    let is_code = shapes::Shape::Code.fits(&text.replace(' ', "-"));
    if is_code { text.to_owned() } else { MASK.to_owned() }
}

/// Returns the JSON of a body with what tells of a person masked; `None` when it cannot be read.
pub(crate) fn body(bytes: &[u8]) -> Option<String> {
    masked(bytes).map(|masked| masked.out)
}

/// Returns a handler's error without the texts of the body that are masked there: a handler of
/// the buyer's own may quote them.
pub(crate) fn error(text: &str, body: &[u8]) -> String {
    let Some(Masked { hidden, .. }) = masked(body) else { return MASK.to_owned() };
    let mut text = text.to_owned();
    for hidden in hidden {
        if text.contains(&hidden) {
            text = text.replace(&hidden, MASK);
        }
    }
    text
}

/// Returns the message of a rule or a cause without a value that it quotes from a place that is
/// masked. What a rule of the buyer's own says is not known: it is masked as a whole.
pub(crate) fn message(rule: &str, path: &str, text: &str) -> String {
    let is_ours = rule == rules::MALFORMED
        || rules::find(rule).is_some()
        || Cause::ALL.iter().any(|cause| cause.as_str() == rule)
        || rule.starts_with("http.");
    if !is_ours {
        return MASK.to_owned();
    }
    let Some(start) = text.find(FOUND).map(|at| at + FOUND.len()) else { return text.to_owned() };
    let end = text.rfind('`').filter(|end| *end >= start).unwrap_or(text.len());
    let found = text[start..end].trim_end_matches('…');
    let mut place = Place::default();
    for key in path.split('/').skip(1).filter(|key| !is_index(key)) {
        place.enter(&key.replace("~1", "/").replace("~0", "~"));
    }
    if place.shows(found) {
        return text.to_owned();
    }
    format!("{}{MASK}{}", &text[..start], &text[end..])
}

/// What a message of a rule says before the value that it quotes.
const FOUND: &str = "found `";

/// Returns a JSON Pointer with the keys masked that do not look like keys.
pub(crate) fn path(path: &str) -> String {
    let shown = |key| if is_index(key) || shapes::is_key(key) { key } else { MASK };
    path.split('/')
        .map(|key| if key.is_empty() { key } else { shown(key) })
        .collect::<Vec<_>>()
        .join("/")
}

fn is_index(key: &str) -> bool {
    // A list has no more elements than a body has bytes.
    !key.is_empty() && key.len() <= 7 && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a pass over a body has made.
#[derive(Debug, Default)]
struct Masked {
    out: String,
    /// The texts that were hidden, and the words of names.
    hidden: Vec<String>,
    place: Place,
}

fn masked(bytes: &[u8]) -> Option<Masked> {
    let text = str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}');
    let pass = |text: &str| {
        let mut masked = Masked::default();
        let mut json = serde_json::Deserializer::from_str(text);
        Seed(&mut masked).deserialize(&mut json).and_then(|()| json.end()).ok().map(|()| masked)
    };
    pass(text).or_else(|| pass(&repair(text)?.text)).map(|mut masked| {
        // The long ones first: a short one may be a part of them.
        masked.hidden.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        masked
    })
}

impl Masked {
    fn text(&mut self, text: &str) {
        if text.is_empty() || self.place.shows(text) {
            self.quoted(text);
            return;
        }
        self.hide(text);
        self.quoted(MASK);
    }

    fn number(&mut self, written: &str) {
        if self.place.shows(written) {
            self.out.push_str(written);
            return;
        }
        self.hide(written);
        self.quoted(MASK);
    }

    fn hide(&mut self, text: &str) {
        let mut note = |text: &str, least: usize| {
            if self.hidden.len() < HIDDEN_TEXTS && text.chars().count() >= least {
                self.hidden.push(text.to_owned());
            }
        };
        // Shorter ones are part of many a word that is none of a person.
        note(text.trim(), 4);
        if self.place.is_name() {
            text.split_whitespace().for_each(|word| note(word, 3));
        }
    }

    fn quoted(&mut self, text: &str) {
        write!(self.out, "{}", serde_json::Value::from(text))
            .expect("a text takes what is written");
    }
}

/// Writes the next value.
struct Seed<'a>(&'a mut Masked);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.out.len() > OUT_LIMIT {
            return Err(D::Error::custom("it is longer than what is shown"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.out.push_str("null");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.number(&value.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.number(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.number(&value.to_string());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Seed(masked) = self;
        masked.out.push('[');
        let mut start = masked.out.len();
        // The comma goes in behind an element, and the last is taken out again.
        while list.next_element_seed(Seed(masked))?.is_some() {
            masked.out.push(',');
            start = masked.out.len() - 1;
        }
        close(masked, start, ']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Seed(masked) = self;
        masked.out.push('{');
        let mut start = masked.out.len();
        while let Some(key) = object.next_key::<String>()? {
            masked.quoted(if shapes::is_key(key.trim()) { &key } else { MASK });
            masked.out.push(':');
            masked.place.enter(&key);
            object.next_value_seed(Seed(masked))?;
            masked.place.leave();
            masked.out.push(',');
            start = masked.out.len() - 1;
        }
        close(masked, start, '}');
        Ok(())
    }
}

fn close(masked: &mut Masked, comma: usize, end: char) {
    masked.out.truncate(comma);
    masked.out.push(end);
}

#[cfg(test)]
mod tests;
