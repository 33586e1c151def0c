//! What the lanes know, under their lock: who is pending, ready, waiting, out.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use hashbrown::HashMap;

use super::{Look, Taken, Waits, weight};
use crate::event::OrderEvent;
use crate::inbox::outcome::{Outcome, Progress};
use crate::inbox::sqlite::low_water::LowWater;
use crate::inbox::{Outlet, Settlement, Ticket};

/// How often a process may end while an event is out before the event is given up.
const MARKS_LIMIT: u32 = 3;

/// Why an event that keeps ending the process is a dead letter.
const ENDED_THE_PROCESS: &str = "its attempts ended the process three times";

/// What is known. Its maps' keys are ours, a seq or a keyed fingerprint, so that the hash need not
/// withstand a seller.
#[derive(Debug)]
pub(super) struct State {
    pub(super) lanes: HashMap<u64, Lane>,
    /// The lanes whose head can go out, by the handler that it is for.
    pub(super) ready: Vec<Ready>,
    pub(super) paused: Vec<bool>,
    pub(super) waiting: BTreeSet<(DateTime<Utc>, u64)>,
    /// What differs from a first round without an attempt.
    pub(super) progress: HashMap<i64, Progress>,
    pub(super) tail: HashMap<i64, Box<OrderEvent>>,
    pub(super) tail_bytes: usize,
    pub(super) low_water: LowWater,
    /// Rounds that are not durably settled.
    pub(super) unsettled: u64,
    /// Rounds that the writer did not push while the loader was behind.
    pub(super) unseen: u64,
    pub(super) loading: bool,
    pub(super) loaded_to: i64,
    pub(super) log_end: i64,
    /// Events up to here were pending when a process ended without closing the inbox.
    pub(super) suspects_to: i64,
    /// A suspect that has marks is out: such events go out one at a time.
    pub(super) alone: Option<i64>,
    pub(super) waiting_for_alone: VecDeque<u64>,
    pub(super) closed: bool,
    pub(super) longest_wait: TimeDelta,
}

/// An event of a lane, and the handler that it is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) seq: i64,
    pub(super) outlet: Outlet,
}

/// The lanes that are ready for a handler: those whose head was never tried and those whose head
/// is tried again take turns, so that neither waits behind all of the other.
#[derive(Debug, Default)]
pub(super) struct Ready {
    fresh: VecDeque<u64>,
    again: VecDeque<u64>,
    again_next: bool,
}

impl Ready {
    fn push(&mut self, lane: u64, is_fresh: bool, end: End) {
        let queue = if is_fresh { &mut self.fresh } else { &mut self.again };
        match end {
            End::Front => queue.push_front(lane),
            End::Back => queue.push_back(lane),
        }
    }

    pub(super) fn pop(&mut self) -> Option<u64> {
        let (mut first, mut second) = (&mut self.fresh, &mut self.again);
        if self.again_next {
            std::mem::swap(&mut first, &mut second);
        }
        let lane = first.pop_front().or_else(|| second.pop_front());
        self.again_next = !self.again_next;
        lane
    }
}

/// Where a lane is put among those that are ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Front,
    Back,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) rounds: VecDeque<Round>,
    pub(super) place: Place,
}

/// Where a lane stands; it is in at most one of the queues.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Idle,
    Ready,
    Waiting(DateTime<Utc>),
    WaitingForAlone,
    Out,
}

impl State {
    /// Returns whether an operator wants nothing to go to a handler.
    pub(super) fn is_paused(&self, outlet: Outlet) -> bool {
        self.paused.get(usize::from(outlet.0)).is_none_or(|paused| *paused)
    }

    /// Lets the time begin now for which the events of the handlers that were resumed are tried.
    pub(super) fn begin_anew(&mut self, resumed: &[bool], now: DateTime<Utc>) {
        // Only a head was ever tried.
        let heads = self.lanes.values().filter_map(|lane| lane.rounds.front());
        for head in heads.filter(|head| resumed[usize::from(head.outlet.0)]) {
            if let Some(progress) = self.progress.get_mut(&head.seq)
                && progress.first_attempt_at.is_some()
            {
                progress.first_attempt_at = Some(now);
            }
        }
    }

    /// Returns the lanes that are ready for a handler.
    pub(super) fn ready_for(&mut self, outlet: Outlet) -> &mut Ready {
        &mut self.ready[usize::from(outlet.0)]
    }

    /// Puts a lane that is not empty where its handler finds it.
    pub(super) fn make_ready(&mut self, lane: u64, end: End) {
        let Some(head) = self.lanes.get(&lane).and_then(|lane| lane.rounds.front().copied()) else {
            return;
        };
        let attempts = self.progress.get(&head.seq).map_or(0, |progress| progress.attempts);
        self.ready_for(head.outlet).push(lane, attempts == 0, end);
        self.set_place(lane, Place::Ready);
    }

