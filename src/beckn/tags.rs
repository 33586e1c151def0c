//! Tags: what networks add to an order without a new schema.
//!
//! Three forms are published: groups `{code, list: [{code, value}]}` (ONDC), the same with a
//! `descriptor` that holds the code (Beckn 1.x), and a free object of scalars (Beckn 0.9). All
//! are read as groups; a free object is one group without a code.

use std::ops::Deref;

use serde::de::{IgnoredAny, MapAccess};
use serde::{Deserializer, Serialize};

use super::lax::{At, Field, Key, Lax, Model, Object, One, Shapes, fill, last, merge};
use super::text::Text;

/// All groups of tags of one thing.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
#[non_exhaustive]
pub struct Tags {
    /// The groups in the order of the body.
    pub groups: Vec<TagGroup>,
}

/// Tags that belong together.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct TagGroup {
    /// What the group is about; none when the tags are a free object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Text>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// A value of the group itself; a few sellers send tags without lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Text>,
    /// The tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<Tag>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Tag {
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Text>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Text>,
}

impl Tags {
    /// Returns the value of a tag of a group, the first when there are several.
    pub fn value(&self, group: &str, code: &str) -> Option<&str> {
        let mut groups = self.groups.iter().filter(|one| one.code.as_deref() == Some(group));
        groups.find_map(|one| one.value(code))
    }

    /// Returns the first group with this code.
    pub fn group(&self, code: &str) -> Option<&TagGroup> {
        self.groups.iter().find(|group| group.code.as_deref() == Some(code))
    }
}

impl Deref for Tags {
    type Target = [TagGroup];

    fn deref(&self) -> &[TagGroup] {
        &self.groups
    }
}

impl TagGroup {
    /// Returns the value of a tag, the first when there are several.
    pub fn value(&self, code: &str) -> Option<&str> {
        let tag = self.list.iter().find(|tag| tag.code.as_deref() == Some(code))?;
        tag.value.as_deref()
    }
}

impl Field for Tags {
    const PUBLISHED: Shapes = Shapes::OBJECT_OR_ARRAY;

    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        json: D,
        at: &At<'_>,
        published: Shapes,
    ) -> Result<(), D::Error> {
        self.groups.read(json, at, published)
    }

    fn is_absent(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Lax for TagGroup {
    const PUBLISHED: Shapes = Shapes::OBJECT;

    fn from_text(_text: &str) -> Option<TagGroup> {
        None
    }

    /// Reads a group, or a free object when neither a list nor a code says that it is a group.
    fn read_map<'de, A: MapAccess<'de>>(
        slot: &mut Option<TagGroup>,
        map: A,
        at: &At<'_>,
    ) -> Result<Object, A::Error> {
        fill(slot, map, at)
    }
}

impl Model for TagGroup {
    fn fill<'de, A: MapAccess<'de>>(&mut self, mut map: A, at: &At<'_>) -> Result<bool, A::Error> {
        let group = self;
        let mut free = Vec::new();
        let mut is_group = false;
        let mut empty = true;
        while let Some(key) = map.next_key_seed(Key)? {
            empty = false;
            match &*key {
                "code" | "descriptor" => {
                    is_group = true;
                    read_code(&mut map, &key, &mut group.code, at)?;
                }
                "list" => {
                    is_group = true;
                    let list = Vec::<Tag>::PUBLISHED;
                    map.next_value_seed(merge(&mut group.list, &at.key("list"), list))?;
                }
                "name" => last(&mut map, &mut group.name, &at.key("name"), Shapes::STRING)?,
                "value" => last(&mut map, &mut group.value, &at.key("value"), Shapes::STRING)?,
                // `display` says whether to show the group; as a free tag it would be noise.
                "display" => drop(map.next_value::<IgnoredAny>()?),
                _ if !is_group && at.take_element() => {
                    let mut value = None;
                    map.next_value_seed(One::new(&mut value, at, Shapes::ANY))?;
                    free.extend(value.map(|value| Tag::free(&key, value)));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !is_group {
            group.list = free;
        }
        Ok(empty)
    }
}

/// Reads a code, or the descriptor that holds it: a text reads an object as its code.
fn read_code<'de, A: MapAccess<'de>>(
    map: &mut A,
    key: &str,
    code: &mut Option<Text>,
    at: &At<'_>,
) -> Result<(), A::Error> {
    let (key, published) = match key {
        "code" => ("code", Shapes::STRING),
        _ => ("descriptor", Shapes::OBJECT),
    };
    map.next_value_seed(merge(code, &at.key(key), published))
}

impl Tag {
    fn free(code: &str, value: Text) -> Tag {
        Tag { code: Some(code.into()), name: None, value: Some(value) }
    }
}

impl Lax for Tag {
    const PUBLISHED: Shapes = Shapes::OBJECT;

    fn from_text(_text: &str) -> Option<Tag> {
        None
    }

    fn read_map<'de, A: MapAccess<'de>>(
        slot: &mut Option<Tag>,
        map: A,
        at: &At<'_>,
    ) -> Result<Object, A::Error> {
        fill(slot, map, at)
    }
}

impl Model for Tag {
    fn fill<'de, A: MapAccess<'de>>(&mut self, mut map: A, at: &At<'_>) -> Result<bool, A::Error> {
        let tag = self;
        let mut empty = true;
        while let Some(key) = map.next_key_seed(Key)? {
            empty = false;
            match &*key {
                "code" | "descriptor" => read_code(&mut map, &key, &mut tag.code, at)?,
                "value" => last(&mut map, &mut tag.value, &at.key("value"), Shapes::STRING)?,
                "name" => last(&mut map, &mut tag.name, &at.key("name"), Shapes::STRING)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(empty)
    }
}
