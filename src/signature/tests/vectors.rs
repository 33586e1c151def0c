//! The vectors of BECKN-006, of ONDC's documents and of ONDC's reference implementations; those
//! that are printed wrong there must fail, and say why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

use super::{ON_STATUS, SEARCH, why};
use crate::signature::{
    Authorization, COVERED, PrivateKey, PublicKey, Times, Window, digest, signing_string, verify,
};
use crate::words::{Cause, KeyId};

/// A signature as it is printed somewhere, with the keys that made it.
struct Printed {
    source: &'static str,
    body: &'static [u8],
    key_id: (&'static str, &'static str),
    times: (i64, i64),
    public: &'static str,
    private: &'static str,
    signature: &'static str,
}

const BECKN_006: Printed = Printed {
    source: "BECKN-006; ONDC signing-verification.md",
    body: SEARCH,
    key_id: ("example-bap.com", "ae3ea24b-cfec-495e-81f8-044aaef164ac"),
    times: (1_641_287_875, 1_641_291_475),
    public: "awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=",
    private: "lP3sHA+9gileOkXYJXh4Jg8tK0gEEMbf9yCPnFpbldhrAY+NErqL9WD+Vav7TE5tyVXGXBle9ONZi2W7o144eQ==",
    signature: "cjbhP0PFyrlSCNszJM1F/YmHDVAWsZqJUPzojnE/7TJU3fJ/rmIlgaUHEr5E0/2PIyf0tpSnWtT6cyNNlpmoAQ==",
};

const PYTHON_README: Printed = Printed {
    source: "ONDC reference-implementations, the README of the Python utility",
    body: SEARCH,
    key_id: ("buyer-app.ondc.org", "207"),
    times: (1_641_287_875, 1_641_291_475),
    public: "SM3UQMh0emJMBxtrnzhPtdpbGyUcAReB6ne3VBDmWZI=",
    private: "G0Pme72u8Y1MwxHqvY4iBW+7VPtJ7dsX7SGs6zZ5yvVIzdRAyHR6YkwHG2ufOE+12lsbJRwBF4Hqd7dUEOZZkg==",
    signature: "fKQWvXhln4UdyZdL87ViXQObdBme0dHnsclD2LvvnHoNxIgcvAwUZOmwAnH5QKi9Upg5tRaxpoGhCFGHD+d+Bw==",
};

const CALLBACK: Printed = Printed {
    source: "computed with libsodium; the key is the one that BECKN-006 prints for its gateway",
    body: ON_STATUS,
    key_id: ("example-bpp.com", "74b43deb-236e-4498-8f5a-ca75d6c67b9d"),
    times: (1_747_985_858, 1_747_989_458),
    public: GATEWAY_PUBLIC,
    private: GATEWAY_PRIVATE,
    signature: "4Hqv9gNH4zX0IVhxB8Vs6lhz/GjoatkzXBD0PjFk4iP2WaWsxZBTKQ/Jpkz/XXlLxHAkGgQZlIPCUqzKlRzjDw==",
};

const GATEWAY: Printed = Printed {
    source: "BECKN-006's gateway header with the signature that it should have had",
    body: SEARCH,
    key_id: ("example-bg.com", "bg-key"),
    times: (1_641_287_885, 1_641_291_485),
    public: GATEWAY_PUBLIC,
    private: GATEWAY_PRIVATE,
    signature: "kUgvyU+bdXXkNuYKygbv0gkjArHKyF9Eg4pdCyxb+J1bMyQ6n4G1RVSM97qqKmgw04mgOkbhyz5chnD3PP1lDQ==",
};

const GATEWAY_PUBLIC: &str = "7YRZXVeIJ0/Va56vYgzT1Uirg6mnq3FY0MBZY9DJft0=";
const GATEWAY_PRIVATE: &str =
    "hJ5sCmbe7s9Wateq6QAdBGloVSkLuLHWOXcRkzrMcVLthFldV4gnT9Vrnq9iDNPVSKuDqaercVjQwFlj0Ml+3Q==";

impl Printed {
    fn public(&self) -> PublicKey {
        PublicKey::parse(self.public).unwrap()
    }

    fn private(&self) -> PrivateKey {
        PrivateKey::parse(self.private).unwrap()
    }

    fn id(&self) -> KeyId {
        KeyId::new(self.key_id.0, Some(self.key_id.1.to_owned()))
    }

    /// Writes the header as the documents do.
    fn header(&self) -> String {
        let (subscriber, key) = self.key_id;
        let (created, expires) = self.times;
        let signature = self.signature;
        format!(
            r#"Signature keyId="{subscriber}|{key}|ed25519",algorithm="ed25519",created="{created}",expires="{expires}",headers="(created) (expires) digest",signature="{signature}""#
        )
    }
}

