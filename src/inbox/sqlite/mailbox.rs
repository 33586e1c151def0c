//! The writer's mailbox: what callers ask of it, each queue with a bound.
//!
//! Appends are bounded by `queue_limit`; settlements hold the latest of each event, so they are
//! bounded by the unsettled events; failed attempts and refusals are bounded and dropped when their
//! queue is full.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::attempts::{self, FailedAttempt};
use super::expecting::Request;
use super::pace::Company;
use crate::beckn::action::Action;
use crate::event::OrderEvent;
use crate::inbox::notes::{Tallies, Tally};
use crate::inbox::outcome::Outcome;
use crate::inbox::prints::Prints;
use crate::inbox::refused::RefusalKey;
use crate::inbox::{Error, Outlet, Receipt, Record, Refusal};

/// How long settlements alone wait for company, so that each does not cost a commit of its own.
const COMPANY: Duration = Duration::from_millis(3);

/// So many settlements wait no longer.
const COMPANY_ENOUGH: usize = 256;

/// So many requests about expectations wait for the writer.
const REQUESTS_LIMIT: usize = 1_024;

/// Where an append is answered; `None`: it tells of a silence that need not be told any more.
pub(super) type Answer = oneshot::Sender<Result<Option<Receipt>, Error>>;

/// A callback that waits to be kept.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) event: Box<OrderEvent>,
    pub(super) record: Record,
    pub(super) seller: String,
    pub(super) prints: Prints,
    /// Where it goes.
    pub(super) outlet: Outlet,
    pub(super) answer: Answer,
    /// When it was put in line.
    pub(super) queued: Instant,
    /// The expectation whose silence it tells.
    pub(super) silence_of: Option<i64>,
}

/// What one commit takes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<Append>,
    pub(super) outcomes: BTreeMap<i64, Outcome>,
    /// The attempts that failed on the way to them.
    pub(super) attempts: Vec<FailedAttempt>,
    /// What is asked for about expectations.
    pub(super) requests: Vec<Request>,
    /// Told when the outcomes are durable; dropped when they are not.
    pub(super) flushed: Vec<oneshot::Sender<()>>,
}

/// Why the writer was woken.
#[derive(Debug)]
pub(super) enum Wake {
    /// There is something to commit, or nothing and it is time to look around.
    Batch(Batch),
    /// The inbox is closed and the queues are empty.
    Close,
    /// The inbox failed, or the process is to look as if it had been killed.
    Abandon,
}

#[derive(Debug, Default)]
struct State {
    appends: VecDeque<Append>,
    /// What the bodies of the appends weigh together.
    append_bytes: usize,
    /// With so many of them the writer waits for no more; 0 while it does not wait for company.
    enough: usize,
    outcomes: BTreeMap<i64, Outcome>,
    attempts: VecDeque<FailedAttempt>,
    requests: Vec<Request>,
    flushes: Vec<oneshot::Sender<()>>,
    refusals: VecDeque<Refusal>,
    /// Bounded: the routes are a closed set, the causes are names in the code.
    refused: HashMap<RefusalKey, u64>,
    /// The same by seller; bounded by itself.
    refused_by: Tallies,
    standing: Standing,
    /// Whether the last commit failed, so that settlements alone wait for the next look.
    outcomes_held: bool,
}

/// What becomes of an append now.
#[derive(Debug, Clone, Default)]
enum Standing {
    #[default]
    Open,
    NoSpace,
    Closing,
    /// The writer has been told to end; also after a close.
    Abandoned,
    Failed(Error),
}

/// The queues between the callers and the writer.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    arrived: Condvar,
    limits: Limits,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Appends.
    pub(super) appends: usize,
    /// Bytes of their bodies; one append is always taken.
    pub(super) append_bytes: usize,
    /// Refusals.
    pub(super) refusals: usize,
}

impl Limits {
    fn reached(self, state: &State) -> bool {
        state.appends.len() >= self.appends || state.append_bytes >= self.append_bytes
    }
}

