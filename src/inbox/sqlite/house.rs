//! Keeping house: what the writer does between the batches, a little at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::ErrorCode;

use super::replays::{self, Round};
use super::retention::{self, Log, Portion};
use super::writer::{GivenUp, REOPEN_PAUSE, Writer, in_transaction};
use super::{attempts, expecting, lock, notes, packs, pauses, refusals};
use crate::inbox::Error;
use crate::words::Chain;

/// How long the house is left alone after a failure: what fails now may be in order then.
const REST: Duration = Duration::from_secs(5);

/// How long erasing is left alone after a failure; the rest of the house goes on.
pub(super) const ERASING_RESTS: Duration = Duration::from_mins(1);

/// How long the appends have the writer for themselves between two steps of a replay. A step takes
/// a few milliseconds, so appends keep most of the writer, and 10,000 events a second are taken up.
const BETWEEN_REPLAYS: Duration = Duration::from_millis(20);

/// How long what is let go of holds up the appends at each poll, plus a step.
const BUDGET: Duration = Duration::from_millis(10);

/// Why the writer looks at the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A poll is over.
    Due,
    /// No append waits.
    Quiet,
    /// Appends wait, but a replay has waited for its next step long enough.
    Replays,
}

impl Look {
    /// Returns how long what is let go of may hold up the appends, plus a step. Under load nothing
    /// is quiet, and one step a poll would let it grow without bound.
    const fn budget(self) -> Duration {
        match self {
            Look::Due => BUDGET,
            Look::Quiet | Look::Replays => Duration::ZERO,
        }
    }
}

