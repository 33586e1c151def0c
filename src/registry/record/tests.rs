use chrono::{DateTime, Duration, Utc};

use super::{Error, Found, Reading, Unreadable, is_word_of_registry, pick, read};
use crate::signature::{KeyError, PrivateKey};

/// A record with the key of seed `seed` and these further fields.
fn record(seed: u8, more: &str) -> String {
    let public = PrivateKey::from_seed(&[seed; 32]).public();
    format!(r#"{{"subscriber_id":"a.example","signing_public_key":"{public}"{more}}}"#)
}

fn now() -> DateTime<Utc> {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

#[track_caller]
fn found(body: &str) -> Found {
    match read(body.as_bytes(), "a.example", now()) {
        Ok(Reading::Found(found)) => found,
        other => panic!("{body}: {other:?}"),
    }
}

fn seed_of(found: &Found, unique_key: Option<&str>) -> Option<u8> {
    let public = pick(&found.keys, unique_key)?.public;
    (0..=u8::MAX).find(|seed| PrivateKey::from_seed(&[*seed; 32]).public() == public)
}

#[test]
fn every_spelling_of_the_fields_and_every_envelope_is_read() {
    for name in ["ukId", "unique_key_id", "key_id", "uk_id", "ukid"] {
        let one = record(1, &format!(r#","{name}":"k1","br_id":{{"x":[1]}}"#));
        let data = format!(r#"{{"message":{{"ack":{{"status":"ACK"}}}},"data":[{one}]}}"#);
        for body in [format!(" [{one}]"), one.clone(), data, format!(r#"{{"data":{one}}}"#)] {
            assert_eq!(seed_of(&found(&body), Some("k1")), Some(1), "{body}");
        }
    }
    let number = found(&record(1, r#","ukId":90338916711"#));
    assert_eq!(seed_of(&number, Some("90338916711")), Some(1));
}

#[test]
fn a_record_of_somebody_else_counts_for_nothing() {
    let other = record(2, r#","ukId":"k1""#).replace("a.example", "b.example");
    let nobody = record(2, r#","ukId":"k1""#).replace("subscriber_id", "subscriber");
    let own = record(1, r#","ukId":"k1""#).replace("a.example", "https://a.example/");
    let body = format!("[{other},{nobody},{own}]");
    assert_eq!(seed_of(&found(&body), Some("k1")), Some(1));
    let body = format!("[{other},{nobody}]");
    assert!(matches!(read(body.as_bytes(), "a.example", now()), Ok(Reading::NotThere)));
}

#[test]
fn of_several_keys_under_one_id_the_best_is_taken_first() {
    let check = |worse: &str, better: &str| {
        let (worse, better) =
            (format!(r#","ukId":"k1"{worse}"#), format!(r#","ukId":"k1"{better}"#));
        let (worse, better) = (record(1, &worse), record(2, &better));
        for body in [format!("[{worse},{better}]"), format!("[{better},{worse}]")] {
            let found = found(&body);
            assert_eq!((found.keys.len(), seed_of(&found, Some("k1"))), (2, Some(2)), "{body}");
        }
    };
    check(r#","status":"UNSUBSCRIBED""#, r#","status":"subscribed""#);
    check(r#","status":"EXPIRED""#, r#","valid_until":"2025-01-01T00:00:00Z""#);
    check(r#","valid_until":"2026-01-01T23:59:59Z""#, r#","valid_from":"2026-01-02T00:00:00Z""#);
    check(r#","valid_from":"2026-01-02T00:00:01Z""#, r#","valid_until":"2026-01-02""#);
    check(r#","valid_until":"2026-02-01T00:00:00Z""#, r#","valid_until":"2027-01-01""#);
}

#[test]
fn standing_and_validity_go_with_the_key() {
    let body = record(
        1,
        r#","status":"INVALID_SSL","valid_from":"2026-01-01T00:00:00.000Z","valid_until":null"#,
    );
    let found = found(&body);
    let key = &found.keys[0];
    assert_eq!(key.refused_status.as_deref(), Some("INVALID_SSL"));
    assert_eq!((key.valid_from, key.valid_until), (Some(now() - Duration::days(1)), None));
}

#[test]
fn what_cannot_be_read_of_a_record_skips_that_record() {
    let check = |broken: &str, expected: Unreadable| {
        let found = found(&format!("[{broken},{},{broken}]", record(1, r#","ukId":"k1""#)));
        assert_eq!(found.skipped, Some((expected, 2)), "{broken}");
        assert_eq!((found.keys.len(), seed_of(&found, Some("k1"))), (1, Some(1)), "{broken}");
    };
    check(r#"{"subscriber_id":"a.example","ukId":"k2"}"#, Unreadable::NoKey);
    let broken = r#"{"subscriber_id":"a.example","signing_public_key":"%%"}"#;
    check(broken, Unreadable::Key(KeyError::NotBase64));
    check(&record(2, r#","ukId":"k2","valid_until":"soon""#), Unreadable::Validity);
    check(&record(2, &format!(r#","ukId":"{}""#, "k".repeat(257))), Unreadable::KeyId);
}

#[test]
fn the_keys_of_one_subscriber_are_bounded() {
    let records: Vec<String> = (0..70).map(|n| record(n, &format!(r#","ukId":"k{n}""#))).collect();
    let found = found(&format!("[{}]", records.join(",")));
    assert_eq!((found.keys.len(), found.skipped), (64, Some((Unreadable::TooMany, 6))));
}

#[test]
fn a_key_without_an_id_stands_for_any_id_only_when_it_is_the_only_one() {
    let check = |body: &str, unique_key: Option<&str>, expected: Option<u8>| {
        assert_eq!(seed_of(&found(body), unique_key), expected, "{unique_key:?} in {body}");
    };
    let (one, two) = (record(1, ""), record(2, ""));
    let named = record(2, r#","ukId":"k2""#);
    check(&format!("[{one},{one}]"), Some("any"), Some(1));
    check(&one, None, Some(1));
    check(&format!("[{one},{two}]"), Some("any"), None);
    check(&format!("[{one},{named}]"), Some("any"), None);
    check(&format!("[{one},{named}]"), Some("k2"), Some(2));
    check(&format!("[{one},{named}]"), None, None);
    check(&named, None, Some(2));
    check(&named, Some("k3"), None);
}

#[test]
fn an_empty_list_is_the_registrys_word_that_nobody_is_there() {
    for body in ["[]", " [ ] ", r#"{"data":[]}"#, "[{}]"] {
        let reading = read(body.as_bytes(), "a.example", now());
        assert!(matches!(reading, Ok(Reading::NotThere)), "{body}: {reading:?}");
    }
}

#[test]
fn what_says_nothing_is_not_taken_for_no() {
    let check = |body: &str, expected: fn(&Error) -> bool| {
        let error = read(body.as_bytes(), "a.example", now()).unwrap_err();
        assert!(expected(&error), "{body}: {error:?}");
    };
    for body in ["", "<html>", "[", "[{]", r#"{"data":[]"#, "[]x"] {
        check(body, |error| matches!(error, Error::NotJson(_)));
    }
    for body in ["null", "1", r#""[]""#, "{}", r#"{"data":null}"#, r#"{"message":"no"}"#] {
        check(body, |error| matches!(error, Error::NoRecords));
    }
    let nack = r#"{"message":{"ack":{"status":"NACK"}},"data":[]}"#;
    let error = r#"{"error":{"code":"1020","message":"The auth header not found"}}"#;
    for body in [nack, error] {
        check(body, |error| matches!(error, Error::Refused | Error::Nack));
    }
    let everyone = vec![r#"{"subscriber_id":"b.example"}"#; 2_001].join(",");
    check(&format!("[{everyone}]"), |error| matches!(error, Error::TooMany));
}

#[test]
fn a_404_is_the_registrys_word_only_in_the_protocols_own_form() {
    let check = |body: &str, expected: bool| {
        assert_eq!(is_word_of_registry(body.as_bytes()), expected, "{body}");
    };
    check("[]", true);
    check(r#"{"data":[]}"#, true);
    check(r#"{"message":{"ack":{"status":"NACK"}},"error":{"code":"1"}}"#, true);
    check("", false);
    check("default backend - 404", false);
    check(r#"{"status":404,"error":"Not Found","path":"/lookup"}"#, false);
    check(&record(1, ""), false);
}

#[test]
fn a_404_of_a_gateway_is_not_the_registrys_word() {
    // Google's API gateways and Cloud Endpoints, for a route that is not deployed.
    let body = br#"{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}"#;
    assert!(!is_word_of_registry(body));
}
