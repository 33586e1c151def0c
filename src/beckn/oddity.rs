//! What a body had that no dialect of the protocol publishes: noted, never a reason to refuse.

use serde::Serialize;

/// How many oddities of one body are kept; one more says how many there were beyond them.
pub const ODDITY_LIMIT: usize = 64;

/// A shape at one place of a body that no dialect publishes for that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Oddity {
    /// Where, as a JSON Pointer; empty for the body as a whole.
    pub path: String,
    /// What kind of deviation it is.
    pub kind: OddityKind,
    /// The shapes that are published for this key.
    pub expected: &'static str,
    /// What the body has: a JSON type, or what was repaired.
    pub found: &'static str,
    /// How many deviations this one stands for: 1, except for [`OddityKind::More`].
    pub count: usize,
}

impl Oddity {
    /// Returns the kind by its name, as metrics and the console show it.
    pub fn name(&self) -> &'static str {
        self.kind.as_str()
    }
}

/// The kinds of deviation that are noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OddityKind {
    /// A JSON type that is not published for this key.
    Type,
    /// A number that an exact reader cannot keep: beyond ±2^53. The value is absent.
    NumberTooLarge,
    /// A list whose end was not read.
    ListTooLong,
    /// A comma before the end of a list or an object.
    TrailingComma,
    /// A byte order mark before the JSON.
    Bom,
    /// Stands for all that came after [`ODDITY_LIMIT`].
    More,
}

impl OddityKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [OddityKind; 6] = [
        OddityKind::Type,
        OddityKind::NumberTooLarge,
        OddityKind::ListTooLong,
        OddityKind::TrailingComma,
        OddityKind::Bom,
        OddityKind::More,
    ];

    /// Returns the name as metrics and the console show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OddityKind::Type => "type",
            OddityKind::NumberTooLarge => "number_too_large",
            OddityKind::ListTooLong => "list_too_long",
            OddityKind::TrailingComma => "trailing_comma",
            OddityKind::Bom => "bom",
            OddityKind::More => "more",
        }
    }
}
