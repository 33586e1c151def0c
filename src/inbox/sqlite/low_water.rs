//! The low-water mark: which first rounds are not settled, one bit an event.

use std::collections::VecDeque;

/// The unsettled seqs from a base on; its size is the distance from the oldest unsettled event to
/// the end of the log, in bits.
#[derive(Debug)]
pub(super) struct LowWater {
    base: i64,
    words: VecDeque<u64>,
}

impl LowWater {
    /// Returns a mark below which nothing is unsettled.
    pub(super) fn new(base: i64) -> Self {
        Self { base, words: VecDeque::new() }
    }

    /// Takes note that `seq` is unsettled; below the base it is not followed.
    pub(super) fn insert(&mut self, seq: i64) {
        if self.words.is_empty() {
            // Settling the last one may have moved the base past seqs that were not given yet.
            self.base = seq;
        }
        let Some((word, bit)) = self.place(seq) else { return };
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// Takes note that `seq` is settled.
    pub(super) fn remove(&mut self, seq: i64) {
        let Some((word, bit)) = self.place(seq) else { return };
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
        while self.words.front() == Some(&0) {
            self.words.pop_front();
            self.base += 64;
        }
    }

    /// Returns the smallest unsettled seq.
    pub(super) fn first_unsettled(&self) -> Option<i64> {
        self.words.front().map(|word| self.base + i64::from(word.trailing_zeros()))
    }

    fn place(&self, seq: i64) -> Option<(usize, u64)> {
        let distance = u64::try_from(seq - self.base).ok()?;
        Some((usize::try_from(distance / 64).ok()?, 1 << (distance % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::LowWater;

    #[test]
    fn the_seq_after_one_that_is_settled_is_followed() {
        let mut mark = LowWater::new(1);
        mark.insert(1);
        mark.remove(1);
        mark.insert(2);
        assert_eq!(mark.first_unsettled(), Some(2));
    }

    #[test]
    fn the_mark_is_the_smallest_unsettled_seq() {
        let mut mark = LowWater::new(1);
        assert_eq!(mark.first_unsettled(), None);
        for seq in 1..=500 {
            mark.insert(seq);
        }
        for seq in (2..=300).rev() {
            mark.remove(seq);
        }
        assert_eq!(mark.first_unsettled(), Some(1));
        mark.remove(1);
        assert_eq!(mark.first_unsettled(), Some(301));
        for seq in 301..=500 {
            mark.remove(seq);
            mark.remove(seq);
        }
        assert_eq!(mark.first_unsettled(), None);
        mark.insert(10_000);
        assert_eq!(mark.first_unsettled(), Some(10_000));
        mark.insert(9_000);
        mark.remove(3);
        assert_eq!(mark.first_unsettled(), Some(10_000), "below the base nothing is followed");
    }
}
