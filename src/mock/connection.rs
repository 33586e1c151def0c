//! One HTTP/1.1 connection to a receiver: posts a callback, reads the answer.
//!
//! Constraints: one request at a time; connecting, and each post with its answer, have a time-out;
//! an answer is read up to a limit. A connection that the receiver closed between two posts is
//! opened anew; a post that failed is not repeated, since that would be a retry nobody asked for.

use std::time::{Duration, Instant};

use axum::http::header::{CONTENT_TYPE, HOST};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::target::Target;
use super::{Cause, Error};
use crate::beckn::action::Action;

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
    /// From the start of sending to the end of the answer.
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

/// A connection to the receiver that is kept between posts.
#[derive(Debug)]
pub struct Connection {
    target: Target,
    timeout: Duration,
    /// Taken out during a post and put back after a complete answer, so that what failed, or was
    /// dropped half way, is never used again.
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// Owns the task that moves the bytes, which ends when this is dropped.
    _driver: JoinSet<Result<(), hyper::Error>>,
}

impl Link {
    async fn open(target: &Target, timeout: Duration) -> Result<Link, Error> {
        let stream = connect(target, timeout).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| Error::new("begin to speak HTTP", source))?;
        let mut driver = JoinSet::new();
        // Its error reaches the request that it fails, so the task's own result is not needed.
        driver.spawn(connection);
        Ok(Link { sender, _driver: driver })
    }
}

impl Connection {
    pub(super) async fn open(target: Target, timeout: Duration) -> Result<Connection, Error> {
        let link = Some(Link::open(&target, timeout).await?);
        Ok(Connection { target, timeout, link })
    }

    /// Posts one callback and reads the answer.
    ///
    /// # Errors
    /// When there is no complete answer within the time-out. A NACK is an answer.
    ///
    /// # Cancel safety
    /// Dropped, the callback may have reached the receiver or not; the next post opens a new
    /// connection.
    pub async fn post(&mut self, action: Action, body: Bytes) -> Result<Answer, Error> {
        if let Some(link) = &mut self.link
            && link.sender.ready().await.is_err()
        {
            self.link = None;
        }
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.target, self.timeout).await?,
        };
        let exchange = exchange(&mut link.sender, request(&self.target, action, body));
        let answer = within(self.timeout, exchange)
            .await
            .map_err(|cause| Error::new(format!("get an answer to {action}"), cause))?;
        self.link = Some(link);
        Ok(answer)
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Cause> {
    let started = Instant::now();
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = read(response).await?;
    Ok(Answer::new(status, body, started.elapsed()))
}

async fn read(response: Response<Incoming>) -> Result<Bytes, Cause> {
    let mut incoming = response.into_body();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        // Trailers carry nothing that an acknowledgement needs.
        let Ok(data) = frame?.into_data() else { continue };
        if body.len() + data.len() > ANSWER_LIMIT_BYTES {
            return Err(Cause::TooLong);
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

fn request(target: &Target, action: Action, body: Bytes) -> Request<Full<Bytes>> {
    Request::post(target.path(action))
        .header(HOST, &target.host)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("the path and the host are parts of a parsed URI")
}

/// Sends one callback on a connection of its own and closes it without reading the answer.
pub(super) async fn post_and_hang_up(
    target: &Target,
    timeout: Duration,
    action: Action,
    body: Bytes,
) -> Result<(), Error> {
    let mut stream = connect(target, timeout).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        target.path(action),
        target.host,
        body.len()
    );
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        // A clean end of stream: a reset could make the receiver's kernel throw the body away.
        Ok(stream.shutdown().await?)
    };
    within(timeout, sent).await.map_err(|cause| Error::new(format!("send {action}"), cause))
}

async fn connect(target: &Target, timeout: Duration) -> Result<TcpStream, Error> {
    let connected = async {
        let stream = TcpStream::connect(&target.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let doing = || format!("connect to {}", target.address);
    within(timeout, connected).await.map_err(|cause| Error::new(doing(), cause))
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Cause::TimedOut(limit)))
}
