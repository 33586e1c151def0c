//! The embedded engine: SQLite, one writer thread, group commit.
//!
//! # Constraints
//! - Only the writer's thread writes, so that duplicates are decided where writes are in line.
//! - An append is answered after the commit that holds it; its settlement rides in a later one.
//! - What is at rest: wide rows that are only inserted, narrow rows that change ([`schema`]).
//!
//! # Layout
//! `mailbox` what callers ask of the writer · `writer` the thread · `batch` one commit · `window`
//! and `packs` the duplicates · `lanes` what is pending, in which order · `pages` reading back ·
//! `replays`, `retention`, `refusals` what the writer does between batches · `lock` the directory.
//!
//! # When it breaks
//! A full disk fails the batch. Another error at a commit fails it too; the file is opened again
//! and what is really there is read before the next append. Three such failures in a row, and
//! [`SqliteInbox::failed`] says so. After a crash, what was not settled is pending again, and an
//! event whose attempts keep ending the process is given up on the third time.

mod batch;
#[cfg(test)]
mod faults;
mod lanes;
mod loader;
mod lock;
mod low_water;
mod mailbox;
mod options;
mod outcome;
mod packs;
pub(in crate::inbox) mod pages;
mod prints;
mod refusals;
mod replays;
mod retention;
pub(in crate::inbox) mod schema;
mod window;
mod writer;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use uuid::timestamp::context::ContextV7;

pub(crate) use self::options::Options;

use self::lanes::{Lanes, Look, Settled, Start, Taken};
use self::mailbox::{Append, Mailbox};
use self::pages::{Pages, ReadError};
use self::prints::{Prints, Secret};
use self::schema::Meta;
use self::window::Window;
use self::writer::Writer;
use super::{Claim, Depth, Error, Inbox, Receipt, Record, Refusal, Settlement, TakeBack, Ticket};
use crate::clock::Clock;
use crate::event::OrderEvent;

/// Why an inbox could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory or a file in it cannot be made, read or written.
    #[error(
        "the inbox's directory `{path}` cannot be used: make it writable for this user, or set `inbox.path`"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the inbox open.
    #[error(
        "the inbox in `{path}` is open in another process ({holder}): stop that one, or set another `inbox.path`"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The file is not an inbox, or is damaged.
    #[error(
        "the inbox's file is damaged or no SQLite file: move it away, or restore it from a copy"
    )]
    Damaged {
        /// What was found.
        source: EngineError,
    },
    /// The check after an unclean end found damage.
    #[error("the inbox's file is damaged: {found}")]
    FailedCheck {
        /// The first finding.
        found: String,
    },
    /// The file was written by a later version.
    #[error(
        "the inbox has schema {found}, this version knows up to {known}: run the newer version"
    )]
    NewerSchema {
        /// The file's schema.
        found: usize,
        /// The newest that this version knows.
        known: usize,
    },
    /// The file belongs to another application.
    #[error("the file in the inbox's directory belongs to another application")]
    OtherApplication,
    /// There is no inbox to read.
    #[error("there is no inbox here yet")]
    NoInbox,
    /// Another process holds the file for longer than we wait.
    #[error("the inbox's file is held by another process")]
    Busy,
    /// SQLite failed otherwise.
    #[error("the inbox's file cannot be opened")]
    Sqlite {
        /// What SQLite said.
        source: EngineError,
    },
    /// A thread of the inbox could not be started.
    #[error("a thread of the inbox could not be started")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}

impl OpenError {
    // By value, for `map_err`.
    #[allow(clippy::needless_pass_by_value)]
    fn sqlite(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let source = EngineError::new(&error);
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                OpenError::Damaged { source }
            }
            _ => OpenError::Sqlite { source },
        }
    }
}

/// What SQLite said, as text that threads can share.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct EngineError {
    text: String,
}

impl EngineError {
    fn new(error: &rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(0, |error| error.extended_code);
        Self { text: format!("{error} (SQLite code {code})") }
    }
}

