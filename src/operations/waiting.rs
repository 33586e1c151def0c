//! The waiting room: those who wait for a callback by its message id.
//!
//! One task reads what comes, and only while somebody waits. Whoever waits is registered first and
//! then looks whether it came already, so that nothing is missed in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, Semaphore, oneshot, watch};

use crate::beckn::action::Action;
use crate::inbox::expectations::LOOK_BACK;
use crate::inbox::reader::{self, Reader, arrivals::Arrived, place::Place};

/// How many rows are read at a time.
const PAGE: usize = 4_096;

/// How long a look back may take.
const BUDGET: Duration = Duration::from_millis(250);

/// How long the task rests after a read that failed.
const REST: Duration = Duration::from_millis(200);

/// What somebody waits for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The message id of the callback.
    pub(crate) message_id: String,
    /// Which callback; `None`: any.
    pub(crate) action: Option<Action>,
}

/// Why nobody may wait.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There are `operations.waiters` of them.
    #[error("too many wait for a callback")]
    Full,
    /// What came could not be read.
    #[error("what came could not be read")]
    Read(#[from] reader::Error),
}

/// How long the look for what came before may take, its turn awaited, also where the wait is shorter:
/// a wait of no time asks whether it is there.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// Who waits.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    inbox: Place,
    arrivals: watch::Receiver<i64>,
    limit: usize,
    state: Mutex<State>,
    somebody: Notify,
    reader: Mutex<Option<Reader>>,
    /// Each look through the log takes a thread and a connection: one at a time is enough.
    looks: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    waiters: HashMap<String, Vec<Waiter>>,
    count: usize,
    next: u64,
    /// Up to here everything was handed on.
    cursor: i64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    action: Option<Action>,
    found: oneshot::Sender<i64>,
}

/// A seat in the room; dropping it leaves.
struct Seat<'a> {
    room: &'a WaitingRoom,
    message_id: &'a str,
    number: u64,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.count -= 1;
        if let Some(waiters) = state.waiters.get_mut(self.message_id) {
            waiters.retain(|waiter| waiter.number != self.number);
            if waiters.is_empty() {
                state.waiters.remove(self.message_id);
            }
        }
    }
}

impl WaitingRoom {
    /// Opens the room of an inbox for at most `limit` who wait.
    pub(crate) fn new(inbox: Place, arrivals: watch::Receiver<i64>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            inbox,
            arrivals,
            limit,
            state: Mutex::default(),
            somebody: Notify::new(),
            reader: Mutex::default(),
            looks: Arc::new(Semaphore::new(1)),
        })
    }

    /// Returns how many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only lists are touched under it; they are whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a callback, which may have come in the last 15 minutes; returns its place in the
    /// log, or `None` when the time is over.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the room.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        wanted: Wanted,
        timeout: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<i64>, Error> {
        let began = tokio::time::Instant::now();
        let until = began + timeout;
        let (found, mut came) = oneshot::channel();
        let number = self.enter(&wanted, found)?;
        let _seat = Seat { room: self, message_id: &wanted.message_id, number };
        self.somebody.notify_one();
        let (room, asked) = (Arc::clone(self), wanted.clone());
        let look = async {
            let place = Arc::clone(&self.looks).acquire_owned().await.expect("it is never closed");
            let looked = tokio::task::spawn_blocking(move || {
                let _place = place;
                let action = asked.action.map(Action::as_str);
                let deadline = Instant::now() + BUDGET;
                room.read(|reader| {
                    reader.newest_of_message(&asked.message_id, action, now - LOOK_BACK, deadline)
                })
            });
            looked.await.expect("looking does not panic and is not aborted")
        };
        // What comes meanwhile does not wait for the look through what came before.
        tokio::select! {
            biased;
            came = &mut came => return Ok(came.ok()),
            looked = look => if let Some(seq) = looked? {
                return Ok(Some(seq));
            },
            // Behind the looks of many others its turn may not come in time.
            () = tokio::time::sleep_until(until.max(began + LOOK_PATIENCE)) => return Ok(None),
        }
        match tokio::time::timeout_at(until, came).await {
            Ok(Ok(seq)) => Ok(Some(seq)),
            // The task has ended: nothing comes any more.
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    fn enter(&self, wanted: &Wanted, found: oneshot::Sender<i64>) -> Result<u64, Error> {
        let newest = *self.arrivals.borrow();
        let mut state = self.lock();
        if state.count >= self.limit {
            return Err(Error::Full);
        }
        if state.count == 0 {
            // Nobody has waited for what came until now.
            state.cursor = state.cursor.max(newest);
        }
        state.count += 1;
        state.next += 1;
        let (number, action) = (state.next, wanted.action);
        let waiters = state.waiters.entry(wanted.message_id.clone()).or_default();
        waiters.push(Waiter { number, action, found });
        Ok(number)
    }

    /// Hands on what comes, until the inbox is gone.
    ///
    /// # Cancel safety
    /// Dropped, nobody who waits is told any more.
    pub(crate) async fn serve(self: Arc<Self>) {
        let mut arrivals = self.arrivals.clone();
        loop {
            let mut somebody = std::pin::pin!(self.somebody.notified());
            // Registered before the look, so that who comes in between is not missed.
            somebody.as_mut().enable();
            let (count, cursor) = {
                let state = self.lock();
                (state.count, state.cursor)
            };
            if count == 0 {
                somebody.await;
                continue;
            }
            if cursor >= *arrivals.borrow_and_update() {
                tokio::select! {
                    () = somebody => {}
                    changed = arrivals.changed() => if changed.is_err() { return },
                }
                continue;
            }
            let room = Arc::clone(&self);
            let read = move || room.read(|reader| reader.arrived_after(cursor, PAGE));
            let read = tokio::task::spawn_blocking(read).await;
            match read.expect("reading does not panic and is not aborted") {
                Ok(page) => self.hand_on(page),
                Err(error) => {
                    tracing::warn!(%error, "what came could not be read for those who wait");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn hand_on(&self, page: Vec<Arrived>) {
        let mut state = self.lock();
        for arrived in page {
            state.cursor = state.cursor.max(arrived.seq);
            let Some(message_id) = &arrived.message_id else { continue };
            let Some(waiters) = state.waiters.get_mut(message_id) else { continue };
            let fits = |waiter: &mut Waiter| {
                waiter.action.is_none_or(|action| action.as_str() == arrived.action)
            };
            for waiter in waiters.extract_if(.., fits) {
                // Whoever has left needs nothing.
                let _ = waiter.found.send(arrived.seq);
            }
        }
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, reader::Error>,
    ) -> Result<T, reader::Error> {
        // One for the task, as a rule: a look that finds it taken opens its own.
        let kept = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.filter(|reader| !reader.is_lost());
        let reader = kept.map_or_else(|| Reader::open(&self.inbox), Ok)?;
        let seen = read(&reader)?;
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        Ok(seen)
    }
}
