//! The signing string with another digest, written otherwise, or left out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use sha2::{Digest as _, Sha256, Sha512};

use super::Candidate;
use crate::signature::Authorization;
use crate::signature::header::Part;
use crate::words::Cause;

/// How a signing string is written.
#[derive(Clone, Copy)]
struct Writing {
    /// What stands between the name and the value of each line.
    after_created: &'static str,
    after_expires: &'static str,
    after_digest: &'static str,
    between: &'static str,
    label: &'static str,
    end: &'static str,
}

const RIGHT: Writing = Writing {
    after_created: ": ",
    after_expires: ": ",
    after_digest: ": ",
    between: "\n",
    label: "BLAKE-512=",
    end: "",
};

const TIGHT: Writing =
    Writing { after_created: ":", after_expires: ":", after_digest: ":", ..RIGHT };

/// The ways in which it is written wrong, each with its name.
const WRONG: [(&str, Writing); 13] = [
    // So ONDC's signing-verification.md prints it; others read it as one of the next two.
    (
        "a signing string without spaces after `(expires):` and `digest:`",
        Writing { after_created: ": ", ..TIGHT },
    ),
    ("a signing string without a space after `digest:`", Writing { after_digest: ":", ..RIGHT }),
    ("a signing string without spaces after the colons", TIGHT),
    ("a signing string with a line end at its end", Writing { end: "\n", ..RIGHT }),
    // A draft of Beckn 2.0 prints this label.
    ("a signing string with the label `BLAKE2b-512=`", Writing { label: "BLAKE2b-512=", ..RIGHT }),
    ("a signing string with the label `BLAKE2B-512=`", Writing { label: "BLAKE2B-512=", ..RIGHT }),
    ("a signing string with the label `blake-512=`", Writing { label: "blake-512=", ..RIGHT }),
    ("a signing string without the label `BLAKE-512=`", Writing { label: "", ..RIGHT }),
    (
        r"a signing string with a backslash and `n` in place of line ends",
        Writing { between: r"\n", ..RIGHT },
    ),
    ("a signing string with CR and LF between its lines", Writing { between: "\r\n", ..RIGHT }),
    ("a signing string with spaces in place of line ends", Writing { between: " ", ..RIGHT }),
    ("a signing string with commas in place of line ends", Writing { between: ", ", ..RIGHT }),
    ("a signing string with nothing between its lines", Writing { between: "", ..RIGHT }),
];

impl Writing {
    fn of(self, authorization: &Authorization, parts: [Part; 3], digest: &str) -> Vec<u8> {
        let (created, expires) = authorization.written_times();
        let line = |part: Part| {
            let name = part.name();
            match part {
                Part::Created => format!("{name}{}{created}", self.after_created),
                Part::Expires => format!("{name}{}{expires}", self.after_expires),
                Part::Digest => format!("{name}{}{}{digest}", self.after_digest, self.label),
            }
        };
        let mut text = parts.map(line).join(self.between);
        text.push_str(self.end);
        text.into_bytes()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a text takes what is written");
    }
    text
}

/// Returns what may have been signed for the body as it came.
pub(super) fn written(
    authorization: &Authorization,
    body: &[u8],
) -> impl Iterator<Item = Candidate> {
    let digest = blake2b_simd::blake2b(body);
    let digest = digest.as_bytes();
    let rows = [
        other_digests(authorization, digest),
        other_hashes(authorization, body),
        other_strings(authorization, digest),
        no_strings(authorization, body, digest),
    ];
    rows.into_iter().flatten()
}

