//! The lanes: what is pending and in which order, and the tail: the newest of it, parsed.
//!
//! Constraints: a lane has one claim out at most, and its head stays its head until it is settled.
//! Every pending event is known here by its seq and lane; its parsed event only while the tail
//! has room, else it is read back. After a start, a loader reads what is pending from the disk
//! while the writer appends already: until it has caught up with the end of the log, under the
//! lock of this structure, the writer pushes nothing, so no event is lost and none comes twice.

mod state;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use hashbrown::HashMap;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use self::state::{End, Ready, Round, State};
use super::Options;
use super::low_water::LowWater;
use crate::event::OrderEvent;
use crate::inbox::outcome::{Outcome, Progress};
use crate::inbox::{Found, Outlet, Settlement, Ticket};

/// An event that became pending.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) seq: i64,
    pub(super) lane: u64,
    pub(super) outlet: Outlet,
    /// `None` for what was read from the disk, or does not fit into the tail.
    pub(super) event: Option<Box<OrderEvent>>,
    pub(super) progress: Option<Progress>,
}

/// The head of a lane, taken to be handed out.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) ticket: Ticket,
    /// `None`: it must be read back.
    pub(super) event: Option<Box<OrderEvent>>,
    pub(super) progress: Progress,
    /// What must be durable before it is handed out.
    pub(super) mark: Option<Outcome>,
}

/// What became of a taken head.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) ticket: Ticket,
    /// `None` for what could not be handed out.
    pub(super) event: Option<Box<OrderEvent>>,
    pub(super) settlement: Settlement,
    /// What was found out about its event.
    pub(super) found: Option<Found>,
}

/// How long a lane waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) now: DateTime<Utc>,
    pub(super) at: DateTime<Utc>,
}

/// What a look at the lanes found.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) taken: Vec<Taken>,
    /// Events that were given up instead of being handed out.
    pub(super) given_up: Vec<(i64, Outcome)>,
    /// When the next retry is due.
    pub(super) next_at: Option<DateTime<Utc>>,
}

/// Parsed events that nobody keeps.
pub(super) type Spare = Vec<Box<OrderEvent>>;

/// The lanes, shared by the writer, the loader and those who claim.
#[derive(Debug)]
pub(super) struct Lanes {
    state: Mutex<State>,
    wake: Notify,
    tail_events: usize,
    tail_bytes: usize,
}

/// Where a start begins.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) low_water: i64,
    pub(super) log_end: i64,
    /// Whether the last process ended without closing the inbox.
    pub(super) unclean: bool,
    /// Which handlers are paused, in the order of their places.
    pub(super) paused: Vec<bool>,
}

impl Lanes {
    /// Makes the lanes of an inbox that is being opened; a loader must fill them.
    pub(super) fn new(start: Start, options: &Options) -> Self {
        let state = State {
            lanes: HashMap::new(),
            ready: start.paused.iter().map(|_| Ready::default()).collect(),
            paused: start.paused,
            waiting: BTreeSet::new(),
            progress: HashMap::new(),
            tail: HashMap::new(),
            tail_bytes: 0,
            low_water: LowWater::new(start.low_water),
            unsettled: 0,
            unseen: 0,
            loading: true,
            loaded_to: start.low_water - 1,
            log_end: start.log_end,
            suspects_to: if start.unclean { start.log_end } else { 0 },
            alone: None,
            waiting_for_alone: VecDeque::new(),
            closed: false,
            // The settings allow a day; what does not fit would overflow where it is added.
            longest_wait: TimeDelta::from_std(options.longest_wait).unwrap_or(TimeDelta::days(1)),
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            tail_events: options.tail_events,
            tail_bytes: options.tail_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock runs code of others; after a panic of ours the lanes are as
        // consistent as the last finished step, and going on beats losing every other lane.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers for the next wake-up; enable it before looking.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// Wakes everyone who waits, to look again.
    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Ends all waiting: nothing is handed out any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake();
    }

    /// Pauses and resumes handlers; returns those that changed. The time for which an event is
    /// tried begins anew at a resume: a pause must not make dead letters.
    pub(super) fn set_paused<'a>(
        &self,
        names: &'a [String],
        paused: Vec<bool>,
        now: DateTime<Utc>,
    ) -> Vec<(&'a String, bool)> {
        let mut state = self.lock();
        let pairs = names.iter().zip(paused.iter().zip(&state.paused));
        let changed: Vec<_> =
            pairs.filter(|(_, (is, was))| is != was).map(|(name, (is, _))| (name, *is)).collect();
        let resumed: Vec<bool> =
            state.paused.iter().zip(&paused).map(|(was, is)| *was && !is).collect();
        state.paused = paused;
        if resumed.contains(&true) {
            state.begin_anew(&resumed, now);
        }
        drop(state);
        if !changed.is_empty() {
            self.wake();
        }
        changed
    }

