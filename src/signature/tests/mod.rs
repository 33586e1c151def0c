//! Signatures against published vectors, real header forms, the edges of time, and random damage.

mod grammar;
mod properties;
mod times;
mod vectors;

use super::diagnose::{Evidence, explain};
use super::{Authorization, PublicKey};
use crate::words::Untrusted;

/// The body of BECKN-006's example.
pub(super) const SEARCH: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/search_beckn_006.json"));

/// A callback of ours, signed with BECKN-006's gateway key.
pub(super) const ON_STATUS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/on_status.json"));

/// Returns why this signature does not match.
pub(super) fn why(authorization: &Authorization, key: &PublicKey, body: &[u8]) -> Untrusted {
    explain(&Evidence { authorization, key, others: &[], body })
}
