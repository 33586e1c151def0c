//! One sender for each mistake, that really makes it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::{CANDIDATES, Evidence, LONGEST_BODY, OTHER_KEYS, candidates, diagnose, explain};
use crate::signature::{Authorization, COVERED, Key, PrivateKey, digest, signing_string, verify};
use crate::words::{Cause, KeyId, Untrusted};

const CREATED: &str = "1747985858";
const EXPIRES: &str = "1747989458";

/// What a sender sends, as it stands in its source.
const SENT: &str = r#"{"context":{"action":"on_status"},"message":{"order":{"id":"ऑर्डर-१","url":"https:\/\/s.example\/t","quantity":2.0,"price":"10.50","empty":[]}}}"#;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// Returns the header of a sender that signed this.
fn signed(message: &[u8]) -> Authorization {
    let id = KeyId::new("seller.example", Some("key-1".to_owned()));
    let signature = STANDARD.encode(key().sign(message));
    let header = Authorization::written(&id, CREATED, EXPIRES, COVERED, &signature);
    Authorization::parse(&header).unwrap()
}

/// Returns why a header does not match that was made for another message.
fn why(authorization: &Authorization, body: &[u8]) -> Untrusted {
    assert!(!verify(authorization, &key().public(), body));
    diagnose(&Evidence { authorization, key: &key().public(), others: &[], body })
}

/// A sender that signs one text rightly, and sends another.
#[track_caller]
fn sends(sent: &str, instead_of: &str, cause: Cause, says: &str) {
    let authorization =
        signed(signing_string(CREATED, EXPIRES, &digest(instead_of.as_bytes())).as_bytes());
    let found = why(&authorization, sent.as_bytes());
    assert_eq!(found.cause, cause, "{instead_of}: {}", found.message);
    assert!(found.message.contains(says), "{instead_of}: {}", found.message);
}

/// A sender that sends what it digests, and signs this.
#[track_caller]
fn signs(message: &[u8], cause: Cause, says: &str) {
    let found = why(&signed(message), SENT.as_bytes());
    assert_eq!(found.cause, cause, "{}", found.message);
    assert!(found.message.contains(says), "{}", found.message);
}

#[test]
fn line_ends_are_told() {
    let lines = "{\n\"a\":1}";
    let newline = Cause::TrailingNewline;
    sends("{}\n", "{}", newline, "without the line ends");
    sends("{}\r\n\n", "{}", newline, "without the line ends");
    sends("{}\n\n", "{}\n", newline, "without the last");
    sends("{}", "{}\n", newline, "a line feed at the end");
    sends("{}", "{}\r\n", newline, "CR and LF at the end");
    sends("not even JSON", "not even JSON\n", newline, "a line feed at the end");
    sends(lines, "{\r\n\"a\":1}", Cause::LineEndings, "CR LF for every LF");
    sends("{\r\n\"a\":1}\r\n", "{\n\"a\":1}\n", Cause::LineEndings, "LF for every CR LF");
}

