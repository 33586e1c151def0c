//! The HTTP client of the exporter: ours, with our TLS.

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use reqwest::redirect;
use tokio::runtime::{Builder, Runtime};

use super::{OpenError, Options};
use crate::priority;
use crate::registry::tls::{self, TlsError};
use crate::registry::url;

/// The longest answer that is read: a collector says which spans it did not take, in a few words.
const RESPONSE_BYTES: usize = 64 * 1024;

/// Posts what the exporter has encoded.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Driven by the exporter's own thread, which has no runtime.
    runtime: Runtime,
}

impl Client {
    /// Makes the client; connects to nothing.
    pub(super) fn open(options: &Options) -> Result<Self, OpenError> {
        let url = url::parse(&options.endpoint)?;
        let tls = match (url.scheme(), &options.ca_file) {
            ("https", Some(file)) => tls::trusting(file)?,
            ("https", None) => tls::trusting_the_system().map_err(TlsError::from)?,
            _ => tls::trusting_nobody().map_err(TlsError::from)?,
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("beckn-receiver/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(options.timeout)
            .build()
            .map_err(|source| OpenError::Http(source.without_url()))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self { http, runtime: runtime.map_err(OpenError::Thread)? })
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let mut answer = self.http.execute(request).await.map_err(reqwest::Error::without_url)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > RESPONSE_BYTES {
                return Err("the collector's answer is too long".into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(body.into())?)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // It is the exporter's own thread, which encodes all that follows, too.
        priority::yield_to_others();
        self.runtime.block_on(self.post(request))
    }
}
