//! Reads the keys that the settings name: pinned ones and our own.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::registry::{Keys, OpenError, Options};
use crate::words::{Outside, PinnedKey};

/// Why the keys of sellers cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file of keys cannot be read.
    #[error("could not read {setting}, {}", path.display())]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the file of pinned keys is none.
    #[error("{}:{line}: expected {}, found {found}", path.display(), PinnedKey::FORM)]
    Pinned {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there, cut.
        found: String,
    },
    /// A key is none, or the registry cannot be asked.
    #[error(transparent)]
    Source(#[from] OpenError),
}

/// Opens the sources of keys.
pub(crate) fn open(config: &Config) -> Result<Keys, KeysError> {
    let mut pinned = config.signature.pinned_keys.clone();
    let file = &config.signature.pinned_keys_file;
    if !file.as_os_str().is_empty() {
        pinned.extend(pinned_in(file)?);
    }
    Ok(Keys::open(Options { pinned })?)
}

/// Reads a file of pinned keys: one a line, lines that start with `#` are notes.
fn pinned_in(path: &Path) -> Result<Vec<PinnedKey>, KeysError> {
    let text = read("signature.pinned_keys_file", path)?;
    let lines = text.lines().map(str::trim).enumerate();
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    keys.map(|(number, line)| {
        PinnedKey::parse(line).ok_or_else(|| KeysError::Pinned {
            path: path.to_owned(),
            line: number + 1,
            found: format!("`{}`", Outside(line)),
        })
    })
    .collect()
}

fn read(setting: &'static str, path: &Path) -> Result<String, KeysError> {
    let wrong = |source| KeysError::Read { setting, path: path.to_owned(), source };
    std::fs::read_to_string(path).map_err(wrong)
}