    /// Returns whether a handler is paused.
    #[cfg(test)]
    pub(super) fn is_paused(&self, outlet: Outlet) -> bool {
        self.lock().is_paused(outlet)
    }

    /// Returns how many rounds are not durably settled.
    pub(super) fn unsettled(&self) -> u64 {
        let state = self.lock();
        state.unsettled + state.unseen
    }

    /// Returns the seq below which every first round is durably settled.
    pub(super) fn low_water(&self) -> i64 {
        let state = self.lock();
        let known_to = if state.loading { state.loaded_to } else { state.log_end };
        state.low_water.first_unsettled().unwrap_or(known_to + 1)
    }

    /// Returns whether the loader is behind.
    pub(super) fn is_loading(&self) -> bool {
        self.lock().loading
    }

    /// Returns up to which seq the lanes know the log, for the caller to push what is after it;
    /// `None` while the loader is behind, which then reads up to `log_end` itself.
    pub(super) fn known_to(&self, log_end: i64) -> Option<i64> {
        // Asked and told under one lock: the loader cannot end in between.
        let mut state = self.lock();
        if !state.loading {
            return Some(state.log_end);
        }
        state.log_end = state.log_end.max(log_end);
        None
    }

    /// Takes what a commit made pending, in the order of seq; `log_end` is its greatest seq.
    ///
    /// Returns the events that found no room in the tail: freeing their models takes a while, so
    /// that is done without the lock, and by the writer only when nobody waits for an answer.
    pub(super) fn push(&self, pending: Vec<Pending>, log_end: i64, now: DateTime<Utc>) -> Spare {
        let mut spare = Spare::new();
        let mut state = self.lock();
        state.log_end = state.log_end.max(log_end);
        if state.loading {
            state.unseen += pending.len() as u64;
            spare.extend(pending.into_iter().filter_map(|pending| pending.event));
            return spare;
        }
        for pending in pending {
            // The loader's snapshot may have been newer than what the writer had told.
            let first_round = pending.progress.is_none_or(|progress| progress.replay == 0);
            if first_round && pending.seq <= state.loaded_to {
                continue;
            }
            spare.extend(self.push_one(&mut state, pending, now));
        }
        drop(state);
        self.wake();
        spare
    }

    /// Takes the replays below the low-water mark, which the loader reads before its pages.
    pub(super) fn load_replays(&self, replays: Vec<Pending>, now: DateTime<Utc>) {
        let mut state = self.lock();
        for pending in replays {
            self.push_one(&mut state, pending, now);
        }
        drop(state);
        self.wake();
    }

    /// Takes a page that the loader read: everything pending up to `scanned_to`. Returns whether
    /// the loader has caught up with the log.
    pub(super) fn load(&self, page: Vec<Pending>, scanned_to: i64, now: DateTime<Utc>) -> bool {
        let mut state = self.lock();
        for pending in page {
            self.push_one(&mut state, pending, now);
        }
        state.loaded_to = state.loaded_to.max(scanned_to);
        if state.loaded_to >= state.log_end {
            state.log_end = state.loaded_to;
            state.loading = false;
            state.unseen = 0;
        }
        let caught_up = !state.loading;
        drop(state);
        self.wake();
        caught_up
    }