/// The right digest, written otherwise.
fn other_digests(authorization: &Authorization, digest: &[u8]) -> Vec<Candidate> {
    let in_hex = hex(digest);
    let rows = [
        (Cause::HexDigest, "the digest in hex", in_hex.clone()),
        (Cause::HexDigest, "the digest in upper-case hex", in_hex.to_uppercase()),
        (Cause::HexDigest, "the base64 of the digest in hex", STANDARD.encode(&in_hex)),
        (Cause::SigningString, "the digest in URL-safe base64", URL_SAFE.encode(digest)),
        (Cause::SigningString, "the digest without the `=` at its end", {
            STANDARD_NO_PAD.encode(digest)
        }),
    ];
    let candidate = |(cause, what, digest): (_, &'static str, String)| Candidate {
        cause,
        what: what.into(),
        signed: authorization.signing_string(&digest).into_bytes(),
    };
    rows.into_iter().map(candidate).collect()
}

/// The digests of other hashes, under our label and under their own.
fn other_hashes(authorization: &Authorization, body: &[u8]) -> Vec<Candidate> {
    let half = blake2b_simd::Params::new().hash_length(32).hash(body);
    let hashes = [
        ("SHA-256", "SHA-256=", Sha256::digest(body).to_vec()),
        ("SHA-512", "SHA-512=", Sha512::digest(body).to_vec()),
        ("BLAKE2b with 32 bytes", "BLAKE-256=", half.as_bytes().to_vec()),
    ];
    let mut candidates = Vec::with_capacity(12);
    for (name, own, digest) in hashes {
        for (form, text) in [("base64", STANDARD.encode(&digest)), ("hex", hex(&digest))] {
            for label in [RIGHT.label, own] {
                candidates.push(Candidate {
                    cause: Cause::OtherHash,
                    what: format!("the digest {name} in {form}, labelled `{label}`").into(),
                    signed: Writing { label, ..RIGHT }.of(
                        authorization,
                        authorization.covered(),
                        &text,
                    ),
                });
            }
        }
    }
    candidates
}

/// The right digest in a signing string that is written otherwise.
fn other_strings(authorization: &Authorization, digest: &[u8]) -> Vec<Candidate> {
    let digest = STANDARD.encode(digest);
    let candidate = |(what, writing): (&'static str, Writing), parts| Candidate {
        cause: Cause::SigningString,
        what: what.into(),
        signed: writing.of(authorization, parts, &digest),
    };
    let listed = authorization.covered();
    let mut candidates = Vec::from(WRONG.map(|wrong| candidate(wrong, listed)));
    if listed != Part::ALL {
        let what = "a signing string in the order `(created) (expires) digest`, which is not the order of the parameter `headers`";
        candidates.push(candidate((what, RIGHT), Part::ALL));
    }
    candidates
}

/// What is signed by those who make no signing string, or hash it first.
fn no_strings(authorization: &Authorization, body: &[u8], digest: &[u8]) -> Vec<Candidate> {
    let text = STANDARD.encode(digest);
    let string = authorization.signing_string(&text);
    let hashed = blake2b_simd::blake2b(string.as_bytes());
    let hashed = hashed.as_bytes();
    let rows: [(&'static str, Vec<u8>); 8] = [
        ("the body itself: expected a signature over the signing string", body.to_vec()),
        ("the bare digest: expected a signature over the signing string", digest.to_vec()),
        ("the digest in hex without a signing string", hex(digest).into_bytes()),
        ("the digest with its label, without a signing string", {
            format!("BLAKE-512={text}").into_bytes()
        }),
        ("the digest in base64 without a signing string", text.into_bytes()),
        ("the BLAKE2b hash of the signing string: expected the string itself", hashed.to_vec()),
        ("the BLAKE2b hash of the signing string in base64: expected the string itself", {
            STANDARD.encode(hashed).into_bytes()
        }),
        ("the BLAKE2b hash of the signing string in hex: expected the string itself", {
            hex(hashed).into_bytes()
        }),
    ];
    let candidate = |(what, signed): (&'static str, Vec<u8>)| Candidate {
        cause: Cause::SigningString,
        what: what.into(),
        signed,
    };
    rows.into_iter().map(candidate).collect()
}
