//! Why there is no key, as the sender is told.

use std::time::Duration;

use super::Missing;
use crate::words::{KeyId, Outside};

pub(super) fn unknown_key(id: &KeyId) -> Missing {
    let message = match id.unique_key() {
        Some(_unique_key) => format!("expected the id of a registered key, found {id}"),
        None => format!("expected a keyId that says which key it is, found {id} alone"),
    };
    Missing::UnknownKey { message }
}

pub(super) fn unknown_subscriber(id: &KeyId) -> Missing {
    let message = format!(
        "expected a subscriber that is registered, found `{}`, which the registry does not list",
        Outside(id.subscriber())
    );
    Missing::UnknownSubscriber { message }
}

pub(super) fn not_asked_again(retry_after: Duration) -> Missing {
    let message = "this key id is new, and the registry was asked for its subscriber less than a \
                   minute ago"
        .to_owned();
    Missing::Unavailable { retry_after, message }
}

pub(super) fn did_not_answer(retry_after: Duration) -> Missing {
    let message = "the key cannot be looked up now".to_owned();
    Missing::Unavailable { retry_after, message }
}
