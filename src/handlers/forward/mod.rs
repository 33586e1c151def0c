//! Forwards each event to an app over HTTP: one POST, signed as Standard Webhooks has it.
//!
//! # Constraints
//! - What is signed is what is sent: `{webhook-id}.{webhook-timestamp}.{body}`, with the time of
//!   this attempt, so that an app may refuse what is old. The id stays the same at each attempt of
//!   a round, so that an app can drop what it has seen.
//! - Only a status of 200 to 299 takes the event. Redirects are not followed: the target is the
//!   one that the settings name.
//! - An address is looked at after its name was resolved, see [`addresses`]. A proxy that the
//!   environment names is not used: it would resolve the name itself, past that look.
//! - Nothing of an answer but its status and `Retry-After` is used, and no text has a part of the
//!   answer, of the URL or of a secret in it.
//!
//! # When the target is down
//! Each event comes again by the dispatcher's schedule; nothing is tried twice here.
//!
//! # Layout
//! `secrets` signs, `addresses` is where never to connect to, `answer` is what an answer means.

mod addresses;
mod answer;
mod secrets;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::Utc;
use reqwest::dns::Resolve;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, Url, redirect, retry};
use tokio::sync::Semaphore;

use self::addresses::{Guarded, System, is_refused};
use self::answer::{Failure, outcome};
use self::secrets::{LOOK_EVERY, ListError, Secrets};
use super::envelope;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler};
use crate::registry::tls::{self, TlsError};
use crate::registry::url::{self, BadUrl};
use crate::trace::Sampling;

/// How long a connection is kept for the next event. Node closes idle connections after 5 seconds
/// and most servers later: a request that meets a closing one fails, and its lane waits.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// How long the rest of an answer is waited for, once its status is known: the connection can be
/// used again after it, and that is all that it is good for.
const REST_OF_ANSWER: Duration = Duration::from_secs(1);

/// How many answers may be read to their end at a time, behind the outcome; the connection of one
/// that finds no place is closed.
const RESTS: usize = 64;

/// Where and how to forward.
pub(crate) struct Options {
    /// `http` or `https`. The query may hold a token, so the URL is never shown.
    pub(crate) url: String,
    pub(crate) content: Content,
    /// `whsec_…`, newest first: each signs. Without these and a file, nothing is signed.
    pub(crate) secrets: Vec<String>,
    /// More of them, one a line; read again when it changes, looked at every 3 seconds at most.
    pub(crate) secrets_file: Option<PathBuf>,
    /// Certificates in PEM form that are trusted in the place of the system's; not looked at for
    /// `http`.
    pub(crate) ca_file: Option<PathBuf>,
    /// For name, connection and TLS together.
    pub(crate) connect_timeout: Duration,
    /// How many bytes of an answer are read so that its connection can be used again; behind a
    /// longer one it is closed.
    pub(crate) response_limit: usize,
    /// Which traces `traceparent` says are sampled.
    pub(crate) sampling: Sampling,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("content", &self.content).finish_non_exhaustive()
    }
}

