//! A copy of an inbox while a receiver writes, and its way back.
//!
//! # Constraints
//! - A copy is one moment of the inbox, whole: what was ACKed before it began is in it.
//! - It holds bodies: it is readable by its owner alone.
//! - It has its name only when it is complete, checked and on the disk; nothing is overwritten.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::place::existing;
use crate::inbox::sqlite::open_error::OpenError;
use crate::inbox::sqlite::{lock, schema};

/// Why an inbox was not copied, or not brought back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is something already.
    #[error("{} is there already: nothing is overwritten", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The inbox cannot be read.
    #[error(transparent)]
    Inbox(#[from] super::Error),
    /// The file is none that can be used.
    #[error("{} cannot be used", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// A file or a directory cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The pages could not be copied.
    #[error("the inbox could not be copied")]
    Copy(#[source] rusqlite::Error),
    /// The copy is damaged.
    #[error("{} is damaged: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        found: String,
    },
}

/// Copies the inbox in `directory` to the new file `to`, beside a process that writes or without
/// one. It reads a moment of the inbox to its end, and holds up nobody: meanwhile the write-ahead
/// log cannot be cut, so that it grows by what comes in.
pub(crate) fn backup(directory: &Path, to: &Path) -> Result<(), Error> {
    let file = existing(directory)?;
    let open = |source| Error::Open { path: file.clone(), source };
    let inbox = schema::open_reader(&file).map_err(open)?;
    write_new(&inbox, to)
}

/// Brings the inbox in the file `from` back into `directory`, where there is none and no process
/// holds the place. Its settled events are then settled, and the others come again.
pub(crate) fn restore(from: &Path, directory: &Path, now: DateTime<Utc>) -> Result<(), Error> {
    let open = |source| Error::Open { path: from.to_owned(), source };
    let source = schema::open_backup(from).map_err(open)?;
    check(&source, from)?;
    let to = directory.join(schema::FILE);
    // Held to the end: no process takes the place while the file is not whole.
    let held = lock::prepare_directory(directory, now);
    let _held = held.map_err(|source| Error::Open { path: directory.to_owned(), source })?;
    for beside in ["", "-wal", "-shm"] {
        let path = directory.join(format!("{}{beside}", schema::FILE));
        // A log without its file would be taken for that of the new one.
        if path.exists() {
            return Err(Error::Exists { path });
        }
    }
    write_new(&source, &to)
}

/// Copies all of `source` into a file that gets the name `to` when it is complete.
fn write_new(source: &Connection, to: &Path) -> Result<(), Error> {
    if to.exists() {
        return Err(Error::Exists { path: to.to_owned() });
    }
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", uuid::Uuid::new_v4()));
    let part = Part(to.with_file_name(name));
    let write = |source| Error::Write { path: part.0.clone(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part.0);
    let file = file.map_err(write)?;
    copy(source, &part.0)?;
    file.sync_all().map_err(write)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copied = Connection::open_with_flags(&part.0, flags).map_err(Error::Copy)?;
    check(&copied, to)?;
    drop(copied);
    // A link fails where a name is taken; a rename would overwrite it.
    match std::fs::hard_link(&part.0, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists { path: to.to_owned() });
        }
        // Not every file system has links.
        Err(_no_links) => std::fs::rename(&part.0, to)
            .map_err(|source| Error::Write { path: to.to_owned(), source })?,
    }
    drop(part);
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(|source| Error::Write { path: parent.to_owned(), source })
}

fn copy(source: &Connection, to: &Path) -> Result<(), Error> {
    let mut target = Connection::open(to).map_err(Error::Copy)?;
    {
        let copying = Backup::new(source, &mut target).map_err(Error::Copy)?;
        // All in one step: it is one read transaction, and so one moment of the inbox.
        copying.step(-1).map_err(Error::Copy)?;
    }
    // The copy is one file, without a log beside it; the writer switches back when it opens it.
    let journal = target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
    journal.map_err(Error::Copy)
}

fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let found = checked.map_err(Error::Copy)?;
    if found == "ok" { Ok(()) } else { Err(Error::Damaged { path: path.to_owned(), found }) }
}

