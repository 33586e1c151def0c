//! Edits a JSON text at a value's place, so that all else stays to the byte as it was.
//!
//! The text is valid JSON: the caller has checked it.

use std::ops::Range;

/// A member of an object: its key, where it lies with its key, and where its value lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) whole: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Returns the members of the object that begins in `json` at `at`, or after blanks there; `None`
/// when there is no object.
pub(super) fn members(json: &str, at: usize) -> Option<Vec<Member>> {
    let mut at = past_blanks(json, at);
    if json.as_bytes().get(at) != Some(&b'{') {
        return None;
    }
    let mut members = Vec::new();
    loop {
        at = past_blanks(json, at + 1);
        if json.as_bytes().get(at) != Some(&b'"') {
            return Some(members);
        }
        let begin = at;
        let end = past_text(json, at);
        let key = serde_json::from_str(&json[at..end]).ok()?;
        // Behind the colon.
        let start = past_blanks(json, past_blanks(json, end) + 1);
        let end = past_value(json, start);
        members.push(Member { key, whole: begin..end, value: start..end });
        at = past_blanks(json, end);
        if json.as_bytes().get(at) != Some(&b',') {
            return Some(members);
        }
    }
}

/// Returns where the elements lie of the list that begins in `json` at `at`, or after blanks there;
/// `None` when there is no list.
pub(super) fn elements(json: &str, at: usize) -> Option<Vec<Range<usize>>> {
    let mut at = past_blanks(json, at);
    if json.as_bytes().get(at) != Some(&b'[') {
        return None;
    }
    let mut elements = Vec::new();
    loop {
        let start = past_blanks(json, at + 1);
        if matches!(json.as_bytes().get(start), None | Some(b']')) {
            return Some(elements);
        }
        let end = past_value(json, start);
        elements.push(start..end);
        at = past_blanks(json, end);
        if json.as_bytes().get(at) != Some(&b',') {
            return Some(elements);
        }
    }
}

/// Puts a member or an element behind the last of the object or the list that begins at `at`,
/// whose parts lie there.
pub(super) fn append(json: &mut String, at: usize, parts: &[Range<usize>], part: &str) {
    let (at, part) = match parts.last() {
        Some(last) => (last.end, format!(",{part}")),
        None => (past_blanks(json, at) + 1, part.to_owned()),
    };
    json.insert_str(at, &part);
}

/// Takes a part out of an object or a list whose parts lie there, with the comma between it and
/// the one beside it.
pub(super) fn remove(json: &mut String, parts: &[Range<usize>], index: usize) {
    let part = &parts[index];
    let out = match (index.checked_sub(1), parts.get(index + 1)) {
        (_, Some(next)) => part.start..next.start,
        (Some(before), None) => parts[before].end..part.end,
        (None, None) => part.clone(),
    };
    json.replace_range(out, "");
}

/// Sets a member of the object that begins at `at` to a text: in the place of the value of the
/// first of these names that is there, else as a new first member of the first name.
pub(super) fn set(json: &mut String, at: usize, names: &[&str], text: &str) {
    let value = serde_json::Value::from(text).to_string();
    let members = members(json, at).unwrap_or_default();
    if let Some(member) = members.iter().find(|member| names.contains(&&*member.key)) {
        json.replace_range(member.value.clone(), &value);
        return;
    }
    let comma = if members.is_empty() { "" } else { "," };
    let start = past_blanks(json, at) + 1;
    json.insert_str(start, &format!("\"{}\":{value}{comma}", names[0]));
}

