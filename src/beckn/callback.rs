//! A whole callback: one pass from bytes to typed models.
//!
//! Constraints: no JSON object fails, whatever is in it; nothing of the body gets into an error;
//! the models own what they hold; the raw bytes of `message` and `error` are located in the same
//! pass, by where the borrowed keys lie.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};

use super::content::{Content, Spans};
use super::context::Context;
use super::contract::Contract;
use super::error::Error;
use super::lax::{At, Found, Key, Lax, Model, Notes, Object, One, Shapes, fill};
use super::oddity::{Oddity, OddityKind};
use super::order::Order;
use super::repair::{LineColumn, repair};
use super::tracking::Tracking;

/// A callback as it was read.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Callback {
    /// Who, to whom, about which transaction; empty when the body has none.
    pub context: Context,
    /// What it is about.
    pub payload: Payload,
    /// What the seller says went wrong; `None` when there is no code.
    pub error: Option<Error>,
    /// What no dialect publishes, at most [`ODDITY_LIMIT`](super::oddity::ODDITY_LIMIT) and one.
    pub oddities: Vec<Oddity>,
    pub(crate) shape: Shape,
    pub(crate) content: Content,
}

/// What a callback is about: by what is in its `message`, not by its action.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Payload {
    /// An order (dialects A and B).
    Order(Box<Order>),
    /// A tracking.
    Tracking(Box<Tracking>),
    /// A contract (Beckn 2.0).
    Contract(Box<Contract>),
    /// None of these: an error alone, or another callback's message, which is in the body.
    #[default]
    None,
}

/// Why a body is not a callback at all. It holds nothing of the body's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes are not UTF-8.
    #[error("expected UTF-8, found another byte at offset {at}")]
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// The text is not JSON.
    #[error("expected one JSON document: {what} at line {line} column {column}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, in bytes; 0 when the line break before it was not expected.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// It is JSON and not an object.
    #[error("expected an object, found {found}")]
    NotAnObject {
        /// The JSON type.
        found: &'static str,
    },
}

/// What the rules need to know and the models cannot say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    /// The JSON type of `context`.
    pub(crate) context: Found,
    /// Whether `context` has a key.
    pub(crate) context_has_keys: bool,
    /// The JSON type of `message`.
    pub(crate) message: Found,
    /// How many keys `message` has.
    pub(crate) message_keys: usize,
    /// The JSON type of `error`.
    pub(crate) error: Found,
    /// Whether `message` has `ack`: an answer, not a callback.
    pub(crate) has_ack: bool,
    /// The key of the payload, the first of `order`, `contract`, `tracking` that is there.
    pub(crate) payload: Option<PayloadShape>,
    /// The first trailing comma, when one was read over.
    pub(crate) trailing_comma: Option<LineColumn>,
    /// Whether the body begins with a byte order mark.
    pub(crate) bom: bool,
}

/// The payload's key and what is under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PayloadShape {
    pub(crate) key: &'static str,
    pub(crate) found: Found,
    /// Whether it is an object with at least one key.
    pub(crate) has_keys: bool,
}

impl Callback {
    /// Reads a callback from the bytes of its body.
    ///
    /// # Errors
    ///
    /// Only when the body is not one JSON object in UTF-8. A byte order mark and trailing commas
    /// are read over and noted.
    pub fn parse(body: &[u8]) -> Result<Callback, Malformed> {
        let text =
            str::from_utf8(body).map_err(|cause| Malformed::NotUtf8 { at: cause.valid_up_to() })?;
        let (json, bom) = match text.strip_prefix('\u{feff}') {
            Some(json) => (json, true),
            None => (text, false),
        };
        let offset = text.len() - json.len();
        match read(json) {
            Ok(parts) => parts.into_callback(offset, bom, None),
            Err(cause) => {
                let Some(repaired) = repair(json) else { return Err(not_json(&cause)) };
                let parts = read(&repaired.text).map_err(|cause| not_json(&cause))?;
                parts.into_callback(offset, bom, repaired.comma)
            }
        }
    }
}

fn not_json(cause: &serde_json::Error) -> Malformed {
    let text = cause.to_string();
    // serde_json's syntax errors name what was expected and never quote the text.
    let what = text.split(" at line ").next().unwrap_or_default().to_owned();
    Malformed::Json { line: cause.line(), column: cause.column(), what }
}

/// All that one pass gives.
struct Parts {
    root: Result<Root, Found>,
    notes: Notes,
}

fn read(json: &str) -> Result<Parts, serde_json::Error> {
    let notes = Notes::default();
    let mut reader = serde_json::Deserializer::from_str(json);
    let root = reader.deserialize_any(RootVisitor { json, at: &At::root(&notes) })?;
    reader.end()?;
    Ok(Parts { root, notes })
}

