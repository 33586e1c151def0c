//! The header as real senders write it, and as they get it wrong.

use std::fmt::Write as _;

use crate::signature::{Authorization, PrivateKey, Times};
use crate::words::{Cause, KeyId};

/// 64 bytes in base64: what they are does not matter to the grammar.
const SIGNED: &str =
    "cjbhP0PFyrlSCNszJM1F/YmHDVAWsZqJUPzojnE/7TJU3fJ/rmIlgaUHEr5E0/2PIyf0tpSnWtT6cyNNlpmoAQ==";

/// The six parameters in the order of the documents.
fn parameters() -> Vec<(&'static str, String)> {
    [
        ("keyId", "seller.example|key-1|ed25519"),
        ("algorithm", "ed25519"),
        ("created", "1747985858"),
        ("expires", "1747989458"),
        ("headers", "(created) (expires) digest"),
        ("signature", SIGNED),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn header(parameters: &[(&str, String)], between: &str) -> String {
    let written = parameters.iter().map(|(name, value)| format!("{name}=\"{value}\""));
    format!("Signature {}", written.collect::<Vec<_>>().join(between))
}

/// Returns the header in which one parameter has another value.
fn with(name: &str, value: &str) -> String {
    let mut parameters = parameters();
    let parameter = parameters.iter_mut().find(|(known, _)| *known == name).unwrap();
    value.clone_into(&mut parameter.1);
    header(&parameters, ",")
}

fn plain() -> String {
    header(&parameters(), ",")
}

#[track_caller]
fn fails(header: &str, cause: Cause, says: &str) {
    let untrusted = Authorization::parse(header).expect_err(header);
    assert_eq!(untrusted.cause, cause, "{header}: {}", untrusted.message);
    assert!(untrusted.message.contains(says), "{says} in {}", untrusted.message);
    assert!(!untrusted.message.contains(SIGNED), "no signature in {}", untrusted.message);
}

#[test]
fn every_way_of_writing_the_same_header_is_read_the_same() {
    let expected = Authorization::parse(&plain()).unwrap();
    let mut reversed = parameters();
    reversed.reverse();
    let mut turned = parameters();
    turned.rotate_left(3);
    let mut longer = parameters();
    longer.insert(2, ("request-id", "a=\u{915}, b".to_owned()));
    for header in [
        header(&parameters(), ", "),
        header(&parameters(), " ,\t"),
        header(&parameters(), " "),
        header(&parameters(), ",,"),
        header(&reversed, ","),
        header(&turned, ", "),
        header(&longer, ","),
        format!("  {}  ", plain()),
        format!("{},", plain()),
        plain().replacen("Signature ", "signature ", 1),
        plain().replacen("Signature ", "SIGNATURE\t  ", 1),
        plain().replace("keyId=", "KEYID=").replace("signature=", "Signature="),
        plain().replace("=\"(", " = \"(").replace("created=", "created =\t"),
        // RFC drafts before Beckn's leave integers unquoted, some tools all values.
        plain().replace("\"1747985858\"", "1747985858").replace("\"1747989458\"", "1747989458"),
        plain().replace(&format!("\"{SIGNED}\""), SIGNED),
        plain().replace("\"ed25519\"", "ed25519"),
        with("headers", "(created)(expires)digest"),
        with("headers", " (created)(expires)digest"),
        with("headers", "(Created) (EXPIRES)  Digest "),
        with("algorithm", "Ed25519"),
        with("keyId", " seller.example | key-1 | ED25519 "),
    ] {
        let found = Authorization::parse(&header);
        assert_eq!(found.as_ref(), Ok(&expected), "{header}");
    }
}

#[test]
fn a_key_id_is_split_from_the_right() {
    for (key_id, subscriber, unique_key) in [
        (
            "pramaan.ondc.org/beta/mock/seller|207|ed25519",
            "pramaan.ondc.org/beta/mock/seller",
            Some("207"),
        ),
        ("https://seller.example/ondc/|k|ed25519", "https://seller.example/ondc/", Some("k")),
        ("seller|with|bars|key-1|ed25519", "seller|with|bars", Some("key-1")),
        ("seller.example|ed25519", "seller.example", None),
        ("विक्रेता.example|कुंजी|ed25519", "विक्रेता.example", Some("कुंजी")),
    ] {
        let authorization = Authorization::parse(&with("keyId", key_id)).unwrap();
        let expected = KeyId::new(subscriber, unique_key.map(str::to_owned));
        assert_eq!(authorization.key_id(), &expected, "{key_id}");
    }
    for broken in
        ["", "seller.example", "|key-1|ed25519", "seller.example||ed25519", " | | ed25519"]
    {
        fails(&with("keyId", broken), Cause::Unparsable, "subscriber id|unique key id|ed25519");
    }
}

#[test]
fn times_are_signed_as_they_are_written() {
    let check = |created: &str, expires: &str, value: (i64, i64)| {
        let header = with("created", created).replace("1747989458", expires);
        let authorization = Authorization::parse(&header).unwrap();
        let times = Times { created: value.0, expires: value.1 };
        assert_eq!(authorization.times(), times, "{header}");
        let string = format!("(created): {created}\n(expires): {expires}\ndigest: BLAKE-512=x");
        assert_eq!(authorization.signing_string("x"), string);
    };
    check("1747639141", "17476427415000", (1_747_639_141, 17_476_427_415_000));
    check("0001", "-5", (1, -5));
    check(" 1 ", "+2", (1, 2));
    check("9223372036854775807", "-9223372036854775808", (i64::MAX, i64::MIN));
    for broken in ["", "soon", "1747985858.5", "9223372036854775808", "1747985858s", "0x10"] {
        fails(&with("created", broken), Cause::Unparsable, "created in seconds since 1970");
        fails(&with("expires", broken), Cause::Unparsable, "expires in seconds since 1970");
    }
}

#[test]
fn the_signing_string_follows_the_list() {
    let authorization =
        Authorization::parse(&with("headers", "digest (expires) (created)")).unwrap();
    let expected = "digest: BLAKE-512=x\n(expires): 1747989458\n(created): 1747985858";
    assert_eq!(authorization.signing_string("x"), expected);
    for broken in [
        "",
        "(created) (expires)",
        "digest",
        "(created) (created) digest",
        "(created) (expires) digest digest",
        "(created) (expires) digest request-signature",
        "created expires digest",
        "(created),(expires),digest",
    ] {
        fails(&with("headers", broken), Cause::Unparsable, "(created) (expires) digest");
    }
}

#[test]
fn each_parameter_is_needed_once() {
    for (at, (name, _)) in parameters().into_iter().enumerate() {
        let mut fewer = parameters();
        fewer.remove(at);
        fails(
            &header(&fewer, ","),
            Cause::Unparsable,
            &format!("the parameter {name}, found none"),
        );
        let mut more = parameters();
        more.push(parameters()[at].clone());
        fails(&header(&more, ","), Cause::Unparsable, &format!("`{name}` once"));
    }
}

#[test]
fn a_broken_header_says_where_and_what() {
    for (header, says) in [
        (String::new(), "found nothing"),
        ("   ".to_owned(), "found nothing"),
        ("Bearer eyJhbGciOi".to_owned(), "another word"),
        (plain().replacen("Signature ", "", 1), "another word"),
        (format!("\"{}\"", plain()), "wrapped in quotes"),
        (format!("\\\"{}\\\"", plain()), "wrapped in quotes"),
        (plain().replace('"', "\\\""), "escaped once too often"),
        (plain().replacen("\"seller", "seller", 1), "a quote before the value"),
        (plain()[..plain().len() - 1].to_owned(), "a closing quote, found none after `signature`"),
        ("Signature keyId".to_owned(), "character 11"),
        ("Signature keyId=".to_owned(), "a value, found none after `keyId` at character 11"),
        ("Signature created=,".to_owned(), "a value, found none"),
        ("Signature".to_owned(), "the parameter keyId"),
    ] {
        fails(&header, Cause::Unparsable, says);
    }
    // Another scheme's value is a secret.
    let untrusted = Authorization::parse("Bearer eyJhbGciOi").unwrap_err();
    assert!(!untrusted.message.contains("eyJ"), "{}", untrusted.message);
}

#[test]
fn what_is_no_ed25519_signature_is_told_by_its_cause() {
    for (key_id, algorithm) in [
        ("seller.example|key-1|rsa", "ed25519"),
        ("seller.example|key-1|ed25519", "hs2019"),
        ("seller.example|key-1|xed25519", "xed25519"),
        ("seller.example|key-1", "ed25519"),
    ] {
        let header = with("keyId", key_id).replace("\"ed25519\"", &format!("\"{algorithm}\""));
        fails(&header, Cause::WrongAlgorithm, "expected ed25519");
    }
    let hex = "72".repeat(64);
    for (signature, says) in [
        ("", "found 0 bytes"),
        ("cjbhP0PFyrlSCNszJM1F/YmHDVAWsZqJUPzojnE/7TI=", "found 32 bytes"),
        (&hex, "found 128 characters of hex"),
        ("not base64!", "no base64"),
        (&SIGNED[..86], "no base64"),
        (&SIGNED.replace('/', "_"), "no base64"),
        (&SIGNED[4..], "found 61 bytes"),
    ] {
        fails(&with("signature", signature), Cause::SignatureLength, says);
    }
}

#[test]
fn a_huge_header_is_not_read() {
    let huge = with("keyId", &"x".repeat(4_096));
    fails(&huge, Cause::Unparsable, "at most 4096 bytes");
    let long = with("keyId", &format!("{}|key-1|ed25519", "x".repeat(3_700)));
    assert!(Authorization::parse(&long).is_ok(), "{}", long.len());
    let message = Authorization::parse(&long.replace("|ed25519", "|rsa")).unwrap_err().message;
    assert!(message.len() < 200, "{message}");
}

#[test]
fn neither_a_signature_nor_a_private_key_is_in_a_debug_text() {
    let key = PrivateKey::from_seed(&[7; 32]);
    let authorization = Authorization::parse(&plain()).unwrap();
    let mut text = String::new();
    write!(text, "{key:?} {authorization:?}").unwrap();
    for secret in [&key.seed()[..8], "7, 7, 7", &SIGNED[..8], "114, 54"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("seller.example"), "{text}");
}
