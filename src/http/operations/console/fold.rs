//! A body's JSON as a tree that folds, with what is wrong marked where it is.
//!
//! # Constraints
//! - Values are shown as they were written: `1.10` stays `1.10`, keys keep their order and may come
//!   twice. So the text is cut where its values lie; serde has said before that it is JSON.
//! - Beyond [`BYTES`], [`NODES`] or [`DEPTH`] there is no tree: the beginning of the text is shown.
//! - A mark whose place is not in the body is at the nearest that is: a missing key is marked at
//!   the object that misses it.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::IgnoredAny;

use super::render::{escaped, visible};

/// The longest text that is made a tree.
const BYTES: usize = 256 * 1024;

/// The most values of a tree: each is an element or three of the page.
const NODES: usize = 5_000;

/// The most levels of a tree: it is read and written by functions that call themselves, and serde
/// sets no bound where it only looks whether a text is JSON.
const DEPTH: usize = 128;

/// What is shown of a text that is no tree.
const RAW: usize = 64 * 1024;

/// The longest value that is shown whole.
const VALUE: usize = 2_000;

/// Values above this depth are open.
const OPEN: usize = 3;

/// Something that is to be known of a place in the body.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) kind: &'static str,
    /// A JSON Pointer.
    pub(super) path: String,
    pub(super) text: String,
}

/// A body for the page.
#[derive(Debug, Default, Serialize)]
pub(super) struct Folded {
    /// Markup, escaped: the only text that a template takes as it is.
    markup: Option<String>,
    /// The text, when it is no tree.
    raw: Option<String>,
    /// Whether `raw` is not the whole of it.
    is_cut: bool,
}

/// Returns a body as a tree, or as text when it is none.
pub(super) fn fold(body: Option<String>, marks: &[Mark]) -> Folded {
    let Some(body) = body else { return Folded::default() };
    let is_json = body.len() <= BYTES && serde_json::from_str::<IgnoredAny>(&body).is_ok();
    if let Some(tree) = is_json.then(|| Tree::read(&body)).flatten() {
        return Folded { markup: Some(tree.written(marks)), raw: None, is_cut: false };
    }
    let is_cut = body.chars().nth(RAW).is_some();
    Folded { markup: None, raw: Some(visible(&body, RAW)), is_cut }
}

/// A value and where it hangs. A node is followed by those inside it, up to `end`.
#[derive(Debug)]
struct Node<'a> {
    /// As it is written, with its quotes.
    key: Option<&'a str>,
    /// The text of a scalar; `{` or `[` for what holds others.
    text: &'a str,
    parent: usize,
    depth: usize,
    end: usize,
    children: usize,
    is_open: bool,
    marks: Vec<usize>,
}

#[derive(Debug)]
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Tree<'a> {
    /// Reads JSON; `None` when it has too many values.
    fn read(json: &'a str) -> Option<Self> {
        let mut reader = Reader { json, at: 0, nodes: Vec::new() };
        reader.value(None, 0, 0)?;
        Some(Self { nodes: reader.nodes })
    }

    fn children(&self, of: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[of].end;
        let first = Some(of + 1).filter(|first| *first < end);
        std::iter::successors(first, move |child| {
            Some(self.nodes[*child].end).filter(|next| *next < end)
        })
    }

    /// Returns the node at a JSON Pointer, or the nearest above it.
    fn nearest(&self, pointer: &str) -> usize {
        let mut at = 0;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let is_list = self.nodes[at].text == "[";
            let found = if is_list {
                token.parse().ok().and_then(|index: usize| self.children(at).nth(index))
            } else {
                self.children(at).find(|child| self.nodes[*child].is_named(&token))
            };
            match found {
                Some(child) => at = child,
                None => break,
            }
        }
        at
    }

    fn written(mut self, marks: &[Mark]) -> String {
        for (number, mark) in marks.iter().enumerate() {
            let mut at = self.nearest(&mark.path);
            self.nodes[at].marks.push(number);
            while !std::mem::replace(&mut self.nodes[at].is_open, true) {
                at = self.nodes[at].parent;
            }
        }
        let mut markup = String::new();
        self.write(0, marks, &mut markup);
        markup
    }

    fn write(&self, at: usize, marks: &[Mark], out: &mut String) {
        let node = &self.nodes[at];
        let key = node.key.map_or_else(String::new, |key| {
            format!(r#"<span class="key">{}</span>: "#, escaped(&visible(key, VALUE)))
        });
        let mut said = String::new();
        for number in &node.marks {
            let Mark { kind, text, .. } = &marks[*number];
            // Writing to a String does not fail.
            let _ = write!(
                said,
                r#" <span class="mark mark-{kind}" id="mark-{number}"><b>{kind}</b> {}</span>"#,
                escaped(&visible(text, 400))
            );
        }
        let is_marked = if node.marks.is_empty() { "" } else { " marked" };
        if node.children == 0 {
            let close = match node.text {
                "{" => "}",
                "[" => "]",
                _ => "",
            };
            let value = escaped(&visible(node.text, VALUE));
            let kind = node.kind();
            let _ = write!(
                out,
                r#"<div class="leaf{is_marked}">{key}<span class="{kind}">{value}{close}</span>{said}</div>"#
            );
            return;
        }
        let (open, brackets) =
            (if node.is_open { " open" } else { "" }, if node.text == "{" { "{}" } else { "[]" });
        let children = node.children;
        let _ = write!(
            out,
            r#"<details class="node{is_marked}"{open}><summary>{key}<span class="size">{brackets} {children}</span>{said}</summary>"#
        );
        for child in self.children(at) {
            self.write(child, marks, out);
        }
        out.push_str("</details>");
    }
}

