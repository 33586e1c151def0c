//! JSON written again from its tokens: what is not asked for stays as it is, the order and
//! duplicate keys too.
//!
//! It takes JSON that was checked to be JSON. What contradicts that ends the rewriting; nothing
//! here panics, whatever the text.

use super::numbers;

/// How deep lists and objects may nest; real callbacks nest about 15 deep.
const DEEPEST: usize = 64;

/// How often the body's length a text may have that is made from it.
pub(super) const GROWTH: usize = 4;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    /// As it came, byte for byte.
    Kept,
    /// Only what must be is escaped, as JavaScript and Python (without ASCII) do.
    Plain,
    /// All else than printable ASCII is escaped, as Python does.
    Ascii,
    /// All else than ASCII is escaped, and `/` is written `\/`, as PHP does.
    AsciiAndSlashes,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// As it came.
    Kept,
    /// As `JSON.stringify` writes it: everything is a double.
    JavaScript,
    /// As Python writes it: integers are kept, the rest are doubles.
    Python,
}

/// What stands between tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Nothing.
    Minified,
    /// A space after each comma and colon.
    Spaced,
    /// A line for each member, indented by this.
    Indented(&'static str),
}

/// How JSON is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) strings: Strings,
    pub(super) numbers: Numbers,
    pub(super) layout: Layout,
}

/// Returns `json` written in another style; `None` when that takes more than `most` bytes, or it
/// nests deeper than 64.
pub(super) fn rewritten(json: &str, style: Style, most: usize) -> Option<String> {
    let out = String::with_capacity(json.len().min(most));
    let mut rewriter = Rewriter { rest: json, out, style, most, depth: 0 };
    rewriter.value()?;
    rewriter.skip_space();
    rewriter.rest.is_empty().then_some(rewriter.out)
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    style: Style,
    most: usize,
    depth: usize,
}

impl<'a> Rewriter<'a> {
    fn put(&mut self, text: &str) -> Option<()> {
        if self.out.len() + text.len() > self.most {
            return None;
        }
        self.out.push_str(text);
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes this character, if it comes next.
    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<()> {
        self.skip_space();
        match self.rest.as_bytes().first()? {
            b'{' => self.members('{', '}'),
            b'[' => self.members('[', ']'),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let word =
                    ["true", "false", "null"].into_iter().find(|w| self.rest.starts_with(w))?;
                self.rest = &self.rest[word.len()..];
                self.put(word)
            }
        }
    }

    /// Writes an object or a list; an empty one has nothing inside in any layout.
    fn members(&mut self, open: char, close: char) -> Option<()> {
        let mut bracket = [0; 4];
        self.take(open);
        self.put(open.encode_utf8(&mut bracket))?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.skip_space();
        let is_empty = self.take(close);
        if !is_empty {
            loop {
                self.new_line()?;
                if open == '{' {
                    self.name()?;
                }
                self.value()?;
                self.skip_space();
                if self.take(close) {
                    break;
                }
                if !self.take(',') {
                    return None;
                }
                self.put(if self.style.layout == Layout::Spaced { ", " } else { "," })?;
            }
        }
        self.depth -= 1;
        if !is_empty {
            self.new_line()?;
        }
        self.put(close.encode_utf8(&mut bracket))
    }

    /// Writes a member's name and its colon.
    fn name(&mut self) -> Option<()> {
        self.skip_space();
        self.string()?;
        self.skip_space();
        if !self.take(':') {
            return None;
        }
        self.put(if self.style.layout == Layout::Minified { ":" } else { ": " })
    }

