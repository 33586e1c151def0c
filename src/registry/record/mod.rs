//! Reads what a registry answers: records, and of them the keys of one subscriber.
//!
//! Registries of one network name the same field in several ways and add others; a list may be
//! bare, in `data`, or one record alone. All are read; what is not a record's is not looked at.
//! A registry that ignores a filter returns everyone, so a record counts only when it names the
//! subscriber that was asked for.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::beckn::error;
use crate::beckn::lax::{At, Field, Notes, Shapes, model};
use crate::beckn::oddity::{Oddity, OddityKind};
use crate::beckn::scalar::Timestamp;
use crate::beckn::text::Text;
use crate::signature::{Key, KeyError, PublicKey};
use crate::words::SubscriberId;

/// The keys of one subscriber that are kept; real ones have one to three.
const KEYS: usize = 64;
/// The longest id of a key that is kept, in bytes; real ones have at most 36.
const KEY_ID_BYTES: usize = 256;
/// How much of a status is kept, in characters; the longest that is published has 18.
const STATUS_CHARACTERS: usize = 32;

/// What an answer says about a subscriber.
#[derive(Debug)]
pub(super) enum Reading {
    /// Its keys, those of records that could be read.
    Found(Found),
    /// The registry has no such subscriber.
    NotThere,
}

/// The keys of a subscriber.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) keys: Arc<[Arc<Key>]>,
    /// Why the first record was skipped, if one was, and how many were.
    pub(super) skipped: Option<(Unreadable, usize)>,
}

/// Why a record was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it has no `signing_public_key`")]
    NoKey,
    #[error("its `signing_public_key` cannot be read: {0}")]
    Key(KeyError),
    #[error("the id of its key is longer than {KEY_ID_BYTES} bytes")]
    KeyId,
    #[error("its validity cannot be read as times")]
    Validity,
    #[error("the subscriber has more than {KEYS} keys")]
    TooMany,
}

/// Why an answer says nothing about a subscriber.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the answer is not JSON")]
    NotJson(#[from] serde_json::Error),
    #[error("the registry answered with an error instead of records")]
    Refused,
    #[error("the registry answered with a NACK instead of records")]
    Nack,
    #[error("the answer holds no records")]
    NoRecords,
    #[error("the answer holds too many records, none of those that were read is the subscriber's")]
    TooMany,
}

model! {
    /// What a registry lists of a subscriber, as far as it matters here.
    #[allow(unreachable_pub, reason = "models are declared as public, this one stays here")]
    pub struct Record {
        /// Whose it is.
        subscriber_id: Option<Text> = "subscriber_id",
        /// The id of its key.
        unique_key: Option<Text> = "ukId" | "unique_key_id" | "key_id" | "uk_id" | "ukid",
        /// The key that it signs with, in base64.
        signing_public_key: Option<Text> = "signing_public_key",
        /// From when on the key is valid.
        valid_from: Option<Timestamp> = "valid_from",
        /// Until when the key is valid.
        valid_until: Option<Timestamp> = "valid_until",
        /// Its standing.
        status: Option<Text> = "status",
    }
}

model! {
    /// Records in an envelope, or what stands there instead of them.
    #[allow(unreachable_pub, reason = "models are declared as public, this one stays here")]
    pub struct Envelope {
        /// The records.
        data: Vec<Record> = "data",
        /// The protocol's own error is an object; a web server's `"error": "Not Found"` is not.
        error: Option<error::Error> = "error",
        /// The protocol's own acknowledgement.
        message: Option<Message> = "message",
    }
}

model! {
    /// The part of an acknowledgement that says which it is.
    #[allow(unreachable_pub, reason = "models are declared as public, this one stays here")]
    pub struct Message {
        /// ACK or NACK.
        ack: Option<Ack> = "ack",
    }
}

model! {
    /// An acknowledgement.
    #[allow(unreachable_pub, reason = "models are declared as public, this one stays here")]
    pub struct Ack {
        /// The word.
        status: Option<Text> = "status",
    }
}

/// Which keys an object has: what tells a record from an envelope with a list, even an empty one.
#[derive(Debug, Deserialize)]
struct Head {
    subscriber_id: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
}

/// Reads the answer to a lookup of `subscriber`.
///
/// An empty list is how registries say that there is no such subscriber: `/lookup` filters.
///
/// # Errors
/// The answer says nothing about the subscriber: it is not JSON, an error, or cut off.
pub(super) fn read(body: &[u8], subscriber: &str, now: DateTime<Utc>) -> Result<Reading, Error> {
    let notes = Notes::default();
    let records = records(body, &notes)?;
    let id = SubscriberId::written(subscriber);
    let own = |record: &Record| {
        record.subscriber_id.as_ref().is_some_and(|text| SubscriberId::written(text) == id)
    };
    let own: Vec<Record> = records.into_iter().filter(own).collect();
    if !own.is_empty() {
        return Ok(Reading::Found(keys(own, now)));
    }
    // What was noted beyond the limit may be that the list is too long.
    let cut = |oddity: &Oddity| matches!(oddity.kind, OddityKind::ListTooLong | OddityKind::More);
    if notes.into_oddities().iter().any(cut) { Err(Error::TooMany) } else { Ok(Reading::NotThere) }
}