impl Node<'_> {
    fn is_named(&self, name: &str) -> bool {
        let Some(key) = self.key else { return false };
        key.trim_matches('"') == name
            || serde_json::from_str::<String>(key).is_ok_and(|key| key == name)
    }

    fn kind(&self) -> &'static str {
        match self.text.as_bytes().first() {
            Some(b'"') => "string",
            Some(b't' | b'f' | b'n') => "word",
            Some(b'{' | b'[') => "size",
            Some(_) | None => "number",
        }
    }
}

/// Cuts JSON that is known to be well-formed.
struct Reader<'a> {
    json: &'a str,
    at: usize,
    nodes: Vec<Node<'a>>,
}

impl<'a> Reader<'a> {
    /// Reads the next value, and those inside it.
    fn value(&mut self, key: Option<&'a str>, parent: usize, depth: usize) -> Option<()> {
        let own = self.nodes.len();
        if own >= NODES || depth > DEPTH {
            return None;
        }
        let first = self.peek()?;
        let text = match first {
            b'"' => self.string(),
            b'{' | b'[' => self.taken(1),
            _ => self.scalar(),
        };
        let (is_open, marks) = (depth < OPEN, Vec::new());
        self.nodes.push(Node { key, text, parent, depth, end: 0, children: 0, is_open, marks });
        if matches!(first, b'{' | b'[') {
            self.inside(own, first == b'{')?;
        }
        self.nodes[own].end = self.nodes.len();
        Some(())
    }

    fn inside(&mut self, own: usize, has_keys: bool) -> Option<()> {
        let depth = self.nodes[own].depth + 1;
        loop {
            match self.peek()? {
                b'}' | b']' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                _ => {
                    let key = has_keys.then(|| self.string());
                    if has_keys {
                        self.peek()?;
                        self.at += 1;
                    }
                    self.nodes[own].children += 1;
                    self.value(key, own, depth)?;
                }
            }
        }
    }

    /// Skips what is blank, and returns what comes then.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.json.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.json.as_bytes().get(self.at).copied()
    }

    fn taken(&mut self, length: usize) -> &'a str {
        let text = &self.json[self.at..self.at + length];
        self.at += length;
        text
    }

    fn string(&mut self) -> &'a str {
        let mut is_escaped = false;
        let inner = self.json.as_bytes()[self.at + 1..].iter().take_while(|byte| {
            let ends = **byte == b'"' && !is_escaped;
            is_escaped = **byte == b'\\' && !is_escaped;
            !ends
        });
        let length = inner.count() + 2;
        self.taken(length)
    }

    fn scalar(&mut self) -> &'a str {
        let rest = self.json.as_bytes()[self.at..].iter();
        let length =
            rest.take_while(|byte| !byte.is_ascii_whitespace() && !b",]}".contains(byte)).count();
        self.taken(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(body: &str, marks: &[Mark]) -> Folded {
        fold(Some(body.to_owned()), marks)
    }

    fn mark(path: &str) -> Mark {
        Mark { kind: "warning", path: path.to_owned(), text: "<i>wrong".to_owned() }
    }

    #[test]
    fn values_are_shown_as_they_were_written_and_escaped() {
        let body = r#"{"z":1.10,"a\"b":"<script>\"x\\","z":[true,null,{}],"e":[]}"#;
        let markup = folded(body, &[]).markup.unwrap();
        for shown in [
            r#"<span class="number">1.10</span>"#,
            r"&lt;script&gt;\&quot;x\\&quot;",
            r#"<span class="word">null</span>"#,
            r#"<span class="size">{}</span>"#,
            r#"<span class="size">[]</span>"#,
            r#"<span class="size">[] 3</span>"#,
        ] {
            assert!(markup.contains(shown), "{shown} is not in {markup}");
        }
        assert!(!markup.contains("<script"), "{markup}");
        assert_eq!(markup.matches("&quot;z&quot;").count(), 2, "a key may come twice");
    }

    #[test]
    fn a_mark_is_where_its_pointer_leads_or_above() {
        let body = r#"{"message":{"order":{"a/b":{"x":{"y":{"deep":[0,{"q":1}]}}}}}}"#;
        let at = "/message/order/a~1b/x/y/deep/1/q";
        let markup = folded(body, &[mark(at), mark("/message/missing/x")]).markup.unwrap();
        assert!(markup.contains(
            r#"<span class="number">1</span> <span class="mark mark-warning" id="mark-0">"#
        ));
        assert!(markup.contains("&lt;i&gt;wrong"));
        let message = markup.find("&quot;message&quot;").unwrap();
        assert!(markup[message..].find("mark-1").unwrap() < 200, "{markup}");
        assert!(!markup.contains(r#"<details class="node"><summary>"#), "all on the way is open");
    }

    #[test]
    fn what_is_too_much_for_a_tree_is_shown_as_text_and_cut() {
        let many = folded(&format!("[{}0]", "0,".repeat(NODES)), &[mark("/3")]);
        assert!(many.markup.is_none() && !many.is_cut);
        let long = folded(&format!("\"{}\"", "x".repeat(BYTES)), &[]);
        assert!(long.markup.is_none() && long.is_cut);
        assert_eq!(long.raw.unwrap().chars().count(), RAW + 1);
        assert_eq!(folded("{\"a\":1,}", &[]).raw.as_deref(), Some("{\"a\":1,}"));
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert!(folded(&deep, &[]).markup.is_some());
        let deeper = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(folded(&deeper, &[]).raw.is_some());
    }
}
