//! A connection to the broker with its one channel: opened, checked, published on, dropped.

use std::fmt;
use std::sync::Arc;

use amqprs::channel::{
    BasicPublishArguments, Channel, ConfirmSelectArguments, ExchangeDeclareArguments, ExchangeType,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::security::SecurityCredentials;
use amqprs::tls::TlsAdaptor;
use amqprs::{BasicProperties, DELIVERY_MODE_PERSISTENT, FieldTable, FieldValue};
use bytes::Bytes;
use futures_util::FutureExt as _;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::unconfirmed::{OnChannel, OnConnection, Unconfirmed, Verdict};
use crate::event::OrderEvent;
use crate::handlers::envelope;
use crate::trace::Sampling;
use crate::words::Outside;

/// The program, as RabbitMQ's console and a message's `app_id` show it.
const APP_ID: &str = "beckn-receiver";

/// How often, in seconds, a sign of life is due from either side; a broker that misses two is gone.
const HEARTBEAT: u16 = 10;

/// What a link is to: fixed when the handler is opened.
pub(super) struct Target {
    address: Address,
    arguments: OpenConnectionArguments,
    user: String,
    exchange: String,
    declare: bool,
}

/// Why there is no link.
#[derive(Debug, Error)]
pub(super) enum LinkError {
    /// No connection, or none that we may use.
    #[error("could not connect as user `{}`", Outside(.user))]
    Connect { user: String, source: amqprs::error::Error },
    /// As [`LinkError::Connect`], by a broker that hung up without a word.
    #[error(
        "could not log in as user `{}`: RabbitMQ hung up, as it does when the user or the \
         password is wrong",
        Outside(.user)
    )]
    LogIn { user: String, source: amqprs::error::Error },
    /// Another exchange has this name, or we may not declare one.
    #[error("could not declare the exchange `{}`, durable and of type topic: {why}", Outside(.exchange))]
    Declare { exchange: String, why: String },
    /// The exchange is not there.
    #[error("could not find the exchange `{}`: {why}", Outside(.exchange))]
    Find { exchange: String, why: String },
    /// The channel could not be opened.
    #[error("could not open a channel with confirms")]
    Channel(#[from] amqprs::error::Error),
}

impl Target {
    pub(super) fn new(
        address: Address,
        (user, password): (String, &str),
        tls: Option<ClientConfig>,
        (exchange, declare): (String, bool),
    ) -> Self {
        let mut arguments = OpenConnectionArguments::default();
        arguments
            .host(&address.dialled())
            .port(address.port)
            .virtual_host(&address.vhost)
            .credentials(SecurityCredentials::new_plain(&user, password))
            .connection_name(APP_ID)
            .heartbeat(HEARTBEAT);
        if let Some(tls) = tls {
            let connector = TlsConnector::from(Arc::new(tls));
            arguments.tls_adaptor(TlsAdaptor::new(connector, address.host.clone()));
        }
        Self { address, arguments, user, exchange, declare }
    }

    pub(super) fn exchange(&self) -> &str {
        &self.exchange
    }

    /// Waits for a connection, and for the exchange to be there.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub(super) async fn connect(&self) -> Result<Link, LinkError> {
        let connection = Connection::open(&self.arguments).await.map_err(|source| {
            let user = self.user.clone();
            if is_hang_up(&source) {
                LinkError::LogIn { user, source }
            } else {
                LinkError::Connect { user, source }
            }
        })?;
        let unconfirmed = Arc::new(Unconfirmed::default());
        let mut link = Link {
            connection: Some(connection),
            unconfirmed,
            runtime: Handle::current(),
            channel: None,
        };
        let connection = link.connection.as_ref().expect("it was just put there");
        connection.register_callback(OnConnection(Arc::clone(&link.unconfirmed))).await?;
        let channel = connection.open_channel(None).await?;
        channel.register_callback(OnChannel(Arc::clone(&link.unconfirmed))).await?;
        let channel = link.channel.insert(channel);
        let declared = channel.exchange_declare(self.declaration()).await;
        declared.map_err(|error| {
            let exchange = self.exchange.clone();
            let why = link.unconfirmed.why().unwrap_or_else(|| error.to_string());
            if self.declare {
                LinkError::Declare { exchange, why }
            } else {
                LinkError::Find { exchange, why }
            }
        })?;
        channel.confirm_select(ConfirmSelectArguments::new(false)).await?;
        Ok(link)
    }

    fn declaration(&self) -> ExchangeDeclareArguments {
        let kind = String::from(ExchangeType::Topic);
        let mut arguments = ExchangeDeclareArguments::new(&self.exchange, &kind);
        arguments.durable(self.declare).passive(!self.declare).finish()
    }
}

