//! Imports point to a lower floor, never to the same one; and no module imports in a circle.
//!
//! Every path of the sources is read, not only `use`: `crate::…` and `super::…` in types,
//! expressions, nested `use` and macros. Code under `#[cfg(test)]` may look anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Every module of the crate and its floor. A module that is not here fails the test.
const FLOORS: &[(&str, u8)] = &[
    ("beckn", 0),
    ("servers", 0),
    ("words", 0),
    ("buyer_rule", 1),
    ("clock", 1),
    ("config", 1),
    ("event", 1),
    ("metrics", 1),
    ("priority", 1),
    ("rules", 1),
    ("signature", 1),
    ("handler", 2),
    ("inbox", 2),
    ("registry", 2),
    ("retry", 2),
    ("routes", 2),
    ("trace", 2),
    ("dispatch", 3),
    ("handlers", 3),
    ("intake", 3),
    ("operations", 3),
    ("otlp", 3),
    ("http", 4),
    ("fuzzing", 5),
    ("log", 5),
    ("mock", 5),
    ("receiver", 5),
    ("bench", 6),
    ("cli", 6),
    // The front page re-exports what users need, and the binary calls it.
    ("lib", 7),
    ("main", 7),
];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// A source file: the path of its module, and its text.
struct Source {
    module: Vec<String>,
    text: String,
}

fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push(Source { module: module_of(root, &path), text });
            }
        }
    }
    found
}

fn module_of(root: &Path, path: &Path) -> Vec<String> {
    let below: PathBuf = path.strip_prefix(root).expect("it was found there").with_extension("");
    let mut names: Vec<String> =
        below.iter().map(|part| part.to_str().expect("names are ASCII").to_owned()).collect();
    names.pop_if(|last| last == "mod");
    names
}

/// Collects the top-level modules that a file names.
struct Names<'a> {
    module: Vec<String>,
    named: Vec<String>,
    _source: &'a Source,
}

impl Names<'_> {
    /// Notes the module that a path of these segments leads to, if it is one of the crate's.
    fn note(&mut self, segments: &[String]) {
        let mut here = self.module.clone();
        let mut rest = segments;
        match segments.first().map(String::as_str) {
            Some("crate") => {
                here.clear();
                rest = &segments[1..];
            }
            Some("self") => rest = &segments[1..],
            Some("super") => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            _ => return,
        }
        here.extend(rest.iter().cloned());
        self.named.extend(here.into_iter().next());
    }

    fn note_use(&mut self, before: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_use(before, &path.tree);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.note_use(before, item));
            }
            syn::UseTree::Name(name) => self.note_leaf(before, &name.ident),
            syn::UseTree::Rename(rename) => self.note_leaf(before, &rename.ident),
            syn::UseTree::Glob(_) => self.note(&before.clone()),
        }
    }

    fn note_leaf(&mut self, before: &[String], ident: &syn::Ident) {
        let mut path = before.to_vec();
        if ident != "self" {
            path.push(ident.to_string());
        }
        self.note(&path);
    }

    /// A macro's tokens are no paths yet: runs of `name :: name` are read as such.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut run: Vec<String> = Vec::new();
        let mut joined = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if !joined {
                        self.note(&std::mem::take(&mut run));
                    }
                    run.push(ident.to_string());
                    joined = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => joined = !run.is_empty(),
                TokenTree::Group(group) => {
                    self.note(&std::mem::take(&mut run));
                    self.note_tokens(group.stream());
                    joined = false;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note(&std::mem::take(&mut run));
                    joined = false;
                }
            }
        }
        self.note(&run);
    }
}

fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .require_list()
                .is_ok_and(|list| list.tokens.to_string().trim() == "test")
    })
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if only_for_tests(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !only_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !only_for_tests(&item.attrs) {
            self.note_use(&mut Vec::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.note_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

/// Says every import that does not point down, and every module without a floor.
fn wrong(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        let from = source.module.first().expect("a file has a name").clone();
        let Some(own) = floor(&from) else {
            wrong.push(format!("{from} has no floor"));
            continue;
        };
        let file = syn::parse_file(&source.text).expect("sources parse");
        let module = if own == 7 { Vec::new() } else { source.module.clone() };
        let mut names = Names { module, named: Vec::new(), _source: source };
        names.visit_file(&file);
        names.named.sort();
        names.named.dedup();
        for named in names.named.iter().filter(|named| **named != from) {
            match floor(named) {
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("{} imports {named}", source.module.join("::"))),
                // A path of the crate root that is no module is one of lib.rs's re-exports.
                None => wrong.push(format!("{} names crate::{named}", source.module.join("::"))),
            }
        }
    }
    wrong
}

fn planted(module: &str, text: &str) -> Vec<String> {
    wrong(&[Source {
        module: module.split("::").map(str::to_owned).collect(),
        text: text.to_owned(),
    }])
}

#[test]
fn imports_point_to_a_lower_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources(&root);
    assert!(sources.len() > 20, "the sources were found: {}", sources.len());
    // lib.rs declares and re-exports the modules: `pub use` of them is what it is for.
    let below: Vec<Source> =
        sources.into_iter().filter(|source| source.module != ["lib"]).collect();
    assert_eq!(wrong(&below), Vec::<String>::new());
}

#[test]
fn a_wrong_import_is_found_however_it_is_written() {
    let check = |module: &str, text: &str, expected: &str| {
        assert_eq!(planted(module, text), [expected], "{text}");
    };
    check("intake", "use crate::dispatch::Dispatcher;", "intake imports dispatch");
    check("dispatch::attempt", "use super::super::intake;", "dispatch::attempt imports intake");
    check(
        "beckn::order",
        "use crate::{beckn::lax, event::{EventId, Flag}};",
        "beckn::order imports event",
    );
    check("rules", "fn f(x: &crate::event::OrderEvent) {}", "rules imports event");
    check("inbox::sqlite", "fn f() { crate::intake::accept() }", "inbox::sqlite imports intake");
    check("words", "fn f() { println!(\"{}\", crate::beckn::x()) }", "words imports beckn");
    check("config", "mod inner { use super::super::rules::Rules; }", "config imports rules");
    check("http::body", "use crate::cli::*;", "http::body imports cli");
    check("utils", "", "utils has no floor");
    check("intake", "use crate::OrderEvent;", "intake names crate::OrderEvent");
}

#[test]
fn a_right_import_and_a_test_module_are_left_alone() {
    for (module, text) in [
        ("intake", "use crate::inbox::{self, Inbox}; use crate::words::Violation;"),
        ("beckn::order", "use super::lax; use crate::beckn::action::Action; use self::item::Item;"),
        ("rules", "#[cfg(test)] mod tests { use crate::event::OrderEvent; }"),
        ("retry", "use std::time::Duration; fn f() { format!(\"{}: {}\", a, b); }"),
    ] {
        assert_eq!(planted(module, text), Vec::<String>::new(), "{text}");
    }
}
