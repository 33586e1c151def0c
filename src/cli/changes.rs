//! `--set` and `--remove`: what is changed in a body on purpose, before it is signed.
//!
//! The change is made in the text, at the value's place: the order of the keys, the blanks and the
//! numbers of all the rest stay as they were.

use std::fmt;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::edit;
use crate::words::Outside;

/// How many keys a message names of those that are there.
const NAMED_KEYS: usize = 8;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Changes of the body, before it is signed")]
pub(super) struct Changes {
    /// Set what is at a JSON Pointer, as in /message/order/state=Happy. What is no JSON is taken
    /// as a text; a last key that is not there is added; `-` is the place behind a list's end
    #[arg(long, value_name = "POINTER=JSON", value_parser = Assignment::parse)]
    set: Vec<Assignment>,

    /// Take out what is at a JSON Pointer; after every --set, in the order given
    #[arg(long, value_name = "POINTER", value_parser = Pointer::parse)]
    remove: Vec<Pointer>,
}

/// A place in a body, as RFC 6901 writes it: never the body as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pointer {
    /// The keys and indices above the last.
    parents: Vec<String>,
    last: String,
}

/// A value for a place.
#[derive(Debug, Clone)]
struct Assignment {
    pointer: Pointer,
    /// JSON.
    value: String,
}

/// What a place in a text holds.
#[derive(Debug)]
enum Inside {
    Members(Vec<edit::Member>),
    Elements(Vec<Range<usize>>),
    Nothing,
}

impl Changes {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Makes the changes in a text that is valid JSON.
    ///
    /// # Errors
    /// A place is not there: says which part of the way is not, and what is.
    pub(super) fn apply(&self, json: &mut String) -> Result<(), String> {
        for Assignment { pointer, value } in &self.set {
            set(json, pointer, value).map_err(|why| format!("--set {pointer}: {why}"))?;
        }
        for pointer in &self.remove {
            remove(json, pointer).map_err(|why| format!("--remove {pointer}: {why}"))?;
        }
        Ok(())
    }
}

impl Assignment {
    fn parse(text: &str) -> Result<Self, String> {
        let (pointer, value) =
            text.split_once('=').ok_or("expected POINTER=JSON, found no equals sign")?;
        let is_json = serde_json::from_str::<IgnoredAny>(value).is_ok();
        let quoted = || serde_json::Value::from(value).to_string();
        let value = if is_json { value.trim().to_owned() } else { quoted() };
        Ok(Self { pointer: Pointer::parse(pointer)?, value })
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        let way = text.strip_prefix('/').ok_or_else(|| {
            "expected a JSON Pointer such as /message/order/id, which begins with a slash"
                .to_owned()
        })?;
        let mut parents = way.split('/').map(unescaped).collect::<Result<Vec<_>, _>>()?;
        let last = parents.pop().expect("a split text has a part");
        Ok(Self { parents, last })
    }
}

/// Returns a key as it is without the escapes of a JSON Pointer.
fn unescaped(segment: &str) -> Result<String, String> {
    let rest = segment.replace("~0", "").replace("~1", "");
    if rest.contains('~') {
        return Err("expected `~0` for a tilde and `~1` for a slash in a key, found `~`".to_owned());
    }
    Ok(segment.replace("~1", "/").replace("~0", "~"))
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(&self.parents))?;
        f.write_str(&written(std::slice::from_ref(&self.last)))
    }
}

/// Writes a way as a JSON Pointer, safe for a terminal.
fn written(way: &[String]) -> String {
    let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
    way.iter().map(|key| format!("/{}", Outside(&escaped(key)))).collect::<Vec<_>>().concat()
}

impl Inside {
    fn of(json: &str, at: usize) -> Self {
        let elements = || edit::elements(json, at).map(Self::Elements);
        edit::members(json, at).map(Self::Members).or_else(elements).unwrap_or(Self::Nothing)
    }

    /// Returns which of the parts is called so.
    fn index(&self, name: &str) -> Option<usize> {
        match self {
            Self::Members(members) => members.iter().position(|member| member.key == name),
            Self::Elements(elements) => {
                // As RFC 6901 has it: digits, without zeros before them.
                let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
                let is_plain = name == "0" || !name.starts_with('0');
                let index = (is_number && is_plain).then(|| name.parse().ok())??;
                (index < elements.len()).then_some(index)
            }
            Self::Nothing => None,
        }
    }

    /// Returns where the value of a part lies.
    fn value(&self, index: usize) -> Option<Range<usize>> {
        match self {
            Self::Members(members) => members.get(index).map(|member| member.value.clone()),
            Self::Elements(elements) => elements.get(index).cloned(),
            Self::Nothing => None,
        }
    }

    /// Returns where the parts lie, members with their keys.
    fn parts(&self) -> Vec<Range<usize>> {
        match self {
            Self::Members(members) => members.iter().map(|member| member.whole.clone()).collect(),
            Self::Elements(elements) => elements.clone(),
            Self::Nothing => Vec::new(),
        }
    }

