//! Why a signature does not match: tries what real senders get wrong.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Authorization, Key, PublicKey};
use crate::words::{Cause, SubscriberId, Untrusted};

/// What is known of a signature that did not match.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) authorization: &'a Authorization,
    pub(crate) key: &'a PublicKey,
    pub(crate) others: &'a [Arc<Key>],
    pub(crate) body: &'a [u8],
}

/// Returns why a signature does not match.
pub(crate) fn diagnose(_evidence: &Evidence<'_>) -> Untrusted {
    Untrusted::new(Cause::DoesNotMatch, "the signature does not match")
}

/// Bounds diagnosing.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    second: i64,
    seen: HashSet<SubscriberId>,
}

impl Quota {
    /// Returns whether there is room for one more of this subscriber at `now`.
    pub(crate) fn allows(&mut self, subscriber: &SubscriberId, now: DateTime<Utc>) -> bool {
        if now.timestamp() != self.second {
            self.second = now.timestamp();
            self.seen.clear();
        }
        self.seen.len() < 20 && self.seen.insert(subscriber.clone())
    }
}
