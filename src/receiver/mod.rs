//! Puts the halves together: settings → inbox, intake, dispatcher → routers, listeners, shutdown.

#[cfg(feature = "postgres")]
mod database;
pub(crate) mod handlers;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod options;
mod silences;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::buyer_rule::{BuyerRule, ErasedRule};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Exposed};
use crate::dispatch::Dispatcher;
use crate::handler::OrderEventHandler;
use crate::http::operations::access::{Access, Tokens, TokensError};
use crate::http::{callbacks, operations, serve, service};
use crate::inbox::Inbox;
use crate::inbox::expectations::Expecting;
use crate::inbox::reader::place::Place;
use crate::inbox::sqlite::open_error::OpenError;
use crate::intake::Intake;
use crate::intake::trust::Trust;
use crate::metrics::Metrics;
use crate::operations::ledgers::Ledgers;
use crate::operations::waiting::WaitingRoom;
use crate::rules::{Rules, UnknownRules};
use crate::words::Chain;
use handlers::{Destinations, Own};
use inbox::Opened;

/// Why a receiver did not start.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings, as the program made them, have mistakes; all of them are named.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// `[rules.levels]` names rules that there are not.
    #[error(transparent)]
    Rules(#[from] UnknownRules),
    /// The keys of sellers cannot be had.
    #[error(transparent)]
    Keys(#[from] keys::KeysError),
    /// The handlers that the settings lead to cannot be had.
    #[error(transparent)]
    Handlers(#[from] handlers::HandlersError),
    /// The inbox cannot be opened.
    #[error(transparent)]
    Inbox(#[from] OpenError),
    /// The inbox's database cannot be used.
    #[error(transparent)]
    Database(#[from] inbox::DatabaseError),
    /// `trace.endpoint` is set, and this program was built without what exports spans.
    #[error(
        "trace.endpoint: this program was built without `otlp`: build it with the cargo feature \
         `otlp`"
    )]
    NotBuilt,
    /// Threads cannot be started.
    #[error("could not start the handler's threads")]
    Threads(#[source] std::io::Error),
}

impl fmt::Debug for StartError {
    /// Writes the error and its causes as a person reads them: `main` prints what it returns so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

/// Why a receiver does not serve, or stopped.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It would let unsigned callbacks in from outside.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// An address cannot be listened on.
    #[error(
        "could not listen on {address} ({setting}, BECKN_RECEIVER_{})",
        setting.to_ascii_uppercase().replace('.', "__")
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The tokens of operators cannot be had.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The inbox failed three times in a row; what was `ACKed` before is kept.
    #[error("the inbox cannot be written: stopped, so that sellers try again later")]
    InboxFailed,
    /// Events are not handed over any more, by a bug; what was ACKed is kept.
    #[error("events are not handed over any more: stopped, so that a restart delivers them")]
    DispatchFailed,
}

impl fmt::Debug for ServeError {
    /// Writes the error and its causes as a person reads them: `main` prints what it returns so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

/// Collects what a receiver is started with.
#[derive(Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    config: Config,
    buyer_rules: Vec<Arc<dyn ErasedRule>>,
    handlers: Vec<Own>,
}

impl Builder {
    /// Adds a rule of the buyer's; rules are looked at in the order in which they were added.
    pub fn rule(mut self, rule: impl BuyerRule) -> Self {
        self.buyer_rules.push(Arc::new(rule));
        self
    }

    /// Adds a handler of the program's own, which routes and `dispatch.handler` can then name; for
    /// [`Builder::start_configured`]. It has `dispatch.concurrency` places and no limit of its rate.
    pub fn handler(mut self, name: impl Into<String>, handler: impl OrderEventHandler) -> Self {
        self.handlers.push((name.into(), Arc::new(handler)));
        self
    }

    /// Opens the inbox and starts to hand its events to `handler`, all of them; operators know it
    /// as `app`.
    ///
    /// # Errors
    /// A handler was added by [`Builder::handler`], the settings have routes or another `dispatch.handler` than `print`, the rules' levels name
    /// unknown rules, the keys of sellers cannot be had, the inbox cannot be opened, or threads
    /// cannot be started.
    pub async fn start(self, handler: impl OrderEventHandler) -> Result<Receiver, StartError> {
        self.config.check()?;
        if let Some((name, _)) = self.handlers.first() {
            return Err(handlers::HandlersError::Unreachable { name: name.clone() }.into());
        }
        let destinations = handlers::one(&self.config, Arc::new(handler))?;
        self.start_with(destinations).await
    }

    /// Opens the inbox and starts to hand each event to the handler that `[[routes]]` and
    /// `dispatch.handler` name: one of `[handlers]`, one that [`Builder::handler`] added, or
    /// `print`.
    ///
    /// # Errors
    /// A handler is not known, not built in, or cannot be opened, and the errors of
    /// [`Builder::start`].
    pub async fn start_configured(self) -> Result<Receiver, StartError> {
        self.config.check()?;
        let destinations = handlers::configured(&self.config, &self.handlers)?;
        self.start_with(destinations).await
    }

    async fn start_with(self, destinations: Destinations) -> Result<Receiver, StartError> {
        let config = self.config;
        if !config.trace.endpoint.is_empty() && !cfg!(feature = "otlp") {
            return Err(StartError::NotBuilt);
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = options::metrics(&config);
        let rules = Rules::new(config.rules.profile, &config.rules.levels, &config.subscriber_ids)?;
        let keys = keys::open(&config, &metrics)?;
        let trust = Trust::new(options::demand(&config), options::window(&config), keys);
        let Opened { inbox, expecting, place } =
            inbox::open(&config, destinations.outlets, &metrics, &clock).await?;
        let intake = Intake {
            inbox: Arc::clone(&inbox),
            trust,
            rules,
            buyer_rules: self.buyer_rules,
            deadline: config.rules.deadline,
            rejected: options::rejected(&config),
            metrics: Arc::clone(&metrics),
        };
        let desk =
            callbacks::Desk::new(intake, Arc::clone(&clock), options::callback_options(&config));
        let dispatcher = Dispatcher::start(
            Arc::clone(&inbox),
            destinations.callees,
            Arc::clone(&clock),
            options::dispatch_options(&config),
            &metrics,
        )
        .map_err(StartError::Threads)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(silences::tell(Arc::clone(&expecting), clock));
        let desk = Draining(Arc::new(desk));
        Ok(Receiver { config, desk, inbox, expecting, place, dispatcher, metrics, tasks })
    }
}

/// A desk that turns callbacks away once its receiver is gone: a router that outlived it would
/// ACK what nobody hands over.
#[derive(Debug)]
struct Draining(Arc<callbacks::Desk>);

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.drain();
    }
}

/// A running receiver: takes callbacks in by its router, and hands their events over.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    desk: Draining,
    inbox: Arc<dyn Inbox>,
    expecting: Arc<dyn Expecting>,
    place: Place,
    dispatcher: Dispatcher,
    metrics: Arc<Metrics>,
    /// What runs beside the two halves; a set, so that it ends with the receiver.
    tasks: JoinSet<()>,
}

impl Receiver {
    /// Begins a receiver with these settings.
    pub fn builder(config: Config) -> Builder {
        Builder { config, buyer_rules: Vec::new(), handlers: Vec::new() }
    }

    /// Returns the router for the callbacks, to serve or to nest in an app of yours.
    ///
    /// It takes every path below the place where it is nested, so nest it at a path of its own.
    /// All bounds hold but two, which only [`Receiver::bind`]'s accept loop has: the time for a
    /// header and the number of connections. Whether unsigned callbacks may come from outside is
    /// then up to the app that listens. Once the receiver is shut down or dropped, the router
    /// answers 503.
    pub fn router(&self) -> Router {
        Router::new().fallback_service(service::of(Arc::clone(&self.desk.0)))
    }

    /// Returns where its inbox is.
    #[cfg(feature = "cli")]
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Binds the listeners of `http.listen` and `operations.listen`, and reads the tokens of
    /// operators; where the settings name none, they are in a file beside the inbox, which is made
    /// when there is none.
    ///
    /// # Errors
    /// An address is taken, callbacks from outside would come in unsigned, or the tokens cannot be
    /// read or made.
    ///
    /// # Panics
    /// It is called outside a tokio runtime.
    pub async fn bind(self) -> Result<Server, ServeError> {
        self.config.check_exposure()?;
        let (settings, inbox) = (self.config.operations.clone(), self.config.inbox.path.clone());
        // Reads the disk: not on a thread that serves others.
        let tokens = tokio::task::spawn_blocking(move || Tokens::open(&settings, &inbox))
            .await
            .expect("reading tokens does not panic and is not aborted")?;
        let (clock, metrics) = (Arc::new(SystemClock), Arc::clone(&self.metrics));
        let access = Access::new(&self.config.operations, tokens, clock, metrics);
        let callbacks = listen(self.config.http.listen, "http.listen").await?;
        let operations = listen(self.config.operations.listen, "operations.listen").await?;
        Ok(Server { receiver: self, access, callbacks, operations })
    }

    /// Returns what operators are served with; somebody has to serve its waiting room. Who listens
    /// there ends with `stopping`.
    pub(crate) fn office(&self, stopping: CancellationToken) -> operations::Office {
        let waiters = self.config.operations.waiters;
        operations::Office {
            desk: Arc::clone(&self.desk.0),
            inbox: Arc::clone(&self.inbox),
            expecting: Arc::clone(&self.expecting),
            waiting: WaitingRoom::new(self.place.clone(), self.inbox.arrivals(), waiters),
            ledgers: Ledgers::new(self.place.clone()),
            clock: Arc::new(SystemClock),
            metrics: Arc::clone(&self.metrics),
            streams: operations::Streams::new(self.config.operations.streams, stopping),
        }
    }

    /// Waits until the receiver cannot keep its promise any more, and says why.
    fn failure(&self) -> impl Future<Output = ServeError> + use<> {
        let (inbox, ended) = (self.inbox.failed(), self.dispatcher.ended());
        async move {
            tokio::select! {
                () = inbox => ServeError::InboxFailed,
                () = ended.cancelled() => ServeError::DispatchFailed,
            }
        }
    }

    /// Stops claiming, waits for what is with the handler (at most `dispatch.drain_timeout_ms`,
    /// then it is aborted and comes again at the next start), and closes the inbox.
    ///
    /// # Cancel safety
    /// Dropped, it aborts what is with the handler at once and may not close its files; the next
    /// start then takes it for an unclean end. Nothing is lost.
    pub async fn shutdown(mut self) {
        self.desk.0.drain();
        self.tasks.shutdown().await;
        self.dispatcher.shutdown().await;
        self.inbox.close().await;
        #[cfg(feature = "otlp")]
        crate::otlp::flush().await;
    }
}

/// A receiver with its listeners bound, not serving yet.
#[derive(Debug)]
pub struct Server {
    receiver: Receiver,
    access: Arc<Access>,
    callbacks: TcpListener,
    operations: TcpListener,
}

impl Server {
    /// Returns the address of the callbacks' listener.
    ///
    /// # Errors
    /// The system does not say.
    pub fn callbacks_address(&self) -> std::io::Result<SocketAddr> {
        self.callbacks.local_addr()
    }

    /// Returns the address of the operations' listener.
    ///
    /// # Errors
    /// The system does not say.
    pub fn operations_address(&self) -> std::io::Result<SocketAddr> {
        self.operations.local_addr()
    }

    /// Serves until `stop` ends or the inbox fails; then drains: no new connections, requests in
    /// flight, no new claims, the handler's work, the inbox.
    ///
    /// # Errors
    /// The inbox failed three times in a row, or a bug ended the dispatching.
    ///
    /// # Cancel safety
    /// Dropped, it closes the listeners at once; see [`Receiver::shutdown`] for the rest.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Server { receiver, access, callbacks, operations } = self;
        let config = &receiver.config;
        let bounds = options::callback_bounds(config);
        let stopping = CancellationToken::new();
        let office = receiver.office(stopping.clone());
        let waiting = Arc::clone(&office.waiting);
        let router = operations::router(office, &access);
        let drained = CancellationToken::new();
        // A set, so that dropping this ends the listener with everything else.
        let mut probes = JoinSet::new();
        let handing_on = probes.spawn(waiting.serve());
        probes.spawn(serve::serve(
            operations,
            move |peer| operations::access::known(&router, peer),
            serve::Bounds {
                connections: OPERATIONS_CONNECTIONS,
                grace: OPERATIONS_GRACE.min(bounds.grace),
                half_close: false,
                ..bounds
            },
            drained.clone().cancelled_owned(),
        ));
        let failure = receiver.failure();
        let mut failed = None;
        let desk = Arc::clone(&receiver.desk.0);
        let until = async {
            tokio::select! {
                () = stop => {}
                why = failure => failed = Some(why),
            }
            desk.drain();
            stopping.cancel();
        };
        let service = service::of(Arc::clone(&receiver.desk.0));
        serve::serve(callbacks, move |_seller| service.clone(), bounds, until).await;
        receiver.shutdown().await;
        drained.cancel();
        handing_on.abort();
        while let Some(ended) = probes.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(error = %error, "the operations listener ended early");
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Probes, people, and apps that wait for what comes: those are the many.
const OPERATIONS_CONNECTIONS: usize = 1_536;

/// How long the operations' listener waits after everything else has ended: an answer is short, and
/// who does not read must not hold up the end.
const OPERATIONS_GRACE: Duration = Duration::from_secs(2);

async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen {
        address,
        setting,
        source,
    })
}

/// Listens for the signal to stop, from this call on: SIGTERM or SIGINT, elsewhere Ctrl-C. The
/// future waits for it.
///
/// # Panics
/// It is called outside a tokio runtime, or the process cannot listen for signals.
#[cfg(unix)]
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
    async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Waits for Ctrl-C.
///
/// # Panics
/// The process cannot listen for it.
#[cfg(not(unix))]
pub async fn shutdown_signal() {
    tokio::signal::ctrl_c().await.expect("Ctrl-C can be listened for");
}

/// The time of the system.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let wait = (at - Utc::now()).to_std().unwrap_or_default();
        Box::pin(tokio::time::sleep(wait))
    }
}