impl Parts {
    fn into_callback(
        self,
        offset: usize,
        bom: bool,
        comma: Option<LineColumn>,
    ) -> Result<Callback, Malformed> {
        let root = self.root.map_err(|found| Malformed::NotAnObject { found: found.as_str() })?;
        if comma.is_some() {
            let (expected, found) = ("no comma before an end", "trailing comma");
            self.notes.add(OddityKind::TrailingComma, expected, found, String::new);
        }
        if bom {
            let (expected, found) = ("JSON", "byte order mark");
            self.notes.add(OddityKind::Bom, expected, found, String::new);
        }
        let content = root.spans.content(offset);
        let shape = root.shape(comma, bom);
        Ok(Callback {
            context: root.context.value.unwrap_or_default(),
            payload: root.message.value.unwrap_or_default().payload,
            error: root.error.value.filter(|error| error.code.is_some()),
            oddities: self.notes.into_oddities(),
            shape,
            content,
        })
    }
}

/// The top level of a body.
struct Root {
    context: Seen<Context>,
    message: Seen<Message>,
    error: Seen<Error>,
    spans: Spans,
}

impl Root {
    fn shape(&self, trailing_comma: Option<LineColumn>, bom: bool) -> Shape {
        let message = self.message.value.as_ref();
        Shape {
            context: self.context.found,
            context_has_keys: self.context.value.is_some(),
            message: self.message.found,
            message_keys: message.map_or(0, |message| message.keys),
            error: self.error.found,
            has_ack: message.is_some_and(|message| message.has_ack),
            payload: message.and_then(|message| message.shape),
            trailing_comma,
            bom,
        }
    }
}

struct RootVisitor<'a> {
    json: &'a str,
    at: &'a At<'a>,
}

/// A value that was read, and the JSON type it was read from.
struct Seen<T> {
    found: Found,
    value: Option<T>,
}

impl<T: Lax> Seen<T> {
    const ABSENT: Self = Self { found: Found::Absent, value: None };

    /// Reads the value of a key, of which the last counts.
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A, at: &At<'_>) -> Result<(), A::Error> {
        self.value = None;
        self.found = map.next_value_seed(One::new(&mut self.value, at, T::PUBLISHED))?;
        Ok(())
    }
}

impl<'de> Visitor<'de> for RootVisitor<'_> {
    type Value = Result<Root, Found>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let spans = Spans::default();
        let (context, message, error) = (Seen::ABSENT, Seen::ABSENT, Seen::ABSENT);
        let mut root = Root { context, message, error, spans };
        while let Some(key) = map.next_key_seed(Key)? {
            root.spans.key(self.json, &key);
            match &*key {
                "context" => root.context.read(&mut map, &self.at.key("context"))?,
                "message" => root.message.read(&mut map, &self.at.key("message"))?,
                "error" => root.error.read(&mut map, &self.at.key("error"))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        root.spans.end(self.json);
        Ok(Ok(root))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(Found::Array))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(Found::Null))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Err(Found::Boolean))
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self::Value, E> {
        Ok(Err(Found::Number))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(Err(Found::Number))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(Err(Found::Number))
    }

    fn visit_str<E>(self, _value: &str) -> Result<Self::Value, E> {
        Ok(Err(Found::String))
    }
}

/// The message: its payload and what the rules ask about it.
#[derive(Default)]
struct Message {
    payload: Payload,
    keys: usize,
    has_ack: bool,
    shape: Option<PayloadShape>,
}

impl Lax for Message {
    const PUBLISHED: Shapes = Shapes::OBJECT;

    fn from_text(_text: &str) -> Option<Message> {
        None
    }

    fn read_map<'de, A: MapAccess<'de>>(
        slot: &mut Option<Message>,
        map: A,
        at: &At<'_>,
    ) -> Result<Object, A::Error> {
        fill(slot, map, at)
    }
}

impl Model for Message {
    fn fill<'de, A: MapAccess<'de>>(&mut self, mut map: A, at: &At<'_>) -> Result<bool, A::Error> {
        let message = self;
        let (mut order, mut contract, mut tracking) = (Seen::ABSENT, Seen::ABSENT, Seen::ABSENT);
        while let Some(key) = map.next_key_seed(Key)? {
            message.keys += 1;
            match &*key {
                "order" => order.read(&mut map, &at.key("order"))?,
                "contract" => contract.read(&mut map, &at.key("contract"))?,
                "tracking" => tracking.read(&mut map, &at.key("tracking"))?,
                key => {
                    message.has_ack |= key == "ack";
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // The last that says something wins; an order goes before the rest.
        message.take("tracking", tracking, Payload::Tracking);
        message.take("contract", contract, Payload::Contract);
        message.take("order", order, Payload::Order);
        Ok(message.keys == 0)
    }
}

impl Message {
    fn take<T>(&mut self, key: &'static str, seen: Seen<T>, payload: fn(T) -> Payload) {
        let Seen { found, value } = seen;
        let has_keys = value.is_some();
        let nothing_yet = self.shape.is_none_or(|shape| !shape.has_keys);
        if found != Found::Absent && (has_keys || nothing_yet) {
            self.shape = Some(PayloadShape { key, found, has_keys });
        }
        if let Some(value) = value {
            self.payload = payload(value);
        }
    }
}
