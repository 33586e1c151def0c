//! The fingerprints of an event, under the inbox's secret, computed on the caller's task.
//!
//! Keyed, so that nobody outside can make two bodies meet.

use std::ops::Range;

use highway::{HighwayHash, HighwayHasher, Key};

use crate::event::OrderEvent;
use crate::inbox::Record;

/// The secret of an inbox, as the hash's key.
#[derive(Clone, Copy)]
pub(super) struct Secret([u64; 4]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Takes the secret's bytes.
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        let mut key = [0; 4];
        for (word, bytes) in key.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Self(key)
    }

    /// Hashes `parts` so that no other parts give the same bytes.
    fn hash(&self, parts: &[Option<&[u8]>]) -> u128 {
        let mut hasher = HighwayHasher::new(Key(self.0));
        for part in parts {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hasher.append(&length.to_le_bytes());
            hasher.append(part.unwrap_or_default());
        }
        let [low, high] = hasher.finalize128();
        u128::from(high) << 64 | u128::from(low)
    }
}

/// What duplicates and lanes are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prints {
    /// Of action, seller and body.
    pub(super) body: u128,
    /// Of action, seller, bap, transaction and message; `None` without one of the last two.
    pub(super) ids: Option<u128>,
    /// Of the content.
    pub(super) content: u128,
    /// Of seller and transaction. Two lanes that met would only wait for each other.
    pub(super) lane: u64,
}

impl Prints {
    /// Returns the fingerprints of an event whose seller is `seller`.
    pub(super) fn of(secret: &Secret, record: &Record, event: &OrderEvent, seller: &str) -> Self {
        let action = Some(event.action.as_str().as_bytes());
        let seller = Some(seller.as_bytes());
        let context = &event.context;
        let transaction = context.transaction_id.as_deref().map(str::as_bytes);
        let message = context.message_id.as_deref().map(str::as_bytes);
        let bap = context.bap_id.as_deref().map(str::as_bytes);
        let parts = content(&event.body, record.message.as_ref(), record.error.as_ref());
        Self {
            body: secret.hash(&[action, seller, Some(&event.body)]),
            ids: (transaction.is_some() && message.is_some())
                .then(|| secret.hash(&[action, seller, bap, transaction, message])),
            content: secret.hash(&parts),
            lane: half(secret.hash(&[seller, Some(transaction.unwrap_or_default())])),
        }
    }
}

/// Returns the half of a fingerprint that memory holds.
// The cut is what it is for.
#[allow(clippy::cast_possible_truncation)]
pub(super) const fn half(print: u128) -> u64 {
    print as u64
}

/// Returns the content of a body: its `message` and `error`, or all of it when it has neither.
pub(super) fn content<'a>(
    body: &'a [u8],
    message: Option<&Range<usize>>,
    error: Option<&Range<usize>>,
) -> [Option<&'a [u8]>; 2] {
    let part = |range: &Range<usize>| body.get(range.clone());
    let (message, error) = (message.and_then(part), error.and_then(part));
    if message.is_none() && error.is_none() { [Some(body), None] } else { [message, error] }
}