    /// Returns the parsed event if it found no room in the tail.
    fn push_one(
        &self,
        state: &mut State,
        pending: Pending,
        now: DateTime<Utc>,
    ) -> Option<Box<OrderEvent>> {
        let Pending { seq, lane, outlet, event, progress } = pending;
        if progress.is_none_or(|progress| progress.replay == 0) {
            state.low_water.insert(seq);
        }
        if let Some(progress) = progress {
            state.progress.insert(seq, progress);
        }
        let spare = event.and_then(|event| self.keep(state, seq, event));
        state.unsettled += 1;
        let rounds = &mut state.lanes.entry(lane).or_default().rounds;
        rounds.push_back(Round { seq, outlet });
        if rounds.len() == 1 {
            state.arm(lane, now);
        }
        spare
    }

    /// Keeps a parsed event in the tail, or returns it when there is no room.
    fn keep(&self, state: &mut State, seq: i64, event: Box<OrderEvent>) -> Option<Box<OrderEvent>> {
        let bytes = weight(&event);
        if state.tail.len() >= self.tail_events || state.tail_bytes + bytes > self.tail_bytes {
            return Some(event);
        }
        state.tail_bytes += bytes;
        state.tail.insert(seq, event)
    }

    /// Takes up to `limit` heads of lanes that are for this handler.
    pub(super) fn take(&self, outlet: Outlet, limit: usize, now: DateTime<Utc>) -> Look {
        let mut look = Look::default();
        let mut state = self.lock();
        if state.closed || state.is_paused(outlet) {
            return look;
        }
        state.promote(now);
        while look.taken.len() < limit {
            let Some(lane) = state.ready_for(outlet).pop() else { break };
            state.take_head(lane, now, &mut look);
        }
        look.next_at = state.waiting.first().map(|(at, _)| *at);
        look
    }

    /// Takes the settlement of a claim and frees its lane. `event` is `None` for what could not
    /// be handed out.
    ///
    /// `write` puts the outcome in line for the writer. It is called before the lane is free, so
    /// that outcomes of a lane are in line in their order.
    pub(super) fn settle(
        &self,
        settled: Settled,
        now: DateTime<Utc>,
        write: impl FnOnce(i64, Outcome),
    ) {
        let Settled { ticket, event, settlement, found } = settled;
        let seq = ticket.seq.0;
        let mut state = self.lock();
        let progress = state.progress.remove(&seq).unwrap_or_default();
        let attempts = event.as_ref().map_or(progress.attempts, |event| event.attempt);
        let outcome = Outcome { found, ..Outcome::of(progress, attempts, settlement, now) };
        state.release_alone(seq);
        if let Some(progress) = outcome.progress() {
            state.progress.insert(seq, progress);
            if let Some(event) = event {
                self.keep(&mut state, seq, event);
            }
        } else {
            state.pop_head(ticket);
        }
        write(seq, outcome);
        state.arm(ticket.lane, now);
        drop(state);
        self.wake();
    }

    /// Makes a taken event pending again at the head of its lane; `write` puts in line what
    /// takes the mark of this attempt off again.
    pub(super) fn put_back(
        &self,
        ticket: Ticket,
        event: Option<Box<OrderEvent>>,
        write: impl FnOnce(i64, Outcome),
    ) {
        let mut state = self.lock();
        if let Some(event) = event {
            self.keep(&mut state, ticket.seq.0, event);
        }
        state.unmark(ticket.seq.0, write);
        state.release_alone(ticket.seq.0);
        state.make_ready(ticket.lane, End::Front);
        drop(state);
        self.wake();
    }

    /// Makes a taken event that could not be read wait; `write` as in [`Lanes::put_back`].
    pub(super) fn postpone(&self, ticket: Ticket, waits: Waits, write: impl FnOnce(i64, Outcome)) {
        let mut state = self.lock();
        state.unmark(ticket.seq.0, write);
        state.release_alone(ticket.seq.0);
        state.wait_until(ticket.lane, waits);
        drop(state);
        // Whoever sleeps until a later retry looks again.
        self.wake();
    }

    /// Takes note that rounds are durably settled.
    pub(super) fn settled(&self, seqs: &[i64]) {
        let mut state = self.lock();
        for seq in seqs {
            state.low_water.remove(*seq);
        }
        state.unsettled = state.unsettled.saturating_sub(seqs.len() as u64);
    }
}

/// Estimates what an event takes in memory: the models repeat about twice what the body says.
fn weight(event: &OrderEvent) -> usize {
    3 * event.body.len() + 1024
}
