//! Who asks, and what they may.

use std::sync::Arc;

use super::Sight;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// See everything but what tells of a person.
    pub(crate) read: bool,
    /// See bodies, too.
    pub(crate) bodies: bool,
    /// Change something: replay, pause, expect, erase.
    pub(crate) act: bool,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The name of the token, or `loopback`; it stands in the audit.
    pub(crate) name: Arc<str>,
    /// What they may do.
    pub(crate) may: Permissions,
}

impl Principal {
    /// Returns how much of a body they may see.
    pub(crate) const fn sight(&self) -> Sight {
        if self.may.bodies { Sight::Bodies } else { Sight::Masked }
    }
}