    /// Says that no part is called so, and what there is.
    fn lacks(&self, name: &str, way: &[String]) -> String {
        let place = if way.is_empty() { "the body".to_owned() } else { written(way) };
        let name = Outside(name);
        match self {
            Self::Members(members) if members.is_empty() => {
                format!("expected `{name}` in {place}, found an empty object")
            }
            Self::Members(members) => {
                let keys = members.iter().take(NAMED_KEYS);
                let keys: Vec<_> = keys.map(|one| format!("`{}`", Outside(&one.key))).collect();
                let more = if members.len() > NAMED_KEYS { ", …" } else { "" };
                format!("expected `{name}` in {place}, found {}{more}", keys.join(", "))
            }
            Self::Elements(elements) => {
                let count = elements.len();
                format!("expected an element `{name}` in {place}, found a list of {count}")
            }
            Self::Nothing => {
                format!("expected an object or a list with `{name}` at {place}, found neither")
            }
        }
    }
}

/// Returns where the object or the list lies that a place is in, and what it holds.
fn parent(json: &str, pointer: &Pointer) -> Result<(usize, Inside), String> {
    let mut at = 0;
    let mut inside = Inside::of(json, at);
    for (depth, name) in pointer.parents.iter().enumerate() {
        let value = inside.index(name).and_then(|index| inside.value(index));
        at = value.ok_or_else(|| inside.lacks(name, &pointer.parents[..depth]))?.start;
        inside = Inside::of(json, at);
    }
    Ok((at, inside))
}

fn set(json: &mut String, pointer: &Pointer, value: &str) -> Result<(), String> {
    let (at, inside) = parent(json, pointer)?;
    let last = &pointer.last;
    if let Some(place) = inside.index(last).and_then(|index| inside.value(index)) {
        json.replace_range(place, value);
        return Ok(());
    }
    let part = match &inside {
        Inside::Members(_) => format!("{}:{value}", serde_json::Value::from(last.as_str())),
        Inside::Elements(_) if last == "-" => value.to_owned(),
        Inside::Elements(_) | Inside::Nothing => return Err(inside.lacks(last, &pointer.parents)),
    };
    edit::append(json, at, &inside.parts(), &part);
    Ok(())
}

fn remove(json: &mut String, pointer: &Pointer) -> Result<(), String> {
    let (_, inside) = parent(json, pointer)?;
    let index = inside.index(&pointer.last);
    let index = index.ok_or_else(|| inside.lacks(&pointer.last, &pointer.parents))?;
    edit::remove(json, &inside.parts(), index);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Changes;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        changes: Changes,
    }

    const BODY: &str = r#"{ "b": {"x/y": 1.0, "~": null}, "a": [ {"id": "1"}, 2e1 ], "e": {} }"#;

    fn changed(options: &[&str]) -> Result<String, String> {
        let line = Line::try_parse_from([&["x"], options].concat());
        let mut json = BODY.to_owned();
        line.map_err(|error| error.to_string())?.changes.apply(&mut json)?;
        Ok(json)
    }

    #[test]
    fn a_change_is_made_in_its_place_and_nothing_else_changes() {
        let check = |options: &[&str], from: &str, to: &str| {
            assert_eq!(changed(options).unwrap(), BODY.replacen(from, to, 1), "{options:?}");
        };
        check(&[], "", "");
        check(&["--set", "/b/x~1y=2.50"], "1.0", "2.50");
        check(&["--set", "/b/~0=a\"=b"], "null", r#""a\"=b""#);
        check(&["--set", "/a/0/id={\"k\": []}"], r#""1""#, r#"{"k": []}"#);
        check(&["--set", "/a/1="], "2e1", r#""""#);
        check(&["--set", "/a/-=null"], "2e1", "2e1,null");
        check(&["--set", "/e/new=true"], "{}", r#"{"new":true}"#);
        check(&["--set", "/b/n=1"], "null", r#"null,"n":1"#);
        check(&["--remove", "/a/0"], r#"{"id": "1"}, "#, "");
        check(&["--remove", "/a/1"], ", 2e1", "");
        check(&["--remove", "/b/~0", "--set", "/b/~0=1"], r#", "~": null"#, "");
        check(&["--remove", "/a/0", "--remove", "/a/0"], r#"{"id": "1"}, 2e1"#, "");
        check(&["--set", "/e/o={}", "--set", "/e/o/p=1"], "{}", r#"{"o":{"p":1}}"#);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let check = |options: &[&str], expected: &str| {
            let error = changed(options).unwrap_err();
            assert!(error.contains(expected), "{options:?}: {error}");
        };
        check(&["--set", "/b/c/d=1"], "--set /b/c/d: expected `c` in /b, found `x/y`, `~`");
        check(&["--remove", "/x"], "--remove /x: expected `x` in the body, found `b`, `a`, `e`");
        check(
            &["--remove", "/e/x~1"],
            "--remove /e/x~1: expected `x/` in /e, found an empty object",
        );
        check(&["--set", "/a/2=1"], "expected an element `2` in /a, found a list of 2");
        check(&["--remove", "/a/-"], "expected an element `-` in /a, found a list of 2");
        check(&["--remove", "/a/01"], "expected an element `01` in /a, found a list of 2");
        check(
            &["--set", "/a/1/b=1"],
            "expected an object or a list with `b` at /a/1, found neither",
        );
        check(&["--set", "/b"], "found no equals sign");
        check(&["--set", "b=1"], "begins with a slash");
        check(&["--remove", ""], "begins with a slash");
        check(&["--remove", "/a~b"], "`~1` for a slash");
    }
}