#[test]
fn published_signatures_verify_and_are_made_again() {
    for printed in [BECKN_006, PYTHON_README, CALLBACK, GATEWAY] {
        let (public, private) = (printed.public(), printed.private());
        let authorization = Authorization::parse(&printed.header()).unwrap();
        let source = printed.source;
        assert!(verify(&authorization, &public, printed.body), "{source}");
        let (created, expires) = printed.times;
        assert_eq!(authorization.times(), Times { created, expires }, "{source}");
        assert_eq!(authorization.key_id(), &printed.id(), "{source}");
        assert_eq!(private.public(), public, "{source}");
        // Ed25519 is deterministic: the same header comes out, byte for byte.
        let made = private.authorization(&printed.id(), printed.body, created, expires);
        assert_eq!(made, printed.header(), "{source}");
    }
}

#[test]
fn digests_are_the_published_ones() {
    let devanagari = r#"{"context":{"action":"on_status"},"message":{"order":{"id":"ऑर्डर-१","state":"वितरित ✓"}}}"#;
    let escaped = r#"{"context":{"action":"on_status"},"message":{"order":{"id":"\u0911\u0930\u094d\u0921\u0930-\u0967","state":"\u0935\u093f\u0924\u0930\u093f\u0924 \u2713"}}}"#;
    let pretty = "{\n  \"context\": {\n    \"action\": \"on_status\"\n  },\n  \"message\": {\n    \"order\": {\n      \"id\": \"ऑर्डर-१\",\n      \"state\": \"वितरित ✓\"\n    }\n  }\n}";
    for (body, expected) in [
        (
            &b"The quick brown fox jumps over the lazy dog"[..],
            "qK3Uvd39k+SHfSdG5igXsRY2Sh+nvBSNlQkLxzM7NnP4JAHPeqLkyx7NkCluPxTLVBP47Xe+cwRbE5FM3NapGA==",
        ),
        (
            b"",
            "eGoC90IBWQPGxv2FJVLScpEvR0DhWEdhiobiF/cfVBnSXhAxr+5YUxOJZESTTrBLkDpoWxRIt1XVb3Aa/pvizg==",
        ),
        (
            SEARCH,
            "b6lf6lRgOweajukcvcLsagQ2T60+85kRh/Rd2bdS+TG/5ALebOEgDJfyCrre/1+BMu5nA94o4DT3pTFXuUg7sw==",
        ),
        (
            ON_STATUS,
            "yGUSVERejLphJD3qAxcqRrdI76NsSPbgGLpqNduE1ItQc7rGXwbgu8BWRkFpghSnVA1hnA7MJQDldV4LUCBUmg==",
        ),
        (
            br#"{"message":{"status":"ACK","messageId":"550e8400-e29b-41d4-a716-446655440000"}}"#,
            "DVzZDMA6S/dIUN+TsLvFYZE4+xsvWvlZQXT9lZh1m3a6jCfpPxdrhlVwPRT4acQ+MwtHtrbKNVjz+f4oy3m6sg==",
        ),
        // Three texts of one JSON: the first eight characters are what the source gives.
        (devanagari.as_bytes(), "yL6YEaSm"),
        (escaped.as_bytes(), "NEvfLA3w"),
        (pretty.as_bytes(), "fTrW+8Ug"),
    ] {
        let found = digest(body);
        assert!(found.starts_with(expected), "expected {expected}, found {found}");
    }
}

#[test]
fn any_text_can_be_signed() {
    let check = |private: &str, message: &str, expected: &str| {
        let key = PrivateKey::parse(private).unwrap();
        let signature = key.sign(message.as_bytes());
        assert_eq!(STANDARD.encode(signature), expected, "{message}");
        assert!(key.public().verify(message.as_bytes(), &signature), "{message}");
    };
    // ONDC's verification-logs: the challenge is a request id.
    check(
        "8pPXr0Y4iwG590D9h2XJ+LAk2vXiOAVS0If7ep1FAqd9AK2I1RKLvAju6cr4g2HLfkU9yee/AAsXX1/UmsuScg==",
        "27baa06d-f90a-486c-85e5-cc621b787f04",
        "BcJeNC7OWGvLKsmdSKmn43O1WNrmT4zDsH3nkAsRTCEs6C7RQ9FVEEqC+dmhUYlCiRsjGKkybQ6N5j7O0mPkBw==",
    );
    // Beckn 2.0's answer to a callback has a fourth line: the signature of the request.
    let body =
        br#"{"message":{"status":"ACK","messageId":"550e8400-e29b-41d4-a716-446655440000"}}"#;
    let three = signing_string("1747985859", "1747986159", &digest(body));
    check(
        BECKN_006.private,
        &format!("{three}\nrequest-signature: {}", CALLBACK.signature),
        "/vvfKj8KnJQvi/BGoqvaqGkOl2jbM/S29Rw3lsAqB/qW9XZ7Ti4gMq67CDZIfYZANCIiJ3awt5vmbIpz36U+Ag==",
    );
}

