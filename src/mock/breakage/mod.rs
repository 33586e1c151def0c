//! What senders get wrong: a callback whose signature is broken in a way that is asked for.
//!
//! Each is broken by the mistake that causes it in the field: another text is signed than sent, a
//! clock is wrong, the header is misspelt. Only what is named is wrong, so that a receiver that
//! names another cause is mistaken.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::signer::VALID_SECONDS;
use super::{Cause, Error, Request, Signer};
use crate::beckn::action::Action;
use crate::signature::{Authorization, digest, signing_string};
use crate::words::{self, KeyId};

/// Above which length a receiver may leave a signature undiagnosed.
const LONG_BODY: usize = 64 * 1024;

/// Why a receiver should not trust a request: one for each cause that it can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breakage(words::Cause);

/// The callback to be broken, its body both as text and read.
struct Sound<'a> {
    text: &'a str,
    json: Value,
    signer: &'a Signer,
    now: DateTime<Utc>,
}

/// A body with its header.
type Broken = (Vec<u8>, Option<String>);

impl Breakage {
    /// The unique key id that a registry must not have for `unknown_key`.
    pub const NO_KEY: &'static str = "no-such-key";

    /// The unique key id under which a registry has to list the signer's key, valid from a later
    /// time on, for `key_not_yet_valid`.
    pub const FUTURE_KEY: &'static str = "future";

    /// The unique key id under which a registry has to list the signer's key, valid until an
    /// earlier time, for `key_no_longer_valid`.
    pub const PAST_KEY: &'static str = "past";

    /// The unique key id under which a registry has to list another key of the signer's
    /// subscriber, for `other_key`.
    pub const SECOND_KEY: &'static str = "key-2";

    /// Returns every breakage.
    pub fn all() -> impl Iterator<Item = Breakage> {
        words::Cause::ALL.iter().copied().map(Breakage)
    }

    /// Returns the breakage of this name, as in `body_minified`.
    pub fn parse(name: &str) -> Option<Breakage> {
        Breakage::all().find(|breakage| breakage.name() == name)
    }

    /// Returns its name: the cause's, without `signature.`.
    pub fn name(self) -> &'static str {
        let name = self.0.as_str();
        name.strip_prefix("signature.").unwrap_or(name)
    }

    /// Returns the request of a sender that makes this mistake at `now`.
    ///
    /// `body` is one line of JSON with its keys in order, as a [`MockBpp`](super::MockBpp) writes
    /// it. Some mistakes change what is sent: they add an unknown key, or blanks.
    ///
    /// `key_not_yet_valid`, `key_no_longer_valid` and `other_key` are broken only for a registry
    /// that lists the keys that they name.
    ///
    /// # Errors
    /// When the body is not one JSON object with a `context`.
    pub fn request(
        self,
        action: Action,
        body: &[u8],
        signer: &Signer,
        now: DateTime<Utc>,
    ) -> Result<Request, Error> {
        let error = || Error::new(format!("break {action} by {}", self.name()), Cause::Body);
        let text = str::from_utf8(body).map_err(|_not_text| error())?;
        let json: Value = serde_json::from_str(text).map_err(|_not_json| error())?;
        if !json["context"].is_object() {
            return Err(error());
        }
        let (body, authorization) = broken(self.0, &Sound { text, json, signer, now });
        Ok(Request { action, authorization, body: Bytes::from(body) })
    }
}

fn broken(cause: words::Cause, sound: &Sound<'_>) -> Broken {
    use words::Cause;
    match cause {
        Cause::Missing => (sound.body(), None),
        Cause::Unparsable => {
            let header = sound.authorization();
            sound.with(header.trim_end_matches('"').to_owned())
        }
        Cause::WrongAlgorithm => {
            let of_key = format!("{}|{}|rsa-sha256", sound.subscriber(), sound.unique_key());
            let header = set(&sound.authorization(), "keyId", &of_key);
            sound.with(set(&header, "algorithm", "rsa-sha256"))
        }
        Cause::SignatureLength => sound
            .with(with_signature(&sound.authorization(), &signature(&sound.authorization())[..32])),
        Cause::Milliseconds => sound.between(
            sound.now.timestamp_millis(),
            sound.now.timestamp_millis() + VALID_SECONDS * 1_000,
        ),
        Cause::CreatedInFuture => sound.seconds_off(600, 600 + VALID_SECONDS),
        Cause::Expired => sound.seconds_off(-7_200, -3_600),
        Cause::UnknownSubscriber => {
            let subscriber = format!("unregistered.{}", sound.subscriber());
            sound.as_key(&KeyId::new(subscriber, Some(sound.unique_key().to_owned())))
        }
        Cause::UnknownKey => sound.as_own_key(Breakage::NO_KEY),
        Cause::KeyNotYetValid => sound.as_own_key(Breakage::FUTURE_KEY),
        Cause::KeyNoLongerValid => sound.as_own_key(Breakage::PAST_KEY),
        Cause::OtherKey => sound.as_own_key(Breakage::SECOND_KEY),
        Cause::SignerIsNotBppId => {
            let mut json = sound.json.clone();
            json["context"]["bpp_id"] = json!("somebody-else.example");
            let body = json.to_string().into_bytes();
            let header = sound.signer.authorization(&body, sound.now);
            (body, Some(header))
        }
        Cause::BodyMinified => sound.signed_other(sound.text, &sound.pretty()),
        Cause::BodyPrettyPrinted => sound.signed_other(&sound.pretty(), sound.text),
        Cause::BodyAsciiEscaped => {
            let sent = sound.noted("\u{915}\u{92b}\u{93c}\u{947}");
            sound.signed_other(&ascii(&sent), &sent)
        }
        Cause::BodyReserialised => {
            let signed = sound.noted("a/b");
            // As PHP writes it; a slash is only ever in a text.
            sound.signed_other(&signed, &signed.replace('/', r"\/"))
        }
        Cause::TrailingNewline => sound.signed_other(sound.text, &format!("{}\n", sound.text)),
        Cause::LineEndings => {
            let signed = sound.pretty();
            sound.signed_other(&signed, &signed.replace('\n', "\r\n"))
        }
        Cause::HexDigest => sound.with_digest(&hex(&decoded(&digest(sound.text.as_bytes())))),
        Cause::OtherHash => sound.with_digest(&STANDARD.encode(Sha256::digest(sound.text))),
        Cause::SigningString => {
            let (created, expires) = sound.times();
            let right = signing_string(&created, &expires, &digest(sound.text.as_bytes()));
            sound.with_signed(&right.replace(": ", ":"))
        }
        Cause::DoesNotMatch => sound.with(with_a_flipped_bit(&sound.authorization())),
        Cause::NotDiagnosed => {
            let mut body = sound.body();
            body.resize(body.len() + LONG_BODY, b' ');
            let header = sound.signer.authorization(&body, sound.now);
            (body, Some(with_a_flipped_bit(&header)))
        }
    }
}

