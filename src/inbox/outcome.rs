//! How far the delivery of an event is, as lanes remember it and as it is written.

use chrono::{DateTime, Utc};

use crate::inbox::{Found, Settlement};

/// How far a pending round is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The round: 0 for the arrival.
    pub(super) replay: u32,
    /// The attempts of this round that have ended.
    pub(super) attempts: u32,
    /// When the first attempt of this round was handed out.
    pub(super) first_attempt_at: Option<DateTime<Utc>>,
    /// Not before this.
    pub(super) next_at: Option<DateTime<Utc>>,
    /// How often the process may have ended while it was out.
    pub(super) marks: u32,
    /// Whether this process has seen an attempt of it end, or started its round.
    pub(super) innocent: bool,
}

impl Progress {
    /// Returns the progress with one mark more.
    pub(super) const fn marked(mut self) -> Self {
        self.marks += 1;
        self
    }
}

/// The state of a round at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be delivered.
    Pending,
    /// The handler has taken it.
    Done,
    /// It was given up.
    Dead,
}

impl State {
    /// The number at rest.
    pub(super) const fn number(self) -> i64 {
        match self {
            State::Pending => 0,
            State::Done => 1,
            State::Dead => 2,
        }
    }
}

/// What is to be written of a round: absolute values, so that writing it twice is no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) replay: u32,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) first_attempt_at: Option<DateTime<Utc>>,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) marks: u32,
    pub(super) error: Option<String>,
    /// When the attempt ended that failed by `error`.
    pub(super) failed_at: Option<DateTime<Utc>>,
    pub(super) settled_at: Option<DateTime<Utc>>,
    /// What was found out about the event.
    pub(super) found: Option<Found>,
}

impl Outcome {
    /// Returns the outcome of attempt number `attempts`; it clears the marks.
    pub(super) fn of(
        progress: Progress,
        attempts: u32,
        settlement: Settlement,
        now: DateTime<Utc>,
    ) -> Self {
        let (state, next_at, error) = match settlement {
            Settlement::Done => (State::Done, None, None),
            Settlement::Retry { at, error } => (State::Pending, Some(at), Some(error)),
            Settlement::Dead { error } => (State::Dead, None, Some(error)),
        };
        Self {
            replay: progress.replay,
            state,
            attempts,
            first_attempt_at: progress.first_attempt_at,
            next_at,
            marks: 0,
            failed_at: error.is_some().then_some(now),
            error,
            settled_at: (state != State::Pending).then_some(now),
            found: None,
        }
    }

    /// Returns what is written of a round that goes on as `progress` says.
    pub(super) fn pending(progress: Progress) -> Self {
        Self {
            replay: progress.replay,
            state: State::Pending,
            attempts: progress.attempts,
            first_attempt_at: progress.first_attempt_at,
            next_at: progress.next_at,
            marks: progress.marks,
            error: None,
            failed_at: None,
            settled_at: None,
            found: None,
        }
    }

    /// Returns how far the round is when it goes on.
    pub(super) fn progress(&self) -> Option<Progress> {
        (self.state == State::Pending).then_some(Progress {
            replay: self.replay,
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at,
            next_at: self.next_at,
            marks: self.marks,
            innocent: true,
        })
    }
}
