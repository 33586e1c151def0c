//! Who signs a mock BPP's callbacks.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Cause, Error};
use crate::signature::PrivateKey;
use crate::words::KeyId;

/// How long a signature says that it is valid.
pub(super) const VALID_SECONDS: i64 = 300;

/// The longest key id, in bytes: with it a header is read by any receiver.
const LONGEST_KEY_ID: usize = 1_024;

/// A key of a subscriber, to sign callbacks with. Its `Debug` hides the private half.
#[derive(Clone)]
pub struct Signer {
    pub(super) id: KeyId,
    pub(super) key: PrivateKey,
}

impl Signer {
    /// Returns the signer of `subscriber id|unique key id`, with the private key in base64: its
    /// 32-byte seed, or the 64 bytes of seed and public key.
    ///
    /// # Errors
    /// When either is not that. The error says nothing of the private key but its length.
    pub fn new(key_id: &str, private_key: &str) -> Result<Signer, Error> {
        // It is written between quotes into a header.
        let is_plain = !key_id.contains(|c: char| c == '"' || c.is_control());
        let fits = is_plain && key_id.len() <= LONGEST_KEY_ID;
        let id = KeyId::parse(key_id).filter(|_| fits);
        let id = id.ok_or_else(|| Error::new("sign", Cause::KeyId))?;
        let key = PrivateKey::parse(private_key);
        let key = key.map_err(|source| Error::new(format!("sign as {id}"), source))?;
        Ok(Signer { id, key })
    }

    /// Returns the subscriber that signs, as it was written.
    pub fn subscriber(&self) -> &str {
        self.id.subscriber()
    }

    /// Returns the public half of the key, in base64, as a registry holds it.
    pub fn public_key(&self) -> String {
        self.key.public().to_string()
    }

    /// Returns which key it is, as `subscriber id|unique key id`, escaped to be shown.
    pub fn key_id(&self) -> String {
        self.id.to_string()
    }

    /// Returns the `Authorization` header of a body that is signed at `now`.
    pub(crate) fn authorization(&self, body: &[u8], now: DateTime<Utc>) -> String {
        let created = now.timestamp();
        self.key.authorization(&self.id, body, created, created + VALID_SECONDS)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::Signer;
    use crate::signature::{Authorization, verify};

    const SEED: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    #[test]
    fn a_signature_is_verified_by_the_public_half() {
        let signer = Signer::new("seller.example/a|key-1", SEED).unwrap();
        let now = chrono::Utc::now();
        let authorization = Authorization::parse(&signer.authorization(b"{}", now)).unwrap();
        assert!(verify(&authorization, &signer.key.public(), b"{}"));
        assert_eq!(authorization.key_id().to_string(), signer.key_id());
        let times = authorization.times();
        assert_eq!((times.created, times.expires - times.created), (now.timestamp(), 300));
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        for (key_id, private_key) in [
            ("seller.example", SEED),
            ("seller.example|", SEED),
            ("seller.example|a\"b", SEED),
            ("seller.example|a\nb", SEED),
            (&format!("{}|key-1", "x".repeat(1_024)), SEED),
            ("seller.example|key-1", "c2VjcmV0"),
            ("seller.example|key-1", "not base64, a secret"),
        ] {
            let error = Signer::new(key_id, private_key).unwrap_err();
            let text = format!("{error:?} {}", crate::words::Chain(&error));
            assert!(!text.contains(private_key) && !text.contains("secret"), "{text}");
        }
        let shown = format!("{:?}", Signer::new("seller.example|key-1", SEED).unwrap());
        assert_eq!(shown, "Signer(seller.example|key-1)");
    }
}
