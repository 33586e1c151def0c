//! What is at rest: the pragmas, the tables, their version and the steps between versions.
//!
//! The wide rows (`body`) are only ever inserted and deleted; what changes is in the narrow rows
//! (`delivery`), so that settling an event does not write its body again. There is no index but
//! the rowid on the tables that an ACK waits for: a random index costs more than half of the
//! throughput.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::open_error::OpenError;

/// The file in the inbox's directory.
pub(in crate::inbox) const FILE: &str = "inbox.sqlite3";

/// "BRIx": says in the file's header whose file this is.
const APPLICATION_ID: i32 = 0x4252_4978;

/// Each step takes a file from the version that is its index to the next; a step that was
/// released is never changed.
const STEPS: [&str; 3] = [include_str!("v1.sql"), include_str!("v2.sql"), include_str!("v3.sql")];

/// How long a statement waits for a lock of another process.
pub(in crate::inbox) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A page holds several bodies. Measured with these tables, 256 callers, bodies of 4 kB, 100,000
/// events, 2 shared cores, thousand appends a second, median of 3 rounds: 4 KiB 32, 8 KiB 24,
/// 16 KiB 26, 32 KiB 38, 64 KiB 39. Each round spread by about 20 %, so 64 KiB gains nothing
/// that was seen, and a lone commit would write twice as much.
pub(super) const PAGE_SIZE: u32 = 32 * 1024;

/// The log begins anew when it has so many pages, 16 MiB.
pub(super) const LOG_PAGES: u32 = (16 << 20) / PAGE_SIZE;

/// A log of so many pages is written back by the commit that finds it, as SQLite does it: another
/// thread should have, see `checkpoint`, but may be held up by who reads, or have failed.
const LOG_LIMIT: u32 = 4 * LOG_PAGES;

/// Opens the file read-write for the writer, made and brought to the current version if needed.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(OpenError::sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(OpenError::sqlite)?;
    let version = version_of(&connection)?;
    if version == 0 {
        prepare_new_file(&connection).map_err(OpenError::sqlite)?;
    }
    use_write_ahead_log(&connection)?;
    set_pragmas(&connection).map_err(OpenError::sqlite)?;
    migrate(&connection, version).map_err(OpenError::sqlite)?;
    Ok(connection)
}

/// Opens the file for reading beside the writer.
pub(in crate::inbox) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open_beside(path, flags)
}

/// Opens a copy of an inbox, which no process has; an older one is brought up by the writer.
#[cfg(any(feature = "cli", test))]
pub(in crate::inbox) fn open_backup(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(OpenError::sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(OpenError::sqlite)?;
    if version_of(&connection)? == 0 { Err(OpenError::NoInbox) } else { Ok(connection) }
}

/// Opens the file beside the writer, to leave a request for it.
pub(in crate::inbox) fn open_requester(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open_beside(path, flags)?;
    // A request is a promise to the operator: it is on the disk when the command ends.
    connection.pragma_update(None, "synchronous", "FULL").map_err(OpenError::sqlite)?;
    // It is set for each connection: what a request takes the place of is overwritten, too.
    connection.pragma_update(None, "secure_delete", "ON").map_err(OpenError::sqlite)?;
    Ok(connection)
}

fn open_beside(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(path, flags).map_err(OpenError::sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(OpenError::sqlite)?;
    keep_plans(&connection).map_err(OpenError::sqlite)?;
    match version_of(&connection)? {
        0 => return Err(OpenError::NoInbox),
        found if found < STEPS.len() => {
            return Err(OpenError::OlderSchema { found, known: STEPS.len() });
        }
        _ => {}
    }
    Ok(connection)
}

/// Returns the schema's version, 0 for an empty file; refuses what is not an inbox of ours.
fn version_of(connection: &Connection) -> Result<usize, OpenError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(OpenError::sqlite)?;
    let version = number("user_version").map_err(OpenError::sqlite)?;
    let tables = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(OpenError::sqlite)?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(OpenError::OtherApplication);
    }
    let Ok(found) = usize::try_from(version) else { return Err(OpenError::OtherApplication) };
    if found > STEPS.len() {
        return Err(OpenError::NewerSchema { found, known: STEPS.len() });
    }
    Ok(found)
}

/// Sets what can only be set before the first table.
fn prepare_new_file(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    // Retention gives pages back in small steps; it cannot be switched on later without VACUUM.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)
}

/// Plans statements without looking at what is bound: else SQLite plans some of them again at
/// each use, which took a quarter of the time of reading an event back.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_set| ())
}

/// Readers beside the writer never wait for it, and a commit is one sequential write.
fn use_write_ahead_log(connection: &Connection) -> Result<(), OpenError> {
    // Where the file system cannot do it, SQLite raises no error and stays in another mode.
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        .map_err(OpenError::sqlite)?;
    if mode == "wal" { Ok(()) } else { Err(OpenError::NoWriteAheadLog { mode }) }
}

