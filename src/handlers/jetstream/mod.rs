//! Publishes each event to a stream of NATS JetStream, and takes it as handed over when the stream
//! has said that it is stored.
//!
//! # Constraints
//! - The stream's own acknowledgement, or its word that it has stored this id already, is what
//!   settles an event. All else is transient, save a message that is larger than NATS takes.
//! - The stream is looked at before it is trusted: it keeps files, it acknowledges, it takes the
//!   subject. It is looked at again with each connection, each minute, and after a refusal.
//! - An attempt ends within `ack_timeout`. While NATS is away it ends at once, and at most one
//!   attempt to connect is under way; the pause between two is 5 s at most.
//! - An event's id is the message's (`Nats-Msg-Id`), the same at every attempt of a round. A place
//!   of the subject is one token, whatever a seller's id holds, and the first token is fixed: a
//!   seller cannot choose whose subjects an event goes to.
//!
//! # What is promised
//! An event is in the stream at least once. After a lost acknowledgement it is published again
//! under its id, and the stream drops it when the first one came within its `duplicate_window`
//! (2 minutes by NATS' default, 24 hours where we create the stream; NATS keeps every id of that
//! time in memory, about 180 bytes each). A repetition that comes later is stored under the same id: consumers that
//! act on an event only once have to remember ids.
//!
//! NATS writes a message to its file before it acknowledges, but does not sync the file: it does
//! so every 2 minutes (`sync_interval`). A crash of the server loses nothing, a power cut of its
//! only machine may lose the last two minutes of acknowledged events. Three replicas on machines
//! that do not fail together prevent that, and so does `sync_interval: always` of 2.10 and later,
//! at the price of a sync for each message.
//!
//! # Layout
//! `options` is what it is opened with and what can be checked then, `link` one connection up to
//! its first break, `stream` finds and checks the stream, `rounds` lets everybody wait for one
//! round of both, `error` says why an event was not published.
//!
//! # Logs
//! Ours name servers, streams and subjects. The client logs under `async_nats`, which the log of the
//! binary leaves out unless its level names it; at its debug level it shows what JetStream's API was
//! asked and answered, never a message of ours.

mod error;
mod link;
mod options;
mod rounds;
mod stream;

use std::fmt;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::options::{OpenError, Options};

use self::error::Error;
use self::options::{Checked, TOKEN_BYTES};
use self::rounds::{Ready, Rounds};
use super::envelope;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler};
use crate::words::Outside;

/// Publishes events to a stream of NATS JetStream.
pub(crate) struct JetStream {
    checked: Arc<Checked>,
    rounds: Rounds,
}

impl JetStream {
    /// Checks the options. Nothing is connected to before the first event: the receiver starts and
    /// ACKs while NATS is away. Reads files.
    ///
    /// # Errors
    /// An option cannot be right, or a file that it names cannot be used.
    pub(crate) fn open(options: Options) -> Result<Self, OpenError> {
        let checked = Arc::new(options.check()?);
        Ok(Self { rounds: Rounds::new(Arc::clone(&checked)), checked })
    }

    async fn publish(&self, event: &OrderEvent) -> Result<(), Error> {
        let until = Instant::now() + self.checked.options.ack_timeout;
        let Ok(ready) = timeout_at(until, self.rounds.ready()).await else {
            return Err(Error::Busy(self.checked.options.ack_timeout));
        };
        let ready = ready?;
        let stored = self.store(&ready, event, until).await;
        if stored.as_ref().is_err_and(Error::is_about_the_stream) {
            self.rounds.doubt();
        }
        stored
    }

    /// Publishes and waits for the stream's word.
    async fn store(&self, ready: &Ready, event: &OrderEvent, until: Instant) -> Result<(), Error> {
        let options = &self.checked.options;
        let subject = options.subject.render(TOKEN_BYTES, |place| envelope::place(event, place));
        ready.stream.check_takes(&subject)?;
        let body = envelope::body(event, options.content);
        let headers = headers(event, options);
        check_size(ready, &options.stream, size(&headers) + body.len())?;
        let answer = ready.link.ask(&subject, map(headers), body, until).await?;
        match answer {
            Response::Ok(PublishAck { stream, .. }) if stream != options.stream => {
                let found = Outside(&stream).to_string();
                Err(Error::OtherStream { expected: options.stream.clone(), found })
            }
            // A duplicate is one that it has stored before.
            Response::Ok(_stored) => Ok(()),
            Response::Err { error } => Err(stream::refused("the event", &error)),
        }
    }
}

impl OrderEventHandler for JetStream {
    /// Publishes the event.
    ///
    /// # Errors
    /// The stream did not say that it has stored it; the event comes again. One that is larger than
    /// NATS takes is a dead letter.
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        self.publish(event).await.map_err(|error| {
            if error.is_permanent() {
                HandlerError::permanent(error)
            } else {
                HandlerError::unreached(error)
            }
        })
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.checked.options;
        f.debug_struct("JetStream")
            .field("stream", &options.stream)
            .field("subject", &options.subject.as_str())
            .finish_non_exhaustive()
    }
}

/// Returns what goes beside the body.
fn headers(event: &OrderEvent, options: &Options) -> Vec<(&'static str, String)> {
    let mut headers = envelope::headers(event, options.sampling);
    headers.push(("Nats-Msg-Id", event.delivery_id()));
    headers.push(("Nats-Expected-Stream", options.stream.clone()));
    headers.push(("Content-Type", "application/json".to_owned()));
    headers
}

/// Returns how many bytes headers take on the wire, as the server counts them.
fn size(headers: &[(&'static str, String)]) -> usize {
    let line = |(name, value): &(&str, String)| name.len() + ": ".len() + value.len() + 2;
    "NATS/1.0\r\n\r\n".len() + headers.iter().map(line).sum::<usize>()
}

fn map(headers: Vec<(&'static str, String)>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name, value);
    }
    map
}

fn check_size(ready: &Ready, stream: &str, found: usize) -> Result<(), Error> {
    let of_server = (ready.link.max_payload(), "the server's max_payload".to_owned());
    let of_stream = ready
        .stream
        .max_message_bytes
        .map(|limit| (limit, format!("max_msg_size of stream `{stream}`")));
    let limits = [Some(of_server), of_stream];
    match limits.into_iter().flatten().min_by_key(|(limit, _)| *limit) {
        Some((limit, whose)) if found > limit => Err(Error::TooLarge { limit, whose, found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
