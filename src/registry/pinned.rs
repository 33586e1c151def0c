//! Keys that an operator vouches for: they win over any registry's.

use std::collections::HashMap;
use std::sync::Arc;

use super::OpenError;
use crate::signature::{Key, PublicKey};
use crate::words::{PinnedKey, SubscriberId};

/// The pinned keys by subscriber.
///
/// Normalised, for the operator writes the id and no registry compares it: every spelling of a
/// pinned subscriber has the pinned keys and no others.
#[derive(Debug, Default)]
pub(super) struct Pinned(HashMap<SubscriberId, Arc<[Arc<Key>]>>);

impl Pinned {
    /// Reads the keys.
    ///
    /// # Errors
    /// One of them is no Ed25519 public key, or an id is pinned to two keys.
    pub(super) fn read(keys: Vec<PinnedKey>) -> Result<Self, OpenError> {
        let mut read: HashMap<SubscriberId, Vec<Arc<Key>>> = HashMap::new();
        for PinnedKey { id, public } in keys {
            let public = PublicKey::from_bytes(&public)
                .map_err(|source| OpenError::Pinned { id: id.clone(), source })?;
            let own = read.entry(SubscriberId::new(id.subscriber())).or_default();
            let unique_key = id.unique_key().map(str::to_owned);
            match own.iter().find(|key| key.unique_key == unique_key) {
                Some(key) if key.public == public => {}
                Some(_another) => return Err(OpenError::PinnedTwice { id }),
                None => own.push(Arc::new(Key::pinned(unique_key, public))),
            }
        }
        Ok(Self(read.into_iter().map(|(id, keys)| (id, keys.into())).collect()))
    }

    /// Returns the keys of a subscriber, if any are pinned.
    pub(super) fn of(&self, subscriber: &str) -> Option<&Arc<[Arc<Key>]>> {
        // Most receivers pin nothing, and then nothing is normalised.
        if self.0.is_empty() { None } else { self.0.get(&SubscriberId::new(subscriber)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenError, Pinned};
    use crate::signature::PrivateKey;
    use crate::words::PinnedKey;

    fn pinned(id: &str, seed: u8) -> PinnedKey {
        let public = PrivateKey::from_seed(&[seed; 32]).public();
        PinnedKey::parse(&format!("{id}|{public}")).unwrap()
    }

    #[test]
    fn every_spelling_of_a_pinned_subscriber_has_its_keys() {
        let keys = vec![pinned("https://A.example/|k1", 1), pinned("a.example|k1", 1)];
        let pinned = Pinned::read(keys).unwrap();
        assert_eq!(pinned.of("http://a.EXAMPLE").unwrap().len(), 1);
        assert!(pinned.of("b.example").is_none());
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named() {
        let two = vec![pinned("a.example|k1", 1), pinned("a.example|k1", 2)];
        let error = Pinned::read(two).unwrap_err();
        assert!(matches!(error, OpenError::PinnedTwice { .. }));
        assert!(error.to_string().contains("a.example|k1"), "{error}");
        let mut off = pinned("a.example|k2", 1);
        off.public = [2; 32];
        let error = Pinned::read(vec![off]).unwrap_err();
        assert!(matches!(error, OpenError::Pinned { .. }));
        assert!(error.to_string().contains("a.example|k2"), "{error}");
    }
}
