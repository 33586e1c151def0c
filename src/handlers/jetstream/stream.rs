//! The stream that has to store the events: found or created, and looked at before it is trusted.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use bytes::Bytes;
use tokio::time::Instant;

use super::error::{Error, Wrong};
use super::link::Link;
use super::options::Options;
use crate::words::{Outside, Template};

/// How long a stream that we create drops repeated ids: as long as an event is tried again by
/// default. NATS keeps every id of that time in memory.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_hours(24);

/// What is known of the stream.
#[derive(Debug)]
pub(super) struct Stream {
    name: String,
    subjects: Vec<String>,
    /// `None`: as large as the server takes.
    pub(super) max_message_bytes: Option<usize>,
    pub(super) warnings: Vec<Warning>,
}

/// What a stream does that its owner should know, and may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    ShortWindow(Duration),
    DropsOldest,
    NeedsConsumer,
}

impl Warning {
    /// Returns whether both are of one kind.
    pub(super) fn is_like(self, other: Warning) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Returns what it means.
    pub(super) fn text(self) -> String {
        match self {
            Warning::ShortWindow(window) => format!(
                "the stream drops repeated ids for {window:?}, and an event may be tried again for \
                 {DUPLICATE_WINDOW:?}: one that comes later is stored twice under one id, which \
                 consumers have to drop (duplicate_window)"
            ),
            Warning::DropsOldest => "the stream drops its oldest messages when it is full, read \
                or not; with `discard: new` the receiver keeps the events until there is room"
                .to_owned(),
            Warning::NeedsConsumer => "the stream keeps only what a consumer waits for: an event \
                that comes while there is none is gone (retention: interest)"
                .to_owned(),
        }
    }
}

impl Stream {
    /// Looks the stream up, creates it when it may, and checks it.
    ///
    /// # Errors
    /// It is not there, cannot be looked at, or an event could be lost by its settings.
    ///
    /// # Cancel safety
    /// Dropped, the stream may have been created or not.
    pub(super) async fn find(
        link: &Link,
        options: &Options,
        until: Instant,
    ) -> Result<Self, Error> {
        let name = &options.stream;
        let info: Info = match api(link, "INFO", name, Bytes::new(), until).await? {
            Response::Ok(info) => info,
            Response::Err { error } if error.error_code() != ErrorCode::STREAM_NOT_FOUND => {
                return Err(refused(&format!("to show stream `{name}`"), &error));
            }
            Response::Err { .. } if !options.create_stream => {
                return Err(Error::NoStream(name.clone()));
            }
            Response::Err { .. } => create(link, name, &options.subject, until).await?,
        };
        check(info.config)
    }

    /// Returns whether what is published there is stored in it.
    ///
    /// # Errors
    /// None of its subjects matches.
    pub(super) fn check_takes(&self, subject: &str) -> Result<(), Error> {
        if self.subjects.iter().any(|pattern| covers(pattern, subject)) {
            return Ok(());
        }
        let found = self.subjects.join("`, `");
        Err(Error::Unfit {
            stream: self.name.clone(),
            wrongs: vec![Wrong {
                setting: "subjects",
                expected: format!("one that covers `{subject}`"),
                found: format!("`{}`", Outside(&found)),
            }],
        })
    }
}

async fn create(
    link: &Link,
    name: &str,
    subject: &Template,
    until: Instant,
) -> Result<Info, Error> {
    let config = settings(name, subject);
    let body = serde_json::to_vec(&config).expect("a stream's settings can be written as JSON");
    match api(link, "CREATE", name, Bytes::from(body), until).await? {
        Response::Ok(info) => {
            tracing::info!(stream = name, subjects = ?config.subjects, "created a NATS stream");
            Ok(info)
        }
        Response::Err { error } => Err(refused(&format!("to create stream `{name}`"), &error)),
    }
}

/// Returns the settings of a stream that we create: kept in files, without a limit. Whoever gives
/// it a limit later loses nothing by that: when it is full the receiver keeps the events.
pub(super) fn settings(name: &str, subject: &Template) -> Config {
    Config {
        name: name.to_owned(),
        description: Some("Beckn callbacks, published by beckn-receiver".to_owned()),
        subjects: vec![pattern(subject)],
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: 1,
        ..Config::default()
    }
}

