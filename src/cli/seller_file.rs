//! `seller.json`: who the seller app of a local try-out is, and where its receiver listens.
//!
//! It holds a private key: only its owner may read it, and neither an error nor `Debug` shows it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The directory that `dev` keeps it in unless it is told otherwise.
pub(super) const DIRECTORY: &str = "beckn-dev";

/// The file's name in its directory.
const NAME: &str = "seller.json";

/// The longest file that is read; a real one has about 200 bytes.
const LONGEST: u64 = 16 * 1024;

/// What a seller app needs to post to a receiver of ours.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct SellerFile {
    /// The receiver's base URL, as in `http://127.0.0.1:8080`.
    pub(super) receiver: String,
    /// Whose key it is: `subscriber id|unique key id`.
    pub(super) key_id: String,
    /// The private key, in base64.
    pub(super) private_key: String,
    /// The buyer app that the callbacks are for.
    pub(super) bap_id: String,
}

/// Why there is no seller file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SellerFileError {
    /// It could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// It is not what we write. Says where, and never what was found: that may be the key.
    #[error("expected {} to be one JSON object of texts, found something else at line {line}, column {column}", path.display())]
    Json { path: PathBuf, line: usize, column: usize },
    /// It has no such text.
    #[error("expected `{field}` in {}, found none", path.display())]
    Missing { path: PathBuf, field: &'static str },
    /// It is too long to be one.
    #[error("expected {} to have at most {LONGEST} bytes", path.display())]
    TooLong { path: PathBuf },
}

/// The file as it may have been edited by hand.
#[derive(Deserialize)]
struct Written {
    receiver: Option<String>,
    key_id: Option<String>,
    private_key: Option<String>,
    bap_id: Option<String>,
}

impl SellerFile {
    /// Returns where it lies in this directory.
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Reads it from a directory; `None` when there is none.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, SellerFileError> {
        let path = Self::path(directory);
        let failed = |source| SellerFileError::Io { doing: "read", path: path.clone(), source };
        let mut text = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(LONGEST + 1).read_to_end(&mut text).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if text.len() as u64 > LONGEST {
            return Err(SellerFileError::TooLong { path });
        }
        // The parser's own text may quote what it found.
        let written: Written = serde_json::from_slice(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            SellerFileError::Json { path: path.clone(), line, column }
        })?;
        let need = |field, value: Option<String>| {
            value.ok_or_else(|| SellerFileError::Missing { path: path.clone(), field })
        };
        Ok(Some(Self {
            receiver: need("receiver", written.receiver)?,
            key_id: need("key_id", written.key_id)?,
            private_key: need("private_key", written.private_key)?,
            bap_id: need("bap_id", written.bap_id)?,
        }))
    }

    /// Writes it to a directory, which is made when it is missing; replaces the one that is there.
    ///
    /// A reader beside it sees the old file or the new one.
    pub(super) fn write(&self, directory: &Path) -> Result<(), SellerFileError> {
        let path = Self::path(directory);
        let beside = directory.join(format!(".{NAME}.{}", std::process::id()));
        let written = fs::create_dir_all(directory)
            .and_then(|()| self.write_new(&beside))
            .and_then(|()| fs::rename(&beside, &path));
        written.map_err(|source| {
            // What is left of it holds the key; that it is not there is as good.
            let _ = fs::remove_file(&beside);
            SellerFileError::Io { doing: "write", path, source }
        })
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        // Left by a process of our number that was killed; `create_new` sets the mode for sure.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

impl fmt::Debug for SellerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SellerFile")
            .field("receiver", &self.receiver)
            .field("key_id", &self.key_id)
            .field("bap_id", &self.bap_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{SellerFile, fs};
    use crate::words::Chain;

    fn sample() -> SellerFile {
        SellerFile {
            receiver: "http://127.0.0.1:8080".to_owned(),
            key_id: "mock-bpp.local|key-1".to_owned(),
            private_key: "a secret".to_owned(),
            bap_id: "buyer.local".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("new");
        for receiver in ["http://127.0.0.1:1", "http://127.0.0.1:2"] {
            let file = SellerFile { receiver: receiver.to_owned(), ..sample() };
            file.write(&inner).unwrap();
            assert_eq!(SellerFile::read(&inner).unwrap(), Some(file));
        }
        let names: Vec<_> = fs::read_dir(&inner).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(names[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_without_one_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(SellerFile::read(directory.path()).unwrap(), None);
        assert_eq!(SellerFile::read(&directory.path().join("nothing")).unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_told_without_what_was_found() {
        let directory = tempfile::tempdir().unwrap();
        let check = |text: &str, expected: &str| {
            fs::write(SellerFile::path(directory.path()), text).unwrap();
            let error = SellerFile::read(directory.path()).unwrap_err();
            let told = format!("{} {error:?}", Chain(&error));
            assert!(told.contains(expected) && !told.contains("secret"), "{told}");
        };
        check("\"secret\"", "line 1");
        check("{\n\"private_key\": {\"secret\": 1}}", "line 2");
        check("{\"private_key\": \"secret\"}", "`receiver`");
        check(&format!("{{\"secret\": \"{}\"}}", "x".repeat(20_000)), "at most");
    }

    #[test]
    fn the_private_key_is_not_shown() {
        assert!(!format!("{:?}", sample()).contains("secret"));
    }
}
