//! The shared engine: PostgreSQL, for several receivers on one inbox.
//!
//! # Constraints
//! - Duplicates, places and the heads of lanes are decided by the database, under its locks: what
//!   a receiver remembers is at most a hint of when to ask again.
//! - A claim is of a lane, by a lease of the database's clock. Its fence makes a settlement of
//!   whoever lost it change nothing.
//! - Nothing is written in two steps that a crash could part: each write is one statement, or one
//!   transaction.
//!
//! # Layout
//! `server` where the database is · `connect` connections · `schema` the tables and the statements
//! that are at rest with them · `writer` appends · `claims` what is taken out · `held` what is out,
//! and its leases · `settling` what became of it · `expecting` what is waited for · `house` what
//! each receiver writes and looks for from time to time · `upkeep` what one of them does for all ·
//! `listen` what they tell each other · `about` what is known of a database before.
//!
//! # When it breaks
//! A database that is away fails the appends, which are answered 503, and the inbox says so until
//! a batch is kept again. Settlements wait for it. What was claimed by a receiver that ended is
//! claimed by another when the lease is over, and is given up at the third time. An attempt whose
//! lease is not renewed is ended before that.

#[cfg(feature = "cli")]
pub(crate) mod about;
mod claims;
pub(in crate::inbox) mod connect;
mod expecting;
mod held;
mod house;
mod listen;
#[cfg(test)]
mod model_tests;
mod options;
pub(in crate::inbox) mod schema;
mod server;
mod settling;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
mod writer;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::timestamp::context::ContextV7;

use self::connect::EngineError;
use self::held::Held;
use self::house::{Counted, Refusals};
pub(crate) use self::options::Options;
use self::schema::SchemaError;
pub(crate) use self::server::Server;
use self::settling::Settled;
use self::writer::Append;
use super::expectations::Counts;
use super::notes::Notes;
use super::prints::{Prints, Secret};
use super::{
    Claim, Depth, Error, Inbox, Outlet, Receipt, Record, Refusal, Settlement, StatesAtRest,
    TakeBack, Ticket,
};
use crate::clock::Clock;
use crate::event::OrderEvent;

/// What the handle, the claims and the tasks share.
#[derive(Debug)]
struct Shared {
    options: Options,
    clock: Arc<dyn Clock>,
    /// Whose claims are this receiver's.
    owner: [u8; 16],
    /// What is out.
    held: Held,
    unsettled: Counted,
    /// What is waited for.
    expected: Counted,
    counts: Arc<Counts>,
    notes: Mutex<Notes>,
    ids: Mutex<ContextV7>,
    refusals: Refusals,
    /// What the bodies of the appends weigh together that wait.
    waiting_bytes: AtomicUsize,
    settled: mpsc::UnboundedSender<settling::Message>,
    /// One look for what may be claimed at a time.
    claiming: tokio::sync::Mutex<claims::Desk>,
    expecting: tokio::sync::Mutex<expecting::Desk>,
    /// Claims look again.
    woken: Notify,
    /// Another receiver has told of something new.
    heard: Notify,
    /// The other receivers are to be told of something new.
    tell: Notify,
    /// The greatest place that is durable.
    arrived: watch::Sender<i64>,
    /// Why the last batch was not kept; `None` after one that was.
    away: watch::Sender<Option<EngineError>>,
    closed: AtomicBool,
}

/// The inbox in a database's schema.
#[derive(Debug)]
pub(crate) struct PostgresInbox {
    shared: Arc<Shared>,
    secret: Secret,
    /// Dropped to end the writer when all is written.
    appends: Mutex<Option<mpsc::Sender<Append>>>,
    writing: Mutex<JoinSet<()>>,
    /// Ended when the handle is dropped.
    #[cfg_attr(not(test), expect(dead_code, reason = "it ends them"))]
    tasks: Mutex<JoinSet<()>>,
    #[cfg(test)]
    renewing: tokio::task::AbortHandle,
}

