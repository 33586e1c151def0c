//! Asks a running receiver by its API.
//!
//! # Constraints
//! - An answer is read up to a limit and within a time.
//! - The token goes nowhere but into its header; redirects, which could carry it elsewhere, are not
//!   followed. It is not shown, nor is the URL's query.
//! - What the API says of a mistake is told as it says it, escaped.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::Failure;
use crate::registry::{tls, url};
use crate::words::{Chain, Message};

/// How long an answer may take: a look of the API ends within less.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a change may take: a replay of a million events is one.
const LONG_PATIENCE: Duration = Duration::from_mins(10);

/// The longest answer that is read: one body, or a page of 500 events.
const ANSWER_BYTES: usize = 64 << 20;

/// The names and values of a query.
pub(in crate::cli) type Query = Vec<(&'static str, String)>;

/// A receiver that is asked over HTTP.
pub(in crate::cli) struct Client {
    http: reqwest::Client,
    base: Url,
    runtime: tokio::runtime::Runtime,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

/// An answer that is an error, as the API writes it.
#[derive(Debug, Deserialize)]
struct Told {
    error: Problem,
}

#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    message: String,
    parameter: Option<String>,
}

impl Client {
    /// Makes a client for the operations listener at `base`.
    ///
    /// # Errors
    /// The URL or the token cannot be used, or there are no certificates to trust.
    pub(super) fn open(base: &str, token: Option<&str>) -> Result<Self, Failure> {
        let base = url::parse(base).map_err(|error| format!("--url: {error}"))?;
        let host = base.host_str().unwrap_or_default();
        let is_near = tls::is_loopback(host);
        let is_https = base.scheme() == "https";
        if token.is_some() && !is_https && !is_near {
            eprintln!("the token goes over plain http: who is between can read and use it");
        }
        let trust = if is_https { tls::trusting_the_system() } else { tls::trusting_nobody() };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(trust?)
            .user_agent(concat!("beckn-receiver/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .referer(false);
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_would_show_it| "the token cannot stand in a header")?;
            value.set_sensitive(true);
            builder = builder.default_headers([(AUTHORIZATION, value)].into_iter().collect());
        }
        if is_near {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(reqwest::Error::without_url)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { http, base, runtime })
    }

    /// Runs what waits for the receiver.
    pub(in crate::cli) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Reads a view; `None` when the receiver says that there is no such thing.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &Query,
    ) -> Result<Option<T>, Failure> {
        self.block_on(async {
            let Some(bytes) = self.exchange(Method::GET, path, query, None).await? else {
                return Ok(None);
            };
            self.view(&bytes).map(Some)
        })
    }

    /// Reads bytes as they are.
    pub(super) fn get_bytes(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Failure> {
        self.block_on(self.exchange(Method::GET, path, &Query::new(), None))
    }

    /// Asks for a change.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Result<Option<T>, Failure> {
        self.block_on(async {
            let body = Some(body.to_string());
            match self.exchange(Method::POST, path, &Query::new(), body).await? {
                Some(bytes) => self.view(&bytes).map(Some),
                None => Ok(None),
            }
        })
    }

    /// Opens a stream; it has no end, and so no time-out.
    pub(in crate::cli) async fn stream(
        &self,
        path: &[&str],
        query: &Query,
        last_id: Option<&str>,
    ) -> Result<Response, StreamFailure> {
        let mut request =
            self.http.get(self.url(path, query)).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let sent = tokio::time::timeout(PATIENCE, request.send()).await;
        let response = sent
            .map_err(|_elapsed| StreamFailure::Cut("no answer came".to_owned()))?
            .map_err(|error| StreamFailure::Cut(Chain(&error.without_url()).to_string()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        // What the client did wrong does not mend itself; a receiver that restarts does.
        let told = self.told(status, &read(response).await.unwrap_or_default());
        let is_ours = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        Err(if is_ours {
            StreamFailure::Refused(told)
        } else {
            StreamFailure::Cut(told.to_string())
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &[&str],
        query: &Query,
        body: Option<String>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let patience = if body.is_some() { LONG_PATIENCE } else { PATIENCE };
        let mut request = self.http.request(method, self.url(path, query));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let exchange = async {
            let response = request.send().await.map_err(|error| self.unreached(error))?;
            let status = response.status();
            Ok::<_, Failure>((status, read(response).await?))
        };
        let (status, bytes) = tokio::time::timeout(patience, exchange)
            .await
            .map_err(|_elapsed| format!("no answer from {} in {patience:?}", self.host()))??;
        if status.is_success() {
            return Ok(Some(bytes));
        }
        // A receiver says that it has no such thing in an error of its own; a server that knows
        // nothing of this API does not.
        let is_told = serde_json::from_slice::<Told>(&bytes).is_ok();
        if status == StatusCode::NOT_FOUND && is_told {
            return Ok(None);
        }
        Err(self.told(status, &bytes))
    }

    fn view<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Failure> {
        // The error may quote what was read.
        serde_json::from_slice(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let host = self.host();
            format!("{host} answered with something else than expected, at line {line} column {column}: is it a receiver of this version?").into()
        })
    }

    fn unreached(&self, error: reqwest::Error) -> Failure {
        format!("no receiver at {} (--url): {}", self.host(), Chain(&error.without_url())).into()
    }

    /// Says what the API says.
    fn told(&self, status: StatusCode, bytes: &[u8]) -> Failure {
        let host = self.host();
        let hint = match status {
            StatusCode::UNAUTHORIZED => ": --token-file names the file of a token that it knows",
            _ => "",
        };
        let Ok(Told { error: Problem { code, message, parameter } }) =
            serde_json::from_slice(bytes)
        else {
            return format!("{host} answered with status {}{hint}", status.as_u16()).into();
        };
        let parameter = parameter.map(|name| format!(" ({})", Message(&name))).unwrap_or_default();
        let (code, message) = (Message(&code), Message(&message));
        format!("{host} answered {} {code}: {message}{parameter}{hint}", status.as_u16()).into()
    }

    fn host(&self) -> String {
        let port = self.base.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.base.host_str().unwrap_or_default())
    }

    fn url(&self, path: &[&str], query: &Query) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        if let Ok(mut segments) = url.path_segments_mut() {
            // Each is escaped: an id may hold a slash.
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// Why a stream did not open, or ended.
#[derive(Debug)]
pub(in crate::cli) enum StreamFailure {
    /// Trying again does not help.
    Refused(Failure),
    /// It may be there again soon.
    Cut(String),
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES {
            return Err(format!("the answer is longer than {ANSWER_BYTES} bytes").into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
