//! One declaration a model: its struct and its reader.

use serde::Deserializer;
use serde::de::DeserializeSeed;

use super::{At, Field, Shapes};

/// Declares a model and how it is read: `field: Type = "key" | "other key" as SHAPES`.
///
/// Every field is an `Option`, a `Vec` or `Tags`. A key's shapes are those that the dialects
/// publish for it, where they are not those of the type. A text in the model's place goes
/// into the field of `[text = field]`,
/// `[published = …]` says what shapes it has by itself, `[seen = f]` is told of every key.
macro_rules! model {
    (
        $(#[$meta:meta])*
        pub struct $name:ident
        $([ $(published = $published:ident)? $(text = $text:ident)? $(seen = $seen:ident)? ])*
        {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $type:ty = $( $key:literal $(as $shapes:ident)? )|+ ,
            )*
        }
        $( private { $( $(#[$own_meta:meta])* $own:ident : $own_type:ty, )* } )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::beckn::lax::Field::is_absent")]
                pub $field: $type,
            )*
            $( $( $(#[$own_meta])* #[serde(skip)] pub(crate) $own: $own_type, )* )?
        }

        impl crate::beckn::lax::Lax for $name {
            const PUBLISHED: crate::beckn::lax::Shapes = crate::beckn::lax::Shapes::last(&[
                crate::beckn::lax::Shapes::OBJECT,
                $( $( crate::beckn::lax::Shapes::$published, )? )*
            ]);

            #[allow(unused_variables, reason = "most models have no reading for a text")]
            fn from_text(text: &str) -> Option<Self> {
                $( $(
                    if let Some(value) = crate::beckn::lax::Lax::from_text(text) {
                        return Some(Self { $text: Some(value), ..Self::default() });
                    }
                )? )*
                None
            }

            fn read_map<'de, A: serde::de::MapAccess<'de>>(
                slot: &mut Option<Self>,
                map: A,
                at: &crate::beckn::lax::At<'_>,
            ) -> Result<crate::beckn::lax::Object, A::Error> {
                crate::beckn::lax::fill(slot, map, at)
            }
        }

        impl crate::beckn::lax::Model for $name {
            fn fill<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                mut map: A,
                at: &crate::beckn::lax::At<'_>,
            ) -> Result<bool, A::Error> {
                use crate::beckn::lax::{Field, Key, Shapes, merge};
                let mut empty = true;
                while let Some(key) = map.next_key_seed(Key)? {
                    empty = false;
                    $( $( $seen(self, &key); )? )*
                    match &*key {
                        $( $( $key => {
                            let shapes = const {
                                Shapes::last(&[
                                    <$type as Field>::PUBLISHED,
                                    $( Shapes::$shapes, )?
                                ])
                            };
                            map.next_value_seed(merge(&mut self.$field, &at.key($key), shapes))?;
                        } )+ )*
                        _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                    }
                }
                Ok(empty)
            }
        }
    };
}
pub(crate) use model;

/// Reads into a field; what is absent does not replace what another key has said.
pub(crate) fn merge<'a, F: Field>(
    field: &'a mut F,
    at: &'a At<'a>,
    published: Shapes,
) -> Merge<'a, F> {
    Merge { field, at, published }
}

/// The seed that [`merge`] returns.
#[derive(Debug)]
pub(crate) struct Merge<'a, F> {
    field: &'a mut F,
    at: &'a At<'a>,
    published: Shapes,
}

impl<'de, F: Field> DeserializeSeed<'de> for Merge<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.field.read(json, self.at, self.published)
    }
}
