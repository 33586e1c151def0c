//! Why a signature was not accepted.

/// Declares the causes: the name that logs, metrics and kept refusals use, what it means, and what
/// the sender must change.
macro_rules! causes {
    ($( $Cause:ident = $name:literal, $what:literal, $mend:literal; )+) => {
        /// Why a signature was not accepted: a closed set, so that it can label a metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Cause { $( #[doc = $what] $Cause, )+ }

        impl Cause {
            /// Every cause.
            pub(crate) const ALL: &'static [Cause] = &[$( Cause::$Cause, )+];

            /// Returns the name, as logs, metrics and kept refusals use it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $( Cause::$Cause => concat!("signature.", $name), )+ }
            }

            /// Returns what is wrong.
            pub(crate) const fn what(self) -> &'static str {
                match self { $( Cause::$Cause => $what, )+ }
            }

            /// Returns what the sender must change.
            pub(crate) const fn mend(self) -> &'static str {
                match self { $( Cause::$Cause => $mend, )+ }
            }
        }
    };
}

causes! {
    Missing = "missing",
        "There is no `Authorization` header.",
        "Sign the request.";
    Unparsable = "unparsable",
        "The `Authorization` header is not a signature as BECKN-006 writes it.",
        "Write the header as the message says, at the place that it names.";
    WrongAlgorithm = "wrong_algorithm",
        "The algorithm is not ed25519, or `keyId` and `algorithm` disagree.",
        "Sign with ed25519 and say so in both places.";
    SignatureLength = "length",
        "The signature is not 64 bytes in base64.",
        "Send the raw 64 bytes of the Ed25519 signature in standard base64, not hex or a key.";
    Milliseconds = "milliseconds",
        "`created` is in milliseconds.",
        "Write `created` and `expires` in seconds since 1970.";
    CreatedInFuture = "created_in_future",
        "`created` lies in the future by more than the allowed skew.",
        "Set the clock of the signing machine (NTP).";
    Expired = "expired",
        "`expires`, or the oldest `created` that is allowed, lies in the past.",
        "Sign when the request is sent, again for each retry, and set the clock.";
    UnknownSubscriber = "unknown_subscriber",
        "The registry has no such subscriber.",
        "Sign as the subscriber id that is registered, to the letter; or register it.";
    UnknownKey = "unknown_key",
        "The subscriber has no key of that id.",
        "Use the unique key id under which the key is registered.";
    KeyNotYetValid = "key_not_yet_valid",
        "The key's validity begins later.",
        "Sign with a key that is valid now.";
    KeyNoLongerValid = "key_no_longer_valid",
        "The key's validity is over, or the registry does not list it as subscribed.",
        "Register a new key and sign with it.";
    SignerIsNotBppId = "signer_is_not_bpp_id",
        "The subscriber that signed is not the `context.bpp_id`.",
        "Sign as the subscriber that `context.bpp_id` names.";
    BodyMinified = "body_minified",
        "The signature is over the same JSON without spaces and line ends.",
        "Send the bytes that were signed: serialise once, sign that, send that.";
    BodyPrettyPrinted = "body_pretty_printed",
        "The signature is over the same JSON with other spaces and line ends.",
        "Send the bytes that were signed: serialise once, sign that, send that.";
    BodyAsciiEscaped = "body_ascii_escaped",
        "The signature is over the same JSON with characters escaped as ASCII (`\\u0915`).",
        "Send the bytes that were signed; in Python, `json.dumps(…, ensure_ascii=False)` for both.";
    BodyReserialised = "body_reserialised",
        "The signature is over the same JSON as another serialiser writes it (escapes, numbers).",
        "Send the bytes that were signed: serialise once, sign that, send that.";
    TrailingNewline = "trailing_newline",
        "The signature is over the body with, or without, a line end at its end.",
        "Sign and send the same bytes: `curl --data-binary`, no line end added by an editor.";
    LineEndings = "line_endings",
        "The signature is over the body with other line ends (CRLF or LF).",
        "Sign and send the same bytes; let nothing convert line ends between.";
    HexDigest = "hex_digest",
        "The digest in the signing string is written in hex.",
        "Write the 64 bytes of the digest in base64.";
    OtherHash = "other_hash",
        "The digest in the signing string is of another hash than BLAKE2b-512.",
        "Digest the body with BLAKE2b with an output of 64 bytes, unkeyed.";
    SigningString = "signing_string",
        "The signing string is written otherwise: a space, a line end or a label differs.",
        "Sign `(created): N`, `(expires): N`, `digest: BLAKE-512=…`, joined by single line feeds.";
    OtherKey = "other_key",
        "The signature is by another key of the same subscriber.",
        "Name the key that signs in `keyId`, or sign with the one that it names.";
    DoesNotMatch = "does_not_match",
        "The signature is not by that key over what was received.",
        "Check the private key against the registered public key, and that no proxy changes the body.";
    NotDiagnosed = "not_diagnosed",
        "The signature does not match; why was not looked for, as too many came or the body is long.",
        "Wait a second and try again, or check the request with `beckn-receiver verify`.";
}

/// Why a signature was not accepted, with what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untrusted {
    /// The cause.
    pub(crate) cause: Cause,
    /// What was expected and what was found; safe to show.
    pub(crate) message: String,
}

impl Untrusted {
    /// Makes one.
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Cause;

    #[test]
    fn no_two_causes_share_a_name() {
        let names: HashSet<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
