//! Why an event was not published.

use std::fmt;
use std::time::Duration;

/// Why an event was not published. Cloned for all who wait for one connection.
///
/// Text of a server's is in it cut and escaped. The client's errors repeat their causes in their
/// own text, so they are kept as text.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Error {
    #[error("not connected to NATS: {servers}: {cause}")]
    NotConnected { servers: String, cause: String },
    #[error(
        "not connected to NATS: {servers} does not let us in: check user and password, token or \
         credentials file"
    )]
    Unauthorized { servers: String },
    #[error("not connected to NATS: a connection did not come about within {0:?}")]
    Busy(Duration),
    #[error("the connection to NATS broke before the answer came: whether it is stored is unknown")]
    Lost,
    #[error("NATS did not answer on `{subject}` within {within:?}{}", Said(said.as_deref()))]
    Unanswered { subject: String, within: Duration, said: Option<String> },
    #[error("the request on `{subject}` could not be sent: {cause}")]
    Unsent { subject: String, cause: String },
    #[error(
        "no stream listens on `{subject}`: give the stream a subject that covers it, and look \
         whether it has a leader"
    )]
    NoResponders { subject: String },
    #[error(
        "NATS has no JetStream for us: enable it on the server (`jetstream {{}}`) and for the account"
    )]
    NoJetStream,
    #[error("what answers on `{subject}` is no stream of JetStream's: its answer cannot be read")]
    Unreadable { subject: String },
    #[error("expected stream `{expected}` to store the event, found that `{found}` did")]
    OtherStream { expected: String, found: String },
    #[error("NATS refused {what}: {said}")]
    Refused { what: String, said: String },
    #[error(
        "there is no stream `{0}`: create it (`nats stream add`), or let the receiver do it by the \
         setting for that"
    )]
    NoStream(String),
    #[error("stream `{stream}` is not fit for events that must not be lost: {}", All(wrongs))]
    Unfit { stream: String, wrongs: Vec<Wrong> },
    #[error(
        "the event is too large for NATS: expected at most {limit} bytes ({whose}), found {found} \
         with its headers; make the limit larger and replay it"
    )]
    TooLarge { limit: usize, whose: String, found: usize },
}

impl Error {
    /// Returns whether no further attempt can succeed.
    pub(super) fn is_permanent(&self) -> bool {
        matches!(self, Error::TooLarge { .. })
    }

    /// Returns whether the stream may be another than it was when it was looked at.
    pub(super) fn is_about_the_stream(&self) -> bool {
        match self {
            Error::NoResponders { .. }
            | Error::OtherStream { .. }
            | Error::Refused { .. }
            | Error::Unfit { .. }
            | Error::TooLarge { .. }
            | Error::Unreadable { .. } => true,
            Error::NotConnected { .. }
            | Error::Unauthorized { .. }
            | Error::Busy(_)
            | Error::Lost
            | Error::Unanswered { .. }
            | Error::Unsent { .. }
            | Error::NoJetStream
            | Error::NoStream(_) => false,
        }
    }
}

/// A setting of a stream that an event could be lost by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) setting: &'static str,
    pub(super) expected: String,
    pub(super) found: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, expected, found } = self;
        write!(f, "{setting}: expected {expected}, found {found}")
    }
}

struct All<'a>(&'a [Wrong]);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, wrong) in self.0.iter().enumerate() {
            write!(f, "{}{wrong}", if position > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

struct Said<'a>(Option<&'a str>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |said| write!(f, "; meanwhile the server said: {said}"))
    }
}
