//! Asks a registry over HTTP: one POST, within a time-out, read up to a limit.
//!
//! # Constraints
//! - TLS is rustls with ring and the system's trusted certificates, passed explicitly: the
//!   process's default provider is neither used nor set.
//! - Redirects are not followed and nothing is tried twice: a lookup is one exchange, or the
//!   budget would not hold.
//! - No text that a registry sent goes into an error; neither does the URL, which may hold a token.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode, Url};

use super::record::{self, Reading};
use super::{Api, OpenError, RegistryOptions, Signer, tls, url};
use crate::words::SubscriberId;

/// How long a signature of ours is valid, in seconds.
const SIGNATURE_SECONDS: i64 = 300;

/// Why a registry could not be asked, or did not say.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no whole answer came within {0:?}")]
    TimedOut(Duration),
    #[error("the exchange failed")]
    Exchange(#[source] reqwest::Error),
    #[error("the answer is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the registry answered with status {0}")]
    Status(StatusCode),
    #[error(
        "the registry answered with status 404: is `registry.url` the whole URL of the lookup?"
    )]
    NoSuchPage,
    #[error("the registry does not accept our own signature (status {0})")]
    OurSignature(StatusCode),
    #[error("the registry wants a signature of ours (status {0}), and this API has none")]
    Unsigned(StatusCode),
    #[error("the answer could not be read")]
    Answer(#[from] record::Error),
}

/// What answers to lookups.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    api: Api,
    country: String,
    signer: Option<Signer>,
    timeout: Duration,
    response_limit: usize,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client that trusts the system's certificates.
    ///
    /// # Errors
    /// The settings do not fit together, or there are no certificates to trust.
    pub(super) fn open(options: &RegistryOptions) -> Result<Self, OpenError> {
        let url = parse(&options.url)?;
        let is_near = tls::is_loopback(url.host_str().unwrap_or_default());
        if url.scheme() == "http" && !is_near {
            tracing::warn!(
                host = url.host_str(),
                "keys are looked up over plain http: who is between can give any key for anybody's"
            );
        }
        let is_https = url.scheme() == "https";
        let tls = if is_https { tls::trusting_the_system() } else { tls::trusting_nobody() };
        let tls = tls.map_err(OpenError::Tls)?;
        Self::new(options, tls)
    }

    fn new(options: &RegistryOptions, tls: rustls::ClientConfig) -> Result<Self, OpenError> {
        let url = parse(&options.url)?;
        if let Api::OndcV2 = options.api {
            let signer = options.signer.as_ref().ok_or(OpenError::NoSigner)?;
            header(signer, b"", 0).ok_or(OpenError::SignerId)?;
            if options.country.trim().is_empty() {
                return Err(OpenError::NoCountry);
            }
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("beckn-receiver/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false);
        // A proxy that the environment names is for what is far.
        if tls::is_loopback(url.host_str().unwrap_or_default()) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|source| OpenError::Http(source.without_url()))?;
        Ok(Self {
            http,
            url,
            api: options.api,
            country: options.country.trim().to_owned(),
            signer: options.signer.clone(),
            timeout: options.timeout,
            response_limit: options.response_limit,
        })
    }

    /// Looks a subscriber up, in the spelling that is given.
    ///
    /// # Cancel safety
    /// Dropped, the registry may have been asked or not; nothing here changes.
    pub(super) async fn look_up(
        &self,
        subscriber: &str,
        now: DateTime<Utc>,
    ) -> Result<Reading, Error> {
        let exchange = self.exchange(subscriber, now);
        let (status, body) = tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(Error::TimedOut(self.timeout)))?;
        match status {
            status if status.is_success() => Ok(record::read(&body, subscriber, now)?),
            StatusCode::NOT_FOUND if record::is_word_of_registry(&body) => Ok(Reading::NotThere),
            StatusCode::NOT_FOUND => Err(Error::NoSuchPage),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(match self.api {
                Api::OndcV2 => Error::OurSignature(status),
                Api::Ondc | Api::Beckn => Error::Unsigned(status),
            }),
            status => Err(Error::Status(status)),
        }
    }

    async fn exchange(
        &self,
        subscriber: &str,
        now: DateTime<Utc>,
    ) -> Result<(StatusCode, Vec<u8>), Error> {
        let body = self.body(subscriber);
        let mut request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if let (Api::OndcV2, Some(signer)) = (self.api, &self.signer) {
            let value = header(signer, &body, now.timestamp())
                .expect("a header with this id was made when the client was opened");
            request = request.header(AUTHORIZATION, value);
        }
        let exchange = |error: reqwest::Error| Error::Exchange(error.without_url());
        let response = request.body(body).send().await.map_err(exchange)?;
        let status = response.status();
        Ok((status, self.read(response).await?))
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let exchange = |error: reqwest::Error| Error::Exchange(error.without_url());
        while let Some(chunk) = response.chunk().await.map_err(exchange)? {
            if body.len() + chunk.len() > self.response_limit {
                return Err(Error::TooLong { limit: self.response_limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Returns the request's body: the subscriber as it was written, for a registry compares texts.
    fn body(&self, subscriber: &str) -> Vec<u8> {
        let mut filter = serde_json::Map::new();
        if !self.country.is_empty() {
            filter.insert("country".to_owned(), self.country.clone().into());
        }
        filter.insert("subscriber_id".to_owned(), subscriber.into());
        serde_json::Value::Object(filter).to_string().into_bytes()
    }

    /// Returns the registry's host, for a log.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().expect("a URL without a host is refused when it is parsed")
    }

    /// Returns who signs our lookups.
    pub(super) fn signer(&self) -> Option<SubscriberId> {
        self.signer.as_ref().map(|signer| signer.id.subscriber_id().clone())
    }
}

/// Returns our signature over exactly these bytes; `None` when our id cannot stand in a header.
fn header(signer: &Signer, body: &[u8], created: i64) -> Option<HeaderValue> {
    let expires = created + SIGNATURE_SECONDS;
    let value = signer.key.authorization(&signer.id, body, created, expires);
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn parse(text: &str) -> Result<Url, OpenError> {
    url::parse(text).map_err(OpenError::Url)
}

#[cfg(test)]
mod tests;