/// What the handle, the claims and the threads share.
#[derive(Debug)]
struct Shared {
    mailbox: Mailbox,
    lanes: Lanes,
    pages: Pages,
    clock: Arc<dyn Clock>,
    /// True when the engine has failed for good.
    failed: watch::Sender<bool>,
    /// True when the writer has ended.
    ended: watch::Sender<bool>,
    #[cfg(test)]
    faults: faults::Faults,
}

/// The inbox in a directory, open for writing.
#[derive(Debug)]
pub(crate) struct SqliteInbox {
    shared: Arc<Shared>,
    secret: Secret,
    options: Options,
    /// The writer and the loader, joined when the handle is dropped.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A small file is checked whole after an unclean end: about 50 ms. A larger one is not: the check
/// reads everything, and the log of SQLite has repaired what a crash leaves behind.
const CHECK_BYTES: i64 = 64 << 20;

impl SqliteInbox {
    /// Opens the inbox, made if it is not there; blocking, some 10 ms for each 100,000 events of
    /// the duplicate window.
    pub(crate) fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let sqlite = OpenError::sqlite;
        let mut options = options;
        // A batch fits into a page of the loader, which finds it again after a failed commit.
        options.batch_limit = options.batch_limit.clamp(1, 4096);
        let now = clock.now();
        let lock = lock::prepare(&options.path, now)?;
        let file = options.path.join(schema::FILE);
        let connection = schema::open_writer(&file)?;
        let last_seq = writer::last_seq(&connection).map_err(sqlite)?;
        let unclean = schema::meta(&connection, Meta::Clean).map_err(sqlite)? == 0;
        if unclean {
            check_small_file(&connection)?;
        }
        let secret = schema::secret(&connection).map_err(sqlite)?;
        schema::set_meta(&connection, Meta::Clean, 0).map_err(sqlite)?;
        let low_water = schema::meta(&connection, Meta::LowWater).map_err(sqlite)?.max(1);
        let log_end = connection
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
            .map_err(sqlite)?;
        let window = Window::new(options.window_events, options.window_days);
        let micros = now.timestamp_micros();
        let (window, packed_to) =
            packs::load(&connection, window, micros, options.window_events).map_err(sqlite)?;

