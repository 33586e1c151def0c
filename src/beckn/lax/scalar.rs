//! How text, flags and boxes are read.

use serde::de::{IgnoredAny, MapAccess};

use super::{At, Key, Lax, Model, Object, One, Shapes, fill};
use crate::beckn::text::Text;

impl Lax for Text {
    const PUBLISHED: Shapes = Shapes::STRING;

    fn from_text(text: &str) -> Option<Text> {
        Some(text.into())
    }

    /// Takes the text that an object stands for: its `code`, its descriptor's, else its `name`.
    fn read_map<'de, A: MapAccess<'de>>(
        slot: &mut Option<Text>,
        mut map: A,
        at: &At<'_>,
    ) -> Result<Object, A::Error> {
        let (mut code, mut descriptor, mut name) = (None, None, None);
        let mut empty = true;
        while let Some(key) = map.next_key_seed(Key)? {
            empty = false;
            match &*key {
                "code" => last(&mut map, &mut code, &at.key("code"), Shapes::STRING)?,
                "name" => last(&mut map, &mut name, &at.key("name"), Shapes::STRING)?,
                "descriptor" => {
                    let here = at.key("descriptor");
                    last(&mut map, &mut descriptor, &here, Shapes::OBJECT)?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        *slot = code.or(descriptor).or(name);
        Ok(match slot {
            Some(_) => Object::Value,
            None if empty => Object::Empty,
            None => Object::Unreadable,
        })
    }
}

/// Reads the value of a key of which the last counts, whatever it is.
pub(crate) fn last<'de, T: Lax, A: MapAccess<'de>>(
    map: &mut A,
    slot: &mut Option<T>,
    at: &At<'_>,
    published: Shapes,
) -> Result<(), A::Error> {
    *slot = None;
    map.next_value_seed(One::new(slot, at, published)).map(|_found| ())
}

impl Lax for bool {
    const PUBLISHED: Shapes = Shapes::BOOLEAN;

    fn from_text(text: &str) -> Option<bool> {
        let text = text.trim_ascii();
        if text.eq_ignore_ascii_case("true") {
            return Some(true);
        }
        text.eq_ignore_ascii_case("false").then_some(false)
    }
}

impl<T: Lax + Model> Lax for Box<T> {
    const PUBLISHED: Shapes = T::PUBLISHED;

    fn from_text(text: &str) -> Option<Box<T>> {
        T::from_text(text).map(Box::new)
    }

    fn read_map<'de, A: MapAccess<'de>>(
        slot: &mut Option<Box<T>>,
        map: A,
        at: &At<'_>,
    ) -> Result<Object, A::Error> {
        fill(slot, map, at)
    }
}

impl<T: Model> Model for Box<T> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: A, at: &At<'_>) -> Result<bool, A::Error> {
        T::fill(self, map, at)
    }
}
