//! Publishes each event to a topic exchange of RabbitMQ and is done when the broker has confirmed
//! it.
//!
//! - *Done* means: a positive confirm without a return, so the message is in every queue that is
//!   bound for it. A quorum queue has synced it on a majority of its nodes; a durable classic one
//!   has written it, and newer versions of RabbitMQ do not wait for the disk there.
//! - An unroutable message comes back. It is a dead letter and not retried: only a person can bind
//!   a queue, and a replay publishes it then. So is one that is larger than the broker takes: it
//!   would end the channel each time, for all others. A broker that is away, slow or refuses is
//!   retried.
//! - The delivery id is the message id. A confirm that is lost makes the message come again under
//!   the same one.
//! - One connection with one channel serves every concurrent call. It is made at the first event,
//!   on the runtime that calls, since its tasks live there; when it ends, the next event makes
//!   another one, at most one at a time and with growing pauses in between, in which attempts fail
//!   at once.
//! - What was published and has no confirm yet is bounded in bytes, attempts that were given up
//!   included: a broker that takes nothing (its memory alarm) makes attempts fail, not memory grow.

mod address;
mod link;
#[cfg(test)]
mod tests;
mod unconfirmed;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use self::address::{Address, AddressError, LONGEST_NAME};
use self::link::{Link, LinkError, Message, Target};
use self::unconfirmed::Verdict;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler};
use crate::handlers::envelope;
use crate::registry::tls::{self, TlsError};
use crate::trace::Sampling;
use crate::words::template::Template;
use crate::words::{Chain, Outside};

/// The least that an escaped id may take of the routing key, in bytes.
const SHORTEST_TOKEN: usize = 32;

/// What may be published without a confirm, in bytes.
const ROOM: u32 = 64 << 20;

/// What a message takes of the room at least: so many bytes, that never more messages wait than
/// half of what the client's writer queues (8,192).
const LEAST_ROOM: u32 = 16 << 10;

/// How long a connection may take. More than the 3 s after which RabbitMQ hangs up on a wrong
/// password, so that the error can say so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after the first connection that failed; doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two connections.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a handler is opened with.
pub(crate) struct Options {
    /// `amqp://` or `amqps://host:port/vhost`, without a user.
    pub(crate) url: String,
    pub(crate) user: String,
    /// Never shown.
    pub(crate) password: String,
    pub(crate) exchange: String,
    pub(crate) routing_key: Template,
    /// Whether the exchange is declared, or only looked for.
    pub(crate) declare: bool,
    pub(crate) content: Content,
    /// The certificates that are trusted instead of the system's, with `amqps://`.
    pub(crate) ca_file: Option<PathBuf>,
    /// The longest that an attempt waits: for a connection and for the confirm.
    pub(crate) confirm_timeout: Duration,
    /// Which traces `traceparent` says are sampled.
    pub(crate) sampling: Sampling,
}

/// Why a handler cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// The URL is no address of a broker.
    #[error("the URL of RabbitMQ is not one")]
    Url(#[from] AddressError),
    /// AMQP has no room for the exchange's name.
    #[error("expected an exchange with a name of 1 to 255 bytes, found one of {0}")]
    Exchange(usize),
    /// Filled with long ids, the routing key would not fit into AMQP.
    #[error(
        "expected a routing key of at most 255 bytes when each place takes 32, found up to {0}"
    )]
    RoutingKey(usize),
    /// There is a `ca_file`, but the URL is not `amqps://`: nothing would be verified.
    #[error("a CA file needs a URL that begins with amqps://")]
    CaWithoutTls,
    /// The trusted certificates cannot be read.
    #[error("could not make up what to trust")]
    Tls(#[from] TlsError),
}

