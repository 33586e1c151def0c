//! Reads JSON into typed models, whatever shape a seller gave it.
//!
//! Constraints: one pass over the text, no buffering and no document tree; models are owned;
//! no JSON at any place makes reading fail, only text that is not JSON does. A scalar is read
//! from text, number or bool, a list from one or many, an object also from a list's first
//! element. Null and empty (`""`, blanks, `{}`, `[]`) mean absent. What is read from a shape that
//! no dialect publishes, or cannot be read at all, is noted with its JSON Pointer.
//!
//! The place is a linked list on the stack ([`At`]), so that a pointer is written only when
//! something is noted. Lists and the sum of all elements are bounded: 1 MiB of small elements must
//! not become 100 MiB of models.

mod model;
mod scalar;
mod shape;
mod visit;

pub(crate) use model::{merge, model};
pub(crate) use scalar::last;
pub(crate) use shape::{At, Found, Notes, Shapes};
pub(crate) use visit::{Key, Many, Object, One};

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess};

/// The elements of one list that are read; the rest is skipped and noted once.
pub(crate) const LIST_LIMIT: usize = 2_000;
/// The elements of all lists of one body that are read together.
///
/// Lists nest, so [`LIST_LIMIT`] alone would let a body of 1 MiB grow a hundredfold. The largest
/// of 16,700 real bodies has about 1,500.
pub(crate) const ELEMENT_LIMIT: usize = 20_000;

/// A type that is read from one JSON value.
pub(crate) trait Lax: Sized {
    /// The shapes that the protocol publishes where a key does not say otherwise.
    const PUBLISHED: Shapes;

    /// Returns the value of a text, or of a number or a bool written as text; it is not blank.
    fn from_text(text: &str) -> Option<Self>;

    /// Reads the value of an object into `slot`, where nothing is: a large model is not moved from
    /// hand to hand.
    fn read_map<'de, A: MapAccess<'de>>(
        _slot: &mut Option<Self>,
        map: A,
        _at: &At<'_>,
    ) -> Result<Object, A::Error> {
        skip_map(map).map(|empty| if empty { Object::Empty } else { Object::Unreadable })
    }
}

/// A type that is filled key by key.
pub(crate) trait Model: Default {
    /// Fills it from an object; returns whether that is empty.
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: A, at: &At<'_>) -> Result<bool, A::Error>;
}

/// Fills a model in its place, which is empty.
pub(crate) fn fill<'de, M: Model, A: MapAccess<'de>>(
    slot: &mut Option<M>,
    map: A,
    at: &At<'_>,
) -> Result<Object, A::Error> {
    let empty = slot.insert(M::default()).fill(map, at)?;
    if empty {
        *slot = None;
    }
    Ok(if empty { Object::Empty } else { Object::Value })
}

/// What a model's field holds: a value that may be absent, or a list.
pub(crate) trait Field: Default {
    /// The shapes that the protocol publishes where a key does not say otherwise.
    const PUBLISHED: Shapes;

    /// Reads the field from whatever is there; what is absent there does not replace what it holds.
    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        json: D,
        at: &At<'_>,
        published: Shapes,
    ) -> Result<(), D::Error>;

    /// Returns whether there is nothing to show.
    fn is_absent(&self) -> bool;
}

impl<T: Lax> Field for Option<T> {
    const PUBLISHED: Shapes = T::PUBLISHED;

    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        json: D,
        at: &At<'_>,
        published: Shapes,
    ) -> Result<(), D::Error> {
        let before = if self.is_some() { self.take() } else { None };
        json.deserialize_any(One::new(self, at, published))?;
        if self.is_none() && before.is_some() {
            *self = before;
        }
        Ok(())
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Lax> Field for Vec<T> {
    const PUBLISHED: Shapes = Shapes::ARRAY;

    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        json: D,
        at: &At<'_>,
        published: Shapes,
    ) -> Result<(), D::Error> {
        let values = json.deserialize_any(Many::new(at, published))?;
        if !values.is_empty() {
            *self = values;
        }
        Ok(())
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// Reads past an object; returns whether it was empty.
pub(crate) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<bool, A::Error> {
    let mut empty = true;
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
        empty = false;
    }
    Ok(empty)
}
