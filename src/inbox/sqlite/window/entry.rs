//! What the window knows of an event, in memory and at rest.

/// What the window knows of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inbox::sqlite) struct Entry {
    pub(in crate::inbox::sqlite) seq: i64,
    /// Microseconds since 1970.
    pub(in crate::inbox::sqlite) received_at: i64,
    /// Of action, seller and body.
    pub(in crate::inbox::sqlite) body: u64,
    /// Of action, seller, bap, transaction and message; 0 when an id is missing.
    pub(in crate::inbox::sqlite) ids: u64,
    /// Of the raw bytes of `message` and `error`.
    pub(in crate::inbox::sqlite) content: u64,
}

/// How large an entry is in a pack.
pub(in crate::inbox::sqlite) const ENTRY_BYTES: usize = 40;

impl Entry {
    /// Returns the entry as a pack holds it.
    pub(in crate::inbox::sqlite) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = [
            self.seq.cast_unsigned(),
            self.received_at.cast_unsigned(),
            self.body,
            self.ids,
            self.content,
        ];
        for (word, place) in words.iter().zip(bytes.chunks_exact_mut(8)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Returns the entry that a pack holds.
    pub(in crate::inbox::sqlite) fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let word = |place: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[place * 8..place * 8 + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            seq: word(0).cast_signed(),
            received_at: word(1).cast_signed(),
            body: word(2),
            ids: word(3),
            content: word(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Entry;

    #[test]
    fn an_entry_survives_its_pack() {
        let entry = Entry { seq: 1 << 40, received_at: -3, body: 1, ids: u64::MAX, content: 3 };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
    }
}