impl Mailbox {
    /// Returns an empty mailbox.
    pub(super) fn new(limits: Limits) -> Self {
        Self { state: Mutex::new(State::default()), arrived: Condvar::new(), limits }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only queues are touched under this lock; they are whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request about expectations in line.
    pub(super) fn request(&self, request: Request) -> Result<(), Error> {
        let mut state = self.lock();
        if let Some(trouble) = state.trouble() {
            return Err(trouble);
        }
        if state.requests.len() >= REQUESTS_LIMIT {
            return Err(Error::QueueFull);
        }
        state.requests.push(request);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Puts an append in line; an error says why it would not be kept.
    pub(super) fn append(&self, append: Append) -> Result<(), Error> {
        let mut state = self.lock();
        if let Some(trouble) = state.trouble() {
            return Err(trouble);
        }
        if self.limits.reached(&state) {
            return Err(Error::QueueFull);
        }
        state.append_bytes += append.event.body.len();
        state.appends.push_back(append);
        let wakes = [1, state.enough].contains(&state.appends.len());
        drop(state);
        // The writer takes all that wait: whoever finds others waiting need not wake it.
        if wakes {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Returns how many appends wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().appends.len()
    }

    /// Returns why an append would be refused.
    pub(super) fn trouble(&self) -> Option<Error> {
        let state = self.lock();
        let full = self.limits.reached(&state);
        state.trouble().or_else(|| full.then_some(Error::QueueFull))
    }

    /// Puts outcomes in line; a later one of the same event takes the place of an earlier one.
    pub(super) fn settle(&self, outcomes: impl IntoIterator<Item = (i64, Outcome)>) {
        let outcomes: Vec<(i64, Outcome)> = outcomes.into_iter().collect();
        let failed = outcomes.iter().filter_map(|(seq, outcome)| FailedAttempt::of(*seq, outcome));
        let failed: Vec<FailedAttempt> = failed.collect();
        let mut state = self.lock();
        let before = state.outcomes.len();
        state.put_outcomes(outcomes);
        state.keep_attempts(failed);
        let wake = before == 0 || state.outcomes.len() >= COMPANY_ENOUGH;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Puts outcomes in line and returns what is told when they are durable, and dropped when
    /// they will not be.
    pub(super) fn settle_and_flush(
        &self,
        outcomes: impl IntoIterator<Item = (i64, Outcome)>,
    ) -> oneshot::Receiver<()> {
        let (flushed, durable) = oneshot::channel();
        let mut state = self.lock();
        state.put_outcomes(outcomes);
        // Nobody would answer it any more.
        if !state.is_over() {
            state.flushes.push(flushed);
        }
        drop(state);
        self.arrived.notify_one();
        durable
    }

    /// Takes back what a commit did not write, save where something later waits.
    pub(super) fn requeue(&self, outcomes: BTreeMap<i64, Outcome>, attempts: Vec<FailedAttempt>) {
        let mut state = self.lock();
        state.keep_attempts(attempts);
        for (seq, outcome) in outcomes {
            match state.outcomes.entry(seq) {
                Entry::Vacant(place) => drop(place.insert(outcome)),
                Entry::Occupied(mut later) => {
                    let found = &mut later.get_mut().found;
                    *found = found.take().or(outcome.found);
                }
            }
        }
        state.outcomes_held = true;
    }

    /// Counts a refusal, and keeps it while there is room; returns whether there was.
    pub(super) fn refuse(&self, refusal: Refusal) -> bool {
        // A route is text from outside: only the actions are counted by name.
        let route = Action::from_name(&refusal.route).map_or("other", Action::as_str);
        let tally = Tally::of_refusal(&refusal);
        let mut state = self.lock();
        state.refused_by.add(&refusal.seller, tally);
        *state.refused.entry((route, refusal.cause)).or_default() += 1;
        let has_room = state.refusals.len() < self.limits.refusals;
        if has_room {
            state.refusals.push_back(refusal);
        }
        has_room
    }

    /// Takes up to `limit` refusals that wait, and all counts.
    pub(super) fn take_refusals(&self, limit: usize) -> (Vec<Refusal>, HashMap<RefusalKey, u64>) {
        let mut state = self.lock();
        let count = limit.min(state.refusals.len());
        (state.refusals.drain(..count).collect(), std::mem::take(&mut state.refused))
    }

    /// Returns how many refusals wait.
    pub(super) fn refusals_waiting(&self) -> usize {
        self.lock().refusals.len()
    }

    /// Takes what was refused of each seller.
    pub(super) fn take_refused_by(&self) -> Tallies {
        std::mem::take(&mut self.lock().refused_by)
    }

    /// Takes counts back that were not written.
    pub(super) fn requeue_counts(&self, counts: HashMap<RefusalKey, u64>) {
        let mut state = self.lock();
        for (key, count) in counts {
            *state.refused.entry(key).or_default() += count;
        }
    }

    /// Waits for work, at most for `poll`.
    pub(super) fn wait(
        &self,
        batch_limit: usize,
        poll: Duration,
        company: Option<Company>,
    ) -> Wake {
        let state = self.lock();
        let (mut state, timeout) = self
            .arrived
            .wait_timeout_while(state, poll, |state| state.is_idle())
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.outcomes_held = false;
        }
        let only_outcomes = |state: &mut State| {
            state.appends.is_empty()
                && state.flushes.is_empty()
                && state.requests.is_empty()
                && state.outcomes.len() < COMPANY_ENOUGH
                && !state.is_ending()
        };
        if !state.outcomes.is_empty() {
            (state, _) = self
                .arrived
                .wait_timeout_while(state, COMPANY, only_outcomes)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.appends.is_empty() {
            // The first append wakes this thread, which then takes the core from those who would
            // bring more: half of all commits held a single callback. Where nobody else wants the
            // core this returns at once.
            drop(state);
            std::thread::yield_now();
            state = self.lock();
            if let Some(company) = company {
                state = self.wait_for_company(state, company);
            }
        }
        state.take(batch_limit)
    }

    /// Waits until enough appends are there, or it is time for those that are.
    fn wait_for_company<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        Company { until, enough }: Company,
    ) -> MutexGuard<'a, State> {
        let pause = until.saturating_duration_since(Instant::now());
        if pause.is_zero() {
            return state;
        }
        state.enough = enough;
        let few = |state: &mut State| {
            state.appends.len() < enough
                && state.flushes.is_empty()
                && state.requests.is_empty()
                && !state.is_ending()
        };
        let waited = self.arrived.wait_timeout_while(state, pause, few);
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.enough = 0;
        state
    }

    /// Waits for `pause`; returns earlier, and true, when something is asked for.
    pub(super) fn is_asked_within(&self, pause: Duration) -> bool {
        let (state, _) = self
            .arrived
            .wait_timeout_while(self.lock(), pause, |state| state.is_idle())
            .unwrap_or_else(PoisonError::into_inner);
        !state.is_idle()
    }

    /// Says whether the disk has room for appends.
    pub(super) fn set_space(&self, enough: bool) {
        let mut state = self.lock();
        state.standing = match (&state.standing, enough) {
            (Standing::Open, false) => Standing::NoSpace,
            (Standing::NoSpace, true) => Standing::Open,
            (standing, _) => standing.clone(),
        };
    }

    /// Refuses further appends and lets the writer end when it has written what waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if matches!(state.standing, Standing::Open | Standing::NoSpace) {
            state.standing = Standing::Closing;
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Lets the writer end without writing what waits, nor closing the inbox cleanly.
    pub(super) fn abandon(&self) {
        self.lock().standing = Standing::Abandoned;
        self.arrived.notify_one();
    }

    /// Refuses everything from now on: the engine failed for good.
    pub(super) fn fail(&self, error: &Error) {
        let mut state = self.lock();
        state.standing = Standing::Failed(error.clone());
        state.flushes.clear();
        state.requests.clear();
        let appends = std::mem::take(&mut state.appends);
        state.append_bytes = 0;
        drop(state);
        // The writer may still run: it has nothing to do any more.
        self.arrived.notify_one();
        for append in appends {
            // An append whose caller has gone needs no answer.
            let _ = append.answer.send(Err(error.clone()));
        }
    }
}

impl State {
    /// Returns whether nobody waits for a commit.
    fn is_idle(&self) -> bool {
        self.appends.is_empty()
            && self.flushes.is_empty()
            && self.requests.is_empty()
            && (self.outcomes.is_empty() || self.outcomes_held)
            && !self.is_ending()
    }

    /// Puts outcomes in line; what was found out about an event is told with its first one only.
    fn put_outcomes(&mut self, outcomes: impl IntoIterator<Item = (i64, Outcome)>) {
        for (seq, mut outcome) in outcomes {
            if let Some(earlier) = self.outcomes.remove(&seq) {
                outcome.found = outcome.found.or(earlier.found);
            }
            self.outcomes.insert(seq, outcome);
        }
    }

    fn keep_attempts(&mut self, attempts: Vec<FailedAttempt>) {
        self.attempts.extend(attempts);
        let over = self.attempts.len().saturating_sub(attempts::WAITING_LIMIT);
        self.attempts.drain(..over);
    }

    fn is_ending(&self) -> bool {
        matches!(self.standing, Standing::Closing) || self.is_over()
    }

    /// Returns whether the writer takes nothing any more.
    fn is_over(&self) -> bool {
        matches!(self.standing, Standing::Abandoned | Standing::Failed(_))
    }

    fn trouble(&self) -> Option<Error> {
        match &self.standing {
            Standing::Open => None,
            Standing::NoSpace => Some(Error::NoSpace),
            Standing::Closing | Standing::Abandoned => Some(Error::Closed),
            Standing::Failed(error) => Some(error.clone()),
        }
    }

    fn take(&mut self, batch_limit: usize) -> Wake {
        if self.is_over() {
            self.appends.clear();
            self.append_bytes = 0;
            self.flushes.clear();
            self.requests.clear();
            return Wake::Abandon;
        }
        let count = batch_limit.min(self.appends.len());
        let taken = self.appends.iter().take(count).map(|append| append.event.body.len());
        self.append_bytes -= taken.sum::<usize>();
        let held = self.outcomes_held && count == 0 && self.flushes.is_empty() && !self.is_ending();
        let mut batch = Batch {
            appends: self.appends.drain(..count).collect(),
            flushed: std::mem::take(&mut self.flushes),
            requests: std::mem::take(&mut self.requests),
            ..Batch::default()
        };
        if !held {
            batch.outcomes = std::mem::take(&mut self.outcomes);
            batch.attempts = std::mem::take(&mut self.attempts).into();
        }
        self.outcomes_held = false;
        let empty = batch.appends.is_empty()
            && batch.outcomes.is_empty()
            && batch.flushed.is_empty()
            && batch.requests.is_empty();
        if !empty || !self.is_ending() {
            return Wake::Batch(batch);
        }
        self.standing = Standing::Abandoned;
        Wake::Close
    }
}