impl PostgresInbox {
    /// Opens the inbox; its tables are made if they are not there.
    ///
    /// # Errors
    /// The database cannot be reached or does not keep what it has answered for, or the tables are
    /// of a later version.
    pub(crate) async fn open(
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, SchemaError> {
        let mut client = connect::connect(&options.server).await?;
        schema::check(&client).await?;
        schema::migrate(&mut client, &options.server.schema).await?;
        let secret = Secret::new(schema::secret(&client).await?);
        house::register(&client, options.outlets.names()).await?;
        upkeep::reroute(&client, &options.outlets, false).await?;
        let (unsettled, expected) = (Counted::default(), Counted::default());
        unsettled.look(&client, house::UNSETTLED, options.unsettled_limit).await?;
        expected.look(&client, house::EXPECTED, options.expectations_limit).await?;
        let newest = house::newest(&client).await?;
        let (settled, settlements) = mpsc::unbounded_channel();
        let (appends, queue) = mpsc::channel(options.queue_limit);
        let shared = Arc::new(Shared {
            clock,
            owner: *uuid::Uuid::new_v4().as_bytes(),
            held: Held::default(),
            unsettled,
            expected,
            counts: Arc::default(),
            notes: Mutex::default(),
            ids: Mutex::new(ContextV7::new()),
            refusals: Refusals::default(),
            waiting_bytes: AtomicUsize::new(0),
            settled,
            claiming: tokio::sync::Mutex::new(claims::Desk::new(&options)),
            expecting: tokio::sync::Mutex::new(expecting::Desk::new(&options)),
            woken: Notify::new(),
            heard: Notify::new(),
            tell: Notify::new(),
            arrived: watch::Sender::new(newest),
            away: watch::Sender::new(None),
            closed: AtomicBool::new(false),
            options,
        });
        let mut writing = JoinSet::new();
        writing.spawn(writer::run(Arc::clone(&shared), queue));
        let mut tasks = tasks(&shared, settlements);
        let renewing = tasks.spawn(held::renew(Arc::clone(&shared)));
        #[cfg(not(test))]
        drop(renewing);
        Ok(Arc::new(Self {
            shared,
            secret,
            appends: Mutex::new(Some(appends)),
            writing: Mutex::new(writing),
            tasks: Mutex::new(tasks),
            #[cfg(test)]
            renewing,
        }))
    }

    /// Ends as if the process had been killed: nothing more is written, renewed or handed back.
    #[cfg(test)]
    fn abandon(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        lock(&self.tasks).abort_all();
        lock(&self.writing).abort_all();
    }

    /// Renews no lease any more, as if the process stood still; for tests.
    #[cfg(test)]
    fn stand_still(&self) {
        self.renewing.abort();
    }

    async fn append_record(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> Result<Receipt, Error> {
        let shared = &self.shared;
        let options = &shared.options;
        if shared.unsettled.count() >= options.unsettled_limit as u64 {
            return Err(Error::TooManyUnsettled);
        }
        let bytes = event.body.len();
        if shared.waiting_bytes.load(Ordering::Relaxed) >= options.queue_bytes {
            return Err(Error::QueueFull);
        }
        let (append, receipt) = self.entry(record, event);
        let appends = lock(&self.appends).clone().ok_or(Error::Closed)?;
        shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        appends.try_send(append).map_err(|refused| {
            shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(_) => Error::QueueFull,
                mpsc::error::TrySendError::Closed(_) => Error::Closed,
            }
        })?;
        drop(appends);
        receipt.await.unwrap_or(Err(Error::Closed))
    }

    /// Returns what is put in line, and where it is answered.
    fn entry(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> (Append, oneshot::Receiver<Result<Receipt, Error>>) {
        let seller = event.seller();
        let prints = Prints::of(&self.secret, &record, &event, &seller);
        let outlets = &self.shared.options.outlets;
        let outlet = outlets.of(&event.address());
        let handler = outlets.names()[usize::from(outlet.0)].clone();
        let (answer, receipt) = oneshot::channel();
        let (queued, repeated_by) = (Instant::now(), Vec::new());
        let append = Append { event, record, seller, prints, handler, answer, repeated_by, queued };
        (append, receipt)
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Takes note of a place that is durable.
    fn saw(&self, seq: i64) {
        self.arrived.send_if_modified(|newest| {
            let is_new = seq > *newest;
            *newest = seq.max(*newest);
            is_new
        });
    }

    /// Takes note that the database does not do what is asked; said once until it does again.
    fn is_away(&self, error: &EngineError) {
        let was = self.away.send_replace(Some(error.clone()));
        if was.is_none() {
            tracing::warn!(%error, "the inbox's database is away or fails");
        }
    }

    /// Takes note that it does.
    fn is_back(&self) {
        if self.away.send_if_modified(|away| away.take().is_some()) {
            tracing::info!("the inbox's database is back");
        }
    }

    fn settle(&self, settled: Settled) {
        // Nobody takes it when the inbox is gone: then the lease ends.
        let _ = self.settled.send(settling::Message::Settled(settled));
    }
}

impl TakeBack for Shared {
    fn take_back(&self, ticket: Ticket, _event: Box<OrderEvent>) {
        if let Some(out) = self.held.release(ticket) {
            self.settle(Settled::back(out));
        }
    }
}

impl Inbox for PostgresInbox {
    fn append(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(self.append_record(record, event))
    }

    fn refuse(&self, refusal: Refusal) {
        if !self.shared.refusals.keep(refusal, &self.shared.options) {
            self.shared.options.metrics.inbox.refusal_dropped();
        }
    }

    fn claim(&self, outlet: Outlet, limit: usize) -> BoxFuture<'_, Result<Vec<Claim>, Error>> {
        Box::pin(claims::wait_for(&self.shared, outlet, limit))
    }

    fn settle(&self, claim: Claim, settlement: Settlement) {
        let (_event, ticket, found) = claim.into_parts();
        if let Settlement::Dead { .. } = settlement {
            self.shared.options.metrics.gave_up();
        }
        if let Some(out) = self.shared.held.release(ticket) {
            let now = self.shared.clock.now();
            self.shared.settle(Settled::with(out, settlement, found, now));
        }
    }

    fn states(&self, limit: usize) -> BoxFuture<'_, Result<Vec<StatesAtRest>, Error>> {
        Box::pin(async move {
            let read = house::states(&self.shared.options, limit).await;
            read.map_err(|error| Error::Engine(Arc::new(error)))
        })
    }

    fn depth(&self) -> Depth {
        Depth { unsettled: self.shared.unsettled.count(), is_counting: false }
    }

    fn trouble(&self) -> Option<Error> {
        let shared = &self.shared;
        if shared.is_closed() {
            return Some(Error::Closed);
        }
        if let Some(error) = shared.away.borrow().clone() {
            return Some(Error::Engine(Arc::new(error)));
        }
        let full = shared.unsettled.count() >= shared.options.unsettled_limit as u64;
        full.then_some(Error::TooManyUnsettled)
    }

    fn failed(&self) -> BoxFuture<'static, ()> {
        // It comes back when the database does.
        Box::pin(std::future::pending())
    }

