//! What is wrong with the settings, and where.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::words::Outside;

/// The mistakes that were found in the settings, all of them, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", Lines { file, problems })]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Makes the error of at least one problem; they are put in the order of their places.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self { file: "config.toml".to_owned(), problems }
    }

    /// Names the file that the settings were read from; without it, it is called `config.toml`.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = file.into();
        self
    }

    /// Returns the mistakes: those of the file by line, then those of the environment by name.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// One mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where the mistake is written.
    pub place: Place,
    /// The dotted name of the setting; empty where there is none, as in a syntax error.
    pub setting: String,
    /// What was expected and what was found.
    pub message: String,
}

impl Problem {
    /// Makes the problem of `setting`, written at `place`.
    pub(super) fn new(
        place: Place,
        setting: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { place, setting: setting.into(), message: message.into() }
    }
}

/// Where a mistake is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// In the settings file.
    File {
        /// The line, counted from 1.
        line: usize,
    },
    /// In an environment variable.
    Environment {
        /// The variable's name.
        variable: String,
    },
    /// In the program that made the [`Config`](super::Config).
    Program,
}

/// Returns the line that a span starts in, counted from 1.
pub(super) fn line_of(text: &str, span: Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// The problems of an error, one a line and without an end of line after the last.
struct Lines<'a> {
    file: &'a str,
    problems: &'a [Problem],
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { place, setting, message }) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match place {
                Place::File { line } => write!(f, "{}:{line}: ", self.file)?,
                Place::Environment { variable } => {
                    write!(f, "environment {}: ", Outside(variable))?;
                }
                Place::Program => {}
            }
            if !setting.is_empty() {
                write!(f, "{setting}: ")?;
            }
            f.write_str(message)?;
        }
        Ok(())
    }
}

/// Where each setting that was named was written: the last place wins, like the value.
pub(super) type Places = BTreeMap<&'static str, Written>;

/// Where a setting was written, and whether it was allowed.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) place: Place,
    pub(super) is_allowed: bool,
}
