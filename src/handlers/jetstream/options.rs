//! What the handler is opened with, and what of it can be checked without a network.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use rustls::ClientConfig;

use crate::config::Content;
use crate::registry::tls::{self, TlsError};
use crate::trace::Sampling;
use crate::words::{Outside, Template};

/// How many bytes a place of the subject takes at most.
pub(super) const TOKEN_BYTES: usize = 200;

/// How long a subject may be. A server reads at most 4,096 bytes of a message's first line, where
/// the name for the answer and two numbers stand too.
const SUBJECT_BYTES: usize = 2_048;

/// How long a stream's name may be: it is the name of a folder of the server's.
const STREAM_BYTES: usize = 255;

/// What the handler is opened with. It has no `Debug`: it holds secrets.
pub(crate) struct Options {
    /// Each `nats://host:port` or `tls://host:port`; one with `tls` asks all of them for TLS. Only
    /// these are connected to: what a cluster says of further servers is passed over, for the
    /// password goes to servers that were named.
    pub(crate) servers: Vec<String>,
    /// Where events are published; its first token holds no place.
    pub(crate) subject: Template,
    /// The stream that has to store them.
    pub(crate) stream: String,
    /// Whether the stream is created when there is none.
    pub(crate) create_stream: bool,
    /// What is published of an event.
    pub(crate) content: Content,
    /// With `password`; empty: none.
    pub(crate) user: String,
    /// With `user`.
    pub(crate) password: String,
    /// Empty: none.
    pub(crate) token: String,
    /// A user's JWT and key, as `nsc` writes them. Read again for each connection.
    pub(crate) credentials_file: Option<PathBuf>,
    /// The only certificates that are trusted, in PEM; it asks for TLS.
    pub(crate) ca_file: Option<PathBuf>,
    /// How long one attempt takes at most, with connecting.
    pub(crate) ack_timeout: Duration,
    /// Which traces `traceparent` says are sampled.
    pub(crate) sampling: Sampling,
}

/// Why the handler could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("there is no NATS server to connect to")]
    NoServer,
    #[error(
        "a server's address holds a user or a password, which have settings of their own (the \
         address is not shown)"
    )]
    UserInServer,
    #[error("expected a server as nats://host:port or tls://host:port, found `{0}`")]
    Server(String),
    #[error("the subject `{subject}` cannot be published to: {reason}")]
    Subject { subject: String, reason: &'static str },
    #[error(
        "expected the name of a stream: at most 255 letters, digits and signs, without blanks and \
         . * > / \\, found `{0}`"
    )]
    Stream(String),
    #[error("set one of user and password, token, and credentials file")]
    TwoIdentities,
    #[error("a user and a password go together, and one of them is not set")]
    HalfAUser,
    #[error("the credentials file `{}` could not be used", path.display())]
    Credentials { path: PathBuf, source: std::io::Error },
    #[error("there are no TLS settings")]
    Tls(#[from] TlsError),
}

/// Options that were checked, and what was made of them.
pub(super) struct Checked {
    pub(super) options: Options,
    pub(super) servers: Vec<ServerAddr>,
    pub(super) tls: ClientConfig,
    pub(super) requires_tls: bool,
}

impl Options {
    /// Checks what can be checked without a network. Reads files.
    pub(super) fn check(self) -> Result<Checked, OpenError> {
        let servers: Vec<ServerAddr> =
            self.servers.iter().map(|server| address(server)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(OpenError::NoServer);
        }
        self.check_subject()?;
        if !is_stream_name(&self.stream) {
            return Err(OpenError::Stream(Outside(&self.stream).to_string()));
        }
        self.check_identity()?;
        let requires_tls = self.ca_file.is_some() || servers.iter().any(ServerAddr::tls_required);
        let tls = match &self.ca_file {
            Some(file) => tls::trusting(file)?,
            None if requires_tls => tls::trusting_the_system().map_err(TlsError::from)?,
            // A server may ask for TLS where we do not. A machine without certificates is no
            // reason to refuse a plain server, so what was wrong with them does not matter.
            None => tls::trusting_the_system()
                .or_else(|_none| tls::trusting_nobody())
                .map_err(TlsError::from)?,
        };
        Ok(Checked { servers, tls, requires_tls, options: self })
    }

    fn check_subject(&self) -> Result<(), OpenError> {
        let subject = self.subject.as_str();
        let wrong = |reason| Err(OpenError::Subject { subject: subject.to_owned(), reason });
        if subject.split('.').any(str::is_empty) {
            return wrong("it has an empty token: a dot at its start, at its end, or two in a row");
        }
        // Else a seller's id would say into whose subjects the event goes.
        if subject.split('.').next().is_some_and(|first| first.contains('{')) {
            return wrong("its first token has to be a fixed word, as `beckn.{action}`");
        }
        if self.subject.longest(TOKEN_BYTES) > SUBJECT_BYTES {
            return wrong("it can become longer than 2,048 bytes");
        }
        Ok(())
    }

    fn check_identity(&self) -> Result<(), OpenError> {
        let has_user = !self.user.is_empty() || !self.password.is_empty();
        if has_user && (self.user.is_empty() || self.password.is_empty()) {
            return Err(OpenError::HalfAUser);
        }
        let identities = [has_user, !self.token.is_empty(), self.credentials_file.is_some()];
        if identities.iter().filter(|is_set| **is_set).count() > 1 {
            return Err(OpenError::TwoIdentities);
        }
        let Some(path) = &self.credentials_file else { return Ok(()) };
        let unusable = |source| OpenError::Credentials { path: path.clone(), source };
        let text = std::fs::read_to_string(path).map_err(unusable)?;
        ConnectOptions::with_credentials(&text).map_err(unusable)?;
        Ok(())
    }
}

/// Reads a server's address; the text of the error never shows a password.
fn address(server: &str) -> Result<ServerAddr, OpenError> {
    if server.contains('@') {
        return Err(OpenError::UserInServer);
    }
    let wrong = || OpenError::Server(Outside(server).to_string());
    if !server.starts_with("nats://") && !server.starts_with("tls://") {
        return Err(wrong());
    }
    // What the parser says (an empty host, a bad port) is in the form that the error asks for.
    let address: ServerAddr = server.parse().map_err(|_form| wrong())?;
    let url = address.clone().into_inner();
    let is_bare =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if address.host().is_empty() || !is_bare {
        return Err(wrong());
    }
    Ok(address)
}

fn is_stream_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b".*>/\\".contains(&byte);
    (1..=STREAM_BYTES).contains(&name.len()) && name.bytes().all(fits)
}
