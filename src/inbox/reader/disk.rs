//! The disk below an inbox, and who has the inbox.

use std::io::Read as _;
use std::path::Path;

use crate::inbox::sqlite::lock;
use crate::words::Outside;

/// What is known of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// How many bytes are left for us.
    pub(crate) free_bytes: u64,
    /// The network file system that it is.
    pub(crate) network: Option<&'static str>,
}

/// Looks at the disk that a directory lies on.
pub(crate) fn look(directory: &Path) -> std::io::Result<Disk> {
    let free_bytes = lock::free_bytes(directory)?;
    Ok(Disk { free_bytes, network: lock::network(directory) })
}

/// Returns what the process that had the inbox last has noted of itself.
pub(crate) fn holder(directory: &Path) -> Option<String> {
    let mut note = String::new();
    let file = std::fs::File::open(directory.join(lock::FILE)).ok()?;
    file.take(512).read_to_string(&mut note).ok()?;
    let note = note.trim();
    (!note.is_empty()).then(|| Outside(note).to_string())
}