/// Why an attempt failed.
#[derive(Debug, Error)]
enum Failure {
    // The reason first: the log cuts what is long.
    #[error("{why} (the next try is in {in_ms} ms)")]
    Pause { in_ms: u128, why: String },
    #[error("could not reach RabbitMQ at {at}")]
    Connect { at: String, source: LinkError },
    #[error("RabbitMQ at {at} did not take a connection within {} ms", .after.as_millis())]
    ConnectTimeout { at: String, after: Duration },
    #[error("RabbitMQ at {0} had not taken a connection when the attempt's time was over")]
    ConnectDropped(String),
    #[error("RabbitMQ's connection ended before the message was confirmed: {0}")]
    Ended(String),
    #[error("RabbitMQ did not confirm the message within {} ms; it may be in a queue", .0.as_millis())]
    ConfirmTimeout(Duration),
    #[error("RabbitMQ has not confirmed the last {} MiB; no more is published until it does", ROOM >> 20)]
    NoRoom,
    #[error(
        "the event is too large for RabbitMQ: expected at most {limit} bytes (its \
         max_message_size), found {found}"
    )]
    TooLarge { limit: usize, found: usize },
    #[error("RabbitMQ refused the message (basic.nack): a queue could not take it")]
    Refused,
    #[error(
        "no queue is bound to the exchange `{}` for the routing key `{key}` (312 NO_ROUTE): bind \
         one, then replay this dead letter",
        Outside(.exchange)
    )]
    Unroutable { exchange: String, key: String },
}

/// Publishes each event to a topic exchange of RabbitMQ, and is done when the broker has confirmed
/// it.
pub(crate) struct RabbitMq {
    target: Target,
    routing_key: Template,
    /// What each place of the routing key may take, in bytes.
    token_limit: usize,
    content: Content,
    confirm_timeout: Duration,
    sampling: Sampling,
    room: Arc<Semaphore>,
    /// Held while connecting, on purpose: the others wait for the same connection.
    standing: Mutex<Standing>,
}

/// How it stands with the broker.
#[derive(Default)]
struct Standing {
    link: Option<Arc<Link>>,
    /// Connections that were begun since the last one that was made.
    begun: u32,
    /// Before this no other is tried; with the reason.
    pause: Option<(Instant, String)>,
}

impl Standing {
    /// Notes a connection before it is tried, as one that comes to nothing: whoever is dropped
    /// while it connects leaves a pause behind, too.
    fn begin(&mut self, dropped: &Failure) {
        self.begun = self.begun.saturating_add(1);
        self.pause_after(dropped);
    }

    fn pause_after(&mut self, failure: &Failure) {
        let doubled = 1_u32.checked_shl(self.begun.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        self.pause = Some((Instant::now() + pause, Chain(failure).to_string()));
    }
}

impl RabbitMq {
    /// Opens a handler: checks what can be checked without the network, and reads the certificates.
    ///
    /// # Errors
    /// See [`OpenError`]; none of them shows the URL, the user or the password.
    pub(crate) fn open(options: Options) -> Result<Self, OpenError> {
        let address = Address::parse(&options.url)?;
        if !(1..=LONGEST_NAME).contains(&options.exchange.len()) {
            return Err(OpenError::Exchange(options.exchange.len()));
        }
        let tls = match (address.is_tls, &options.ca_file) {
            (false, None) => None,
            (false, Some(_)) => return Err(OpenError::CaWithoutTls),
            (true, None) => Some(tls::trusting_the_system().map_err(TlsError::from)?),
            (true, Some(file)) => Some(tls::trusting(file)?),
        };
        let token_limit = token_limit(&options.routing_key)?;
        let user = (options.user, options.password.as_str());
        Ok(Self {
            target: Target::new(address, user, tls, (options.exchange, options.declare)),
            token_limit,
            routing_key: options.routing_key,
            content: options.content,
            confirm_timeout: options.confirm_timeout,
            sampling: options.sampling,
            room: Arc::new(Semaphore::new(ROOM as usize)),
            standing: Mutex::default(),
        })
    }

