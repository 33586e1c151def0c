//! The same JSON as other serialisers write it: what a sender signs that serialises twice.

mod numbers;
mod rewrite;

use super::OtherBody;
use crate::words::Cause;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rewrite::{Layout, Numbers, Strings, Style, rewritten};
use serde::de::IgnoredAny;

/// Whose texts and numbers a value is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// As they came.
    Kept,
    JavaScript,
    Python,
}

/// A way of writing the JSON that came.
#[derive(Debug, Clone, Copy)]
struct Recipe {
    values: Values,
    strings: Strings,
    layout: Layout,
}

const fn recipe(values: Values, strings: Strings, layout: Layout) -> Recipe {
    Recipe { values, strings, layout }
}

const TWO: Layout = Layout::Indented("  ");
const FOUR: Layout = Layout::Indented("    ");
const TAB: Layout = Layout::Indented("\t");

/// The ways, the most common first. Each is tried with a line feed at its end too.
const RECIPES: [Recipe; 20] = [
    recipe(Values::Kept, Strings::Kept, Layout::Minified),
    recipe(Values::JavaScript, Strings::Kept, Layout::Minified),
    recipe(Values::Python, Strings::Ascii, Layout::Minified),
    recipe(Values::Python, Strings::Kept, Layout::Minified),
    recipe(Values::JavaScript, Strings::AsciiAndSlashes, Layout::Minified),
    recipe(Values::Kept, Strings::Kept, Layout::Spaced),
    recipe(Values::Python, Strings::Kept, Layout::Spaced),
    recipe(Values::Python, Strings::Ascii, Layout::Spaced),
    recipe(Values::Kept, Strings::Kept, TWO),
    recipe(Values::Kept, Strings::Kept, FOUR),
    recipe(Values::Kept, Strings::Kept, TAB),
    recipe(Values::JavaScript, Strings::Kept, TWO),
    recipe(Values::JavaScript, Strings::Kept, FOUR),
    recipe(Values::JavaScript, Strings::Kept, TAB),
    recipe(Values::Python, Strings::Kept, TWO),
    recipe(Values::Python, Strings::Kept, FOUR),
    recipe(Values::Python, Strings::Kept, TAB),
    recipe(Values::Python, Strings::Ascii, TWO),
    recipe(Values::Python, Strings::Ascii, FOUR),
    recipe(Values::Python, Strings::Ascii, TAB),
];

impl Recipe {
    fn cause(self) -> Cause {
        match (self.strings, self.layout, self.values) {
            (Strings::Ascii, ..) => Cause::BodyAsciiEscaped,
            (Strings::AsciiAndSlashes, ..) => Cause::BodyReserialised,
            (_, Layout::Spaced | Layout::Indented(_), _) => Cause::BodyPrettyPrinted,
            (_, Layout::Minified, Values::Kept) => Cause::BodyMinified,
            (_, Layout::Minified, _) => Cause::BodyReserialised,
        }
    }

    /// Says what it makes of a body, to go after "it does match".
    fn what(self, end: &str) -> String {
        let layout = match self.layout {
            Layout::Minified => "without spaces and line ends",
            Layout::Spaced => "with a space after each comma and colon (Python's `json.dumps`)",
            Layout::Indented("\t") => "indented by tabs",
            Layout::Indented("  ") => "indented by 2 spaces",
            Layout::Indented(_) => "indented by 4 spaces",
        };
        let strings = match (self.strings, self.values) {
            (Strings::Ascii, _) => {
                ", all else than ASCII escaped (Python without `ensure_ascii=False`)"
            }
            (Strings::AsciiAndSlashes, _) => {
                ", slashes and all else than ASCII escaped (PHP's `json_encode`)"
            }
            (_, Values::JavaScript) => ", texts and numbers as `JSON.stringify` writes them",
            (_, Values::Python) => ", texts and numbers as Python writes them",
            (_, Values::Kept) => "",
        };
        let end = if end.is_empty() { "" } else { ", with a line feed at its end" };
        format!(
            "the same JSON {layout}{strings}{end}: the sender signed another text than it sent, as serialising twice does (`JSON.stringify`, `json.dumps`)"
        )
    }
}

/// The JSON without spaces, once for each way of writing values; what has them anew is made once.
struct Texts {
    kept: String,
    /// `None` where it is the same as an earlier one, or cannot be made.
    javascript: Option<String>,
    python: Option<String>,
}

impl Texts {
    /// Reads a body; `None` where it is no JSON, or nests too deeply.
    fn read(body: &[u8]) -> Option<Self> {
        let text = str::from_utf8(body).ok()?;
        // What is no JSON was serialised by nobody. Not an error: the intake says what is wrong.
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        let most = body.len().saturating_mul(rewrite::GROWTH);
        let style = |strings, numbers| Style { strings, numbers, layout: Layout::Minified };
        let plain = |numbers| rewritten(text, style(Strings::Plain, numbers), most);
        Some(Self {
            kept: rewritten(text, style(Strings::Kept, Numbers::Kept), most)?,
            javascript: plain(Numbers::JavaScript),
            python: plain(Numbers::Python),
        })
    }

    /// Returns the text that a recipe starts from; `None` where an earlier recipe says the same.
    fn of(&self, Recipe { values, strings, .. }: Recipe) -> Option<&str> {
        let earlier: &[&str] = match values {
            Values::Kept => return Some(&self.kept),
            Values::JavaScript => &[&self.kept],
            Values::Python => &[&self.kept, self.javascript.as_deref().unwrap_or_default()],
        };
        let text = match values {
            Values::Python => self.python.as_deref()?,
            Values::Kept | Values::JavaScript => self.javascript.as_deref()?,
        };
        let is_told = strings == Strings::Kept && earlier.contains(&text);
        (!is_told).then_some(text)
    }
}

/// Returns the body's JSON as other serialisers write it; nothing where it is no JSON.
pub(super) fn bodies(body: &[u8]) -> impl Iterator<Item = OtherBody> {
    let most = body.len().saturating_mul(rewrite::GROWTH);
    // Read when the first is asked for: most that fail have failed before by their line ends.
    std::iter::once_with(|| Texts::read(body)).flatten().flat_map(move |texts| {
        RECIPES.into_iter().flat_map(move |recipe| {
            let style =
                Style { strings: recipe.strings, numbers: Numbers::Kept, layout: recipe.layout };
            let other = texts.of(recipe).and_then(|text| rewritten(text, style, most));
            other.map(|text| with_ends(recipe, &text)).into_iter().flatten()
        })
    })
}

/// A text as it is, and with a line feed at its end: what follows is hashed, not the whole again.
fn with_ends(recipe: Recipe, text: &str) -> [OtherBody; 2] {
    let mut state = blake2b_simd::State::new();
    ["", "\n"].map(|end| {
        state.update(if end.is_empty() { text.as_bytes() } else { end.as_bytes() });
        OtherBody {
            cause: recipe.cause(),
            what: recipe.what(end).into(),
            digest: STANDARD.encode(state.finalize().as_bytes()),
        }
    })
}