    fn new_line(&mut self) -> Option<()> {
        let Layout::Indented(unit) = self.style.layout else { return Some(()) };
        self.put("\n")?;
        for _ in 0..self.depth {
            self.put(unit)?;
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        match self.style.numbers {
            Numbers::Kept => self.put(number),
            Numbers::JavaScript => self.put(&numbers::javascript(number)?),
            Numbers::Python => self.put(&numbers::python(number)?),
        }
    }

    fn string(&mut self) -> Option<()> {
        let content = self.rest.strip_prefix('"')?;
        let mut end = 0;
        loop {
            end += content.get(end..)?.find(['"', '\\'])?;
            if content.as_bytes()[end] == b'"' {
                break;
            }
            // The escaped character is ASCII in JSON; where it is not, `get` ends this.
            end += 2;
        }
        let (content, rest) = content.split_at(end);
        self.rest = &rest[1..];
        self.put("\"")?;
        if self.style.strings == Strings::Kept {
            self.put(content)?;
        } else {
            self.characters(content)?;
        }
        self.put("\"")
    }

    /// Writes a text's characters, escaped as the style says.
    fn characters(&mut self, content: &'a str) -> Option<()> {
        let strings = self.style.strings;
        let mut rest = content;
        while !rest.is_empty() {
            let plain = rest.find(|c| c == '\\' || is_escaped(c, strings)).unwrap_or(rest.len());
            self.put(&rest[..plain])?;
            rest = &rest[plain..];
            let Some(first) = rest.chars().next() else { break };
            let (character, after) = match rest.strip_prefix('\\') {
                Some(escape) => unescaped(escape)?,
                None => (Ok(first), &rest[first.len_utf8()..]),
            };
            match character {
                Ok(character) if is_escaped(character, strings) => self.escape(character)?,
                Ok(character) => self.put(character.encode_utf8(&mut [0; 4]))?,
                Err(unit) => self.put(&format!("\\u{unit:04x}"))?,
            }
            rest = after;
        }
        Some(())
    }

    fn escape(&mut self, character: char) -> Option<()> {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '/' => "\\/",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.put(&format!("\\u{unit:04x}"))?;
                }
                return Some(());
            }
        };
        self.put(short)
    }
}

fn is_escaped(character: char, strings: Strings) -> bool {
    matches!(character, '"' | '\\' | '\0'..='\x1f')
        || match strings {
            Strings::Kept | Strings::Plain => false,
            Strings::Ascii => character > '~',
            Strings::AsciiAndSlashes => character == '/' || !character.is_ascii(),
        }
}

/// Reads what follows a backslash: a character, or half of a pair that has no other half.
fn unescaped(escape: &str) -> Option<(Result<char, u16>, &str)> {
    let mut characters = escape.chars();
    let character = match characters.next()? {
        'u' => return unescaped_unit(characters.as_str()),
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        itself => itself,
    };
    Some((Ok(character), characters.as_str()))
}

