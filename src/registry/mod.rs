//! Where public keys come from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::signature::{Key, KeyError, PublicKey};
use crate::words::{KeyId, PinnedKey, SubscriberId};

/// Which keys there are.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Keys that an operator vouches for.
    pub(crate) pinned: Vec<PinnedKey>,
}

/// Why keys cannot be looked up from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A pinned key is no key.
    #[error("the pinned key of {id} is none: {why}")]
    Pinned {
        /// Whose.
        id: KeyId,
        /// Why.
        why: String,
    },
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// There is no such subscriber.
    UnknownSubscriber { message: String },
    /// The subscriber has no such key.
    UnknownKey { message: String },
    /// It cannot be said now.
    Unavailable { retry_after: Duration, message: String },
}

/// The keys of sellers.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pinned: HashMap<SubscriberId, Vec<Arc<Key>>>,
}

impl Keys {
    /// Opens the sources.
    pub(crate) fn open(options: Options) -> Result<Self, OpenError> {
        let mut pinned: HashMap<SubscriberId, Vec<Arc<Key>>> = HashMap::new();
        for PinnedKey { id, public } in options.pinned {
            let wrong =
                |error: KeyError| OpenError::Pinned { id: id.clone(), why: error.to_string() };
            let public = PublicKey::from_bytes(&public).map_err(wrong)?;
            let key = Key::pinned(id.unique_key().map(str::to_owned), public);
            pinned.entry(id.subscriber_id()).or_default().push(Arc::new(key));
        }
        Ok(Self { pinned })
    }

    /// Returns the key of this id.
    pub(crate) async fn key(&self, id: &KeyId, _now: DateTime<Utc>) -> Result<Arc<Key>, Missing> {
        let Some(keys) = self.pinned.get(&id.subscriber_id()) else {
            return Err(Missing::UnknownSubscriber {
                message: format!("expected a known subscriber, found {id}"),
            });
        };
        let found = keys.iter().find(|key| key.unique_key.as_deref() == id.unique_key());
        found.map(Arc::clone).ok_or_else(|| Missing::UnknownKey {
            message: format!("expected a pinned key, found {id}"),
        })
    }

    /// After a signature that did not match: the key of this id, if it is another one now.
    pub(crate) async fn changed(
        &self,
        _id: &KeyId,
        _tried: &Key,
        _now: DateTime<Utc>,
    ) -> Option<Arc<Key>> {
        None
    }

    /// Returns the subscriber's keys that are known now.
    pub(crate) fn known(&self, id: &KeyId) -> Vec<Arc<Key>> {
        self.pinned.get(&id.subscriber_id()).cloned().unwrap_or_default()
    }
}