impl Writer {
    /// Does what is due besides the batches; returns whether there is more of it.
    pub(super) fn look_around(&mut self) -> Result<bool, GivenUp> {
        let due = self.looked_at.is_none_or(|at| at.elapsed() >= self.options.poll);
        if due {
            self.looked_at = Some(Instant::now());
            self.look_at_space();
            self.warn_of_overflow();
        }
        let quiet = self.shared.mailbox.waiting() == 0;
        let replays = self.replays_from.is_some_and(|from| Instant::now() >= from);
        let look = match (due, quiet, replays) {
            (true, _, _) => Look::Due,
            (false, true, _) => Look::Quiet,
            (false, false, true) => Look::Replays,
            (false, false, false) => return Ok(false),
        };
        if self.house_rests() {
            return Ok(false);
        }
        let now = self.shared.clock.now();
        match self.keep_house(look, now) {
            Ok(more) => Ok(more),
            Err(error) => {
                tracing::warn!(error = %error, "the inbox could not be kept in order");
                self.house_rests_until = Some(Instant::now() + REST);
                // After other failures the connection is as good as before.
                if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                    self.reopen_patiently()?;
                }
                Ok(false)
            }
        }
    }

    /// Returns whether the house is left alone: something of it failed lately.
    fn house_rests(&self) -> bool {
        self.house_rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// Opens the file again until it succeeds. While nobody waits for a commit there is nothing
    /// to give up for: a disk that is away for a while must not end an idle process.
    fn reopen_patiently(&mut self) -> Result<(), GivenUp> {
        while let Err(error) = self.reopen() {
            tracing::warn!(error = %Chain(&error), "the inbox could not be opened again");
            if self.shared.mailbox.is_asked_within(REOPEN_PAUSE) {
                return self.open_again(Error::Engine(Arc::new(error)));
            }
        }
        Ok(())
    }

    fn keep_house(&mut self, look: Look, now: DateTime<Utc>) -> rusqlite::Result<bool> {
        self.write_refusals()?;
        if look == Look::Due {
            self.take_up_pauses(now)?;
            if self.notes.are_due(self.options.poll) {
                self.write_notes(now)?;
            }
        }
        if self.shared.lanes.is_loading() {
            return Ok(false);
        }
        let replays_due = match self.replays_from {
            Some(from) => Instant::now() >= from,
            None => look == Look::Due,
        };
        if replays_due {
            self.take_up_replays(now)?;
        }
        if look == Look::Replays {
            return Ok(self.replays_from.is_some());
        }
        self.lets_go = (look == Look::Due || self.lets_go) && self.let_go(look, now)?;
        // First: an erasing that fails must not let the log grow without bound.
        let retains = self.retain(look, now)?;
        self.erases = (look == Look::Due || self.erases) && self.erase_or_rest(now)?;
        Ok(retains || self.erases || self.lets_go || self.replays_from.is_some())
    }

    /// Lets go of some of what is kept beside the log; returns whether there is more.
    fn let_go(&self, look: Look, now: DateTime<Utc>) -> rusqlite::Result<bool> {
        let began = Instant::now();
        loop {
            let more =
                expecting::expire(self.connection(), now)? | attempts::expire(self.connection())?;
            if !more || began.elapsed() >= look.budget() {
                return Ok(more);
            }
        }
    }

    /// Makes a step of retention, unless the commits take it along; returns whether there is more.
    fn retain(&mut self, look: Look, now: DateTime<Utc>) -> rusqlite::Result<bool> {
        if self.retention.is_to_begin(now) {
            let oldest = self.window.oldest().map(|entry| entry.seq);
            let beside = expecting::bytes(self.connection())?;
            self.retention.begin(now, oldest.unwrap_or(i64::MAX), beside);
            let horizon = self.window.horizon(now.timestamp_micros());
            packs::expire(self.connection(), horizon, oldest.unwrap_or(0))?;
        }
        if !self.pace.is_quiet() {
            return Ok(self.retention.walks());
        }
        let connection = self.connection.as_ref().expect("it is only away inside `reopen`");
        let (options, last_seq) = (&self.options, self.last_seq);
        let log = Log { connection, options, now, last_seq };
        let mut left = 0;
        if self.retention.goes_on(&log)? {
            left = in_transaction(connection, || self.retention.step(&log, Portion::STEP))?;
        }
        if look == Look::Due || self.gives_back {
            self.gives_back = retention::give_back(connection)?;
        }
        // What leaves is overwritten in the log, as much as it was.
        self.look_at_log(0, left);
        Ok(self.retention.walks() || self.gives_back)
    }

    /// Lets go, in the transaction of a commit, of what is to leave beside what it brings; returns
    /// how many bytes left. What fails is rolled back, and the commit goes on without it.
    pub(super) fn let_leave(
        &mut self,
        portion: Portion,
        now: DateTime<Utc>,
    ) -> rusqlite::Result<usize> {
        if self.house_rests() || self.shared.lanes.is_loading() {
            return Ok(0);
        }
        let connection = self.connection.as_ref().expect("it is only away inside `reopen`");
        let (options, last_seq) = (&self.options, self.last_seq);
        let log = Log { connection, options, now, last_seq };
        let retention = &mut self.retention;
        let left = match retention.goes_on(&log) {
            Ok(true) => retention.step(&log, portion),
            Ok(false) => return Ok(0),
            Err(error) => Err(error),
        };
        left.or_else(|error| {
            tracing::warn!(error = %error, "the inbox could not be kept in order");
            self.house_rests_until = Some(Instant::now() + REST);
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok(0)
        })
    }

    /// Makes a step of erasing; returns whether there is more to do now.
    fn erase_or_rest(&mut self, now: DateTime<Utc>) -> rusqlite::Result<bool> {
        let error = match self.erase(now) {
            Ok(more) => return Ok(more),
            Err(error) => error,
        };
        self.rest_erasing(now);
        // Whether the connection is still good, the look around decides.
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
            return Err(error);
        }
        tracing::warn!(error = %error, "a transaction could not be erased yet");
        Ok(false)
    }

    pub(super) fn write_refusals(&self) -> rusqlite::Result<()> {
        let (refusals, counts) = self.shared.mailbox.take_refusals(refusals::BATCH);
        if refusals.is_empty() && counts.is_empty() {
            return Ok(());
        }
        refusals::write(self.connection(), &self.options, &refusals, &counts)
            .inspect_err(|_| self.shared.mailbox.requeue_counts(counts))
    }

    /// Writes what was noted of sellers and of events that came again.
    pub(super) fn write_notes(&mut self, now: DateTime<Utc>) -> rusqlite::Result<()> {
        self.notes.merge(self.shared.mailbox.take_refused_by(), now);
        let connection = self.connection.as_ref().expect("it is only away inside `reopen`");
        self.notes.take(now).map_or(Ok(()), |noted| notes::write(connection, &noted))
    }

    /// Takes a step's worth of requests up, and notes when the next step may be if there are more.
    fn take_up_replays(&mut self, now: DateTime<Utc>) -> rusqlite::Result<()> {
        self.unsure_replays.clear();
        self.replays_from = None;
        // The other half is for what comes in: a replay must not have it answered 503.
        let share = self.options.unsettled_limit.div_ceil(2) as u64;
        let limit = share.saturating_sub(self.shared.lanes.unsettled()).min(replays::STEP);
        if limit == 0 {
            return self.warn_of_waiting_replays();
        }
        let requested = replays::requested(self.connection(), &self.options.outlets, limit)?;
        if requested.is_empty() {
            return Ok(());
        }
        let more = requested.len() as u64 == limit;
        let connection = self.connection();
        let written = in_transaction(connection, || replays::begin(connection, &requested));
        if let Err(error) = written {
            self.unsure_replays =
                requested.into_iter().filter_map(|request| request.round).collect();
            return Err(error);
        }
        let pending = requested.iter().filter_map(|request| request.round).map(Round::pending);
        drop(self.shared.lanes.push(pending.collect(), self.last_seq, now));
        self.replays_from = more.then(|| Instant::now() + BETWEEN_REPLAYS);
        Ok(())
    }

    /// Says once a minute at most that replays wait for room: whoever asked for them was told that
    /// they were taken up.
    fn warn_of_waiting_replays(&mut self) -> rusqlite::Result<()> {
        let recently = Duration::from_mins(1);
        if self.replays_warned_at.is_some_and(|at| at.elapsed() < recently) {
            return Ok(());
        }
        let waiting = replays::waiting(self.connection())?;
        if waiting > 0 {
            self.replays_warned_at = Some(Instant::now());
            tracing::warn!(
                waiting,
                "replays wait: half of `inbox.unsettled_limit` is unsettled, the rest is for what comes in"
            );
        }
        Ok(())
    }

    fn take_up_pauses(&self, now: DateTime<Utc>) -> rusqlite::Result<()> {
        let names = self.options.outlets.names();
        let paused = pauses::paused(self.connection(), names)?;
        for (name, paused) in self.shared.lanes.set_paused(names, paused, now) {
            self.shared.metrics.handler_paused(name, paused);
            if paused {
                tracing::warn!(handler = name, "paused handler `{name}`: its events wait");
            } else {
                tracing::info!(handler = name, "resumed handler `{name}`");
            }
        }
        Ok(())
    }

    fn look_at_space(&self) {
        match lock::free_bytes(&self.options.path) {
            Ok(free) => {
                self.shared.metrics.inbox.disk_free(free);
                self.shared.mailbox.set_space(free >= self.options.min_free_bytes);
            }
            Err(error) => tracing::warn!(%error, "the room on the inbox's disk is not known"),
        }
    }

    /// Says once a minute at most what the window had to let go of too early.
    fn warn_of_overflow(&mut self) {
        let recently = Duration::from_mins(1);
        if self.overflow_warned_at.is_some_and(|at| at.elapsed() < recently) {
            return;
        }
        let events = self.window.take_overflowed();
        if events > 0 {
            self.shared.metrics.inbox.window_overflowed(events);
            self.overflow_warned_at = Some(Instant::now());
            tracing::warn!(
                events,
                "the duplicate window is full: more than `inbox.duplicate_window_events` came in \
                 `inbox.duplicate_window_days`, and repetitions of the oldest are delivered again"
            );
        }
    }
}