#[test]
fn a_seed_alone_is_the_same_private_key() {
    let pair = STANDARD.decode(BECKN_006.private).unwrap();
    let seed = PrivateKey::parse(&STANDARD.encode(&pair[..32])).unwrap();
    assert_eq!(seed.public(), BECKN_006.public());
    assert_eq!(PrivateKey::parse(&seed.seed()).unwrap().public(), BECKN_006.public());
}

#[test]
fn the_python_readmes_signature_fails_over_the_pretty_file_that_lies_beside_it() {
    // No text of this body holds a bracket or a comma before a quote.
    let text = str::from_utf8(SEARCH).unwrap();
    let pretty = text.replace('{', "{\n    ").replace(",\"", ",\n    \"").replace('}', "\n}");
    let authorization = Authorization::parse(&PYTHON_README.header()).unwrap();
    assert!(!verify(&authorization, &PYTHON_README.public(), pretty.as_bytes()));
    let why = why(&authorization, &PYTHON_README.public(), pretty.as_bytes());
    assert_eq!(why.cause, Cause::BodyMinified, "{}", why.message);
}

/// BECKN-006 prints its gateway's private key where the signature belongs.
#[test]
fn a_private_key_in_place_of_the_signature_is_told_and_not_shown() {
    let printed = Printed { signature: GATEWAY_PRIVATE, ..GATEWAY };
    let authorization = Authorization::parse(&printed.header()).unwrap();
    assert!(!verify(&authorization, &printed.public(), SEARCH));
    let why = why(&authorization, &printed.public(), SEARCH);
    assert_eq!(why.cause, Cause::DoesNotMatch);
    assert!(why.message.contains("private key"), "{}", why.message);
    assert!(!why.message.contains("hJ5sCmbe"), "{}", why.message);
}

/// Its gateway and callback headers have the same second in both.
#[test]
fn a_header_that_expires_when_it_is_created_is_never_valid() {
    let times = Times { created: 1_641_287_885, expires: 1_641_287_885 };
    let now = DateTime::from_timestamp(1_641_287_885, 0).unwrap();
    let why = times.check(now, Window { skew: 30, max_age: 86_400 }).unwrap_err();
    assert_eq!(why.cause, Cause::Expired);
}

/// The string as ONDC's signing-verification.md prints it, with its list without spaces.
#[test]
fn ondcs_printed_signing_string_is_told_from_the_right_one() {
    let right = signing_string("1641287875", "1641291475", &digest(SEARCH));
    let printed = right.replace("(expires): ", "(expires):").replace("digest: ", "digest:");
    assert_ne!(printed, right);
    let signature = BECKN_006.private().sign(printed.as_bytes());
    let header = Authorization::written(
        &BECKN_006.id(),
        "1641287875",
        "1641291475",
        " (created)(expires)digest",
        &STANDARD.encode(signature),
    );
    let authorization = Authorization::parse(&header).unwrap();
    assert_eq!(authorization.signing_string(&digest(SEARCH)), right, "the list is {COVERED}");
    assert!(!verify(&authorization, &BECKN_006.public(), SEARCH));
    let why = why(&authorization, &BECKN_006.public(), SEARCH);
    assert_eq!(why.cause, Cause::SigningString, "{}", why.message);
}

/// Beckn 2.0's signing document prints one body and the digest of another.
#[test]
fn the_digest_of_another_body_does_not_match() {
    let authorization = Authorization::parse(&BECKN_006.header()).unwrap();
    let why = why(&authorization, &BECKN_006.public(), ON_STATUS);
    assert_eq!(why.cause, Cause::DoesNotMatch, "{}", why.message);
}

/// ONDC's Python utility wraps the whole value in a further pair of quotes.
#[test]
fn a_header_in_quotes_of_its_own_says_so() {
    for header in [format!("\"{}\"", BECKN_006.header()), format!("'{}'", BECKN_006.header())] {
        let why = Authorization::parse(&header).unwrap_err();
        assert_eq!(why.cause, Cause::Unparsable);
        assert!(why.message.contains("wrapped in quotes"), "{}", why.message);
    }
}
