//! Every breakage is broken as it is named, and not otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::Breakage;
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::mock::{Dialect, MockBpp, Report, Request, Signer};
use crate::signature::{Authorization, Window, digest, verify};
use crate::words::Cause;

const SEED: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

fn signer() -> Signer {
    Signer::new("seller.example|key-1", SEED).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn body(dialect: Dialect, report: Report<'_>) -> (Action, bytes::Bytes) {
    let seller = MockBpp::new("http://127.0.0.1").unwrap().signer(signer()).dialect(dialect);
    seller.report(report, now())
}

fn request(name: &str) -> (Request, bytes::Bytes) {
    let (action, body) = body(Dialect::Ondc125, Report::Status("Packed"));
    let breakage = Breakage::parse(name).unwrap_or_else(|| panic!("{name} is a breakage"));
    (breakage.request(action, &body, &signer(), now()).unwrap(), body)
}

/// What a receiver that knows one key finds out before it looks for the reason.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    NoHeader,
    NoSignature(Cause),
    WrongTimes(Cause),
    /// Under which key id, and whether the signer's key made it over the bytes that came.
    Signed(String, bool),
}

fn found(request: &Request) -> Found {
    let Some(header) = &request.authorization else { return Found::NoHeader };
    let authorization = match Authorization::parse(header) {
        Ok(authorization) => authorization,
        Err(untrusted) => return Found::NoSignature(untrusted.cause),
    };
    let window = Window { skew: 30, max_age: 86_400 };
    if let Err(untrusted) = authorization.times().check(now() + TimeDelta::seconds(1), window) {
        return Found::WrongTimes(untrusted.cause);
    }
    let matches = verify(&authorization, &signer().key.public(), &request.body);
    Found::Signed(authorization.key_id().to_string(), matches)
}

#[test]
fn each_cause_is_found_where_it_lies() {
    let signed = |key: &str, matches| Found::Signed(format!("seller.example|{key}"), matches);
    let expected = |cause| match cause {
        Cause::Missing => Found::NoHeader,
        Cause::Unparsable | Cause::WrongAlgorithm | Cause::SignatureLength => {
            Found::NoSignature(cause)
        }
        Cause::Milliseconds | Cause::CreatedInFuture | Cause::Expired => Found::WrongTimes(cause),
        Cause::UnknownSubscriber => {
            Found::Signed("unregistered.seller.example|key-1".to_owned(), true)
        }
        Cause::UnknownKey => signed(Breakage::NO_KEY, true),
        Cause::KeyNotYetValid => signed(Breakage::FUTURE_KEY, true),
        Cause::KeyNoLongerValid => signed(Breakage::PAST_KEY, true),
        Cause::OtherKey => signed(Breakage::SECOND_KEY, true),
        Cause::SignerIsNotBppId => signed("key-1", true),
        Cause::BodyMinified
        | Cause::BodyPrettyPrinted
        | Cause::BodyAsciiEscaped
        | Cause::BodyReserialised
        | Cause::TrailingNewline
        | Cause::LineEndings
        | Cause::HexDigest
        | Cause::OtherHash
        | Cause::SigningString
        | Cause::DoesNotMatch
        | Cause::NotDiagnosed => signed("key-1", false),
    };
    for &cause in Cause::ALL {
        let name = cause.as_str().trim_start_matches("signature.");
        assert_eq!(found(&request(name).0), expected(cause), "{name}");
    }
}

#[test]
fn what_was_signed_in_place_of_what_was_sent_is_the_mistake_that_is_named() {
    let check = |name: &str, signed: &dyn Fn(&str) -> String| {
        let (request, _) = request(name);
        let sent = str::from_utf8(&request.body).unwrap();
        let signed = signed(sent);
        assert_ne!(signed, sent, "{name}");
        let authorization = Authorization::parse(request.authorization.as_ref().unwrap()).unwrap();
        assert!(verify(&authorization, &signer().key.public(), signed.as_bytes()), "{name}");
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(same(sent), same(&signed), "{name}");
    };
    let minified = |sent: &str| {
        let json: serde_json::Value = serde_json::from_str(sent).unwrap();
        json.to_string()
    };
    check("body_minified", &minified);
    check("body_reserialised", &minified);
    check("body_pretty_printed", &|sent| {
        let json: serde_json::Value = serde_json::from_str(sent).unwrap();
        serde_json::to_string_pretty(&json).unwrap()
    });
    check("body_ascii_escaped", &|sent| {
        sent.replace("क\u{92b}\u{93c}\u{947}", r"\u0915\u092b\u093c\u0947")
    });
    check("trailing_newline", &|sent| sent.trim_end_matches('\n').to_owned());
    check("line_endings", &|sent| sent.replace("\r\n", "\n"));
}

#[test]
fn a_broken_request_carries_a_callback_that_is_otherwise_good() {
    for dialect in [Dialect::Ondc125, Dialect::Ondc20] {
        for report in [Report::Status("Packed"), Report::Update("Packed"), Report::Position(0)] {
            let (action, body) = body(dialect, report);
            for breakage in Breakage::all() {
                let request = breakage.request(action, &body, &signer(), now()).unwrap();
                let callback = Callback::parse(&request.body).unwrap();
                assert_eq!(callback.context.action(), Some(action), "{}", breakage.name());
                assert!(callback.oddities.is_empty(), "{}", breakage.name());
                let bpp_id = callback.context.bpp_id.as_deref();
                let is_signers = bpp_id == Some("seller.example");
                assert_eq!(is_signers, breakage.name() != "signer_is_not_bpp_id");
            }
        }
    }
}

#[test]
fn a_body_that_may_stay_undiagnosed_is_over_64_kib() {
    assert!(request("not_diagnosed").0.body.len() > 64 * 1024);
}

#[test]
fn a_signing_string_is_written_as_the_mistake_says() {
    let check = |name: &str, written: &dyn Fn(&[u8], &str, &str) -> String| {
        let (request, _) = request(name);
        let authorization = Authorization::parse(request.authorization.as_ref().unwrap()).unwrap();
        let (created, expires) =
            (now().timestamp().to_string(), (now().timestamp() + 300).to_string());
        let signed = written(&request.body, &created, &expires);
        let key = signer().key.public();
        assert!(key.verify(signed.as_bytes(), authorization.signature()), "{name}: {signed}");
    };
    check("hex_digest", &|body, created, expires| {
        let digest = blake2b_simd::blake2b(body).to_hex();
        format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest}")
    });
    check("other_hash", &|body, created, expires| {
        let digest = STANDARD.encode(Sha256::digest(body));
        format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest}")
    });
    check("signing_string", &|body, created, expires| {
        let digest = digest(body);
        format!("(created):{created}\n(expires):{expires}\ndigest:BLAKE-512={digest}")
    });
}

#[test]
fn what_is_no_callback_cannot_be_broken() {
    for body in [&b"[]"[..], b"{}", b"no", b"\xff"] {
        let breakage = Breakage::parse("missing").unwrap();
        let error = breakage.request(Action::OnStatus, body, &signer(), now()).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