fn past_blanks(json: &str, at: usize) -> usize {
    let rest = json.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Returns where the text that begins at `at` has ended.
fn past_text(json: &str, at: usize) -> usize {
    let mut is_escaped = false;
    let end = json.as_bytes()[at + 1..].iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(json.len(), |end| at + end + 2)
}

/// Returns where the value that begins at `at` has ended.
fn past_value(json: &str, mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => at = past_text(json, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            // A number or a word ends where something else begins.
            _ if depth == 0 && is_end(*byte) => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{append, elements, members, remove, set};

    #[test]
    fn members_are_found_whatever_their_values_are() {
        let check = |json: &str, expected: &[(&str, &str)]| {
            let found = members(json, 0).unwrap();
            let found: Vec<_> =
                found.iter().map(|member| (&*member.key, &json[member.value.clone()])).collect();
            assert_eq!(found, expected, "{json}");
        };
        check("{}", &[]);
        check(" { } ", &[]);
        check(r#"{"a":1,"b" : -2.5e3 , "c":null}"#, &[("a", "1"), ("b", "-2.5e3"), ("c", "null")]);
        check(
            r#"{"a":"}\"]\\","b":[{"c":"]"}],"d":{}}"#,
            &[("a", r#""}\"]\\""#), ("b", r#"[{"c":"]"}]"#), ("d", "{}")],
        );
        check(r#"{"a":true}"#, &[("a", "true")]);
        assert_eq!(members("[]", 0), None);
        assert_eq!(members("", 0), None);
    }

    #[test]
    fn a_value_is_set_in_its_place_and_nothing_else_changes() {
        let check = |json: &str, expected: &str| {
            let mut text = json.to_owned();
            set(&mut text, 0, &["id", "Id"], "a\"b");
            assert_eq!(text, expected);
        };
        check(r#"{ "x" : 1.0 , "id" : "old" }"#, r#"{ "x" : 1.0 , "id" : "a\"b" }"#);
        check(r#"{"Id":null}"#, r#"{"Id":"a\"b"}"#);
        check(r#"{ "x":1}"#, r#"{"id":"a\"b", "x":1}"#);
        check("{}", r#"{"id":"a\"b"}"#);
    }

    #[test]
    fn a_part_is_put_behind_the_last_and_taken_out_with_its_comma() {
        let check = |json: &str, index: usize, appended: &str, removed: Option<&str>| {
            let parts = elements(json, 0).unwrap_or_else(|| {
                members(json, 0).unwrap().into_iter().map(|member| member.whole).collect()
            });
            let mut text = json.to_owned();
            let part = if json.trim().starts_with('[') { "9" } else { "\"z\":9" };
            append(&mut text, 0, &parts, part);
            assert_eq!(text, appended);
            let Some(removed) = removed else { return };
            let mut text = json.to_owned();
            remove(&mut text, &parts, index);
            assert_eq!(text, removed);
        };
        check("[]", 0, "[9]", None);
        check(" { } ", 0, " {\"z\":9 } ", None);
        check("[ 1 ]", 0, "[ 1,9 ]", Some("[  ]"));
        check("[ 1 , \"]\" , [2] ]", 0, "[ 1 , \"]\" , [2],9 ]", Some("[ \"]\" , [2] ]"));
        check("[ 1 , \"]\" , [2] ]", 1, "[ 1 , \"]\" , [2],9 ]", Some("[ 1 , [2] ]"));
        check("[ 1 , \"]\" , [2] ]", 2, "[ 1 , \"]\" , [2],9 ]", Some("[ 1 , \"]\" ]"));
        check("{ \"a\" : 1 }", 0, "{ \"a\" : 1,\"z\":9 }", Some("{  }"));
        check(
            "{ \"a\" : 1 ,\n \"b\" : 2 }",
            0,
            "{ \"a\" : 1 ,\n \"b\" : 2,\"z\":9 }",
            Some("{ \"b\" : 2 }"),
        );
        assert_eq!(elements("{}", 0), None);
        assert_eq!(elements("", 0), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_members_of_any_object_are_those_that_a_parser_reads(
            object in prop::collection::btree_map(any::<String>(), json(), 0..5),
            pretty in any::<bool>(),
        ) {
            let value = Value::Object(object.into_iter().collect());
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let found = members(&text, 0).unwrap();
            let object = value.as_object().unwrap();
            prop_assert_eq!(found.len(), object.len());
            for member in found {
                let read: Value = serde_json::from_str(&text[member.value]).unwrap();
                prop_assert_eq!(&read, &object[&member.key]);
            }
        }

        #[test]
        fn the_elements_of_any_list_are_those_that_a_parser_reads(
            list in prop::collection::vec(json(), 0..5),
            pretty in any::<bool>(),
        ) {
            let value = Value::from(list);
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let found = elements(&text, 0).unwrap();
            let read = found.into_iter().map(|one| serde_json::from_str(&text[one]).unwrap());
            prop_assert_eq!(Value::Array(read.collect()), value);
        }
    }
}
