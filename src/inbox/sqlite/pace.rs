//! How soon a commit follows the one before.
//!
//! A commit writes the last page of each table whatever it holds, so commits of a few appends cost
//! several times as much for each as those of many, in CPU and on the disk. So under a load that
//! keeps coming, appends wait for company until the commits before have had as long a rest as they
//! took, up to [`LIMIT`] after the last one began: a disk that is slow gets fewer and longer
//! writes. They wait no longer than until there are as many as came together lately, for those who
//! wait for their answers before they send again bring no more. A callback that comes alone is
//! committed at once, and where a commit takes longer than the limit nothing ever waits.

use std::time::{Duration, Instant};

/// Nothing waits for so long after the commit before began.
const LIMIT: Duration = Duration::from_millis(4);

/// Without appends for so long, what can wait is done.
const QUIET: Duration = Duration::from_millis(20);

/// How many commits are looked back on.
const BACK: u32 = 8;

/// The last commits with appends.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    held: [usize; BACK as usize],
    took: [Duration; BACK as usize],
    next: usize,
}

/// How long appends wait for company.
#[derive(Debug, Clone, Copy)]
pub(super) struct Company {
    /// Not beyond this.
    pub(super) until: Instant,
    /// So many wait for no more.
    pub(super) enough: usize,
}

impl Pace {
    /// Takes note of a commit with appends that has ended or failed now.
    pub(super) fn committed(&mut self, began: Instant, appends: usize) {
        self.note(began, appends, began.elapsed());
    }

    fn note(&mut self, began: Instant, appends: usize, took: Duration) {
        self.last = Some(began);
        (self.held[self.next], self.took[self.next]) = (appends, took);
        self.next = (self.next + 1) % self.held.len();
    }

    /// Returns whether no append has come for a while.
    pub(super) fn is_quiet(&self) -> bool {
        self.last.is_none_or(|began| began.elapsed() >= QUIET)
    }

    /// Returns how long the next appends wait; `None`: not at all.
    pub(super) fn company(&self) -> Option<Company> {
        let took: Duration = self.took.iter().sum();
        let pace = (took * 2 / BACK).min(LIMIT);
        let enough = self.held.into_iter().max().unwrap_or(1);
        Some(Company { until: self.last? + pace, enough })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BACK, LIMIT, Pace};

    #[test]
    fn enough_are_as_many_as_came_together_lately() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        assert!(pace.company().is_none(), "the first waits for nobody");
        let mut enough = |appends| {
            pace.note(began, appends, Duration::ZERO);
            pace.company().unwrap().enough
        };
        assert_eq!([enough(1), enough(5), enough(3)], [1, 5, 5]);
        for _ in 2..BACK {
            assert_eq!(enough(2), 5);
        }
        assert_eq!(enough(2), 3, "the five came too long ago");
    }

    #[test]
    fn the_rest_is_as_long_as_the_commits_up_to_a_limit() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut pause = |took| {
            (0..BACK).for_each(|_| pace.note(began, 1, took));
            pace.company().unwrap().until - began
        };
        assert_eq!(pause(Duration::from_millis(1)), Duration::from_millis(2));
        assert_eq!(pause(Duration::from_millis(300)), LIMIT);
    }
}
