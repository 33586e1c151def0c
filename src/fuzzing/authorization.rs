//! The `Authorization` header, from its text to the verification.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::Input;
use crate::signature::diagnose::{Evidence, diagnose};
use crate::signature::{self, Authorization, PrivateKey, PublicKey, Times, Window};
use crate::words::KeyId;

/// No message about a header, or about a signature that does not match, is longer, in bytes.
const LONGEST_MESSAGE: usize = 2_048;

/// Reads a header, checks its times, and verifies a body with it.
///
/// The input: the header up to a line feed, 8 bytes of the time, 4 of the skew and 4 of the
/// longest age, 32 of a key, and the body.
///
/// # Panics
/// Something does not hold.
pub fn authorization(data: &[u8]) {
    let mut input = Input(data);
    let header = String::from_utf8_lossy(input.line());
    let now = DateTime::from_timestamp_secs(i64::from_le_bytes(input.bytes()));
    let window = Window {
        skew: u32::from_le_bytes(input.bytes()).into(),
        max_age: u32::from_le_bytes(input.bytes()).into(),
    };
    let key: [u8; 32] = input.bytes();
    let body = input.rest();
    let authorization = match Authorization::parse(&header) {
        Ok(authorization) => authorization,
        Err(untrusted) => {
            assert!(untrusted.message.len() <= LONGEST_MESSAGE, "{}", untrusted.message);
            return;
        }
    };
    is_read_as_it_is_written(&authorization);
    if let Some(now) = now {
        has_times_that_hold(authorization.times(), now, window);
    }
    verifies_only_what_was_signed(&authorization, &key, body);
    is_signed_and_verified(authorization.key_id(), &key, authorization.times(), body);
}

fn is_read_as_it_is_written(authorization: &Authorization) {
    let id = authorization.key_id();
    // A value without quotes may hold one, and then cannot stand in quotes.
    if [Some(id.subscriber()), id.unique_key()].into_iter().flatten().any(|part| part.contains('"'))
    {
        return;
    }
    let lines = authorization.signing_string("");
    let line = |name: &str| {
        let mut lines =
            lines.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        lines.next().expect("each part has a line")
    };
    let covered: Vec<&str> =
        lines.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let unique_key = id.unique_key().map(|key| format!("{key}|")).unwrap_or_default();
    let text = format!(
        r#"Signature keyId="{}|{unique_key}ed25519",algorithm="ed25519",created="{}",expires="{}",headers="{}",signature="{}""#,
        id.subscriber(),
        line("(created)"),
        line("(expires)"),
        covered.join(" "),
        STANDARD.encode(authorization.signature())
    );
    // What is left out when it is read may have made it short enough, but not what is written.
    if text.len() <= 4_096 {
        assert_eq!(Authorization::parse(&text).as_ref(), Ok(authorization), "{text}");
    }
}

fn has_times_that_hold(times: Times, now: DateTime<Utc>, window: Window) {
    let [created, expires, now_s, skew, max_age] =
        [times.created, times.expires, now.timestamp(), window.skew, window.max_age]
            .map(i128::from);
    let holds = created <= now_s + skew
        && created < expires
        // A time of year 292 billion is cut where the numbers end.
        && now_s <= expires.min((created + max_age).min(i64::MAX.into())) + skew;
    assert_eq!(times.check(now, window).is_ok(), holds, "{times:?} at {now} in {window:?}");
}

fn verifies_only_what_was_signed(authorization: &Authorization, key: &[u8; 32], body: &[u8]) {
    let Ok(key) = PublicKey::from_bytes(key) else { return };
    if signature::verify(authorization, &key, body) {
        let other = [body, b" "].concat();
        assert!(!signature::verify(authorization, &key, &other), "any body is verified");
        return;
    }
    let untrusted = diagnose(&Evidence { authorization, key: &key, others: &[], body });
    assert!(untrusted.message.len() <= LONGEST_MESSAGE, "{}", untrusted.message);
}

fn is_signed_and_verified(id: &KeyId, seed: &[u8; 32], times: Times, body: &[u8]) {
    let key = PrivateKey::from_seed(seed);
    let header = key.authorization(id, body, times.created, times.expires);
    // An id that holds a quote, or is too long, cannot be written.
    if let Ok(authorization) = Authorization::parse(&header)
        && authorization.key_id() == id
    {
        assert!(signature::verify(&authorization, &key.public(), body), "{header}");
    }
}