fn unescaped_unit(digits: &str) -> Option<(Result<char, u16>, &str)> {
    let unit = |digits: &str| u16::from_str_radix(digits.get(..4)?, 16).ok();
    let first = unit(digits)?;
    let rest = &digits[4..];
    let second = rest.strip_prefix("\\u").and_then(unit);
    match char::decode_utf16([first]).next()? {
        Ok(character) => Some((Ok(character), rest)),
        Err(_half) => match char::decode_utf16([first, second.unwrap_or_default()]).next()? {
            Ok(character) => Some((Ok(character), &rest[6..])),
            Err(half) => Some((Err(half.unpaired_surrogate()), rest)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{GROWTH, Layout, Numbers, Strings, Style, rewritten};

    const MINIFIED: Style =
        Style { strings: Strings::Kept, numbers: Numbers::Kept, layout: Layout::Minified };

    #[track_caller]
    fn check(json: &str, style: Style, expected: &str) {
        assert_eq!(rewritten(json, style, 4_096).as_deref(), Some(expected), "{json} {style:?}");
    }

    #[test]
    fn order_duplicates_texts_and_numbers_stay_where_only_spaces_go() {
        let json = " { \"b\" : [ 1.0 , -0 , 1e5 ] ,\r\n\t\"a\" : \"\\u0915 \\/ , : \\\" \" , \"a\" : null, \"c\":{ } } ";
        let expected = r#"{"b":[1.0,-0,1e5],"a":"\u0915 \/ , : \" ","a":null,"c":{}}"#;
        check(json, MINIFIED, expected);
    }

    #[test]
    fn layouts_are_those_of_the_serialisers() {
        let json = r#"{"a":[1,{"b":true}],"c":[],"d":{},"e":"x"}"#;
        let layout = |layout| Style { layout, ..MINIFIED };
        let spaced = r#"{"a": [1, {"b": true}], "c": [], "d": {}, "e": "x"}"#;
        check(json, layout(Layout::Spaced), spaced);
        // As JSON.stringify(x, null, 2) and json.dumps(x, indent=2) both write it.
        let indented = "{\n  \"a\": [\n    1,\n    {\n      \"b\": true\n    }\n  ],\n  \"c\": [],\n  \"d\": {},\n  \"e\": \"x\"\n}";
        check(json, layout(Layout::Indented("  ")), indented);
        check(&indented.replace('\n', "\r\n"), MINIFIED, json);
    }

    #[test]
    fn texts_are_escaped_as_each_serialiser_does() {
        let json = "\"\\u0915क\\/ / \\u0041 \\u001F \\b\\f\\n\\r\\t \\\"\\\\ \\ud83d\\ude00 😀 \\uD83D! \\ude00 \u{7f}\"";
        let strings = |strings| Style { strings, ..MINIFIED };
        let check = |style, expected: &str| check(json, strings(style), expected);
        check(
            Strings::Plain,
            "\"कक/ / A \\u001f \\b\\f\\n\\r\\t \\\"\\\\ 😀 😀 \\ud83d! \\ude00 \u{7f}\"",
        );
        check(
            Strings::Ascii,
            r#""\u0915\u0915/ / A \u001f \b\f\n\r\t \"\\ \ud83d\ude00 \ud83d\ude00 \ud83d! \ude00 \u007f""#,
        );
        check(
            Strings::AsciiAndSlashes,
            "\"\\u0915\\u0915\\/ \\/ A \\u001f \\b\\f\\n\\r\\t \\\"\\\\ \\ud83d\\ude00 \\ud83d\\ude00 \\ud83d! \\ude00 \u{7f}\"",
        );
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(rewritten(&nested(64), MINIFIED, 1_000).is_some());
        assert_eq!(rewritten(&nested(65), MINIFIED, 1_000), None);
        let wide = Style { layout: Layout::Indented("    "), ..MINIFIED };
        assert_eq!(rewritten(&nested(64), wide, nested(64).len() * GROWTH), None);
        let text = format!("\"{}\"", "क".repeat(10));
        let ascii = Style { strings: Strings::Ascii, ..MINIFIED };
        assert_eq!(rewritten(&text, ascii, 62).unwrap().len(), 62);
        assert_eq!(rewritten(&text, ascii, 61), None);
    }

    #[test]
    fn what_is_no_json_is_not_written() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "\"",
            "\"\\",
            "\"\\u12\"",
            "\"\\u12क\"",
            "nul",
            "1 2",
            "[1 2]",
            "\"\\क",
            "{}}",
            "--",
            "[,]",
            "\u{feff}{}",
        ] {
            let style = Style { strings: Strings::Plain, numbers: Numbers::Python, ..MINIFIED };
            assert_eq!(rewritten(text, style, 1_000), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(json in r#"[\[\]{}:,"\\u0-9a-fE+.क \-]{0,60}"#) {
            for strings in [Strings::Kept, Strings::Plain, Strings::Ascii, Strings::AsciiAndSlashes] {
                for numbers in [Numbers::Kept, Numbers::JavaScript, Numbers::Python] {
                    for layout in [Layout::Minified, Layout::Spaced, Layout::Indented("\t")] {
                        let _ = rewritten(&json, Style { strings, numbers, layout }, 240);
                    }
                }
            }
        }
    }
}
