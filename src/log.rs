//! Starts the log that the settings describe, for a process that has none of its own.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, LogFormat};
use crate::words::nearest::nearest;

/// The client of the `jetstream` handler, which logs each connection and what ends it, as ours does.
const CLIENT: &str = "async_nats";

/// Why a log was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// `log.level` is no filter.
    #[error("log.level: expected a level or a filter as `info,beckn_receiver=debug`, {found}")]
    Level {
        /// What was found.
        found: String,
    },
    /// The process has a log already.
    #[error("the process has a log already")]
    Taken,
}

/// Starts a log on standard error, as `[log]` of the settings says.
///
/// The receiver logs by `tracing`, and so does the client of the `jetstream` handler, which is left
/// out unless `log.level` names it: `async_nats`. A program that has no subscriber hears nothing of retries and
/// dead letters unless it calls this; one that has its own needs it not.
///
/// # Errors
/// `log.level` is no filter, or the process has a log already.
pub fn start_log(config: &Config) -> Result<(), LogError> {
    let filter = filter(&config.log.level)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|_taken| LogError::Taken)
}

fn filter(text: &str) -> Result<EnvFilter, LogError> {
    // A lone word is a level: as the name of a module, which it may also be, it would silence
    // everything else.
    let is_word = text.chars().all(char::is_alphanumeric);
    if is_word && text.parse::<LevelFilter>().is_err() {
        let known = ["off", "error", "warn", "info", "debug", "trace"];
        let nearest = nearest(text, known).unwrap_or_default();
        let found = format!("found a word that is no level, the nearest is {nearest}");
        return Err(LogError::Level { found });
    }
    let filter = EnvFilter::builder()
        .parse(text)
        .map_err(|error| LogError::Level { found: format!("found another text: {error}") })?;
    if text.contains(CLIENT) {
        return Ok(filter);
    }
    Ok(filter.add_directive(format!("{CLIENT}=off").parse().expect("it is a directive")))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_level_that_is_none_is_told_and_not_taken_for_a_module() {
        let check = |text: &str, is_filter: bool| {
            assert_eq!(filter(text).is_ok(), is_filter, "{text}");
        };
        check("info", true);
        check("WARN", true);
        check("info,beckn_receiver=debug", true);
        check("loud", false);
        check("info,,foo=bar=baz", false);
        assert!(filter("inof").unwrap_err().to_string().contains("the nearest is info"));
    }

    #[test]
    fn a_client_says_nothing_unless_it_is_named() {
        let check = |text: &str, expected: &str| {
            let filter = filter(text).unwrap().to_string();
            assert!(filter.split(',').any(|directive| directive == expected), "{text}: {filter}");
        };
        check("info", "async_nats=off");
        check("debug,beckn_receiver=trace", "async_nats=off");
        check("info,async_nats=debug", "async_nats=debug");
    }
}
