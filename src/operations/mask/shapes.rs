//! What a value looks like that may be shown at its place.

/// What belongs to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An id that a machine gave.
    Id,
    /// A word of a vocabulary, as a state or a type.
    Code,
    /// A moment.
    Time,
    /// An ISO 8601 duration.
    Duration,
    /// An amount or a count.
    Number,
    /// A web address of a participant, without a user, a query or a fragment.
    Address,
}

impl Shape {
    /// Returns whether a value has this shape.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Shape::Id => is_word(text, 128) && !text.contains('@'),
            Shape::Code => is_word(text, 64) && is_of_vocabulary(text),
            Shape::Time => is_time(text),
            Shape::Duration => is_duration(text),
            Shape::Number => is_number(text),
            Shape::Address => is_address(text),
        }
    }
}

/// Returns whether a key looks like one: a seller may use what it likes for a key, too.
pub(super) fn is_key(key: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:/.".contains(&byte);
    let name = key.strip_prefix('@').unwrap_or(key);
    (1..=64).contains(&name.len())
        && name.bytes().all(is_plain)
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && digits(name) < 7
}

fn is_word(text: &str, most: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:/.|*#~".contains(&byte);
    !text.is_empty() && text.len() <= most && text.bytes().all(is_plain)
}

/// A code of digits alone has few of them; one with as many as a phone's is none.
fn is_of_vocabulary(text: &str) -> bool {
    digits(text) < 7
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let starts_with_a_date = bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    starts_with_a_date
        && bytes.len() <= 40
        && bytes[10..].iter().all(|byte| byte.is_ascii_digit() || b"T:Z.+- ".contains(byte))
}

fn is_duration(text: &str) -> bool {
    let rest = text.strip_prefix('P').unwrap_or("");
    (1..=24).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_digit() || b"YMWDTHS.".contains(&byte))
}

fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    (1..=24).contains(&rest.len())
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| is_word(rest, 256) && !rest.contains('#'))
}