/// Returns the subject with a wildcard for every token that an event fills.
pub(super) fn pattern(subject: &Template) -> String {
    let token = |token: &str| if token.contains('{') { "*" } else { token }.to_owned();
    subject.as_str().split('.').map(token).collect::<Vec<_>>().join(".")
}

/// Returns whether a stream's subject takes in another one, token by token.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut patterns, mut tokens) = (pattern.split('.'), subject.split('.'));
    loop {
        match (patterns.next(), tokens.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some(pattern), Some(token)) if pattern == "*" || pattern == token => {}
            _ => return false,
        }
    }
}

/// Takes a stream that cannot lose what it acknowledged by its own settings.
pub(super) fn check(config: Config) -> Result<Stream, Error> {
    let wrongs = wrongs(&config);
    if !wrongs.is_empty() {
        return Err(Error::Unfit { stream: config.name, wrongs });
    }
    Ok(Stream {
        warnings: warnings(&config),
        max_message_bytes: usize::try_from(config.max_message_size).ok().filter(|max| *max > 0),
        name: config.name,
        subjects: config.subjects,
    })
}

fn wrongs(config: &Config) -> Vec<Wrong> {
    let mut wrongs = Vec::new();
    let mut must = |is_right: bool, setting, expected: &str, found: &str| {
        if !is_right {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            wrongs.push(Wrong { setting, expected, found });
        }
    };
    must(
        config.storage == StorageType::File,
        "storage",
        "file",
        "memory, which a restart of the server empties",
    );
    must(!config.no_ack, "no_ack", "false", "true: nothing would say that an event is stored");
    must(!config.sealed, "sealed", "false", "true: it takes no more messages, for good");
    must(config.mirror.is_none(), "mirror", "none", "one: a mirror takes no messages of its own");
    must(
        config.persist_mode != Some(PersistenceMode::Async),
        "persist_mode",
        "default",
        "async: it acknowledges what it has not written",
    );
    wrongs
}

fn warnings(config: &Config) -> Vec<Warning> {
    let has_limit =
        config.max_messages > 0 || config.max_bytes > 0 || config.max_messages_per_subject > 0;
    let mut warnings = Vec::new();
    if config.duplicate_window < DUPLICATE_WINDOW {
        warnings.push(Warning::ShortWindow(config.duplicate_window));
    }
    if config.discard == DiscardPolicy::Old && has_limit {
        warnings.push(Warning::DropsOldest);
    }
    if config.retention == RetentionPolicy::Interest {
        warnings.push(Warning::NeedsConsumer);
    }
    warnings
}

async fn api(
    link: &Link,
    verb: &str,
    stream: &str,
    body: Bytes,
    until: Instant,
) -> Result<Response<Info>, Error> {
    let subject = format!("$JS.API.STREAM.{verb}.{stream}");
    match link.ask(&subject, HeaderMap::new(), body, until).await {
        Err(Error::NoResponders { .. }) => Err(Error::NoJetStream),
        answer => answer,
    }
}

/// Says what the server said, and its number for it.
pub(super) fn refused(what: &str, error: &async_nats::jetstream::Error) -> Error {
    Error::Refused { what: what.to_owned(), said: Outside(&error.to_string()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::{covers, pattern};
    use crate::words::Template;

    #[test]
    fn a_place_is_a_wildcard() {
        let of = |text| pattern(&Template::parse(text).unwrap());
        assert_eq!(of("beckn.{action}.{bpp_id}"), "beckn.*.*");
        assert_eq!(of("beckn.x-{action}.all"), "beckn.*.all");
        assert_eq!(of("beckn.orders"), "beckn.orders");
    }

    #[test]
    fn a_subject_is_covered_token_by_token() {
        for (pattern, subject, expected) in [
            ("beckn.*.*", "beckn.on_status.a%2Eb", true),
            ("beckn.>", "beckn.on_status.a", true),
            (">", "beckn", true),
            ("beckn.>", "beckn", false),
            ("beckn.*", "beckn.on_status.a", false),
            ("beckn.*.*.x", "beckn.on_status.a", false),
            ("beckn.on_track.*", "beckn.on_status.a", false),
        ] {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
