//! Which key of which subscriber, and keys that an operator vouches for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Outside, SubscriberId};

/// Returns whether a text holds what may be a private key, so that no message repeats it: base64
/// of 32 or 64 bytes, alone or between `|`.
pub(crate) fn holds_key(text: &str) -> bool {
    let is_key =
        |part: &str| STANDARD.decode(part.trim()).is_ok_and(|bytes| matches!(bytes.len(), 32 | 64));
    text.split('|').any(is_key)
}

/// Returns whether a text holds what may be a private key or a webhook secret.
pub(crate) fn holds_secret(text: &str) -> bool {
    text.contains("whsec_") || holds_key(text)
}

/// Names a key: `subscriber id|unique key id`, as the first parts of a signature's `keyId`.
///
/// The subscriber is kept in the letters in which it was written, for a registry compares texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId {
    subscriber: SubscriberId,
    unique_key: Option<String>,
}

impl KeyId {
    /// Returns the id of a subscriber's key; `None` for the only key of its subscriber.
    pub fn new(subscriber: impl AsRef<str>, unique_key: Option<String>) -> Self {
        Self { subscriber: SubscriberId::written(subscriber.as_ref()), unique_key }
    }

    /// Reads `subscriber id|unique key id`. The subscriber id may hold a `|` itself.
    pub fn parse(text: &str) -> Option<Self> {
        let (subscriber, unique_key) = text.rsplit_once('|')?;
        let id = Self::new(subscriber, Some(unique_key.trim().to_owned()));
        let is_whole = !id.subscriber().is_empty() && id.unique_key() != Some("");
        is_whole.then_some(id)
    }

    /// Returns the subscriber's id, in the letters in which it was written.
    pub fn subscriber(&self) -> &str {
        self.subscriber.as_str()
    }

    /// Returns the subscriber.
    pub fn subscriber_id(&self) -> &SubscriberId {
        &self.subscriber
    }

    /// Returns which of the subscriber's keys it is; `None` for its only one.
    pub fn unique_key(&self) -> Option<&str> {
        self.unique_key.as_deref()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Outside(self.subscriber()))?;
        match &self.unique_key {
            Some(unique_key) => write!(f, "|{}", Outside(unique_key)),
            None => Ok(()),
        }
    }
}

/// A public key that an operator vouches for: `subscriber id|unique key id|key in base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKey {
    /// Whose key it is.
    pub id: KeyId,
    /// The 32 raw bytes of the Ed25519 public key.
    pub public: [u8; 32],
}

impl PinnedKey {
    /// How a pinned key is written, to go after "expected".
    pub const FORM: &'static str =
        "`subscriber id|unique key id|public key`, the key being 32 bytes in base64";

    /// Reads a key as it is pinned.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, key) = text.rsplit_once('|')?;
        let public = STANDARD.decode(key.trim()).ok()?.try_into().ok()?;
        Some(Self { id: KeyId::parse(id)?, public })
    }
}

/// Writes it as it is read, uncut: what is shown is put into settings.
impl fmt::Display for PinnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|", self.id.subscriber)?;
        if let Some(unique_key) = &self.id.unique_key {
            write!(f, "{unique_key}|")?;
        }
        f.write_str(&STANDARD.encode(self.public))
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyId, PinnedKey};

    #[test]
    fn a_key_id_is_split_from_the_right() {
        let id = KeyId::parse("seller.example/a|b|key-1").unwrap();
        assert_eq!((id.subscriber(), id.unique_key()), ("seller.example/a|b", Some("key-1")));
        for broken in ["seller.example", "|key-1", "seller.example|", " | ", "https://|key-1"] {
            assert_eq!(KeyId::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_pinned_key_is_read_as_it_is_written() {
        for id in ["seller.example|key-1".to_owned(), format!("{}|key-1", "x".repeat(200))] {
            let text = format!("{id}|awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=");
            assert_eq!(PinnedKey::parse(&text).unwrap().to_string(), text);
        }
        for broken in [
            "seller.example|awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=",
            "seller.example|key-1|awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOA==",
            "seller.example|key-1|not base64",
            "",
        ] {
            assert_eq!(PinnedKey::parse(broken), None, "{broken}");
        }
    }
}
