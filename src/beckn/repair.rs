//! The cold path: what is not quite JSON and is read all the same.
//!
//! The documents' own samples have commas before the end of a list, and a number may be legal and
//! too large to be read. Both are overwritten in a copy of the same length, so that every place
//! in the copy is the place in the original.

/// A text that was made readable.
#[derive(Debug)]
pub(crate) struct Repaired {
    /// The text, as long as the original.
    pub(crate) text: String,
    /// Line and column of the first trailing comma.
    pub(crate) comma: Option<LineColumn>,
}

/// A place in a text; both count from 1, the column in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineColumn {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Takes out trailing commas and numbers that no reader can hold; `None` when there are none.
pub(crate) fn repair(text: &str) -> Option<Repaired> {
    let mut bytes = text.as_bytes().to_vec();
    let mut first_comma = None;
    let mut changed = false;
    // The last byte that was neither blank nor in a string, the one before it, and where it was.
    let (mut before, mut last, mut last_at) = (0, 0, 0);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at = match byte {
            b'"' => end_of_string(&bytes, at),
            b'-' | b'0'..=b'9' => end_of_number(&bytes, at),
            _ => at + 1,
        };
        if byte.is_ascii_whitespace() {
            continue;
        }
        if matches!(byte, b'}' | b']') && last == b',' && !matches!(before, 0 | b',' | b'[' | b'{')
        {
            bytes[last_at] = b' ';
            first_comma.get_or_insert(last_at);
            changed = true;
        }
        changed |= shrink_number(&mut bytes[start..at]);
        (before, last, last_at) = (last, byte, start);
    }
    let comma = first_comma.map(|at| place(text, at));
    let text = String::from_utf8(bytes).ok()?;
    changed.then_some(Repaired { text, comma })
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let in_number = |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9');
    start + bytes[start..].iter().take_while(|byte| in_number(byte)).count()
}

/// Overwrites a number beyond the range of a float with one that is merely too large to keep.
fn shrink_number(token: &mut [u8]) -> bool {
    // The shortest such number is `1e309`.
    if token.len() < 5 || !matches!(token[0], b'-' | b'0'..=b'9') {
        return false;
    }
    let number = str::from_utf8(token).ok().and_then(|text| text.parse::<f64>().ok());
    if !number.is_some_and(f64::is_infinite) {
        return false;
    }
    token.fill(b' ');
    token[..4].copy_from_slice(b"9e99");
    true
}

fn place(text: &str, at: usize) -> LineColumn {
    let before = &text[..at];
    let line = 1 + before.matches('\n').count();
    let column = at - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    LineColumn { line, column }
}

#[cfg(test)]
mod tests {
    use super::{LineColumn, repair};

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(repair(text).map(|repaired| repaired.text).as_deref(), expected, "{text}");
    }

    #[test]
    fn only_a_comma_before_an_end_is_taken_out() {
        check("[1,]", Some("[1 ]"));
        check("{\"a\":1 , }", Some("{\"a\":1   }"));
        check("[\"a,]\",]", Some("[\"a,]\" ]"));
        check("[\"\\\",]\"]", None);
        check("[[1,],]", Some("[[1 ] ]"));
        check("[1,2]", None);
        check("[,]", None);
        check("[1,,]", None);
        check(",]", None);
        check("\"open", None);
    }

    #[test]
    fn a_number_beyond_range_becomes_one_that_is_too_large_to_keep() {
        check("[1e309]", Some("[9e99 ]"));
        check("[-1e3090]", Some("[9e99   ]"));
        check("[\"1e309\", 1e10]", None);
    }

    #[test]
    fn the_first_comma_is_told_by_line_and_column() {
        let repaired = repair("{\n  \"a\": [1,\n],\n}").unwrap();
        assert_eq!(repaired.comma, Some(LineColumn { line: 2, column: 10 }));
    }
}
