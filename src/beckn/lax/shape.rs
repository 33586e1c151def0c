//! Where the reader is, what it found there, and what it noted.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;

use crate::beckn::oddity::{ODDITY_LIMIT, Oddity, OddityKind};

use super::ELEMENT_LIMIT;

/// The JSON type of what a body has at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Found {
    /// The key is not there.
    #[default]
    Absent,
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Found {
    /// Returns the JSON type's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Found::Absent => "nothing",
            Found::Null => "null",
            Found::Boolean => "boolean",
            Found::Number => "number",
            Found::String => "string",
            Found::Array => "array",
            Found::Object => "object",
        }
    }
}

/// The JSON types that the dialects publish for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shapes(u8);

impl Shapes {
    pub(crate) const STRING: Shapes = Shapes(1);
    pub(crate) const NUMBER: Shapes = Shapes(2);
    pub(crate) const BOOLEAN: Shapes = Shapes(4);
    pub(crate) const OBJECT: Shapes = Shapes(8);
    pub(crate) const ARRAY: Shapes = Shapes(16);
    /// Whatever the seller likes: a free object's values.
    pub(crate) const ANY: Shapes = Shapes(31);
    pub(crate) const STRING_OR_NUMBER: Shapes = Shapes(1 | 2);
    pub(crate) const STRING_OR_OBJECT: Shapes = Shapes(1 | 8);
    pub(crate) const OBJECT_OR_ARRAY: Shapes = Shapes(8 | 16);

    /// Returns the last of these: what a key says goes before what its type says.
    pub(crate) const fn last(shapes: &[Shapes]) -> Shapes {
        shapes[shapes.len() - 1]
    }

    /// Returns whether this type is published; nothing and null always are.
    pub(crate) const fn has(self, found: Found) -> bool {
        let bit = match found {
            Found::Absent | Found::Null => return true,
            Found::String => Shapes::STRING.0,
            Found::Number => Shapes::NUMBER.0,
            Found::Boolean => Shapes::BOOLEAN.0,
            Found::Object => Shapes::OBJECT.0,
            Found::Array => Shapes::ARRAY.0,
        };
        self.0 & bit != 0
    }

    /// Returns the types in words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Shapes::STRING => "string",
            Shapes::NUMBER => "number",
            Shapes::BOOLEAN => "boolean",
            Shapes::OBJECT => "object",
            Shapes::ARRAY => "array",
            Shapes::STRING_OR_NUMBER => "string or number",
            Shapes::STRING_OR_OBJECT => "string or object",
            Shapes::OBJECT_OR_ARRAY => "object or array",
            Shapes(_) => "another type",
        }
    }
}

/// A place in the body: a linked list on the stack.
#[derive(Debug)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step,
    notes: &'a Notes,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Root,
    Key(&'static str),
    Index(usize),
}

impl<'a> At<'a> {
    /// Starts at the body as a whole.
    pub(crate) fn root(notes: &'a Notes) -> At<'a> {
        At { parent: None, step: Step::Root, notes }
    }

    /// Returns the place under a key of this object.
    pub(crate) fn key(&self, key: &'static str) -> At<'_> {
        At { parent: Some(self), step: Step::Key(key), notes: self.notes }
    }

    /// Returns the place of an element of this list.
    pub(crate) fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index), notes: self.notes }
    }

    /// Takes one of the elements that a body may have in all its lists; `false` when all are used,
    /// which is noted the first time.
    pub(crate) fn take_element(&self) -> bool {
        let used = self.notes.elements.get();
        self.notes.elements.set(used + 1);
        if used == ELEMENT_LIMIT {
            self.note(OddityKind::ListTooLong, "fewer elements in all lists", Found::Array);
        }
        used < ELEMENT_LIMIT
    }

    /// Notes a type that is not published here.
    #[cold]
    pub(crate) fn note_type(&self, published: Shapes, found: Found) {
        self.note(OddityKind::Type, published.as_str(), found);
    }

    /// Notes any other deviation.
    #[cold]
    pub(crate) fn note(&self, kind: OddityKind, expected: &'static str, found: Found) {
        let path = || self.pointer();
        self.notes.add(kind, expected, found.as_str(), path);
    }

    fn pointer(&self) -> String {
        let mut pointer = self.parent.map(At::pointer).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Index(index) => {
                // Writing to a String cannot fail.
                let _ = write!(pointer, "/{index}");
            }
        }
        pointer
    }
}

/// What was noted while one body was read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    oddities: RefCell<Vec<Oddity>>,
    beyond: Cell<usize>,
    elements: Cell<usize>,
}

impl Notes {
    /// Adds an oddity while there is room, else counts it.
    pub(crate) fn add(
        &self,
        kind: OddityKind,
        expected: &'static str,
        found: &'static str,
        path: impl FnOnce() -> String,
    ) {
        let mut oddities = self.oddities.borrow_mut();
        if oddities.len() < ODDITY_LIMIT {
            oddities.push(Oddity { path: path(), kind, expected, found, count: 1 });
        } else {
            self.beyond.set(self.beyond.get() + 1);
        }
    }

    /// Returns all oddities, with one that stands for those beyond the limit.
    pub(crate) fn into_oddities(self) -> Vec<Oddity> {
        let mut oddities = self.oddities.into_inner();
        let count = self.beyond.get();
        if count > 0 {
            let (expected, found) = ("at most 64 oddities", "more");
            let path = String::new();
            oddities.push(Oddity { path, kind: OddityKind::More, expected, found, count });
        }
        oddities
    }
}
