//! The visitors: one value, a list, and a key.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::beckn::oddity::OddityKind;

use super::{At, Found, LIST_LIMIT, Lax, Shapes};

/// The largest integer up to which every integer is exact in the number type of most JSON writers.
const EXACT: u64 = 1 << 53;

/// Above this size a list begins with room for one: a vector would make room for four, and lists
/// of fulfilments or payments mostly have one.
const LARGE: usize = 300;

/// What a type made of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// It has no key: absent.
    Empty,
    /// It has keys, and the type has no reading for an object.
    Unreadable,
    /// It is read.
    Value,
}

/// Reads one value from whatever is there into a slot, where nothing is; says what was there.
#[derive(Debug)]
pub(crate) struct One<'a, T> {
    slot: &'a mut Option<T>,
    at: &'a At<'a>,
    published: Shapes,
}

impl<'a, T: Lax> One<'a, T> {
    /// Reads at this place, where these shapes are published.
    pub(crate) fn new(slot: &'a mut Option<T>, at: &'a At<'a>, published: Shapes) -> Self {
        One { slot, at, published }
    }

    /// Notes what is not published, or cannot be read.
    fn seen(&self, found: Found) -> Found {
        let unread = self.slot.is_none() && self.published != Shapes::ANY;
        if unread || !self.published.has(found) {
            self.at.note_type(self.published, found);
        }
        found
    }

    fn text(self, found: Found, text: &str) -> Found {
        if text.trim_ascii().is_empty() {
            return found;
        }
        *self.slot = T::from_text(text);
        self.seen(found)
    }

    fn too_large(&self) -> Found {
        let expected = "a number within ±2^53";
        self.at.note(OddityKind::NumberTooLarge, expected, Found::Number);
        Found::Number
    }
}

impl<'de, T: Lax> DeserializeSeed<'de> for One<'_, T> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Found, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Lax> Visitor<'de> for One<'_, T> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        Ok(self.text(Found::Boolean, if value { "true" } else { "false" }))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        if value > EXACT {
            return Ok(self.too_large());
        }
        Ok(self.text(Found::Number, &value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Found, E> {
        if value.unsigned_abs() > EXACT {
            return Ok(self.too_large());
        }
        Ok(self.text(Found::Number, &value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Found, E> {
        // 2^53 as a float: 9007199254740992.
        if value.abs() > 9_007_199_254_740_992.0 {
            return Ok(self.too_large());
        }
        // The shortest decimal that reads back as this number; `1.0` gives `1`.
        Ok(self.text(Found::Number, &value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Found, E> {
        Ok(self.text(Found::String, value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Found, A::Error> {
        let found = Found::Object;
        Ok(match T::read_map(self.slot, map, self.at)? {
            Object::Empty => found,
            Object::Unreadable | Object::Value => self.seen(found),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let found = Found::Array;
        let here = self.at.index(0);
        if list.next_element_seed(One::new(self.slot, &here, T::PUBLISHED))?.is_none() {
            return Ok(found);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.seen(found))
    }
}

/// Reads a list from one or many.
#[derive(Debug)]
pub(crate) struct Many<'a, T> {
    at: &'a At<'a>,
    published: Shapes,
    value: PhantomData<T>,
}

impl<'a, T: Lax> Many<'a, T> {
    /// Reads at this place, where these shapes are published.
    pub(crate) fn new(at: &'a At<'a>, published: Shapes) -> Self {
        Many { at, published, value: PhantomData }
    }

    /// Makes a list of what `read` puts into a slot.
    fn alone<E>(&self, read: impl FnOnce(One<'_, T>) -> Result<Found, E>) -> Result<Vec<T>, E> {
        let mut slot = None;
        read(One::new(&mut slot, self.at, self.published))?;
        Ok(slot.into_iter().collect())
    }
}

impl<'de, T: Lax> Visitor<'de> for Many<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Vec<T>, E> {
        self.alone(|one| one.visit_bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Vec<T>, E> {
        self.alone(|one| one.visit_u64(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<T>, E> {
        self.alone(|one| one.visit_i64(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Vec<T>, E> {
        self.alone(|one| one.visit_f64(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Vec<T>, E> {
        self.alone(|one| one.visit_str(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        self.alone(|one| one.visit_map(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        let mut index = 0;
        while index < LIST_LIMIT && self.at.take_element() {
            let here = self.at.index(index);
            let mut slot = None;
            let one = One::new(&mut slot, &here, T::PUBLISHED);
            if list.next_element_seed(one)?.is_none() {
                if index > 0 && !self.published.has(Found::Array) {
                    self.at.note_type(self.published, Found::Array);
                }
                return Ok(values);
            }
            if let Some(value) = slot {
                if values.is_empty() && size_of::<T>() > LARGE {
                    values.reserve_exact(1);
                }
                values.push(value);
            }
            index += 1;
        }
        let mut rest = 0_usize;
        while list.next_element::<IgnoredAny>()?.is_some() {
            rest += 1;
        }
        if rest > 0 && index == LIST_LIMIT {
            self.at.note(OddityKind::ListTooLong, "a shorter list", Found::Array);
        }
        Ok(values)
    }
}

/// Reads a key, borrowed from the text unless it is written with escapes.
#[derive(Debug)]
pub(crate) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
