//! Why an inbox could not be opened, in words for whoever runs it.

use std::path::PathBuf;

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
    /// The file is of an older version, and only the receiver brings it to this one.
    #[error("the inbox has the schema {found}, older than {known}: start the receiver once")]
    OlderSchema {
        /// The file's version.
        found: usize,
        /// This program's version.
        known: usize,
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
    /// The file system cannot hold the log that a commit is one sequential write to.
    #[error(
        "the inbox's file cannot have a write-ahead log, its journal mode stays `{mode}`: put `inbox.path` on a local disk"
    )]
    NoWriteAheadLog {
        /// The journal mode that SQLite stays in.
        mode: String,
    },
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
    pub(super) fn sqlite(error: rusqlite::Error) -> Self {
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
    /// Returns an error, with its causes, as threads can share it.
    pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { text: crate::words::Chain(error).to_string() }
    }

    pub(super) fn new(error: &rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(0, |error| error.extended_code);
        Self { text: format!("{error} (SQLite code {code})") }
    }
}
