//! The directory: made, locked against a second process, and looked at for what cannot work.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::open_error::OpenError;
use super::schema;
use crate::words::Outside;

/// The file whose lock says that a process has the inbox.
pub(in crate::inbox) const FILE: &str = "inbox.lock";

/// The lock of the directory; dropping it lets another process in.
#[derive(Debug)]
pub(in crate::inbox) struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is just being started from this one holds
        // a copy of it until it runs its own program.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(error = %error, "the inbox's lock could not be given back at once");
        }
    }
}

/// Makes the directory and the file if they are not there, readable by the owner alone: bodies
/// hold names and addresses. Then takes the lock.
pub(super) fn prepare(directory: &Path, now: DateTime<Utc>) -> Result<DirectoryLock, OpenError> {
    let lock = prepare_directory(directory, now)?;
    open(directory, schema::FILE)?;
    warn_of_network(directory);
    Ok(lock)
}

/// The same without the file.
pub(in crate::inbox) fn prepare_directory(
    directory: &Path,
    now: DateTime<Utc>,
) -> Result<DirectoryLock, OpenError> {
    let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    take(open(directory, FILE)?, directory, now)
}

fn open(directory: &Path, name: &str) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(name))
        .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })
}

fn take(mut file: File, directory: &Path, now: DateTime<Utc>) -> Result<DirectoryLock, OpenError> {
    let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is a help only: an unreadable note does not change the error.
            let _ = file.take(512).read_to_string(&mut holder);
            let holder = Outside(holder.trim()).to_string();
            return Err(OpenError::Locked { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let note = format!(
        "process {} on {} since {}",
        std::process::id(),
        host.trim(),
        now.format("%Y-%m-%dT%H:%M:%SZ")
    );
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(note.as_bytes()))
        .map_err(unusable)?;
    Ok(DirectoryLock { file })
}

/// Warns of file systems whose locks or syncs may not do what a commit relies on.
fn warn_of_network(directory: &Path) {
    if let Some(name) = network(directory) {
        tracing::warn!(
            path = %directory.display(),
            "the inbox lies on {name}: its locks and syncs may not hold what an ACK promises"
        );
    }
}

/// Returns the network file system that a directory lies on.
pub(in crate::inbox) fn network(directory: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(directory).ok()?;
    // The type is a 32-bit magic number; its width differs between systems.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    match found.f_type as u32 {
        0x6969 => Some("NFS"),
        0x517b => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB2"),
        0x6573_5546 => Some("FUSE"),
        0x0102_1997 => Some("9P"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f => Some("AFS"),
        _ => None,
    }
}

/// Returns how many bytes the disk has left for us.
pub(in crate::inbox) fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(directory)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::{OpenError, prepare};

    #[test]
    fn a_lock_that_is_dropped_is_free_although_a_copy_of_its_file_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let now = chrono::Utc::now();
        let lock = prepare(directory.path(), now).unwrap();
        // As a process has it between its fork and its own program.
        let _copy = lock.file.try_clone().unwrap();
        assert!(matches!(prepare(directory.path(), now), Err(OpenError::Locked { .. })));
        drop(lock);
        prepare(directory.path(), now).unwrap();
    }
}
