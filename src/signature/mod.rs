//! Signatures as BECKN-006 and ONDC write them: Ed25519 over a signing string that names the
//! BLAKE2b-512 digest of the raw body. Pure: the time is a parameter.
//!
//! # Constraints
//! - What is verified are the bytes as they were received, strictly (`verify_strict`), once.
//! - Nothing here keeps, logs or prints a private key; its `Debug` says nothing.
//! - `diagnose` is for signatures that did not match; the happy path never comes there.
//!
//! # Sources
//! BECKN-006 (Signing Beckn APIs in HTTP, draft 01) and ONDC's `signing-verification.md`: the
//! header, the signing string, the digest, the challenge.

pub(crate) mod diagnose;
mod header;
mod key;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::words::{Cause, Outside, SubscriberId, Untrusted};

#[cfg(any(fuzzing, test))]
pub(crate) use header::Times;
pub(crate) use header::{Authorization, Window};
pub(crate) use key::{Key, KeyError, PrivateKey, PublicKey};

/// What a 401 asks for besides the realm: the parts that a signature covers.
pub(crate) const COVERED: &str = "(created) (expires) digest";

/// Returns the digest of a body: `BLAKE2b` with 64 bytes of output, in base64.
pub(crate) fn digest(body: &[u8]) -> String {
    STANDARD.encode(blake2b_simd::blake2b(body).as_bytes())
}

/// Returns what is signed; `created` and `expires` as they stand in the header.
pub(crate) fn signing_string(created: &str, expires: &str, digest: &str) -> String {
    format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest}")
}

/// Returns whether `key` made the signature over this body, by the strict rules of Ed25519.
pub(crate) fn verify(authorization: &Authorization, key: &PublicKey, body: &[u8]) -> bool {
    let signed = authorization.signing_string(&digest(body));
    key.verify(signed.as_bytes(), authorization.signature())
}

/// Checks that the subscriber that signed is the one that the context names as the seller.
///
/// Beckn's onix checks the same; a subscriber could otherwise speak for any other. A context that
/// names none is left to the rules.
///
/// # Errors
/// It is another one.
pub(crate) fn check_seller(signer: &SubscriberId, bpp_id: Option<&str>) -> Result<(), Untrusted> {
    let Some(bpp_id) = bpp_id.filter(|id| !id.trim().is_empty()) else { return Ok(()) };
    if SubscriberId::written(bpp_id) == *signer {
        return Ok(());
    }
    let message = format!(
        "expected a signature by context.bpp_id (`{}`), found one by `{}`",
        Outside(bpp_id),
        Outside(signer.as_str())
    );
    Err(Untrusted::new(Cause::SignerIsNotBppId, message))
}

#[cfg(test)]
mod tests;
