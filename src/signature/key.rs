//! Keys: a registered public key with its validity, and a private key that signs.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::header::Authorization;
use super::{COVERED, digest, signing_string};
use crate::words::{Cause, KeyId, Outside, Untrusted};

/// Why a text or bytes are no key. Never says what was found: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// It is not base64.
    #[error("expected a key in standard base64")]
    NotBase64,
    /// It has another length.
    #[error("expected {expected} bytes in base64, found {found}")]
    Length { expected: &'static str, found: usize },
    /// The second half of a 64-byte private key is not the public key of the first.
    #[error("the public half of the private key does not belong to its seed")]
    Halves,
    /// The bytes are no point of the curve.
    #[error("the 32 bytes are no Ed25519 public key")]
    NotOnCurve,
}

/// The public half of an Ed25519 key, decoded once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the raw 32 bytes.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_not_on_curve| KeyError::NotOnCurve)
    }

    /// Reads the base64 of the raw 32 bytes, as registries hold it.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_error| KeyError::NotBase64)?;
        let found = bytes.len();
        let bytes =
            bytes.try_into().map_err(|_bytes| KeyError::Length { expected: "32", found })?;
        Self::from_bytes(&bytes)
    }

    /// Returns the raw 32 bytes.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Returns whether this key signed `message`, strictly.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key of a subscriber, as a registry lists it or an operator pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "`unique_key` is the protocol's word")]
pub(crate) struct Key {
    /// Its id among the subscriber's keys; `None` where the registry gives none.
    pub(crate) unique_key: Option<String>,
    pub(crate) public: PublicKey,
    pub(crate) valid_from: Option<DateTime<Utc>>,
    pub(crate) valid_until: Option<DateTime<Utc>>,
    /// The registry's word for its standing when it is another than `SUBSCRIBED`.
    pub(crate) refused_status: Option<String>,
}

impl Key {
    /// Returns a key that is always valid.
    pub(crate) fn pinned(unique_key: Option<String>, public: PublicKey) -> Self {
        Self { unique_key, public, valid_from: None, valid_until: None, refused_status: None }
    }

    /// Checks that the key may sign at `now`.
    pub(crate) fn check(&self, id: &KeyId, now: DateTime<Utc>) -> Result<(), Untrusted> {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        if let Some(status) = &self.refused_status {
            let message =
                format!("expected a key that is SUBSCRIBED, found {id}: {}", Outside(status));
            return Err(Untrusted::new(Cause::KeyNoLongerValid, message));
        }
        if let Some(from) = self.valid_from.filter(|from| now < *from) {
            let message =
                format!("expected a key that is valid, {id} is valid from {}", time(from));
            return Err(Untrusted::new(Cause::KeyNotYetValid, message));
        }
        if let Some(until) = self.valid_until.filter(|until| now > *until) {
            let message =
                format!("expected a key that is valid, {id} was valid until {}", time(until));
            return Err(Untrusted::new(Cause::KeyNoLongerValid, message));
        }
        Ok(())
    }
}

/// A private key; it is wiped when it is dropped, and never shown.
#[derive(Clone)]
pub(crate) struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Returns the key of a 32-byte seed.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads base64 of a 32-byte seed, or of the 64 bytes of seed and public key that libsodium
    /// and ONDC's tools write.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_error| KeyError::NotBase64)?;
        if let Ok(seed) = <&[u8; 32]>::try_from(bytes.as_slice()) {
            return Ok(Self::from_seed(seed));
        }
        let wrong = |_| KeyError::Length { expected: "32 or 64", found: bytes.len() };
        let pair = <&[u8; 64]>::try_from(bytes.as_slice()).map_err(wrong)?;
        SigningKey::from_keypair_bytes(pair).map(Self).map_err(|_error| KeyError::Halves)
    }

    /// Returns the public half.
    #[cfg(any(feature = "mock", fuzzing, test))]
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Returns the base64 of the seed: the secret itself.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn seed(&self) -> String {
        STANDARD.encode(self.0.as_bytes())
    }

    /// Signs any message.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Returns the value of the `Authorization` header for this body; the times in seconds.
    pub(crate) fn authorization(
        &self,
        id: &KeyId,
        body: &[u8],
        created: i64,
        expires: i64,
    ) -> String {
        let (created, expires) = (created.to_string(), expires.to_string());
        let signed = signing_string(&created, &expires, &digest(body));
        let signature = self.sign(signed.as_bytes());
        Authorization::written(id, &created, &expires, COVERED, &STANDARD.encode(signature))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}
