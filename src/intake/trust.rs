//! The first step of the intake: who signed, over the raw bytes, before they are read as JSON.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::registry::{Again, Keys, Missing};
use crate::signature::diagnose::{self, Evidence, Quota};
use crate::signature::{self, Authorization, Key, Window};
use crate::words::{Cause, KeyId, Sender, SubscriberId, Untrusted};

/// How many keys under one id are tried.
const NAMESAKES: usize = 8;

/// How many lines a second the log has for refused signatures; all are kept with their cause.
const TOLD_A_SECOND: usize = 2;

/// The signature that came with a callback.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presented<'a> {
    /// None.
    Nothing,
    /// The value of the one `Authorization` header.
    Header(&'a str),
    /// It cannot be read; what was expected and what was found.
    Unreadable(&'static str),
}

/// What is asked of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Every callback is signed.
    Required,
    /// Those that are signed are verified.
    Optional,
    /// None is looked at.
    Off,
}

/// Verifies who sent a callback.
#[derive(Debug)]
pub(crate) struct Trust {
    demand: Demand,
    window: Window,
    keys: Keys,
    /// Bounds the search for why a signature does not match.
    diagnoses: Mutex<Quota>,
    /// Bounds what the log says of refused signatures.
    told: Mutex<Quota>,
}

/// Why a callback is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// The signature is missing or not good.
    Refused {
        why: Untrusted,
        /// Who it says it is by, as far as that could be read.
        claimed: Option<SubscriberId>,
    },
    /// The key could not be looked up: a fault of ours, or of the registry's.
    Unavailable {
        /// When it may be tried again.
        retry_after: Duration,
        message: String,
    },
}

impl Trust {
    pub(crate) fn new(demand: Demand, window: Window, keys: Keys) -> Self {
        let told = Mutex::new(Quota::of(TOLD_A_SECOND));
        Self { demand, window, keys, diagnoses: Mutex::default(), told }
    }

    /// Returns the verified sender; `None` for a callback that is accepted unverified.
    ///
    /// # Errors
    /// The signature is missing, not good, or its key cannot be looked up now.
    ///
    /// # Cancel safety
    /// Dropped, a look-up that was begun goes on for others.
    pub(crate) async fn verify(
        &self,
        presented: Presented<'_>,
        body: &Bytes,
        now: DateTime<Utc>,
    ) -> Result<Option<Sender>, Distrust> {
        let header = match (self.demand, presented) {
            (Demand::Off, _) | (Demand::Optional, Presented::Nothing) => return Ok(None),
            (Demand::Required, Presented::Nothing) => {
                let message = "expected a signature in the Authorization header, found none";
                return Err(self.refuse(Untrusted::new(Cause::Missing, message), None, now));
            }
            (_, Presented::Unreadable(message)) => {
                return Err(self.refuse(Untrusted::new(Cause::Unparsable, message), None, now));
            }
            (_, Presented::Header(header)) => header,
        };
        let authorization =
            Authorization::parse(header).map_err(|why| self.refuse(why, None, now))?;
        match self.check(&authorization, body, now).await {
            Ok(()) => Ok(Some(Sender::new(authorization.key_id().subscriber_id().clone()))),
            Err(Doubt::Untrusted(why)) => Err(self.refuse(why, Some(authorization.key_id()), now)),
            Err(Doubt::Unavailable { retry_after, message }) => {
                Err(Distrust::Unavailable { retry_after, message })
            }
        }
    }

    /// Checks that the sender is the one that the context names as the seller.
    ///
    /// # Errors
    /// It is another one: a subscriber may speak for itself only.
    pub(crate) fn check_seller(
        &self,
        sender: &Sender,
        bpp_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), Distrust> {
        let signer = sender.subscriber();
        signature::check_seller(signer, bpp_id).map_err(|why| {
            let id = KeyId::new(signer.as_str(), None);
            self.refuse(why, Some(&id), now)
        })
    }

