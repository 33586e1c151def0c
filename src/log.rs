//! Starts the log that the settings describe, for a process that has none of its own.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{Config, LogFormat};
#[cfg(feature = "otlp")]
use crate::otlp::Spans;
#[cfg(feature = "otlp")]
use crate::trace::TARGET;
#[cfg(feature = "otlp")]
use crate::words::Chain;
use crate::words::nearest::nearest;
#[cfg(feature = "otlp")]
use tracing_subscriber::filter::Targets;

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
    /// The spans cannot be exported as `[trace]` says.
    #[error("spans cannot be exported: {why}")]
    Export {
        /// Why; without the endpoint.
        why: String,
    },
}

/// Starts a log on standard error, as `[log]` of the settings says, and with the feature `otlp` the
/// export of spans that `[trace]` describes.
///
/// The receiver logs by `tracing`, and so does the client of the `jetstream` handler, which is left
/// out unless `log.level` names it: `async_nats`. A program that has no subscriber hears nothing of retries and
/// dead letters unless it calls this; one that has its own needs it not.
///
/// # Errors
/// `log.level` is no filter, the process has a log already, or spans cannot be exported.
pub fn start_log(config: &Config) -> Result<(), LogError> {
    let filter = filter(&config.log.level)?;
    // Each has a filter of its own: what is exported is not what is logged.
    let log = lines(config.log.format).with_filter(filter);
    let log = Registry::default().with(log).with(exporter(config)?);
    log.try_init().map_err(|_taken| LogError::Taken)
}

/// Returns what writes the log.
fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

/// Returns what exports our spans, if the settings say so.
#[cfg(feature = "otlp")]
fn exporter<S>(config: &Config) -> Result<Option<impl Layer<S> + Send + Sync + use<S>>, LogError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let spans = Spans::open(&config.trace)
        .map_err(|error| LogError::Export { why: Chain(&error).to_string() })?;
    let ours = Targets::new().with_target(TARGET, LevelFilter::DEBUG);
    Ok(spans.map(|spans| spans.with_filter(ours)))
}

/// Without the feature nothing exports them; a receiver that should does not start.
#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
fn exporter(_config: &Config) -> Result<Option<tracing_subscriber::layer::Identity>, LogError> {
    Ok(None)
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
