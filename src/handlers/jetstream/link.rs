//! One connection to a server, from its beginning to its first break.
//!
//! The client would reconnect by itself, keep what was not answered, and try for ever after it was
//! dropped. Here a connection that broke is given up instead, with all that waited in it, and the
//! next attempt makes another: so nothing piles up, and each connection looks at the stream anew.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::response::Response;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Request};
use async_nats::{RequestErrorKind, ServerAddr, ServerError};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::options::Checked;
use crate::words::Outside;

/// How often a silent server is asked whether it is there. The client gives up after three.
const PING: Duration = Duration::from_secs(10);

/// How many requests may stay without an answer before the link is given up. The client keeps a
/// place for each of them, for ever.
const UNANSWERED: usize = 32;

/// How many requests may wait for the writing task; more wait before they are handed over.
const WAITING: usize = 256;

/// What the server said beside its answers.
#[derive(Debug, Default)]
struct Heard {
    is_down: bool,
    complaint: Option<(Instant, String)>,
}

/// A connection, and what was heard on it.
pub(super) struct Link {
    client: Client,
    heard: watch::Receiver<Heard>,
    unanswered: AtomicUsize,
}

impl Link {
    /// Connects to one of the servers.
    ///
    /// # Errors
    /// None of them could be connected to before `until`.
    pub(super) async fn connect(checked: &Checked, until: Instant) -> Result<Self, Error> {
        let (say, heard) = watch::channel(Heard::default());
        let servers = names(&checked.servers);
        let not_connected = |cause: &str| Error::NotConnected {
            servers: servers.clone(),
            cause: Outside(cause).to_string(),
        };
        let connecting = async {
            let options = identified(checked, checked.connect_options()).await?;
            let options = options.event_callback(move |event| {
                note(&say, event);
                std::future::ready(())
            });
            options.connect(checked.servers.as_slice()).await
        };
        match timeout_at(until, connecting).await {
            Ok(Ok(client)) => {
                tracing::info!(servers, "connected to NATS");
                Ok(Self { client, heard, unanswered: AtomicUsize::new(0) })
            }
            Ok(Err(error)) => Err(match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    Error::Unauthorized { servers }
                }
                _ => not_connected(&error.to_string()),
            }),
            Err(_elapsed) => Err(not_connected("no connection came about in time")),
        }
    }

    /// Returns whether it never broke and answers.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
            && !self.heard.borrow().is_down
            && self.unanswered.load(Ordering::Relaxed) < UNANSWERED
    }

    /// Returns how large a message the server takes, with its headers.
    pub(super) fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// Asks and reads the answer of JetStream.
    ///
    /// # Errors
    /// There was none until then, or it cannot be read.
    ///
    /// # Cancel safety
    /// Dropped, the request may have been sent or not.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
        until: Instant,
    ) -> Result<Response<T>, Error> {
        let begun = Instant::now();
        let request = Request::new().headers(headers).payload(body).timeout(None);
        let mut heard = self.heard.clone();
        let broken = async { drop(heard.wait_for(|heard| heard.is_down).await) };
        let unanswered = || self.unanswered(subject, begun);
        let answer = tokio::select! {
            answer = self.client.send_request(subject.to_owned(), request) => answer,
            () = broken => return Err(Error::Lost),
            () = tokio::time::sleep_until(until) => return Err(unanswered()),
        };
        let subject = || subject.to_owned();
        let message = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => Error::NoResponders { subject: subject() },
            RequestErrorKind::TimedOut => unanswered(),
            _ => {
                Error::Unsent { subject: subject(), cause: Outside(&error.to_string()).to_string() }
            }
        })?;
        // What is wrong with an answer that is not JetStream's own says nothing to an operator.
        serde_json::from_slice(&message.payload)
            .map_err(|_form| Error::Unreadable { subject: subject() })
    }

    fn unanswered(&self, subject: &str, begun: Instant) -> Error {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let heard = self.heard.borrow();
        let said = heard.complaint.as_ref().filter(|(at, _)| *at >= begun);
        Error::Unanswered {
            subject: subject.to_owned(),
            within: Duration::from_millis(
                u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            ),
            said: said.map(|(_, text)| text.clone()),
        }
    }
}

impl Checked {
    fn connect_options(&self) -> ConnectOptions {
        let count = self.servers.len();
        let share = self.options.ack_timeout / u32::try_from(count).unwrap_or(u32::MAX);
        ConnectOptions::new()
            .name("beckn-receiver")
            // One round over the servers: it ends the client's tasks when it broke.
            .max_reconnects(count)
            .ignore_discovered_servers()
            .connection_timeout(share)
            .ping_interval(PING)
            .client_capacity(WAITING)
            .tls_client_config(self.tls.clone())
            .require_tls(self.requires_tls)
    }
}

/// Adds who we are.
async fn identified(
    checked: &Checked,
    options: ConnectOptions,
) -> Result<ConnectOptions, async_nats::ConnectError> {
    let given = &checked.options;
    if let Some(file) = &given.credentials_file {
        let options = options.credentials_file(file).await;
        return options
            .map_err(|error| async_nats::ConnectError::with_source(ConnectErrorKind::Io, error));
    }
    if !given.token.is_empty() {
        return Ok(options.token(given.token.clone()));
    }
    if !given.user.is_empty() {
        return Ok(options.user_and_password(given.user.clone(), given.password.clone()));
    }
    Ok(options)
}

fn note(say: &watch::Sender<Heard>, event: Event) {
    match event {
        Event::Disconnected | Event::Closed => say.send_modify(|heard| heard.is_down = true),
        Event::ServerError(error) => {
            let text = match &error {
                ServerError::Other(text) => text.clone(),
                error => error.to_string(),
            };
            let text = Outside(&text).to_string();
            say.send_modify(|heard| heard.complaint = Some((Instant::now(), text)));
        }
        // A server that is about to end says so and then ends.
        Event::Connected
        | Event::LameDuckMode
        | Event::Draining
        | Event::SlowConsumer(_)
        | Event::ClientError(_) => {}
    }
}

/// Returns the servers as the settings name them, without anything secret: there is none in them.
fn names(servers: &[ServerAddr]) -> String {
    let names: Vec<String> =
        servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect();
    Outside(&names.join(", ")).to_string()
}
