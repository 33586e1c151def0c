//! Loads settings from a file and the environment: the reading that `config` does not do itself.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError};
use crate::words::Chain;

/// Why settings could not be loaded.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("could not read the settings file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or the environment has mistakes; all of them are named.
    #[error(transparent)]
    Mistakes(#[from] ConfigError),
    /// A variable of ours holds something else than Unicode.
    #[error("expected a text in the environment variable {name}, found bytes that are none")]
    NotUnicode {
        /// The variable.
        name: String,
    },
}

impl fmt::Debug for LoadError {
    /// Writes the error and its causes as a person reads them: `main` prints what it returns so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

impl Config {
    /// Loads the settings of a file, and of the `BECKN_RECEIVER_…` variables over them.
    ///
    /// # Errors
    /// The file cannot be read, or it or the environment has mistakes; all of them are named.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, LoadError> {
        let path = path.as_ref().to_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::load_text(&text, &path.display().to_string()),
            Err(source) => Err(LoadError::Read { path, source }),
        }
    }

    /// Loads the defaults, and the `BECKN_RECEIVER_…` variables over them.
    ///
    /// # Errors
    /// The environment has mistakes; all of them are named.
    pub fn from_environment() -> Result<Config, LoadError> {
        Self::load_text("", "the defaults")
    }

    /// Loads a text that `file` names in messages, and the variables over it.
    pub(crate) fn load_text(text: &str, file: &str) -> Result<Config, LoadError> {
        let mut ours = Vec::new();
        for (name, value) in std::env::vars_os() {
            // A name that is not Unicode is none of ours: those are ASCII.
            let Ok(name) = name.into_string() else { continue };
            if name.starts_with("BECKN_RECEIVER_") {
                let Ok(value) = value.into_string() else {
                    return Err(LoadError::NotUnicode { name });
                };
                ours.push((name, value));
            }
        }
        Ok(Config::parse(text, ours).map_err(|mistakes| mistakes.in_file(file))?)
    }
}