/// Returns whether the broker closed the socket while we logged in. The client does not tell it that
/// it understands a refusal, so this is all that it hears of one, and it has only texts to say so.
fn is_hang_up(error: &amqprs::error::Error) -> bool {
    let text = error.to_string();
    ["peer shutdown", "connection interrupted", "Connection reset by peer"]
        .iter()
        .any(|hang_up| text.contains(hang_up))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address.dialled(), self.address.port)
    }
}

/// A message as it is published: what it says, where it goes.
pub(super) struct Message {
    pub(super) body: Bytes,
    pub(super) routing_key: String,
    pub(super) properties: BasicProperties,
    pub(super) id: String,
}

impl Message {
    pub(super) fn of(
        event: &OrderEvent,
        body: Bytes,
        routing_key: String,
        sampling: Sampling,
    ) -> Self {
        let mut headers = FieldTable::new();
        for (name, value) in envelope::headers(event, sampling) {
            let name = name.try_into().expect("our headers have short names");
            headers.insert(name, FieldValue::from(value));
        }
        let id = event.delivery_id();
        let properties = BasicProperties::default()
            .with_content_type("application/json")
            .with_delivery_mode(DELIVERY_MODE_PERSISTENT)
            .with_message_id(&id)
            .with_timestamp(u64::try_from(event.received_at.timestamp()).unwrap_or(0))
            .with_message_type(event.action.as_str())
            .with_app_id(APP_ID)
            .with_headers(headers)
            .finish();
        Self { body, routing_key, properties, id }
    }
}

/// A connection with its channel. It is never mended: when it has ended, another one is made.
pub(super) struct Link {
    unconfirmed: Arc<Unconfirmed>,
    channel: Option<Channel>,
    connection: Option<Connection>,
    runtime: Handle,
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        !self.unconfirmed.is_closed()
    }

    /// Returns why the link ended, as far as the broker said.
    pub(super) fn why(&self) -> String {
        self.unconfirmed.why().unwrap_or_else(|| "the connection was lost".to_owned())
    }

    /// Hands a message to the client's writer; `None` when the link has ended, or its writer is
    /// too far behind. The verdict's sender is dropped when the link ends before the verdict.
    pub(super) fn publish(
        &self,
        exchange: &str,
        message: Message,
        room: OwnedSemaphorePermit,
    ) -> Option<oneshot::Receiver<Verdict>> {
        let channel = self.channel.as_ref()?;
        let Message { body, routing_key, properties, id } = message;
        let arguments = BasicPublishArguments::new(exchange, &routing_key).mandatory(true).finish();
        let body = Vec::from(body);
        self.unconfirmed.publish((id, body.len()), room, || {
            let sent = channel.basic_publish(properties, body, arguments);
            // One step: with room in the writer's queue nothing waits, save for tokio's budget.
            let sent = tokio::task::unconstrained(sent).now_or_never();
            sent.is_some_and(|sent| sent.is_ok())
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The client says goodbye in tasks, and panics where there is no runtime: a handler may
        // be dropped by any thread, and after its runtime.
        let _entered = self.runtime.enter();
        drop(self.channel.take());
        drop(self.connection.take());
    }
}