/// The texts are what Node.js and Python print for the JSON that is sent.
#[test]
fn a_body_that_was_serialised_again_is_told() {
    for (signed, cause, says) in [
        (
            r#"{"context":{"action":"on_status"},"message":{"order":{"id":"ऑर्डर-१","url":"https://s.example/t","quantity":2,"price":"10.50","empty":[]}}}"#,
            Cause::BodyReserialised,
            "`JSON.stringify` writes",
        ),
        (
            r#"{"context":{"action":"on_status"},"message":{"order":{"id":"ऑर्डर-१","url":"https://s.example/t","quantity":2.0,"price":"10.50","empty":[]}}}"#,
            Cause::BodyReserialised,
            "as Python writes",
        ),
        (
            r#"{"context":{"action":"on_status"},"message":{"order":{"id":"\u0911\u0930\u094d\u0921\u0930-\u0967","url":"https://s.example/t","quantity":2.0,"price":"10.50","empty":[]}}}"#,
            Cause::BodyAsciiEscaped,
            "ensure_ascii",
        ),
        (
            r#"{"context": {"action": "on_status"}, "message": {"order": {"id": "\u0911\u0930\u094d\u0921\u0930-\u0967", "url": "https://s.example/t", "quantity": 2.0, "price": "10.50", "empty": []}}}"#,
            Cause::BodyAsciiEscaped,
            "a space after each comma",
        ),
        (
            r#"{"context": {"action": "on_status"}, "message": {"order": {"id": "ऑर्डर-१", "url": "https://s.example/t", "quantity": 2.0, "price": "10.50", "empty": []}}}"#,
            Cause::BodyPrettyPrinted,
            "a space after each comma",
        ),
        (
            "{\n  \"context\": {\n    \"action\": \"on_status\"\n  },\n  \"message\": {\n    \"order\": {\n      \"id\": \"ऑर्डर-१\",\n      \"url\": \"https://s.example/t\",\n      \"quantity\": 2,\n      \"price\": \"10.50\",\n      \"empty\": []\n    }\n  }\n}",
            Cause::BodyPrettyPrinted,
            "by 2 spaces, texts and numbers as `JSON.stringify`",
        ),
        (
            "{\n    \"context\": {\n        \"action\": \"on_status\"\n    },\n    \"message\": {\n        \"order\": {\n            \"id\": \"\\u0911\\u0930\\u094d\\u0921\\u0930-\\u0967\",\n            \"url\": \"https://s.example/t\",\n            \"quantity\": 2.0,\n            \"price\": \"10.50\",\n            \"empty\": []\n        }\n    }\n}",
            Cause::BodyAsciiEscaped,
            "by 4 spaces",
        ),
        (
            "{\n\t\"context\": {\n\t\t\"action\": \"on_status\"\n\t},\n\t\"message\": {\n\t\t\"order\": {\n\t\t\t\"id\": \"ऑर्डर-१\",\n\t\t\t\"url\": \"https://s.example/t\",\n\t\t\t\"quantity\": 2.0,\n\t\t\t\"price\": \"10.50\",\n\t\t\t\"empty\": []\n\t\t}\n\t}\n}",
            Cause::BodyPrettyPrinted,
            "by tabs",
        ),
    ] {
        sends(SENT, signed, cause, says);
        let with_end = format!("{signed}\n");
        sends(SENT, &with_end, cause, "with a line feed at its end");
    }
    // PHP escapes slashes and all else than ASCII, and drops the zero of 2.0.
    let php = r#"{"context":{"action":"on_status"},"message":{"order":{"id":"\u0911\u0930\u094d\u0921\u0930-\u0967","url":"https:\/\/s.example\/t","quantity":2,"price":"10.50","empty":[]}}}"#;
    sends(SENT, php, Cause::BodyReserialised, "PHP");
}

