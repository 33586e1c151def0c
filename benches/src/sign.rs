//! Signs as a seller does, with nothing of the receiver's: what is measured does not sign for
//! itself.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// How long a signature is in base64.
pub const LENGTH: usize = 88;

/// So long what is signed may be used, in seconds: longer than any measurement takes.
const VALID: u64 = 3_600;

/// A seller's key, and the header that it signs with.
#[derive(Debug, Clone)]
pub struct Seller {
    key: SigningKey,
    key_id: String,
    created: u64,
}

impl Seller {
    /// Returns the seller of this key; `key_id` is `subscriber id|unique key id`.
    ///
    /// # Errors
    /// The clock is before 1970.
    pub fn new(seed: &[u8; 32], key_id: &str) -> Result<Seller, Box<dyn Error>> {
        let created = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        Ok(Seller { key: SigningKey::from_bytes(seed), key_id: key_id.to_owned(), created })
    }

    /// Reads the key from a file: the seed, or seed and public key, in base64.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn read(file: &Path, key_id: &str) -> Result<Seller, Box<dyn Error>> {
        let wrong = || format!("{}: expected 32 or 64 bytes in base64", file.display());
        let bytes = STANDARD.decode(fs::read_to_string(file)?.trim()).map_err(|_error| wrong())?;
        match (bytes.first_chunk(), bytes.len()) {
            (Some(seed), 32 | 64) => Seller::new(seed, key_id),
            _ => Err(wrong().into()),
        }
    }

    /// Returns the key as a receiver pins it.
    pub fn pinned(&self) -> String {
        format!("{}|{}", self.key_id, STANDARD.encode(self.key.verifying_key()))
    }

    /// Returns the public key.
    pub fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Returns the header's value with this signature.
    pub fn authorization(&self, signature: &str) -> String {
        format!(
            r#"Signature keyId="{}|ed25519",algorithm="ed25519",created="{}",expires="{}",headers="(created) (expires) digest",signature="{signature}""#,
            self.key_id,
            self.created,
            self.created + VALID,
        )
    }

    /// Returns what is signed for a body of this digest.
    pub fn signing_string(&self, digest: &str) -> String {
        let (created, expires) = (self.created, self.created + VALID);
        format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest}")
    }

    /// Signs a body.
    pub fn sign(&self, body: &[u8]) -> Signature {
        self.key.sign(self.signing_string(&digest(body)).as_bytes())
    }

    /// Signs a body; the signature in base64.
    pub fn sign_in_base64(&self, body: &[u8]) -> String {
        STANDARD.encode(self.sign(body).to_bytes())
    }
}

/// Returns the protocol's digest of a body.
pub fn digest(body: &[u8]) -> String {
    STANDARD.encode(blake2b_simd::blake2b(body).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Seller, digest};

    #[test]
    fn what_is_signed_is_verified_by_the_same_bytes_only() {
        let seller = Seller::new(&[7; 32], "seller.example|key-1").unwrap();
        let signature = seller.sign(b"{}");
        let verified = |body: &[u8]| {
            let signed = seller.signing_string(&digest(body));
            seller.public().verify_strict(signed.as_bytes(), &signature).is_ok()
        };
        assert!(verified(b"{}"));
        assert!(!verified(b"{ }"));
    }

    #[test]
    fn a_digest_is_that_of_beckn_006() {
        // "The quick brown fox…", whose digest BECKN-006 prints in hex.
        let expected = "qK3Uvd39k+SHfSdG5igXsRY2Sh+nvBSNlQkLxzM7NnP4JAHPeqLkyx7NkCluPxTLVBP47Xe+\
                        cwRbE5FM3NapGA==";
        assert_eq!(digest(b"The quick brown fox jumps over the lazy dog"), expected);
    }
}