impl Sound<'_> {
    fn body(&self) -> Vec<u8> {
        self.text.as_bytes().to_vec()
    }

    fn subscriber(&self) -> &str {
        self.signer.subscriber()
    }

    fn unique_key(&self) -> &str {
        self.signer.id.unique_key().expect("a signer's key id is whole")
    }

    /// The body with lines and blanks.
    fn pretty(&self) -> String {
        format!("{:#}", self.json)
    }

    /// The body with a key that nobody knows, for mistakes that need a certain text in it.
    fn noted(&self, note: &str) -> String {
        let mut json = self.json.clone();
        json["context"]["note"] = json!(note);
        json.to_string()
    }

    /// The header that nothing is wrong with.
    fn authorization(&self) -> String {
        self.signer.authorization(self.text.as_bytes(), self.now)
    }

    /// Its times.
    fn times(&self) -> (String, String) {
        let created = self.now.timestamp();
        (created.to_string(), (created + VALID_SECONDS).to_string())
    }

    /// The body with another header.
    fn with(&self, header: String) -> Broken {
        (self.body(), Some(header))
    }

    /// The body with a signature over this text.
    fn with_signed(&self, signed: &str) -> Broken {
        let signature = self.signer.key.sign(signed.as_bytes());
        self.with(with_signature(&self.authorization(), &signature))
    }

    /// The body with a signature over a signing string that holds this digest.
    fn with_digest(&self, digest: &str) -> Broken {
        let (created, expires) = self.times();
        self.with_signed(&signing_string(&created, &expires, digest))
    }

    /// The body, signed by the right key with times in seconds from now.
    fn seconds_off(&self, created: i64, expires: i64) -> Broken {
        let now = self.now.timestamp();
        self.between(now + created, now + expires)
    }

    fn between(&self, created: i64, expires: i64) -> Broken {
        let Signer { id, key } = self.signer;
        self.with(key.authorization(id, self.text.as_bytes(), created, expires))
    }

    /// The body, signed by the right key under another name.
    fn as_key(&self, id: &KeyId) -> Broken {
        let signer = Signer { id: id.clone(), key: self.signer.key.clone() };
        self.with(signer.authorization(self.text.as_bytes(), self.now))
    }

    fn as_own_key(&self, unique_key: &str) -> Broken {
        self.as_key(&KeyId::new(self.subscriber(), Some(unique_key.to_owned())))
    }

    /// One body, sent with the signature of another.
    fn signed_other(&self, signed: &str, sent: &str) -> Broken {
        let header = self.signer.authorization(signed.as_bytes(), self.now);
        (sent.as_bytes().to_vec(), Some(header))
    }
}

/// Replaces the value of a header's parameter.
fn set(header: &str, name: &str, value: &str) -> String {
    let (before, rest) = header.split_once(&format!("{name}=\"")).expect("we wrote it");
    let (_, after) = rest.split_once('"').expect("we wrote it");
    format!("{before}{name}=\"{value}\"{after}")
}

fn signature(header: &str) -> [u8; 64] {
    *Authorization::parse(header).expect("we wrote it").signature()
}

fn with_signature(header: &str, signature: &[u8]) -> String {
    set(header, "signature", &STANDARD.encode(signature))
}

fn with_a_flipped_bit(header: &str) -> String {
    let mut signature = signature(header);
    signature[0] ^= 1;
    with_signature(header, &signature)
}

fn decoded(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("we wrote it")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes what is written");
        text
    })
}

/// Escapes what is not ASCII, as Python's `json.dumps` does; it is only ever in a text.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").expect("a text takes what is written");
        }
    }
    text
}

#[cfg(test)]
mod tests;