/// Sets what holds for one connection, or again at each open.
fn set_pragmas(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    // The ACK's promise: a commit has reached the disk. NORMAL would gain 5 % and lose it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_LIMIT)?;
    // A log that a long reader made grow is cut at the next checkpoint.
    connection.pragma_update(None, "journal_size_limit", 2 * LOG_PAGES * PAGE_SIZE)?;
    // In KiB: the pages at the end of the tables are what is used; 16 MiB gained nothing.
    connection.pragma_update(None, "cache_size", -6_144)?;
    // What is erased, or leaves, is overwritten with zeros, so that neither the file nor a copy of
    // it holds it. Inserts, and so the ACKs, pay nothing. Letting go of 20,000 events of 4 kB took
    // 2.4 s for 1.9 s and wrote 192 MiB for 102, with a tenth more CPU, apart from any commit.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // Sorting in memory: nothing of a body is spilled to a directory that is not ours.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The statements of a batch, of retention and of the refusals stay prepared.
    connection.set_prepared_statement_cache_capacity(48);
    Ok(())
}

fn migrate(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    for (step, statements) in STEPS.iter().enumerate().skip(version) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {statements}; PRAGMA user_version = {}; COMMIT;",
            step + 1
        ))?;
    }
    Ok(())
}

/// Names of the values in `meta`.
#[derive(Debug, Clone, Copy)]
pub(in crate::inbox) enum Meta {
    /// 1 when the last process closed the inbox, 0 while one runs and after a crash.
    Clean,
    /// The greatest seq that was ever given, so that none is given twice after retention.
    LastSeq,
    /// Below it every first round is settled: a start looks no further back.
    LowWater,
    /// 1 while the write-ahead log may hold what was erased.
    TruncateDue,
}

impl Meta {
    const fn name(self) -> &'static str {
        match self {
            Meta::Clean => "clean",
            Meta::LastSeq => "last_seq",
            Meta::LowWater => "low_water",
            Meta::TruncateDue => "truncate_due",
        }
    }
}

/// Returns a number of `meta`, 0 when it was never set.
pub(in crate::inbox) fn meta(connection: &Connection, meta: Meta) -> rusqlite::Result<i64> {
    let value = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([meta.name()], |row| row.get(0))
        .optional()?;
    Ok(value.unwrap_or(0))
}

/// Sets a number of `meta`.
pub(super) fn set_meta(connection: &Connection, meta: Meta, value: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute((meta.name(), value))?;
    Ok(())
}

/// Returns the inbox's secret, drawn at the first open.
pub(in crate::inbox) fn secret(connection: &Connection) -> rusqlite::Result<[u8; 32]> {
    let found = connection
        .query_row("SELECT value FROM meta WHERE name = 'secret'", [], |row| row.get(0))
        .optional()?;
    if let Some(secret) = found {
        return Ok(secret);
    }
    // Two UUIDs of version 4 are 244 bits of a generator that the system's source seeds.
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    secret[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    connection.execute("INSERT INTO meta (name, value) VALUES ('secret', ?1)", [secret])?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{FILE, STEPS, open_writer, prepare_new_file, use_write_ahead_log};
    use crate::inbox::sqlite::open_error::OpenError;

    #[test]
    fn a_file_that_cannot_have_a_write_ahead_log_is_refused() {
        let error = use_write_ahead_log(&Connection::open_in_memory().unwrap()).unwrap_err();
        assert!(matches!(error, OpenError::NoWriteAheadLog { ref mode } if mode == "memory"));
    }

    #[test]
    fn a_file_of_the_first_version_gets_the_domains() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let old = Connection::open(&file).unwrap();
        prepare_new_file(&old).unwrap();
        old.execute_batch(&format!("{}; PRAGMA user_version = 1;", STEPS[0])).unwrap();
        let bodies = [
            r#"{"context":{"domain":"settled"}}"#,
            "\u{feff}{\"context\":{\"domain\":\"waits\"}}",
            "{,}",
        ];
        for (seq, body) in (1..).zip(bodies) {
            old.execute("INSERT INTO body VALUES (?1, ?2)", (seq, body.as_bytes())).unwrap();
            old.execute(
                "INSERT INTO event SELECT ?1, x'', 'on_status', 's', 0, NULL, NULL, NULL, NULL, NULL,
                 0, 0, NULL, NULL, NULL, NULL, NULL, x'', NULL, x'', 7, 0",
                [seq],
            )
            .unwrap();
        }
        old.execute("INSERT INTO meta VALUES ('low_water', 2)", []).unwrap();
        drop(old);
        let error = super::open_reader(&file).unwrap_err();
        assert!(error.to_string().contains("start the receiver"), "{error}");
        let connection = open_writer(&file).unwrap();
        let domains: Vec<Option<String>> = connection
            .prepare("SELECT domain FROM event ORDER BY seq")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(domains, [Some("settled".to_owned()), Some("waits".to_owned()), None]);
        assert_eq!(super::version_of(&connection).unwrap(), STEPS.len());
        super::open_reader(&file).unwrap();
    }
}