#[test]
fn a_body_that_got_or_lost_spaces_is_told() {
    let pretty = "{\n  \"b\" : 1.0,\r\n\t\"a\" : \"\\u0915\" }\n";
    sends(pretty, r#"{"b":1.0,"a":"\u0915"}"#, Cause::BodyMinified, "without spaces");
    sends(pretty, "{\"b\":1.0,\"a\":\"\\u0915\"}\n", Cause::BodyMinified, "line feed at its end");
    // An editor's formatter changes no value.
    sends(
        r#"{"b":1.0,"a":"\u0915"}"#,
        "{\n\t\"b\": 1.0,\n\t\"a\": \"\\u0915\"\n}\n",
        Cause::BodyPrettyPrinted,
        "by tabs",
    );
    // `curl -d @file` sends the file without its line ends.
    let file = "{\n    \"b\": 1,\n    \"a\": [\n        true\n    ]\n}\n";
    sends(&file.replace('\n', ""), file, Cause::BodyPrettyPrinted, "by 4 spaces");
}

#[test]
fn a_digest_that_is_written_otherwise_is_told() {
    let body = SENT.as_bytes();
    let right = blake2b_simd::blake2b(body);
    let string = |digest: &str| signing_string(CREATED, EXPIRES, digest).into_bytes();
    let hex = right.to_hex();
    signs(&string(&hex), Cause::HexDigest, "in hex");
    signs(&string(&hex.to_uppercase()), Cause::HexDigest, "upper-case");
    signs(&string(&STANDARD.encode(hex.as_str())), Cause::HexDigest, "base64 of the digest in hex");
    let short = digest(body).trim_end_matches('=').to_owned();
    signs(&string(&short), Cause::SigningString, "without the `=`");

    let sha_256 = STANDARD.encode(sha2::Sha256::digest(body));
    signs(&string(&sha_256), Cause::OtherHash, "SHA-256 in base64, labelled `BLAKE-512=`");
    let own = String::from_utf8(string(&sha_256)).unwrap().replace("BLAKE-512=", "SHA-256=");
    signs(own.as_bytes(), Cause::OtherHash, "labelled `SHA-256=`");
    signs(&string(&STANDARD.encode(sha2::Sha512::digest(body))), Cause::OtherHash, "SHA-512");
    let half = blake2b_simd::Params::new().hash_length(32).hash(body);
    signs(&string(&STANDARD.encode(half.as_bytes())), Cause::OtherHash, "BLAKE2b with 32 bytes");
    signs(&string(&half.to_hex()), Cause::OtherHash, "in hex");
}

#[test]
fn a_signing_string_that_is_written_otherwise_is_told() {
    let digest = digest(SENT.as_bytes());
    let right = signing_string(CREATED, EXPIRES, &digest);
    let string = Cause::SigningString;
    signs(
        right.replace("): ", "):").replace("digest: ", "digest:").as_bytes(),
        string,
        "after the colons",
    );
    signs(right.replace("digest: ", "digest:").as_bytes(), string, "after `digest:`");
    signs(format!("{right}\n").as_bytes(), string, "a line end at its end");
    signs(right.replace("BLAKE-512", "BLAKE2b-512").as_bytes(), string, "`BLAKE2b-512=`");
    signs(right.replace("BLAKE-512=", "").as_bytes(), string, "without the label");
    signs(right.replace('\n', "\\n").as_bytes(), string, "a backslash and `n`");
    signs(right.replace('\n', "\r\n").as_bytes(), string, "CR and LF");
    signs(right.replace('\n', " ").as_bytes(), string, "spaces in place");
    signs(right.replace('\n', "").as_bytes(), string, "nothing between");
    signs(SENT.as_bytes(), string, "the body itself");
    signs(blake2b_simd::blake2b(SENT.as_bytes()).as_bytes(), string, "the bare digest");
    signs(digest.as_bytes(), string, "in base64 without a signing string");
    signs(blake2b_simd::blake2b(right.as_bytes()).as_bytes(), string, "hash of the signing string");
}

#[test]
fn a_list_in_another_order_than_what_was_signed_is_told() {
    let string = signing_string(CREATED, EXPIRES, &digest(SENT.as_bytes()));
    let signature = STANDARD.encode(key().sign(string.as_bytes()));
    let id = KeyId::new("seller.example", None);
    let list = "digest (created) (expires)";
    let header = Authorization::written(&id, CREATED, EXPIRES, list, &signature);
    let found = why(&Authorization::parse(&header).unwrap(), SENT.as_bytes());
    assert_eq!(found.cause, Cause::SigningString, "{}", found.message);
    assert!(found.message.contains("not the order"), "{}", found.message);
}

#[test]
fn another_key_of_the_subscriber_is_named() {
    let registered = |seed: u8, name: &str| {
        let public = PrivateKey::from_seed(&[seed; 32]).public();
        Arc::new(Key::pinned(Some(name.to_owned()), public))
    };
    let authorization =
        signed(signing_string(CREATED, EXPIRES, &digest(SENT.as_bytes())).as_bytes());
    let check = |others: &[Arc<Key>]| {
        let named = PrivateKey::from_seed(&[1; 32]).public();
        let body = SENT.as_bytes();
        diagnose(&Evidence { authorization: &authorization, key: &named, others, body })
    };
    let found = check(&[registered(1, "key-1"), registered(2, "key-2"), registered(7, "key-\n7")]);
    assert_eq!(found.cause, Cause::OtherKey);
    assert!(found.message.contains(r"the key `key-\u{a}7`"), "{}", found.message);
    assert_eq!(check(&[registered(1, "key-1")]).cause, Cause::DoesNotMatch);
    let mut many = vec![registered(2, "many"); OTHER_KEYS];
    many.push(registered(7, "beyond"));
    assert_eq!(check(&many).cause, Cause::DoesNotMatch);
}

#[test]
fn a_signature_by_a_stranger_does_not_match() {
    let authorization = Authorization::parse(&PrivateKey::from_seed(&[8; 32]).authorization(
        &KeyId::new("seller.example", Some("key-1".to_owned())),
        SENT.as_bytes(),
        1,
        2,
    ));
    let found = why(&authorization.unwrap(), SENT.as_bytes());
    assert_eq!(found.cause, Cause::DoesNotMatch);
    assert!(found.message.contains("seller.example|key-1"), "{}", found.message);
    assert!(!found.message.contains("ऑर्डर"), "{}", found.message);
}

#[test]
fn a_long_body_is_diagnosed_only_for_a_person() {
    let body = format!("{{\"a\": \"{}\"}}", "x".repeat(LONGEST_BODY));
    let signed = signed(
        signing_string(CREATED, EXPIRES, &digest(body.replace(": ", ":").as_bytes())).as_bytes(),
    );
    assert_eq!(why(&signed, body.as_bytes()).cause, Cause::NotDiagnosed);
    let public = key().public();
    let evidence =
        Evidence { authorization: &signed, key: &public, others: &[], body: body.as_bytes() };
    assert_eq!(explain(&evidence).cause, Cause::BodyMinified);
}

/// Returns what is tried for a body; the header lists another order, so that this is tried too.
fn tried(body: &[u8]) -> Vec<String> {
    let signature = STANDARD.encode([9; 64]);
    let id = KeyId::new("seller.example", None);
    let header =
        Authorization::written(&id, CREATED, EXPIRES, "digest (created) (expires)", &signature);
    let authorization = Authorization::parse(&header).unwrap();
    let key = key().public();
    let evidence = Evidence { authorization: &authorization, key: &key, others: &[], body };
    candidates(&evidence).map(|candidate| candidate.what.into_owned()).collect()
}

#[test]
fn no_body_makes_more_candidates_than_the_bound() {
    // Every change changes it, and no two ways of writing its values agree.
    let all = tried(b"{\r\n\"a\" : [1.0, \"\\u0915\\/\"]}\n\n");
    assert_eq!(all.len(), 85, "{all:#?}");
    assert!(all.len() < CANDIDATES, "the bound cuts nothing off");
    let few = tried(b"not JSON");
    assert_eq!(few.len(), 41, "{few:#?}");
}

proptest::proptest! {
    #[test]
    fn any_body_can_be_diagnosed(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        text in r#"[\[\]{}:,"\\u0-9a-fE+.क \r\n\-]{0,60}"#,
        json in r#"\{"(a|\\u0915|क|/)" ?: ?\[(-?[1-9][0-9]{0,20}(\.[0-9]{1,5})?(e[1-9][0-9]{0,2})?),\n?\{\}\]\}\n?"#,
    ) {
        for body in [&bytes[..], text.as_bytes(), json.as_bytes()] {
            proptest::prop_assert!(tried(body).len() < CANDIDATES);
        }
    }
}
