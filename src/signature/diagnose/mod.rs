//! Why a signature does not match: tries what real senders get wrong.
//!
//! A sender only learns from "does not match" that something is wrong. Here each mistake that
//! was seen in the field is made on purpose, and the signature is verified against the result: the
//! first that fits is what the sender did.
//!
//! # Order
//! The most common first: line ends, the same JSON serialised otherwise, the digest written
//! otherwise or of another hash, the signing string written otherwise, something signed that is no
//! signing string, another key of the subscriber. Two of them fit only where they are the same
//! bytes; then the first is told.
//!
//! # Bounds
//! At most [`CANDIDATES`] strings and [`OTHER_KEYS`] keys, over a body of at most [`LONGEST_BODY`],
//! so often as [`Quota`] allows. A text that is serialised again takes at most four times the
//! body's room, and one at a time is in memory beside the three that it is made from.
//!
//! # Out of sight
//! What is found is named in our own words: no byte of a body, a signature or a private key.

mod json;
mod lines;
mod quota;
mod strings;

use std::borrow::Cow;
use std::sync::Arc;

use super::{Authorization, Key, PublicKey};
use crate::words::{Cause, Outside, Untrusted};

pub(crate) use quota::Quota;

/// What is known of a signature that did not match.
pub(crate) struct Evidence<'a> {
    /// The header that was read.
    pub(crate) authorization: &'a Authorization,
    /// The key that it names.
    pub(crate) key: &'a PublicKey,
    /// The keys of the same subscriber; the named one may be among them.
    pub(crate) others: &'a [Arc<Key>],
    /// The body as it was received.
    pub(crate) body: &'a [u8],
}

/// The longest body that is diagnosed beside the work of a receiver; real ones have some kB.
///
/// Measured on one of two busy cores, release build: 5 ms for a callback of 11 kB that nothing
/// fits, 16 to 29 ms for the worst bodies of this length (lists of numbers as `1e9`). That is too
/// long for a thread that serves requests.
pub(crate) const LONGEST_BODY: usize = 64 * 1024;

/// The most strings that are verified; a test counts them.
const CANDIDATES: usize = 90;

/// The most keys of a subscriber that are tried.
const OTHER_KEYS: usize = 16;

/// What may have been signed instead of what was to be signed.
struct Candidate {
    cause: Cause,
    /// What it is, to go after "it does match".
    what: Cow<'static, str>,
    signed: Vec<u8>,
}

/// Returns why a signature does not match that [`super::verify`] has refused.
///
/// A body over [`LONGEST_BODY`] is not looked at.
pub(crate) fn diagnose(evidence: &Evidence<'_>) -> Untrusted {
    let length = evidence.body.len();
    if length <= LONGEST_BODY {
        return explain(evidence);
    }
    let message = format!(
        "signature does not match the bytes received; why was not looked for: expected a body of at most {LONGEST_BODY} bytes for that, found {length}"
    );
    Untrusted::new(Cause::NotDiagnosed, message)
}

/// Returns why a signature does not match, however long the body is: for a person who waits.
pub(crate) fn explain(evidence: &Evidence<'_>) -> Untrusted {
    let Evidence { authorization, key, .. } = evidence;
    if authorization.signature()[32..] == *key.as_bytes() {
        return Untrusted::new(
            Cause::DoesNotMatch,
            "expected a signature, found the private key itself (seed and public key): whoever has seen the header can now sign as its subscriber",
        );
    }
    let fits = |candidate: &Candidate| key.verify(&candidate.signed, authorization.signature());
    if let Some(Candidate { cause, what, .. }) = candidates(evidence).find(fits) {
        let message = format!("signature does not match the bytes received; it does match {what}");
        return Untrusted::new(cause, message);
    }
    let id = authorization.key_id();
    if let Some(other) = other_key(evidence) {
        let message = format!(
            "signature does not match by the key that keyId names, {id}; it does match by {other} of the same subscriber"
        );
        return Untrusted::new(Cause::OtherKey, message);
    }
    let message = format!(
        "expected a signature by {id} over the bytes received, found one that fits neither them nor what senders are known to sign instead: another private key signed, or the body was changed on its way"
    );
    Untrusted::new(Cause::DoesNotMatch, message)
}

/// Returns what may have been signed, most common first; each is made when it is asked for.
fn candidates<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = Candidate> + 'a {
    let Evidence { authorization, body, .. } = *evidence;
    let over_bodies = lines::bodies(body).chain(json::bodies(body)).map(|other| Candidate {
        cause: other.cause,
        what: other.what,
        signed: authorization.signing_string(&other.digest).into_bytes(),
    });
    over_bodies.chain(strings::written(authorization, body)).take(CANDIDATES)
}

/// A body that may have been signed instead of the one that came.
struct OtherBody {
    cause: Cause,
    what: Cow<'static, str>,
    digest: String,
}

/// Returns the name of another key of the subscriber that made the signature.
fn other_key(evidence: &Evidence<'_>) -> Option<String> {
    let signed = evidence.authorization.signing_string(&super::digest(evidence.body));
    let signature = evidence.authorization.signature();
    let mut others =
        evidence.others.iter().filter(|key| key.public != *evidence.key).take(OTHER_KEYS);
    let other = others.find(|key| key.public.verify(signed.as_bytes(), signature))?;
    Some(match &other.unique_key {
        Some(unique_key) => format!("the key `{}`", Outside(unique_key)),
        None => "a key without an id".to_owned(),
    })
}

#[cfg(test)]
mod tests;
