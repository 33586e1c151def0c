//! Where public keys come from: pinned by an operator, or looked up at a registry.
//!
//! # Constraints
//! - Pinned keys win, and their subscriber is never looked up.
//! - A callback waits for a lookup only while nothing usable is known; all who wait for one
//!   subscriber wait for one lookup, which goes on when they go away.
//! - What strangers can cause is bounded: lookups have a [budget](budget), every subscriber has
//!   one refetch a minute, and everything that is kept has a limit.
//! - A key is refused for good only on the registry's word. Where it was not asked, or did not
//!   answer, the seller is told to come again.
//!
//! # When the registry is down
//! Keys serve until they are `stale`; then their sellers, like new ones, are told to come again. A
//! subscriber whose lookup failed is left alone for ten seconds.
//!
//! # Layout
//! `lookups` decides and asks, `cache` is what is known, `budget` is what asking may cost, `http`
//! is one exchange, `record` reads its answer, `missing` says why there is no key; `tls`
//! and `url` are for every client of ours.

mod budget;
mod cache;
mod http;
mod lookups;
mod missing;
mod pinned;
mod record;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
pub(crate) mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::metrics::Metrics;
use crate::signature::{Key, KeyError, PrivateKey};
use crate::words::{KeyId, Outside, PinnedKey};

use self::lookups::Lookups;
use self::missing::unknown_key;
use self::pinned::Pinned;
use self::record::pick;
use self::url::BadUrl;

/// Where keys are looked up and what that may cost.
#[derive(Debug)]
pub(crate) struct Options {
    /// Keys that an operator vouches for.
    pub(crate) pinned: Vec<PinnedKey>,
    /// Where all other keys are looked up; without it there are no others.
    pub(crate) registry: Option<RegistryOptions>,
}

/// A registry, and what asking it may cost.
pub(crate) struct RegistryOptions {
    /// The whole URL of the lookup; it may hold a token, so it is never shown.
    pub(crate) url: String,
    pub(crate) api: Api,
    /// The country that lookups are for; may be empty except with [`Api::OndcV2`].
    pub(crate) country: String,
    /// Signs our lookups where the API wants that.
    pub(crate) signer: Option<Signer>,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub(crate) response_limit: usize,
    /// How long keys are used without looking again; a look goes on beside them in the last fifth.
    pub(crate) fresh: Duration,
    /// How long keys serve while the registry does not answer, since they were looked up; it is
    /// never shorter than `fresh`.
    pub(crate) stale: Duration,
    /// How long the registry's word that a subscriber is not there counts.
    pub(crate) negative: Duration,
    /// Subscribers whose keys are kept; beyond it the one that was not used for longest goes.
    pub(crate) subscribers: usize,
    /// Lookups that begin in any 60 seconds, at least one; beyond it callers are told to come again.
    pub(crate) lookups_per_minute: u32,
    /// What is counted of it.
    pub(crate) metrics: Arc<Metrics>,
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryOptions").field("api", &self.api).finish_non_exhaustive()
    }
}

/// How a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// ONDC's `/v2.0/lookup`: with a country, signed by us.
    OndcV2,
    /// ONDC's older `/lookup`: not signed.
    Ondc,
    /// Beckn's `/lookup`: not signed.
    Beckn,
}

/// Who signs our lookups.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// Our subscriber id and unique key id, as they are registered.
    pub(crate) id: KeyId,
    pub(crate) key: PrivateKey,
}

/// Why there is no key to verify with. The messages may go to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The registry has no such subscriber, or there is nobody to ask.
    UnknownSubscriber { message: String },
    /// The subscriber has no key of that id.
    UnknownKey { message: String },
    /// Nobody knows yet: the sender should come again.
    Unavailable { retry_after: Duration, message: String },
}

/// What there is to say of a key with which a signature did not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Again {
    /// The registry lists it otherwise now, or another one under its id.
    Changed(Arc<Key>),
    /// It is as the registry listed it, by a word that is at most a minute old.
    Same,
    /// The registry could not be asked; it may be in this time.
    NotAsked(Duration),
}

/// Why keys cannot be looked up with these options.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A pinned key is no key.
    #[error("the pinned key of {id} cannot be used")]
    Pinned { id: KeyId, source: KeyError },
    /// One id is pinned to two keys.
    #[error("two different keys are pinned for {id}")]
    PinnedTwice { id: KeyId },
    /// The URL is none that can be asked. It is not shown: it may hold a secret.
    #[error("`registry.url` cannot be used")]
    Url(#[source] BadUrl),
    /// ONDC's `/v2.0/lookup` is signed, and nobody signs.
    #[error("this registry wants lookups that are signed, and there is no key to sign with")]
    NoSigner,
    /// The signer's id holds what no header can.
    #[error("our subscriber id or unique key id cannot stand in a header")]
    SignerId,
    /// ONDC's `/v2.0/lookup` wants two filters, and a country is the second.
    #[error("this registry wants a country in each lookup, and there is none")]
    NoCountry,
    /// There are no certificates to trust, or TLS cannot be set up.
    #[error("TLS cannot be set up for `registry.url`")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client for `registry.url` cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// The keys that callbacks are verified with.
#[derive(Debug)]
pub(crate) struct Keys {
    pinned: Pinned,
    lookups: Option<Lookups>,
}

impl Keys {
    /// Checks the options and makes the client; nothing is looked up.
    ///
    /// # Errors
    /// A pinned key is none, the URL is none, or the options do not fit together.
    pub(crate) fn open(options: Options) -> Result<Self, OpenError> {
        let pinned = Pinned::read(options.pinned)?;
        let lookups = options.registry.as_ref().map(Lookups::open).transpose()?;
        Ok(Self { pinned, lookups })
    }

    /// Returns the key of this id, looked up if need be. Whether it may sign at `now` is for
    /// [`Key::check`] to say.
    ///
    /// # Errors
    /// There is no such key, or nobody knows yet.
    ///
    /// # Cancel safety
    /// Dropped, a lookup that has begun goes on, for those who come later.
    pub(crate) async fn key(&self, id: &KeyId, now: DateTime<Utc>) -> Result<Arc<Key>, Missing> {
        if let Some(keys) = self.pinned.of(id.subscriber()) {
            return pick(keys, id.unique_key()).map(Arc::clone).ok_or_else(|| unknown_key(id));
        }
        match &self.lookups {
            Some(lookups) => lookups.key(id, now).await,
            None => Err(Missing::UnknownSubscriber {
                message: format!(
                    "expected a subscriber whose key is known here, found `{}`",
                    Outside(id.subscriber())
                ),
            }),
        }
    }

    /// Returns whether the key of this id is still as it was `tried`: a signature did not match
    /// with it, or it may not sign. Asks the registry again, once a minute for each subscriber.
    ///
    /// # Cancel safety
    /// As [`Keys::key`].
    pub(crate) async fn changed(&self, id: &KeyId, tried: &Key, now: DateTime<Utc>) -> Again {
        match &self.lookups {
            Some(lookups) if self.pinned.of(id.subscriber()).is_none() => {
                lookups.changed(id, tried, now).await
            }
            _ => Again::Same,
        }
    }

    /// Returns the subscriber's keys that are known now; nobody is asked.
    pub(crate) fn known(&self, id: &KeyId) -> Vec<Arc<Key>> {
        if let Some(keys) = self.pinned.of(id.subscriber()) {
            return keys.to_vec();
        }
        self.lookups.as_ref().map(|lookups| lookups.known(id)).unwrap_or_default()
    }
}
