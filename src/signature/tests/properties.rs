//! Random damage never verifies, and nothing panics.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use crate::signature::{Authorization, COVERED, PrivateKey, PublicKey, verify};
use crate::words::KeyId;

const CREATED: &str = "1747985858";
const EXPIRES: &str = "1747989458";

fn id() -> KeyId {
    KeyId::new("seller.example", Some("key-1".to_owned()))
}

/// Returns the header with these times and this signature.
fn header(created: &str, expires: &str, signature: &[u8]) -> String {
    Authorization::written(&id(), created, expires, COVERED, &STANDARD.encode(signature))
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Returns the header if the damaged time is still a text, which a header always is.
fn damaged_time(time: &str, bit: usize, write: impl Fn(&str) -> String) -> Option<Authorization> {
    let damaged = String::from_utf8(flipped(time.as_bytes(), bit)).ok()?;
    Authorization::parse(&write(&damaged)).ok()
}

proptest! {
    #[test]
    fn a_flipped_bit_does_not_verify(
        seed in any::<[u8; 32]>(),
        body in proptest::collection::vec(any::<u8>(), 1..200),
        bit in any::<usize>(),
    ) {
        let key = PrivateKey::from_seed(&seed);
        let (public, sign) = (key.public(), |body: &[u8]| {
            key.authorization(&id(), body, CREATED.parse().unwrap(), EXPIRES.parse().unwrap())
        });
        let right = Authorization::parse(&sign(&body)).unwrap();
        prop_assert!(verify(&right, &public, &body));
        prop_assert!(!verify(&right, &public, &flipped(&body, bit)), "the body");

        let signature = right.signature();
        let created = damaged_time(CREATED, bit, |created| header(created, EXPIRES, signature));
        prop_assert!(!created.is_some_and(|damaged| verify(&damaged, &public, &body)), "created");
        let expires = damaged_time(EXPIRES, bit, |expires| header(CREATED, expires, signature));
        prop_assert!(!expires.is_some_and(|damaged| verify(&damaged, &public, &body)), "expires");

        let other = header(CREATED, EXPIRES, &flipped(signature, bit));
        prop_assert!(!verify(&Authorization::parse(&other).unwrap(), &public, &body), "the signature");

        let other = flipped(public.as_bytes(), bit).try_into().unwrap();
        let other = PublicKey::from_bytes(&other).ok();
        prop_assert!(!other.is_some_and(|other| verify(&right, &other, &body)), "the key");
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Authorization::parse(&text);
    }

    #[test]
    fn any_text_of_the_grammars_characters_is_read_or_refused(
        text in r#"(?i)signature ((keyId|created|headers|signature)?[="\\, |()a-z0-9ऀ-ॿ]{0,12}){0,8}"#,
    ) {
        let _ = Authorization::parse(&text);
    }

    #[test]
    fn what_is_written_is_read(
        subscriber in "[a-z0-9][a-z0-9.:/_-]{0,39}(\\|[a-z]{1,5})?",
        unique_key in "[A-Za-z0-9-]{1,40}",
        created in any::<i64>(),
        expires in any::<i64>(),
    ) {
        let id = KeyId::new(subscriber, Some(unique_key));
        let key = PrivateKey::from_seed(&[7; 32]);
        let header = key.authorization(&id, b"{}", created, expires);
        let read = Authorization::parse(&header).unwrap();
        prop_assert_eq!(read.key_id(), &id);
        prop_assert_eq!((read.times().created, read.times().expires), (created, expires));
        let holds = verify(&read, &key.public(), b"{}");
        prop_assert!(holds);
    }

    #[test]
    fn any_public_key_is_read_or_refused(bytes in any::<[u8; 32]>(), text in any::<String>()) {
        let _ = PublicKey::from_bytes(&bytes);
        let _ = PublicKey::parse(&text);
        let _ = PrivateKey::parse(&text);
    }
}
