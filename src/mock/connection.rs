//! HTTP/1.1 to a receiver: posts a callback, reads the answer.
//!
//! Constraints: each post with its answer, and a connection if it opens one, has a time-out; an
//! answer is read up to a limit; redirects are answers. A connection that the receiver closed
//! between two posts is opened anew; a post that failed is not repeated, since that would be a
//! retry nobody asked for.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use chrono::Utc;
use reqwest::redirect;
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::signer::Signer;
use super::target::Target;
use super::{Cause, Error};
use crate::beckn::action::Action;
use crate::registry::tls;
use crate::words::Outside;

/// How much of an answer is read; a longer one is an error.
pub const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// The word in `message.ack.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Acknowledgement {
    /// The callback was accepted.
    Ack,
    /// The callback was refused.
    Nack,
}

/// The `error` of a NACK, as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NackError {
    /// The kind, as in `CONTEXT-ERROR`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code, as in `20006`.
    pub code: String,
    /// The place in the body that it is about.
    pub path: String,
    /// What was expected, and what was found.
    pub message: String,
}

/// What the receiver answered to one callback.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// ACK or NACK; `None` when the body is no acknowledgement.
    pub acknowledgement: Option<Acknowledgement>,
    /// Why it was refused.
    pub error: Option<NackError>,
    /// The body as received.
    pub body: Bytes,
    /// From the start of sending, with connecting where it was needed, to the end of the answer.
    pub latency: Duration,
}

impl Answer {
    fn new(status: u16, body: Bytes, latency: Duration) -> Answer {
        // What is no acknowledgement is still an answer: the caller sees the status and the body.
        let envelope: Envelope = serde_json::from_slice(&body).unwrap_or_default();
        let acknowledgement = envelope.message.and_then(|message| Some(message.ack?.status));
        Answer { status, acknowledgement, error: envelope.error, body, latency }
    }

    /// Returns whether the callback was accepted: a success that says ACK.
    pub fn is_ack(&self) -> bool {
        (200..300).contains(&self.status) && self.acknowledgement == Some(Acknowledgement::Ack)
    }
}

#[derive(Debug, Default, Deserialize)]
struct Envelope {
    message: Option<Message>,
    error: Option<NackError>,
}

#[derive(Debug, Deserialize)]
struct Message {
    ack: Option<Ack>,
}

#[derive(Debug, Deserialize)]
struct Ack {
    status: Acknowledgement,
}

/// A callback with its signature, as it goes over the wire.
#[derive(Clone)]
pub struct Request {
    /// Where it is posted.
    pub action: Action,
    /// The `Authorization` header; `None` when it is not signed.
    pub authorization: Option<String>,
    /// What is posted.
    pub body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither a signature nor a body belongs in a log.
        f.debug_struct("Request")
            .field("action", &self.action)
            .field("signed", &self.authorization.is_some())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What is kept between posts: connections that the receiver left open, and who signs.
///
/// Posts one after another share one connection; posts at the same time open more. A clone shares
/// them.
#[derive(Debug, Clone)]
pub struct Connection {
    client: reqwest::Client,
    target: Target,
    timeout: Duration,
    signer: Option<Signer>,
}

impl Connection {
    pub(super) async fn open(
        target: Target,
        timeout: Duration,
        signer: Option<Signer>,
    ) -> Result<Connection, Error> {
        let doing = || format!("prepare to connect to {}", Outside(&target.host));
        let tls = if target.encrypted {
            // Reads the system's certificates.
            let settings = tokio::task::spawn_blocking(tls::trusting_the_system).await;
            settings.expect("reading certificates does not panic")
        } else {
            tls::trusting_nobody()
        };
        let tls = tls.map_err(|source| Error::new(doing(), source))?;
        let client = client(&target, timeout, tls);
        let client = client.map_err(|source| Error::new(doing(), source))?;
        Ok(Connection { client, target, timeout, signer })
    }

    /// Posts one callback, signed now if there is a signer, and reads the answer.
    ///
    /// # Errors
    /// When there is no complete answer within the time-out. A NACK is an answer.
    ///
    /// # Cancel safety
    /// Dropped, the callback may have reached the receiver or not.
    pub async fn post(&self, action: Action, body: Bytes) -> Result<Answer, Error> {
        self.send(&signed(self.signer.as_ref(), action, body)).await
    }

    /// Posts a request as it is, and reads the answer.
    ///
    /// # Errors
    /// When there is no complete answer within the time-out, or the `Authorization` is no value of
    /// a header. A NACK is an answer.
    ///
    /// # Cancel safety
    /// Dropped, the callback may have reached the receiver or not.
    pub async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let action = request.action;
        let answer = within(self.timeout, self.exchange(request)).await;
        answer.map_err(|cause| Error::new(format!("get an answer to {action}"), cause))
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Cause> {
        let mut post = self
            .client
            .post(self.target.url(request.action))
            .header(CONTENT_TYPE, "application/json")
            .body(request.body.clone());
        if let Some(authorization) = &request.authorization {
            post = post.header(AUTHORIZATION, header(authorization)?);
        }
        let started = Instant::now();
        let response = post.send().await?;
        let status = response.status().as_u16();
        let body = read(response).await?;
        Ok(Answer::new(status, body, started.elapsed()))
    }
}

/// Returns the request of a callback, signed now if there is a signer.
pub(super) fn signed(signer: Option<&Signer>, action: Action, body: Bytes) -> Request {
    let authorization = signer.map(|signer| signer.authorization(&body, Utc::now()));
    Request { action, authorization, body }
}

fn client(
    target: &Target,
    timeout: Duration,
    tls: ClientConfig,
) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(timeout)
        // What is posted reaches the receiver that was named, once, or fails.
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never());
    // A proxy that the environment names does not see this machine's loopback.
    if target.is_loopback() { builder.no_proxy() } else { builder }.build()
}

fn header(authorization: &str) -> Result<HeaderValue, Cause> {
    let mut value = HeaderValue::from_str(authorization)?;
    // The client's own log leaves it out.
    value.set_sensitive(true);
    Ok(value)
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, Cause> {
    let mut body = BytesMut::new();
    while let Some(data) = response.chunk().await? {
        if body.len() + data.len() > ANSWER_LIMIT_BYTES {
            return Err(Cause::TooLong);
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

/// Sends one request on a connection of its own and closes it without reading the answer.
pub(super) async fn send_and_hang_up(
    target: &Target,
    timeout: Duration,
    request: &Request,
) -> Result<(), Error> {
    let action = request.action;
    let sent = async {
        if target.encrypted {
            return Err(Cause::Url("hanging up is for plain HTTP: write http://host:port"));
        }
        let mut stream = TcpStream::connect(&target.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(head(target, request)?.as_bytes()).await?;
        stream.write_all(&request.body).await?;
        // A clean end of stream: a reset could make the receiver's kernel throw the body away.
        Ok(stream.shutdown().await?)
    };
    within(timeout, sent).await.map_err(|cause| Error::new(format!("send {action}"), cause))
}

fn head(target: &Target, request: &Request) -> Result<String, Cause> {
    let authorization = match &request.authorization {
        Some(authorization) => {
            header(authorization)?;
            format!("authorization: {authorization}\r\n")
        }
        None => String::new(),
    };
    Ok(format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        target.path(request.action),
        target.host,
        request.body.len()
    ))
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Cause::TimedOut(limit)))
}