/// A file that is not complete; removed when it is dropped.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let journal = self.0.with_extension("part-journal");
        for path in [&self.0, &journal] {
            if let Err(error) = std::fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a file that is not needed is left");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::{Error, backup, restore};
    use crate::beckn::action::Action;
    use crate::clock::Clock as _;
    use crate::event::OrderEvent;
    use crate::inbox::contract::ManualClock;
    use crate::inbox::reader::Reader;
    use crate::inbox::reader::selection::Filter;
    use crate::inbox::sqlite::open_error::OpenError;
    use crate::inbox::sqlite::{Options, SqliteInbox};
    use crate::inbox::{Inbox as _, Record, Standing};

    fn options(directory: &std::path::Path) -> Options {
        Options { min_free_bytes: 0, poll: Duration::from_millis(5), ..Options::new(directory) }
    }

    async fn append(inbox: &SqliteInbox, number: usize) {
        let body = format!(
            r#"{{"context":{{"transaction_id":"t{number}","message_id":"m"}},
            "message":{{"order":{{"id":"{number}","x":"{}"}}}}}}"#,
            "x".repeat(3_000)
        );
        let event = Box::new(OrderEvent::parse(Action::OnStatus, body).unwrap());
        let record = Record { message: None, error: None, standing: Standing::Pending };
        inbox.append(record, event).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_copy_made_under_load_is_one_moment_and_comes_back_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (home, copy) = (directory.path().join("inbox"), directory.path().join("copy.sqlite3"));
        let clock = ManualClock::new();
        let inbox = SqliteInbox::open(options(&home), Arc::<ManualClock>::clone(&clock)).unwrap();
        let acked = Arc::new(AtomicUsize::new(0));
        let load = tokio::spawn({
            let (inbox, acked) = (Arc::clone(&inbox), Arc::clone(&acked));
            async move {
                for number in 0.. {
                    append(&inbox, number).await;
                    acked.store(number + 1, Ordering::SeqCst);
                }
            }
        });
        while acked.load(Ordering::SeqCst) < 200 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let before = acked.load(Ordering::SeqCst);
        let (from, to) = (home.clone(), copy.clone());
        tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap().unwrap();
        let after = acked.load(Ordering::SeqCst) + 1;
        assert!(matches!(backup(&home, &copy), Err(Error::Exists { .. })));
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let held = restore(&copy, &home, clock.now());
        let held_by = |error: &Error| match error {
            Error::Open { source, .. } => matches!(source, OpenError::Locked { .. }),
            _ => false,
        };
        assert!(held.as_ref().is_err_and(held_by), "{held:?}");
        load.abort();
        inbox.close().await;
        let names = std::fs::read_dir(directory.path()).unwrap();
        assert_eq!(names.count(), 2, "nothing is left beside the copy");

        let again = directory.path().join("again");
        restore(&copy, &again, clock.now()).unwrap();
        assert!(matches!(restore(&copy, &again, clock.now()), Err(Error::Exists { .. })));
        let inbox = SqliteInbox::open(options(&again), Arc::<ManualClock>::clone(&clock)).unwrap();
        let kept =
            Reader::open(&again.as_path().into()).unwrap().count(&Filter::default()).unwrap();
        assert!((before as u64..=after as u64).contains(&kept), "{before} {kept} {after}");
        append(&inbox, 1_000_000).await;
        inbox.close().await;
    }

    #[test]
    fn what_is_no_inbox_is_not_brought_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("other");
        std::fs::write(&file, "no inbox").unwrap();
        let now = ManualClock::new().now();
        let home = directory.path().join("inbox");
        assert!(matches!(restore(&file, &home, now), Err(Error::Open { .. })));
        let other = rusqlite::Connection::open(directory.path().join("db")).unwrap();
        other.execute_batch("CREATE TABLE x (y)").unwrap();
        drop(other);
        let other = restore(&directory.path().join("db"), &home, now);
        assert!(matches!(other, Err(Error::Open { source: OpenError::OtherApplication, .. })));
        assert!(!home.exists());
    }
}
