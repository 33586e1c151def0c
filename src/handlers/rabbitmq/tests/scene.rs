//! A handler's options, an exchange and a queue of a test's own, and what arrived there.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use amqprs::BasicProperties;
use amqprs::channel::{
    BasicGetArguments, Channel, ExchangeDeleteArguments, QueueBindArguments, QueueDeclareArguments,
    QueueDeleteArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::{Options, RabbitMq};
use crate::beckn::action::Action;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler as _};
use crate::servers::{
    rabbitmq::{Broker, PATIENCE},
    skip,
};
use crate::words::template::Template;

/// What came out of a queue.
pub(super) struct Arrived {
    pub(super) routing_key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// A connection of the test's own to a broker, and names that no other test uses.
pub(super) struct Scene {
    address: SocketAddr,
    pub(super) name: String,
    pub(super) channel: Channel,
    _connection: Connection,
}

impl Scene {
    /// Connects, as soon as the broker takes connections.
    pub(super) async fn at(address: SocketAddr) -> Self {
        Self::named(address, format!("beckn-receiver-test-{}", Uuid::new_v4())).await
    }

    pub(super) async fn named(address: SocketAddr, name: String) -> Self {
        let host = address.ip().to_string();
        let arguments = OpenConnectionArguments::new(&host, address.port(), "guest", "guest");
        let end = Instant::now() + PATIENCE;
        let connection = loop {
            match Connection::open(&arguments).await {
                Ok(connection) => break connection,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let channel = connection.open_channel(None).await.unwrap();
        Self { address, name, channel, _connection: connection }
    }

    /// Runs a test against any broker, or skips it, and deletes exchange and queue after it.
    pub(super) async fn play(test: impl AsyncFnOnce(&Scene)) {
        let Some(broker) = Broker::any().await else { return skip("RabbitMQ") };
        let scene = Self::at(broker.address()).await;
        let outcome = AssertUnwindSafe(test(&scene)).catch_unwind().await;
        // By a channel of its own: the test's may have been closed by what it tried.
        let cleaner = Self::named(scene.address, scene.name.clone()).await;
        cleaner.delete().await;
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    async fn delete(&self) {
        self.channel.queue_delete(QueueDeleteArguments::new(&self.name)).await.unwrap();
        self.channel.exchange_delete(ExchangeDeleteArguments::new(&self.name)).await.unwrap();
    }

    /// Returns the options of a handler that declares this exchange.
    pub(super) fn options(&self) -> Options {
        Options {
            url: format!("amqp://{}", self.address),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            exchange: self.name.clone(),
            routing_key: Template::parse("beckn.{action}.{bpp_id}").unwrap(),
            declare: true,
            content: Content::Envelope,
            ca_file: None,
            confirm_timeout: Duration::from_secs(10),
            sampling: crate::trace::Sampling::share(1.0),
        }
    }

    pub(super) fn handler(&self) -> RabbitMq {
        RabbitMq::open(self.options()).unwrap()
    }

    /// Declares the durable queue of this name, and binds it to the exchange, which is there.
    pub(super) async fn bind(&self, pattern: &str) {
        let queue = QueueDeclareArguments::durable_client_named(&self.name);
        self.channel.queue_declare(queue).await.unwrap();
        let binding = QueueBindArguments::new(&self.name, &self.name, pattern);
        self.channel.queue_bind(binding).await.unwrap();
    }

    /// Takes everything out of the queue.
    pub(super) async fn arrived(&self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        let get = || BasicGetArguments::new(&self.name).no_ack(true).finish();
        while let Some((got, properties, body)) = self.channel.basic_get(get()).await.unwrap() {
            let routing_key = got.routing_key().clone();
            arrived.push(Arrived { routing_key, properties, body });
        }
        arrived
    }
}

/// Returns an event of this seller; another `mark` makes another event.
pub(super) fn event(bpp_id: &str, mark: &str) -> OrderEvent {
    let body = serde_json::json!({
        "context": {"bpp_id": bpp_id, "transaction_id": mark},
        "message": {"order": {"id": "O-1", "billing": {"name": "Asha Rao"}}},
    });
    OrderEvent::parse(Action::OnStatus, body.to_string()).unwrap()
}

/// Handles an event that fails, and returns whether for good, and the text.
#[track_caller]
pub(super) fn fails(
    handler: &RabbitMq,
    event: &OrderEvent,
) -> impl Future<Output = (bool, String)> {
    let place = std::panic::Location::caller();
    async move {
        let outcome: Result<(), HandlerError> = handler.handle(event).await;
        let error = outcome.err().unwrap_or_else(|| panic!("{place}: it was taken"));
        (error.is_permanent(), error.chain())
    }
}