    fn arrivals(&self) -> watch::Receiver<i64> {
        self.shared.arrived.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.closed.store(true, Ordering::Relaxed);
        // The writer ends when it has kept what waits.
        drop(lock(&self.appends).take());
        self.shared.woken.notify_waiters();
        let mut writing = std::mem::take(&mut *lock(&self.writing));
        let shared = Arc::clone(&self.shared);
        let closing = tokio::spawn(async move {
            while writing.join_next().await.is_some() {}
            settling::flush(&shared).await;
        });
        Box::pin(async move {
            // A panic of it has been printed.
            let _ = closing.await;
        })
    }
}

/// Starts what runs beside the writer; it ends with the set.
fn tasks(
    shared: &Arc<Shared>,
    settlements: mpsc::UnboundedReceiver<settling::Message>,
) -> JoinSet<()> {
    let shared = || Arc::clone(shared);
    let mut tasks = JoinSet::new();
    tasks.spawn(settling::run(shared(), settlements));
    tasks.spawn(held::watch(shared()));
    tasks.spawn(house::run(shared()));
    tasks.spawn(listen::run(shared()));
    tasks.spawn(listen::wake(shared()));
    tasks.spawn(listen::tell(shared()));
    tasks
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is under these locks is whole after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a text as the database can hold it: it has no place for a NUL, which JSON has.
pub(in crate::inbox) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}