    pub(super) fn set_place(&mut self, lane: u64, place: Place) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.place = place;
        }
    }

    /// Lets `write` take the mark of an attempt off that did not end the process.
    pub(super) fn unmark(&self, seq: i64, write: impl FnOnce(i64, Outcome)) {
        let suspect = seq <= self.suspects_to;
        let progress = self.progress.get(&seq).copied();
        if let Some(progress) = progress.filter(|progress| suspect && !progress.innocent) {
            write(seq, Outcome::pending(progress));
        }
    }

    /// Puts a lane whose head is not out where its head belongs; lets go of an empty lane.
    pub(super) fn arm(&mut self, lane: u64, now: DateTime<Utc>) {
        let Some(head) = self.lanes.get(&lane).and_then(|lane| lane.rounds.front()) else {
            self.lanes.remove(&lane);
            return;
        };
        let next_at = self.progress.get(&head.seq).and_then(|progress| progress.next_at);
        if let Some(at) = next_at.filter(|at| *at > now) {
            self.wait_until(lane, Waits { now, at });
        } else {
            self.make_ready(lane, End::Back);
        }
    }

    /// Lets a lane wait; a time at rest may be far off when a clock was wrong once.
    pub(super) fn wait_until(&mut self, lane: u64, waits: Waits) {
        let at = waits.at.min(waits.now + self.longest_wait);
        self.waiting.insert((at, lane));
        self.set_place(lane, Place::Waiting(at));
    }

    /// Makes the lanes ready whose retry is due.
    pub(super) fn promote(&mut self, now: DateTime<Utc>) {
        // Further off only when the clock has stepped back since.
        let latest = now + self.longest_wait;
        while let Some((at, lane)) = self.waiting.last().copied().filter(|(at, _)| *at > latest) {
            self.waiting.remove(&(at, lane));
            self.wait_until(lane, Waits { now, at });
        }
        while let Some((at, lane)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.waiting.remove(&(at, lane));
            self.make_ready(lane, End::Back);
        }
    }

    /// Takes the head of a ready lane, unless it must wait or is given up.
    pub(super) fn take_head(&mut self, lane: u64, now: DateTime<Utc>, look: &mut Look) {
        let head = self.lanes.get(&lane).and_then(|lane| lane.rounds.front());
        let Some(Round { seq, .. }) = head.copied() else { return };
        let ticket = Ticket { seq: crate::inbox::Seq(seq), lane };
        let mut progress = self.progress.get(&seq).copied().unwrap_or_default();
        let suspect = seq <= self.suspects_to && !progress.innocent;
        if suspect && progress.marks + 1 >= MARKS_LIMIT {
            self.progress.remove(&seq);
            self.forget_event(seq);
            self.pop_head(ticket);
            self.arm(lane, now);
            let dead = Settlement::Dead { error: ENDED_THE_PROCESS.to_owned() };
            look.given_up.push((seq, Outcome::of(progress, progress.attempts + 1, dead, now)));
            return;
        }
        if suspect && progress.marks > 0 {
            if self.alone.is_some() {
                self.waiting_for_alone.push_back(lane);
                self.set_place(lane, Place::WaitingForAlone);
                return;
            }
            self.alone = Some(seq);
        }
        let mark = suspect.then(|| Outcome::pending(progress.marked()));
        let handed_out = progress;
        if progress.attempts == 0 {
            progress.first_attempt_at = Some(now);
        }
        self.progress.insert(seq, progress);
        self.set_place(lane, Place::Out);
        let event = self.forget_event(seq);
        look.taken.push(Taken { ticket, event, progress: handed_out, mark });
    }

    pub(super) fn forget_event(&mut self, seq: i64) -> Option<Box<OrderEvent>> {
        let event = self.tail.remove(&seq)?;
        self.tail_bytes -= weight(&event);
        Some(event)
    }

    pub(super) fn pop_head(&mut self, ticket: Ticket) {
        if let Some(lane) = self.lanes.get_mut(&ticket.lane) {
            let head = lane.rounds.pop_front();
            debug_assert_eq!(
                head.map(|head| head.seq),
                Some(ticket.seq.0),
                "only the head of a lane is out"
            );
            // An idle lane would keep the room of its longest queue.
            if lane.rounds.is_empty() {
                lane.rounds.shrink_to_fit();
            }
        }
    }

    /// Lets the next marked suspect go out when `seq` was the one that was.
    pub(super) fn release_alone(&mut self, seq: i64) {
        if self.alone != Some(seq) {
            return;
        }
        self.alone = None;
        // All of them: the next may be one whose handler is paused or slow, and the others are not
        // to wait for it. Each looks again when it is taken.
        for lane in std::mem::take(&mut self.waiting_for_alone) {
            self.make_ready(lane, End::Back);
        }
    }
}
