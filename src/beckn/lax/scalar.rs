//! How text, flags and boxes are read.

use serde::de::{IgnoredAny, MapAccess};

use super::{At, Key, Lax, Object, One, Shapes};

impl Lax for String {
    const PUBLISHED: Shapes = Shapes::STRING;

    fn from_text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Takes the text that an object stands for: its `code`, its descriptor's, else its `name`.
    fn from_map<'de, A: MapAccess<'de>>(
        mut map: A,
        at: &At<'_>,
    ) -> Result<Object<String>, A::Error> {
        let (mut code, mut descriptor, mut name) = (None, None, None);
        let mut empty = true;
        while let Some(key) = map.next_key_seed(Key)? {
            empty = false;
            match &*key {
                "code" => code = map.next_value_seed(One::at(&at.key("code")))?.value,
                "name" => name = map.next_value_seed(One::at(&at.key("name")))?.value,
                "descriptor" => {
                    let here = at.key("descriptor");
                    let text = One::new(&here, Shapes::OBJECT);
                    descriptor = map.next_value_seed(text)?.value;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(match code.or(descriptor).or(name) {
            Some(text) => Object::Value(text),
            None if empty => Object::Empty,
            None => Object::Unreadable,
        })
    }
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

impl<T: Lax> Lax for Box<T> {
    const PUBLISHED: Shapes = T::PUBLISHED;

    fn from_text(text: &str) -> Option<Box<T>> {
        T::from_text(text).map(Box::new)
    }

    fn from_map<'de, A: MapAccess<'de>>(map: A, at: &At<'_>) -> Result<Object<Box<T>>, A::Error> {
        Ok(match T::from_map(map, at)? {
            Object::Empty => Object::Empty,
            Object::Unreadable => Object::Unreadable,
            Object::Value(value) => Object::Value(Box::new(value)),
        })
    }
}