/// Returns whether a body that came with 404 is the registry's own word: that there is no such
/// subscriber, in JSON as the protocol writes it, and not that there is no such page.
pub(super) fn is_word_of_registry(body: &[u8]) -> bool {
    let notes = Notes::default();
    match records(body, &notes) {
        Ok(records) => records.is_empty(),
        Err(Error::Nack) => true,
        // An error alone may be a gateway's, for a page that is not there.
        Err(Error::Refused | Error::NotJson(_) | Error::NoRecords | Error::TooMany) => false,
    }
}

fn records(body: &[u8], notes: &Notes) -> Result<Vec<Record>, Error> {
    match body.trim_ascii_start().first() {
        Some(b'[') => lax(body, notes),
        Some(b'{') => {
            let head: Head = serde_json::from_slice(body)?;
            if head.subscriber_id.is_some() { lax(body, notes) } else { unwrap(body, &head, notes) }
        }
        _ => {
            serde_json::from_slice::<IgnoredAny>(body)?;
            Err(Error::NoRecords)
        }
    }
}

fn unwrap(body: &[u8], head: &Head, notes: &Notes) -> Result<Vec<Record>, Error> {
    let envelope = lax::<Option<Envelope>>(body, notes)?.unwrap_or_default();
    let nack = || {
        let status = envelope.message.as_ref()?.ack.as_ref()?.status.as_deref()?;
        Some(status.eq_ignore_ascii_case("NACK"))
    };
    if nack() == Some(true) {
        return Err(Error::Nack);
    }
    if envelope.error.is_some() {
        return Err(Error::Refused);
    }
    if head.data.is_some() { Ok(envelope.data) } else { Err(Error::NoRecords) }
}

fn lax<F: Field>(body: &[u8], notes: &Notes) -> Result<F, Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut value = F::default();
    value.read(&mut json, &At::root(notes), Shapes::ANY)?;
    json.end()?;
    Ok(value)
}

/// A record that was read, with what decides between several of one key.
struct Candidate {
    key: Key,
    rank: Rank,
}

/// Greater is better: subscribed, then valid now, then valid for longer.
type Rank = (bool, bool, DateTime<Utc>);

fn keys(records: Vec<Record>, now: DateTime<Utc>) -> Found {
    let mut skipped = None;
    let mut skip = |why: Unreadable| {
        let (_first, count) = skipped.get_or_insert((why, 0));
        *count += 1;
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for record in records {
        let candidate = match candidate(record, now) {
            Ok(candidate) => candidate,
            Err(why) => {
                skip(why);
                continue;
            }
        };
        // Registries list a subscriber once for each of its domains and cities; some give each
        // domain a key of its own under the same id.
        let same = |other: &Candidate| {
            other.key.unique_key == candidate.key.unique_key
                && other.key.public == candidate.key.public
        };
        match candidates.iter().position(same) {
            Some(at) if candidates[at].rank < candidate.rank => candidates[at] = candidate,
            Some(_better) => {}
            None if candidates.len() == KEYS => skip(Unreadable::TooMany),
            None => candidates.push(candidate),
        }
    }
    // The best of one id is the one that is picked.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.rank));
    Found { keys: candidates.into_iter().map(|one| Arc::new(one.key)).collect(), skipped }
}

fn candidate(record: Record, now: DateTime<Utc>) -> Result<Candidate, Unreadable> {
    let text = record.signing_public_key.ok_or(Unreadable::NoKey)?;
    let public = PublicKey::parse(&text).map_err(Unreadable::Key)?;
    let unique_key = record.unique_key.map(|id| id.trim().to_owned());
    if unique_key.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES) {
        return Err(Unreadable::KeyId);
    }
    // A validity that is written but not understood must not become "always".
    let time = |text: Option<Timestamp>| match text {
        Some(text) => text.utc().map(Some).ok_or(Unreadable::Validity),
        None => Ok(None),
    };
    let (valid_from, valid_until) = (time(record.valid_from)?, time(record.valid_until)?);
    let refused_status = record
        .status
        .filter(|status| !status.trim().eq_ignore_ascii_case("SUBSCRIBED"))
        .map(|status| status.trim().chars().take(STATUS_CHARACTERS).collect());
    let is_valid =
        valid_from.is_none_or(|from| from <= now) && valid_until.is_none_or(|until| now <= until);
    let rank =
        (refused_status.is_none(), is_valid, valid_until.unwrap_or(DateTime::<Utc>::MAX_UTC));
    Ok(Candidate { key: Key { unique_key, public, valid_from, valid_until, refused_status }, rank })
}

/// Picks the key that a `keyId` names.
///
/// A `keyId` of two parts names the only key of its subscriber. Where the registry gives its keys
/// no ids and there is one, that one is meant whatever the `keyId` says.
pub(super) fn pick<'a>(keys: &'a [Arc<Key>], unique_key: Option<&str>) -> Option<&'a Arc<Key>> {
    let only = || match keys {
        [only] => Some(only),
        _ => None,
    };
    match unique_key {
        None => only(),
        Some(unique_key) => keys
            .iter()
            .find(|key| key.unique_key.as_deref() == Some(unique_key))
            .or_else(|| only().filter(|key| key.unique_key.is_none())),
    }
}

#[cfg(test)]
mod tests;