/// Why a forwarder cannot be made of its options. Shows neither the URL nor a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the URL to forward to cannot be used")]
    Url(#[from] BadUrl),
    #[error("the URL to forward to names {0}, an address that is not allowed")]
    Address(IpAddr),
    #[error("the secrets that sign cannot be used")]
    Secrets(#[source] ListError),
    #[error("the file of secrets `{}` cannot be used", path.display())]
    SecretsFile { path: PathBuf, source: ListError },
    #[error("there is nothing to trust the target by")]
    Trust(#[from] TlsError),
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// Posts each event to a URL and takes a status of 200 to 299 for its word that it was taken.
///
/// 410 and 422 make the event a dead letter; at everything else it comes again, no earlier than
/// `Retry-After` says, up to `dispatch.retry_cap_ms`; other transactions do not wait for that.
pub(crate) struct Forward {
    http: Client,
    url: Url,
    content: Content,
    secrets: Secrets,
    sampling: Sampling,
    response_limit: usize,
    /// A place for each answer that is read to its end.
    rests: Arc<Semaphore>,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Forward {
    /// Makes a forwarder; connects to nothing. Reads the files of secrets and of certificates.
    ///
    /// # Errors
    /// The URL, a secret or a file cannot be used, or there are no certificates to trust.
    pub(crate) fn open(options: Options) -> Result<Self, OpenError> {
        Self::resolving(options, Arc::new(System), LOOK_EVERY)
    }

    /// Makes one that resolves names in this way and looks at the file of secrets that often.
    fn resolving(
        options: Options,
        names: Arc<dyn Resolve>,
        look_every: Duration,
    ) -> Result<Self, OpenError> {
        let url = url::parse(&options.url)?;
        // Nothing is resolved for an address, so it is looked at here.
        if let Some(address) = url.host_str().and_then(url::address)
            && is_refused(address)
        {
            return Err(OpenError::Address(address));
        }
        let http = client(&url, &options, names)?;
        let mut secrets = Secrets::of_settings(options.secrets).map_err(OpenError::Secrets)?;
        if let Some(path) = options.secrets_file {
            secrets = secrets
                .with_file(&path, look_every)
                .map_err(|source| OpenError::SecretsFile { path, source })?;
        }
        let Options { content, response_limit, sampling, .. } = options;
        let rests = Arc::new(Semaphore::new(RESTS));
        Ok(Self { http, url, content, secrets, sampling, response_limit, rests })
    }

    /// Sends the event and returns the answer's head.
    async fn post(&self, event: &OrderEvent) -> Result<Response, Failure> {
        self.secrets.refresh().await;
        let (id, timestamp) = (event.delivery_id(), Utc::now().timestamp());
        let body = envelope::body(event, self.content);
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp);
        for (name, value) in envelope::headers(event, self.sampling) {
            request = request.header(name, value);
        }
        if let Some(signatures) = self.secrets.signatures(&id, timestamp, &body) {
            let mut value = HeaderValue::try_from(signatures).expect("base64 is ASCII");
            value.set_sensitive(true);
            request = request.header("webhook-signature", value);
        }
        Ok(request.body(body).send().await?)
    }

    /// Reads what is left of an answer, within bounds of size and time, and throws it away. A task
    /// does it: what is known of the event may not wait for it, nor be lost with a time-out.
    fn finish(&self, mut response: Response) {
        // Without a place the answer is dropped, which closes its connection.
        let Ok(place) = Arc::clone(&self.rests).try_acquire_owned() else { return };
        let mut left = self.response_limit;
        let rest = async move {
            // An error closes the connection, and the answer's status has been said already.
            while let Ok(Some(chunk)) = response.chunk().await {
                let Some(less) = left.checked_sub(chunk.len()) else { return };
                left = less;
            }
        };
        tokio::spawn(async move {
            // Too long or too slow: dropping the answer closes its connection.
            let _ = tokio::time::timeout(REST_OF_ANSWER, rest).await;
            drop(place);
        });
    }
}

impl OrderEventHandler for Forward {
    /// Posts the event.
    ///
    /// # Cancel safety
    /// Dropped, the target may have taken the event or not; it comes again under the same id.
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        let response = self.post(event).await.map_err(HandlerError::unreached)?;
        let outcome = outcome(response.status(), response.headers(), SystemTime::now());
        self.finish(response);
        outcome
    }
}

fn client(url: &Url, options: &Options, names: Arc<dyn Resolve>) -> Result<Client, OpenError> {
    let tls = match (url.scheme(), &options.ca_file) {
        ("https", Some(file)) => tls::trusting(file)?,
        ("https", None) => tls::trusting_the_system().map_err(TlsError::from)?,
        _ => tls::trusting_nobody().map_err(TlsError::from)?,
    };
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("beckn-receiver/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(Guarded(names))
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .build()
        .map_err(|source| OpenError::Http(source.without_url()))
}