        let start = Start { low_water, log_end, unclean };
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(options.queue_limit, options.refusal_queue),
            lanes: Lanes::new(start, options.tail_events, options.tail_bytes),
            pages: Pages::new(file.clone()),
            clock,
            failed: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            #[cfg(test)]
            faults: faults::Faults::default(),
        });
        let writer = Writer {
            options: options.clone(),
            file,
            shared: Arc::clone(&shared),
            connection: Some(connection),
            window,
            packed_to,
            last_seq,
            low_water,
            ids: ContextV7::new(),
            retention: retention::Retention::default(),
            failures: 0,
            unsure_replays: Vec::new(),
            looked_at: None,
            overflow_warned_at: None,
            lock,
        };
        let loader = Arc::clone(&shared);
        let threads = vec![
            spawn("inbox-loader", move || loader::run(&loader, low_water))?,
            spawn("inbox-writer", move || writer.run())?,
        ];
        let secret = Secret::new(secret);
        Ok(Arc::new(Self { shared, secret, options, threads: Mutex::new(threads) }))
    }

    /// Waits until the engine has failed for good: the process should end with an error.
    pub(crate) fn failed(&self) -> BoxFuture<'static, ()> {
        let mut failed = self.shared.failed.subscribe();
        Box::pin(async move {
            // The sender lives as long as the inbox; without it nobody is left to fail.
            if failed.wait_for(|failed| *failed).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    /// Ends as if the process had been killed; for tests.
    #[cfg(test)]
    pub(crate) fn abandon(&self) {
        self.end_threads();
    }

    fn end_threads(&self) {
        self.shared.mailbox.abandon();
        self.shared.lanes.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic of the thread has been printed; there is nobody to hand it to.
            let _ = thread.join();
        }
    }

    async fn append_record(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> Result<Receipt, Error> {
        let shared = &self.shared;
        let waiting = shared.mailbox.waiting() as u64;
        if shared.lanes.unsettled() + waiting >= self.options.unsettled_limit as u64 {
            return Err(Error::TooManyUnsettled);
        }
        let seller = event.seller();
        let prints = Prints::of(&self.secret, &record, &event, &seller);
        let (answer, receipt) = oneshot::channel();
        shared.mailbox.append(Append { event, record, seller, prints, answer })?;
        // The writer drops an answer only when it is abandoned.
        receipt.await.unwrap_or(Err(Error::Closed))
    }

    async fn claim_events(&self, limit: usize) -> Result<Vec<Claim>, Error> {
        let shared = &self.shared;
        loop {
            let mut woken = std::pin::pin!(shared.lanes.notified());
            // Registered before the look, so that what comes in between is not missed.
            woken.as_mut().enable();
            if let Some(error @ (Error::Closed | Error::Engine(_))) = shared.mailbox.trouble() {
                return Err(error);
            }
            let now = shared.clock.now();
            let look = shared.lanes.take(limit.max(1), now);
            let (next_at, held) = shared.hold(look);
            let mut woken_by = Some(woken);
            if !held.is_empty() {
                let handed_out = hand_out(shared, held).await;
                if !handed_out.claims.is_empty() {
                    return Ok(handed_out.claims);
                }
                if !handed_out.stuck {
                    continue;
                }
                // What could not be read or marked is ready again: it must not spin.
                woken_by = None;
            }
            let poll = now + self.options.poll;
            let until = next_at.map_or(poll, |at| at.min(poll));
            match woken_by {
                Some(woken) => tokio::select! {
                    () = woken => {}
                    () = shared.clock.sleep_until(until) => {}
                },
                None => shared.clock.sleep_until(poll).await,
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| OpenError::Thread { source })
}

fn check_small_file(connection: &rusqlite::Connection) -> Result<(), OpenError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let bytes = number("page_count").map_err(OpenError::sqlite)?
        * number("page_size").map_err(OpenError::sqlite)?;
    if bytes > CHECK_BYTES {
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(OpenError::sqlite)?;
    if found == "ok" { Ok(()) } else { Err(OpenError::FailedCheck { found }) }
}

/// A taken head of a lane; dropping it puts it back.
#[derive(Debug)]
struct Held {
    taken: Option<Taken>,
    shared: Arc<Shared>,
}

impl Held {
    fn taken(&self) -> &Taken {
        self.taken.as_ref().expect("only `into_claim` and `give_up` take it, and they consume it")
    }

    fn into_claim(mut self, event: Box<OrderEvent>) -> Option<Claim> {
        let taken = self.taken.take()?;
        let mut event = event;
        event.attempt = taken.progress.attempts + 1;
        event.replay = taken.progress.replay;
        let first = taken.progress.first_attempt_at.filter(|_| taken.progress.attempts > 0);
        let home: Arc<dyn TakeBack> = Arc::<Shared>::clone(&self.shared);
        Some(Claim::new(event, taken.ticket, first, home))
    }

    fn give_up(mut self, error: &ReadError) {
        let Some(taken) = self.taken.take() else { return };
        let seq = taken.ticket.seq.0;
        tracing::error!(seq, error = %error, "an event cannot be read back: it is a dead letter");
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        let now = self.shared.clock.now();
        let settlement = Settlement::Dead { error: text };
        self.shared.settle(Settled { ticket: taken.ticket, event: None, settlement }, now);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.shared.put_back(taken.ticket, taken.event);
        }
    }
}

impl Shared {
    /// Guards what a look has taken, and writes what it has given up.
    fn hold(self: &Arc<Self>, look: Look) -> (Option<DateTime<Utc>>, Vec<Held>) {
        for (seq, _) in &look.given_up {
            tracing::error!(seq, "gave up an event: its attempts ended the process three times");
        }
        if !look.given_up.is_empty() {
            self.mailbox.settle(look.given_up);
        }
        let hold = |taken| Held { taken: Some(taken), shared: Arc::clone(self) };
        (look.next_at, look.taken.into_iter().map(hold).collect())
    }

    fn put_back(&self, ticket: Ticket, event: Option<Box<OrderEvent>>) {
        self.lanes.put_back(ticket, event, |seq, outcome| self.mailbox.settle([(seq, outcome)]));
    }

    fn settle(&self, settled: Settled, now: DateTime<Utc>) {
        self.lanes.settle(settled, now, |seq, outcome| self.mailbox.settle([(seq, outcome)]));
    }
}

impl TakeBack for Shared {
    fn take_back(&self, ticket: Ticket, event: Box<OrderEvent>) {
        self.put_back(ticket, Some(event));
    }
}

/// What of the taken heads could be handed out.
#[derive(Debug)]
struct HandedOut {
    claims: Vec<Claim>,
    /// Whether some were put back that cannot be handed out now, but later may.
    stuck: bool,
}

/// Makes claims of what was taken: marks first, then the events that must be read back.
///
/// # Cancel safety
/// What was taken is put back.
async fn hand_out(shared: &Arc<Shared>, held: Vec<Held>) -> HandedOut {
    let mark = |held: &Held| {
        let taken = held.taken();
        taken.mark.clone().map(|mark| (taken.ticket.seq.0, mark))
    };
    let marks: Vec<_> = held.iter().filter_map(mark).collect();
    if !marks.is_empty() && shared.mailbox.settle_and_flush(marks).await.is_err() {
        tracing::warn!("events that a crash left behind wait: their marks could not be written");
        return HandedOut { claims: Vec::new(), stuck: true };
    }
    if held.iter().all(|held| held.taken().event.is_some()) {
        return claims(held, |_| Err(ReadError::Gone));
    }
    let pages = Arc::clone(shared);
    let read = move || claims(held, |seq| pages.pages.event(seq));
    // It fails only when the runtime ends or on a panic; either way the events were put back.
    let stuck = HandedOut { claims: Vec::new(), stuck: true };
    tokio::task::spawn_blocking(read).await.unwrap_or(stuck)
}

/// Makes claims; `read` reads what the tail did not hold.
fn claims(held: Vec<Held>, read: impl Fn(i64) -> Result<Box<OrderEvent>, ReadError>) -> HandedOut {
    let mut stuck = false;
    let mut claims = Vec::with_capacity(held.len());
    for mut held in held {
        let kept = held.taken.as_mut().and_then(|taken| taken.event.take());
        let event = match kept {
            Some(event) => Ok(event),
            None => read(held.taken().ticket.seq.0),
        };
        match event {
            Ok(event) => claims.extend(held.into_claim(event)),
            Err(error) if error.is_permanent() => held.give_up(&error),
            // Dropped, so put back: it is tried again after a while.
            Err(error) => {
                stuck = true;
                tracing::warn!(%error, "an event waits: it could not be read back");
            }
        }
    }
    HandedOut { claims, stuck }
}

impl Inbox for SqliteInbox {
    fn append(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(self.append_record(record, event))
    }

    fn refuse(&self, refusal: Refusal) {
        self.shared.mailbox.refuse(refusal);
    }

    fn claim(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Claim>, Error>> {
        Box::pin(self.claim_events(limit))
    }

    fn settle(&self, claim: Claim, settlement: Settlement) {
        let (event, ticket) = claim.into_parts();
        let now = self.shared.clock.now();
        self.shared.settle(Settled { ticket, event: Some(event), settlement }, now);
    }

    fn depth(&self) -> Depth {
        Depth { unsettled: self.shared.lanes.unsettled() }
    }

    fn trouble(&self) -> Option<Error> {
        let full = self.shared.lanes.unsettled() >= self.options.unsettled_limit as u64;
        self.shared.mailbox.trouble().or_else(|| full.then_some(Error::TooManyUnsettled))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.mailbox.close();
        self.shared.lanes.close();
        let mut ended = self.shared.ended.subscribe();
        Box::pin(async move {
            // An error means that the writer is gone: that is what is waited for.
            let _ = ended.wait_for(|ended| *ended).await;
        })
    }
}

impl Drop for SqliteInbox {
    fn drop(&mut self) {
        self.end_threads();
    }
}