    async fn check(
        &self,
        authorization: &Authorization,
        body: &Bytes,
        now: DateTime<Utc>,
    ) -> Result<(), Doubt> {
        let id = authorization.key_id();
        authorization.times().check(now, self.window)?;
        let key = self.keys.key(id, now).await?;
        let signed_by = |key: &Key| signature::verify(authorization, &key.public, body);
        let standing = key.check(id, now);
        if standing.is_ok() && signed_by(&key)
            || self.signed_by_namesake(authorization, &key, body, now)
        {
            return Ok(());
        }
        // It may have been exchanged under its id, renewed or subscribed since it was looked up.
        let again = self.keys.changed(id, &key, now).await;
        if let Again::Changed(changed) = &again {
            changed.check(id, now)?;
            if signed_by(changed) {
                return Ok(());
            }
        }
        if let (Again::NotAsked(retry_after), Err(_)) = (&again, &standing) {
            return Err(Doubt::not_asked(*retry_after));
        }
        standing?;
        let why = self.diagnose(authorization, key, body, now).await;
        match (again, why.cause) {
            (Again::NotAsked(retry_after), Cause::DoesNotMatch | Cause::NotDiagnosed) => {
                Err(Doubt::not_asked(retry_after))
            }
            _ => Err(why.into()),
        }
    }

    /// Returns whether another key under the same id signed: some registries list a subscriber
    /// once for each of its domains, each with a key of its own and all under one id.
    fn signed_by_namesake(
        &self,
        authorization: &Authorization,
        tried: &Key,
        body: &Bytes,
        now: DateTime<Utc>,
    ) -> bool {
        let id = authorization.key_id();
        let keys = self.keys.known(id);
        let namesakes = keys.iter().filter(|key| {
            key.unique_key.is_some()
                && key.unique_key == tried.unique_key
                && key.public != tried.public
                && key.check(id, now).is_ok()
        });
        namesakes.take(NAMESAKES).any(|key| signature::verify(authorization, &key.public, body))
    }

    /// Says why a signature does not match, as far as there is time for it.
    async fn diagnose(
        &self,
        authorization: &Authorization,
        key: Arc<Key>,
        body: &Bytes,
        now: DateTime<Utc>,
    ) -> Untrusted {
        let id = authorization.key_id();
        if !allowed(&self.diagnoses, id.subscriber_id(), now) {
            let message = "signature does not match the bytes received; why was not looked for, as one of this subscriber was looked into in the same second, or many of others";
            return Untrusted::new(Cause::NotDiagnosed, message);
        }
        let others = self.keys.known(id);
        let (authorization, body) = (authorization.clone(), body.clone());
        // Some milliseconds of computing: not on a thread that serves others.
        let search = tokio::task::spawn_blocking(move || {
            let (authorization, key) = (&authorization, &key.public);
            diagnose::diagnose(&Evidence { authorization, key, others: &others, body: &body })
        });
        search.await.unwrap_or_else(|_panicked_or_stopping| {
            Untrusted::new(Cause::NotDiagnosed, "the signature does not match")
        })
    }

    fn refuse(&self, why: Untrusted, id: Option<&KeyId>, now: DateTime<Utc>) -> Distrust {
        let claimed = id.map(|id| id.subscriber_id().clone());
        let nobody = SubscriberId::new("");
        if allowed(&self.told, claimed.as_ref().unwrap_or(&nobody), now) {
            let claimed = id.map(ToString::to_string).unwrap_or_default();
            let cause = why.cause.as_str();
            tracing::warn!(cause, claimed, why = why.message, "refused a signature");
        }
        Distrust::Refused { why, claimed }
    }
}

/// Why a signature is not good, before it is known whose it was to be.
enum Doubt {
    Untrusted(Untrusted),
    Unavailable { retry_after: Duration, message: String },
}

impl Doubt {
    /// The key may have changed, and the registry could not be asked.
    fn not_asked(retry_after: Duration) -> Self {
        let message =
            "the signature does not match the key that is known, and the registry cannot \
                       be asked now whether it changed"
                .to_owned();
        Self::Unavailable { retry_after, message }
    }
}

impl From<Untrusted> for Doubt {
    fn from(why: Untrusted) -> Self {
        Self::Untrusted(why)
    }
}

impl From<Missing> for Doubt {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::UnknownSubscriber { message } => {
                Untrusted::new(Cause::UnknownSubscriber, message).into()
            }
            Missing::UnknownKey { message } => Untrusted::new(Cause::UnknownKey, message).into(),
            Missing::Unavailable { retry_after, message } => {
                Self::Unavailable { retry_after, message }
            }
        }
    }
}

fn allowed(quota: &Mutex<Quota>, subscriber: &SubscriberId, now: DateTime<Utc>) -> bool {
    // A panic while it was held leaves a count that is at worst too high.
    quota.lock().unwrap_or_else(PoisonError::into_inner).allows(subscriber, now)
}