    async fn publish(&self, event: &OrderEvent) -> Result<(), Failure> {
        let deadline = Instant::now() + self.confirm_timeout;
        let link = self.link(deadline).await?;
        let body = envelope::body(event, self.content);
        let room = self.room_for(body.len())?;
        let key = self.routing_key.render(self.token_limit, |place| envelope::place(event, place));
        let found = body.len();
        let message = Message::of(event, body, key.clone(), self.sampling);
        let exchange = self.target.exchange();
        let verdict = link.publish(exchange, message, room);
        let verdict = verdict.ok_or_else(|| Failure::Ended(link.why()))?;
        let verdict = timeout_at(deadline, verdict)
            .await
            .map_err(|_elapsed| Failure::ConfirmTimeout(self.confirm_timeout))?
            .map_err(|_dropped| Failure::Ended(link.why()))?;
        match verdict {
            Verdict::Kept => Ok(()),
            Verdict::Refused => Err(Failure::Refused),
            Verdict::TooLarge(limit) => Err(Failure::TooLarge { limit, found }),
            Verdict::Unroutable => Err(Failure::Unroutable { exchange: exchange.to_owned(), key }),
        }
    }

    /// Returns the open link, or makes one.
    async fn link(&self, deadline: Instant) -> Result<Arc<Link>, Failure> {
        let standing = timeout_at(deadline, self.standing.lock()).await;
        let mut standing =
            standing.map_err(|_elapsed| self.connect_timeout(self.confirm_timeout))?;
        if let Some(link) = standing.link.take_if(|link| !link.is_open()) {
            warn!("lost the connection to RabbitMQ at {}: {}", self.target, link.why());
        }
        if let Some(link) = &standing.link {
            return Ok(Arc::clone(link));
        }
        let now = Instant::now();
        if let Some((until, why)) = standing.pause.as_ref().filter(|(until, _)| *until > now) {
            let in_ms = until.duration_since(now).as_millis();
            return Err(Failure::Pause { in_ms, why: why.clone() });
        }
        standing.begin(&Failure::ConnectDropped(self.target.to_string()));
        let limit = CONNECT_TIMEOUT.min(deadline.saturating_duration_since(now));
        let link =
            self.connect(limit).await.inspect_err(|failure| standing.pause_after(failure))?;
        info!("connected to RabbitMQ at {}", self.target);
        *standing = Standing { link: Some(Arc::clone(&link)), ..Standing::default() };
        Ok(link)
    }

    async fn connect(&self, limit: Duration) -> Result<Arc<Link>, Failure> {
        match timeout(limit, self.target.connect()).await {
            Ok(Ok(link)) => Ok(Arc::new(link)),
            Ok(Err(source)) => Err(Failure::Connect { at: self.target.to_string(), source }),
            Err(_elapsed) => Err(self.connect_timeout(limit)),
        }
    }

    fn connect_timeout(&self, after: Duration) -> Failure {
        Failure::ConnectTimeout { at: self.target.to_string(), after }
    }

    fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        // What is larger than the whole room takes all of it.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(LEAST_ROOM, ROOM);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        room.map_err(|_full| Failure::NoRoom)
    }
}

impl OrderEventHandler for RabbitMq {
    /// Publishes the event and waits for the confirm.
    ///
    /// # Errors
    /// Permanent when no queue is bound for it, or the broker says that it is too large; else
    /// transient.
    ///
    /// # Cancel safety
    /// A message that was published before the future is dropped may be in a queue.
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        self.publish(event).await.map_err(|failure| match failure {
            Failure::Unroutable { .. } | Failure::TooLarge { .. } => {
                HandlerError::permanent(failure)
            }
            failure => HandlerError::unreached(failure),
        })
    }
}

impl fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMq")
            .field("exchange", &self.target.exchange())
            .field("routing_key", &self.routing_key.as_str())
            .finish_non_exhaustive()
    }
}

/// Returns what each place may take, so that the whole fits into AMQP's 255 bytes.
fn token_limit(routing_key: &Template) -> Result<usize, OpenError> {
    let longest = routing_key.longest(SHORTEST_TOKEN);
    let places = routing_key.longest(SHORTEST_TOKEN + 1) - longest;
    let spare = LONGEST_NAME.checked_sub(longest).ok_or(OpenError::RoutingKey(longest))?;
    Ok(SHORTEST_TOKEN + spare.checked_div(places).unwrap_or(0))
}
