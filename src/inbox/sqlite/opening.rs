//! Opening the inbox: what a start reads, and the threads that it starts.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use tokio::sync::watch;
use uuid::timestamp::context::ContextV7;

use super::checkpoint::Checkpoints;
use super::lanes::{Lanes, Start};
use super::mailbox::{self, Mailbox};
use super::open_error::OpenError;
use super::pace::Pace;
use super::pages::Pages;
use super::schema::{self, Meta};
use super::window::Window;
use super::writer::{self, Writer};
use super::{
    Options, Shared, SqliteInbox, erase, expecting, loader, lock, packs, pauses, retention, threads,
};
use crate::clock::Clock;
use crate::inbox::notes::Notes;
use crate::inbox::prints::Secret;

/// A small file is checked whole after an unclean end: about 50 ms. A larger one is not: the check
/// reads everything, and the log of SQLite has repaired what a crash leaves behind.
const CHECK_BYTES: i64 = 64 << 20;

/// What a start reads.
struct AtRest {
    last_seq: i64,
    low_water: i64,
    secret: [u8; 32],
    start: Start,
    window: Window,
    packed_to: i64,
    open: expecting::Open,
    erasing: erase::Erasing,
}

impl SqliteInbox {
    /// Opens the inbox, made if it is not there; blocking, some 5 ms for each 100,000 events of
    /// the duplicate window.
    pub(crate) fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let mut options = options;
        // A batch fits into a page of the loader, which finds it again after a failed commit.
        options.batch_limit = options.batch_limit.clamp(1, 4096);
        let now = clock.now();
        let lock = lock::prepare(&options.path, now)?;
        let file = options.path.join(schema::FILE);
        let connection = schema::open_writer(&file)?;
        let AtRest { last_seq, low_water, secret, start, window, packed_to, open, erasing } =
            read(&connection, &options, now)?;
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(mailbox::Limits {
                appends: options.queue_limit,
                append_bytes: options.queue_bytes,
                refusals: options.refusal_queue,
            }),
            lanes: Lanes::new(start, &options),
            pages: Pages::new(file.clone(), options.outlets.clone()),
            clock,
            metrics: Arc::clone(&options.metrics),
            poll: options.poll,
            failed: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            arrived: watch::Sender::new(last_seq),
            open: Mutex::new(open),
            counts: Arc::default(),
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        });
        let checkpoints = Some(Checkpoints::start(&file)?);
        let writer = Writer {
            options: options.clone(),
            file,
            shared: Arc::clone(&shared),
            connection: Some(connection),
            checkpoints,
            window,
            packed_to,
            last_seq,
            low_water,
            ids: ContextV7::new(),
            retention: retention::Retention::default(),
            notes: Notes::default(),
            erasing,
            erases: false,
            gives_back: false,
            lets_go: false,
            failures: 0,
            unsure_replays: Vec::new(),
            looked_at: None,
            pace: Pace::default(),
            replays_from: None,
            house_rests_until: None,
            overflow_warned_at: None,
            replays_warned_at: None,
            lock,
        };
        let loader = Arc::clone(&shared);
        let threads = vec![
            threads::start_loader(&shared, move || loader::run(&loader, low_water))?,
            threads::start_writer(&shared, move || writer.run())?,
        ];
        let secret = Secret::new(secret);
        Ok(Arc::new(Self { shared, secret, options, threads: Mutex::new(threads) }))
    }
}

fn read(
    connection: &Connection,
    options: &Options,
    now: DateTime<Utc>,
) -> Result<AtRest, OpenError> {
    let sqlite = OpenError::sqlite;
    let last_seq = writer::last_seq(connection).map_err(sqlite)?;
    let unclean = schema::meta(connection, Meta::Clean).map_err(sqlite)? == 0;
    if unclean {
        check_small_file(connection)?;
    }
    let secret = schema::secret(connection).map_err(sqlite)?;
    let handlers = options.outlets.names();
    pauses::register(connection, handlers).map_err(sqlite)?;
    let paused = pauses::paused(connection, handlers).map_err(sqlite)?;
    for (name, paused) in handlers.iter().zip(&paused) {
        options.metrics.handler_paused(name, *paused);
        if *paused {
            tracing::warn!(handler = name, "handler `{name}` is paused: its events wait");
        }
    }
    schema::set_meta(connection, Meta::Clean, 0).map_err(sqlite)?;
    let low_water = schema::meta(connection, Meta::LowWater).map_err(sqlite)?.max(1);
    let log_end = connection
        .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
        .map_err(sqlite)?;
    let (window, packed_to) =
        packs::load(connection, options.window(), now.timestamp_micros()).map_err(sqlite)?;
    let open = expecting::Open::load(connection, options.expectations_limit, now);
    let open = open.map_err(sqlite)?;
    let truncate_due = schema::meta(connection, Meta::TruncateDue).map_err(sqlite)? != 0;
    let erasing = erase::Erasing::new(truncate_due);
    let start = Start { low_water, log_end, unclean, paused };
    Ok(AtRest { last_seq, low_water, secret, start, window, packed_to, open, erasing })
}

fn check_small_file(connection: &Connection) -> Result<(), OpenError> {
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
