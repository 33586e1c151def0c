//! Real servers of a test's own, for the tests of the handlers and for those of the whole receiver.

#![allow(clippy::unwrap_used, reason = "a test fails by it, with its place")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[cfg(feature = "jetstream")]
pub(crate) mod nats;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "rabbitmq")]
pub(crate) mod rabbitmq;

/// Says that a test has nothing to run against; fails where servers are required.
#[track_caller]
pub(crate) fn skip(what: &str) {
    let is_required = std::env::var("BECKN_RECEIVER_TEST_REQUIRE_SERVERS").is_ok_and(|v| v == "1");
    assert!(!is_required, "{what} is required");
    println!("skipped: there is no {what}");
}

/// Returns a certificate or a key as a file holds it.
#[allow(dead_code, reason = "the tests of the whole receiver encrypt nothing")]
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
