//! What a seller is told of a callback that is not accepted, and who it is told to.

use bytes::Bytes;

use super::Rejection;
use super::trust::Distrust;
use crate::beckn::answer::{self, ErrorType};
use crate::beckn::callback::{Callback, Malformed};
use crate::buyer_rule::Refuse;
use crate::rules::{self, Findings};
use crate::words::Sender;

/// Which rule a callback breaks, or what is wrong with its signature, and what the seller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The rule, or the cause of a signature.
    pub(crate) cause: &'static str,
    pub(crate) code: String,
    pub(crate) error_type: ErrorType,
    /// A JSON Pointer.
    pub(crate) path: String,
    /// What was expected and what was found.
    pub(crate) message: String,
    /// Who it is from, as an event's `seller` says it, as far as it could be read.
    pub(crate) seller: String,
    /// Whether the sender's signature was verified.
    pub(crate) verified: bool,
    /// The transaction, where the callback was read.
    pub(crate) transaction_id: Option<String>,
}

/// Who a callback is from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A subscriber whose signature was verified.
    Verified(&'a Sender),
    /// Who it says it is from.
    Claimed(&'a str),
}

/// The longest body, in bytes, that is read only to learn who it says it is from.
const READ_FOR_A_NAME: usize = 64 * 1024;

/// How much of an unverified sender's name is kept, in characters.
const NAME_CHARACTERS: usize = 255;

impl<'a> Origin<'a> {
    pub(super) fn of(sender: Option<&'a Sender>, callback: &'a Callback) -> Self {
        match sender {
            Some(sender) => Self::Verified(sender),
            None => Self::Claimed(callback.context.bpp_id.as_deref().unwrap_or("")),
        }
    }

    fn seller(self) -> String {
        match self {
            Self::Verified(sender) => sender.subscriber().as_str().to_owned(),
            Self::Claimed(name) => {
                format!("unverified:{}", name.chars().take(NAME_CHARACTERS).collect::<String>())
            }
        }
    }

    fn is_verified(self) -> bool {
        matches!(self, Self::Verified(_))
    }
}

/// Says no for what is wrong with the signature.
pub(super) fn turned_back(distrust: Distrust, body: Bytes) -> Rejection {
    let (why, claimed) = match distrust {
        Distrust::Refused { why, claimed } => (why, claimed),
        Distrust::Unavailable { retry_after, message } => {
            return Rejection::KeyUnavailable { retry_after, message };
        }
    };
    let claimed = claimed.map_or_else(|| claimed_in(&body), |id| id.as_str().to_owned());
    let origin = Origin::Claimed(&claimed);
    let refused = Refused {
        cause: why.cause.as_str(),
        code: answer::INVALID_SIGNATURE.code.to_owned(),
        error_type: ErrorType::Core,
        path: String::new(),
        // With its name, so that whoever reads the answer finds it in the documents.
        message: format!("{} ({})", why.message, why.cause.as_str()),
        seller: origin.seller(),
        verified: false,
        transaction_id: None,
    };
    Rejection::Untrusted(Box::new(refused), body)
}

/// Returns who an unsigned body says it is from, so that its refusal is found under that name.
///
/// A long one is not read for it: nobody vouches for it.
fn claimed_in(body: &[u8]) -> String {
    if body.len() > READ_FOR_A_NAME {
        return String::new();
    }
    let bpp_id = Callback::parse(body).ok().and_then(|callback| callback.context.bpp_id);
    bpp_id.map(String::from).unwrap_or_default()
}

pub(super) fn as_malformed(malformed: &Malformed, sender: Option<&Sender>) -> Refused {
    let origin = sender.map_or(Origin::Claimed(""), Origin::Verified);
    Refused {
        cause: rules::MALFORMED,
        code: answer::INVALID_RESPONSE.code.to_owned(),
        error_type: ErrorType::JsonSchema,
        path: String::new(),
        message: malformed.to_string(),
        seller: origin.seller(),
        verified: origin.is_verified(),
        transaction_id: None,
    }
}

/// Returns what the seller is told of the first violation that is enforced, and how many more
/// violations there are.
pub(super) fn by_ours(findings: &Findings, origin: Origin<'_>) -> Option<Box<Refused>> {
    let first = findings.enforced.first()?;
    let rule = rules::find(&first.rule).expect("our rules make violations of our rules");
    let message = match findings.enforced.len() + findings.warnings.len() - 1 {
        0 => first.message.clone(),
        others => format!("{} (and {others} more)", first.message),
    };
    Some(Box::new(Refused {
        cause: rule.name,
        code: rule.code.code.to_owned(),
        error_type: rule.error_type,
        path: first.path.clone(),
        message,
        seller: origin.seller(),
        verified: origin.is_verified(),
        transaction_id: None,
    }))
}

pub(super) fn by_buyer(rule: &'static str, refuse: Refuse, origin: Origin<'_>) -> Refused {
    Refused {
        cause: rule,
        code: refuse.code,
        error_type: refuse.error_type,
        path: refuse.path,
        message: refuse.message,
        seller: origin.seller(),
        verified: origin.is_verified(),
        transaction_id: None,
    }
}
