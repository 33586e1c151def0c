//! A name that is made from an event: a NATS subject, a routing key.

#[cfg(any(feature = "jetstream", feature = "rabbitmq", test))]
mod render;

use std::fmt::Write as _;

/// A text with places in it that an event fills, such as `beckn.{action}.{bpp_id}`.
///
/// What fills a place is escaped: letters, digits, `_` and `-` stay, every other byte becomes `%`
/// and two hexadecimal digits, so that an id with a dot, a slash, a `*` or a space is one token.
/// What an event does not have is `_`, and the id `_` is `%5F`. What would be too long is cut, and
/// ends with `~` and a fingerprint of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

macro_rules! places {
    ($($(#[doc = $doc:literal])+ $Name:ident = $name:literal,)+) => {
        /// What of an event fills a place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Place { $($(#[doc = $doc])+ $Name,)+ }

        impl Place {
            /// Every place.
            pub(crate) const ALL: &[Place] = &[$(Place::$Name,)+];

            /// Returns the name between the braces.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Place::$Name => $name,)+ }
            }
        }
    };
}

places! {
    /// The callback's name, as `on_status`.
    Action = "action",
    /// The domain, as `ONDC:RET11`.
    Domain = "domain",
    /// The buyer app.
    BapId = "bap_id",
    /// The seller app.
    BppId = "bpp_id",
    /// The transaction.
    TransactionId = "transaction_id",
    /// The message.
    MessageId = "message_id",
    /// The order.
    OrderId = "order_id",
}

impl Template {
    /// Says what a text must be, to go after "expected".
    pub const FORM: &str = "a name such as \"beckn.{action}.{bpp_id}\", of letters, digits and \
        ._-/:, and of places: {action}, {domain}, {bap_id}, {bpp_id}, {transaction_id}, \
        {message_id}, {order_id}";

    /// Reads a template; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, place) = match rest.split_once('{') {
                Some((plain, after)) => (plain, Some(after.split_once('}')?)),
                None => (rest, None),
            };
            if !plain.bytes().all(is_plain) {
                return None;
            }
            if !plain.is_empty() {
                parts.push(Part::Text(plain.to_owned()));
            }
            let Some((name, after)) = place else { break };
            parts.push(Part::Place(*Place::ALL.iter().find(|place| place.as_str() == name)?));
            rest = after;
        }
        (!parts.is_empty()).then(|| Self { text: text.to_owned(), parts })
    }

    /// Returns the text that it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte)
}

/// Adds `value` with every byte that does not stay as `%` and two hexadecimal digits.
pub(crate) fn push_escaped(text: &mut String, value: &str, stays: impl Fn(u8) -> bool) {
    for byte in value.bytes() {
        if stays(byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a text takes what is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Template};

    #[test]
    fn what_is_no_template_is_refused() {
        for wrong in ["", "a b", "{", "a.{nothing}", "a.{action", "a.>", "a.*", "é", "a}b{c"] {
            assert_eq!(Template::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Template::parse("a.{action}").unwrap().as_str(), "a.{action}");
    }

    #[test]
    fn the_form_names_every_place() {
        for place in Place::ALL {
            assert!(Template::FORM.contains(&format!("{{{}}}", place.as_str())), "{place:?}");
        }
    }
}
