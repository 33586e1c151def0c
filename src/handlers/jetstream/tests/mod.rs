//! The handler against real servers, each with a port and a store of its own.

mod opening;
mod outage;
mod publishing;
mod streams;
mod tls;

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Config;
use tokio::time::Instant;

use super::{JetStream, Options};
use crate::beckn::action::Action;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler as _};
use crate::servers::nats::{Nats, PATIENCE};
use crate::words::Template;

impl Nats {
    /// Sends it a signal, as `STOP` and `CONT`.
    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &process]).status();
        assert!(status.unwrap().success());
    }

    /// Returns the options of a handler that creates its stream there.
    fn options(&self) -> Options {
        options(&format!("nats://127.0.0.1:{}", self.port))
    }

    /// Creates a stream that is as it should be, but for what the test changes.
    async fn create(&self, change: impl FnOnce(&mut Config)) {
        let mut config =
            super::stream::settings("EVENTS", &Template::parse("beckn.{action}.{bpp_id}").unwrap());
        change(&mut config);
        self.context().await.create_stream(config).await.unwrap();
    }

    /// Returns every message of the stream, in order.
    async fn stored(&self) -> Vec<StreamMessage> {
        let mut stream = self.context().await.get_stream("EVENTS").await.unwrap();
        let last = stream.info().await.unwrap().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            messages.push(stream.get_raw_message(sequence).await.unwrap());
        }
        messages
    }
}

fn options(server: &str) -> Options {
    Options {
        servers: vec![server.to_owned()],
        subject: Template::parse("beckn.{action}.{bpp_id}").unwrap(),
        stream: "EVENTS".to_owned(),
        create_stream: true,
        content: Content::Envelope,
        user: String::new(),
        password: String::new(),
        token: String::new(),
        credentials_file: None,
        ca_file: None,
        ack_timeout: Duration::from_secs(5),
        sampling: crate::trace::Sampling::share(1.0),
    }
}

/// Returns an event of this seller; each transaction makes another id.
fn event(seller: &str, transaction: &str) -> OrderEvent {
    let body = serde_json::json!({
        "context": {"bpp_id": seller, "transaction_id": transaction, "action": "on_status"},
        "message": {"order": {"id": "O-1"}},
    });
    OrderEvent::parse(Action::OnStatus, body.to_string()).unwrap()
}

/// Hands an event over that has to be taken.
async fn take(handler: &JetStream, event: &OrderEvent) {
    if let Err(error) = handler.handle(event).await {
        panic!("not taken: {}", error.chain());
    }
}

/// Hands an event over that must not be taken.
async fn refusal(handler: &JetStream, event: &OrderEvent) -> HandlerError {
    handler.handle(event).await.unwrap_err()
}

/// Hands an event over until it is taken, as the dispatcher does.
async fn take_in_the_end(handler: &JetStream, event: &OrderEvent) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = handler.handle(event).await {
        assert!(!error.is_permanent() && Instant::now() < end, "{}", error.chain());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ids(messages: &[StreamMessage]) -> Vec<String> {
    messages.iter().map(|message| header(message, "Nats-Msg-Id").to_owned()).collect()
}

fn header<'a>(message: &'a StreamMessage, name: &str) -> &'a str {
    message.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).as_str()
}
