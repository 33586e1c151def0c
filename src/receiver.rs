//! Puts the halves together: settings → inbox, intake, dispatcher → routers, listeners, shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::buyer_rule::{BuyerRule, ErasedRule};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Exposed, OtherActions};
use crate::dispatch::{self, Dispatcher};
use crate::handler::{ErasedHandler, OrderEventHandler};
use crate::http::{callbacks, operations, serve};
use crate::inbox::Inbox;
use crate::inbox::sqlite::open_error::OpenError;
use crate::inbox::sqlite::{self, SqliteInbox};
use crate::intake::{Intake, Rejected};
use crate::retry::Policy;
use crate::rules::{Rules, UnknownRules};

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("could not read the settings file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or the environment has mistakes; all of them are named.
    #[error(transparent)]
    Mistakes(#[from] ConfigError),
    /// A variable of ours holds something else than Unicode.
    #[error("expected a text in the environment variable {name}, found bytes that are none")]
    NotUnicode {
        /// The variable.
        name: String,
    },
}

/// Why a receiver did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings, as the program made them, have mistakes; all of them are named.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// `[rules.levels]` names rules that there are not.
    #[error(transparent)]
    Rules(#[from] UnknownRules),
    /// The inbox cannot be opened.
    #[error(transparent)]
    Inbox(#[from] OpenError),
    /// Threads cannot be started.
    #[error("could not start the handler's threads")]
    Threads(#[source] std::io::Error),
}

/// Why a receiver does not serve, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It would let unsigned callbacks in from outside.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// An address cannot be listened on.
    #[error("could not listen on {address} ({setting})")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The inbox failed three times in a row; what was `ACKed` before is kept.
    #[error("the inbox cannot be written: stopped, so that sellers try again later")]
    InboxFailed,
}

impl Config {
    /// Loads the settings of a file, and of the `BECKN_RECEIVER_…` variables over them.
    ///
    /// # Errors
    /// The file cannot be read, or it or the environment has mistakes; all of them are named.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, LoadError> {
        let path = path.as_ref().to_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::load_text(&text, &path.display().to_string()),
            Err(source) => Err(LoadError::Read { path, source }),
        }
    }

    /// Loads the defaults, and the `BECKN_RECEIVER_…` variables over them.
    ///
    /// # Errors
    /// The environment has mistakes; all of them are named.
    pub fn from_environment() -> Result<Config, LoadError> {
        Self::load_text("", "the defaults")
    }

    fn load_text(text: &str, file: &str) -> Result<Config, LoadError> {
        let mut ours = Vec::new();
        for (name, value) in std::env::vars_os() {
            // A name that is not Unicode is none of ours: those are ASCII.
            let Ok(name) = name.into_string() else { continue };
            if name.starts_with("BECKN_RECEIVER_") {
                let Ok(value) = value.into_string() else {
                    return Err(LoadError::NotUnicode { name });
                };
                ours.push((name, value));
            }
        }
        Ok(Config::parse(text, ours).map_err(|mistakes| mistakes.in_file(file))?)
    }
}

/// Collects what a receiver is started with.
#[derive(Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    config: Config,
    buyer_rules: Vec<Arc<dyn ErasedRule>>,
}

impl Builder {
    /// Adds a rule of the buyer's; rules are looked at in the order in which they were added.
    pub fn rule(mut self, rule: impl BuyerRule) -> Self {
        self.buyer_rules.push(Arc::new(rule));
        self
    }

    /// Opens the inbox and starts to hand its events to `handler`.
    ///
    /// # Errors
    /// The rules' levels name unknown rules, the inbox cannot be opened, or threads cannot be
    /// started.
    pub async fn start(self, handler: impl OrderEventHandler) -> Result<Receiver, StartError> {
        self.start_erased(Arc::new(handler)).await
    }

    async fn start_erased(self, handler: Arc<dyn ErasedHandler>) -> Result<Receiver, StartError> {
        let config = self.config;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        config.check()?;
        let rules = Rules::new(config.rules.profile, &config.rules.levels, &config.subscriber_ids)?;
        let (options, opening) = (inbox_options(&config), Arc::clone(&clock));
        // Opening reads the disk: not on a thread that serves others.
        let inbox = tokio::task::spawn_blocking(move || SqliteInbox::open(options, opening))
            .await
            .expect("opening the inbox does not panic and is not aborted")?;
        let intake = Intake {
            inbox: Arc::clone(&inbox) as Arc<dyn Inbox>,
            rules,
            buyer_rules: self.buyer_rules,
            deadline: config.rules.deadline,
            rejected: rejected(&config),
        };
        let desk = callbacks::Desk::new(intake, Arc::clone(&clock), callback_options(&config));
        let dispatcher = Dispatcher::start(
            Arc::clone(&inbox) as Arc<dyn Inbox>,
            handler,
            clock,
            dispatch_options(&config),
        )
        .map_err(StartError::Threads)?;
        Ok(Receiver { config, desk: Arc::new(desk), inbox, dispatcher })
    }
}

/// A running receiver: takes callbacks in by its router, and hands their events over.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    desk: Arc<callbacks::Desk>,
    inbox: Arc<SqliteInbox>,
    dispatcher: Dispatcher,
}

impl Receiver {
    /// Begins a receiver with these settings.
    pub fn builder(config: Config) -> Builder {
        Builder { config, buyer_rules: Vec::new() }
    }

    /// Returns the router for the callbacks, to serve or to nest in an app of yours.
    ///
    /// It takes every path below the place where it is nested, so nest it at a path of its own.
    /// All bounds hold but two, which only [`Receiver::bind`]'s accept loop has: the time for a
    /// header and the number of connections. Whether unsigned callbacks may come from outside is
    /// then up to the app that listens.
    pub fn router(&self) -> Router {
        callbacks::router(Arc::clone(&self.desk))
    }

    /// Binds the listeners of `http.listen` and `operations.listen`.
    ///
    /// # Errors
    /// An address is taken, or callbacks from outside would come in unsigned.
    pub async fn bind(self) -> Result<Server, ServeError> {
        self.config.check_exposure()?;
        let callbacks = listen(self.config.http.listen, "http.listen").await?;
        let operations = listen(self.config.operations.listen, "operations.listen").await?;
        Ok(Server { receiver: self, callbacks, operations })
    }

    /// Stops claiming, waits for what is with the handler (at most `dispatch.drain_timeout_ms`,
    /// then it is aborted and comes again at the next start), and closes the inbox.
    ///
    /// # Cancel safety
    /// What was begun goes on, but a receiver whose shutdown is dropped may not close its files;
    /// the next start then takes it for an unclean end. Nothing is lost.
    pub async fn shutdown(self) {
        self.desk.drain();
        self.dispatcher.shutdown().await;
        self.inbox.close().await;
    }
}

/// A receiver with its listeners bound, not serving yet.
#[derive(Debug)]
pub struct Server {
    receiver: Receiver,
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
    /// The inbox failed three times in a row.
    ///
    /// # Cancel safety
    /// Dropped, it closes the listeners at once; see [`Receiver::shutdown`] for the rest.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Server { receiver, callbacks, operations } = self;
        let config = &receiver.config;
        let bounds = serve::Bounds {
            connections: config.http.connections,
            header_timeout: config.http.header_timeout,
            grace: config.http.request_timeout,
        };
        let probe = operations::Probe {
            desk: Arc::clone(&receiver.desk),
            inbox: Arc::clone(&receiver.inbox) as Arc<dyn Inbox>,
        };
        let drained = CancellationToken::new();
        let probes = tokio::spawn(serve::serve(
            operations,
            operations::router(probe),
            serve::Bounds { connections: OPERATIONS_CONNECTIONS, ..bounds },
            drained.clone().cancelled_owned(),
        ));
        let inbox = Arc::clone(&receiver.inbox);
        let failed = CancellationToken::new();
        let say_failed = failed.clone();
        let desk = Arc::clone(&receiver.desk);
        let stop = async move {
            tokio::select! {
                () = stop => {}
                () = inbox.failed() => { say_failed.cancel(); }
            }
            desk.drain();
        };
        serve::serve(callbacks, receiver.router(), bounds, stop).await;
        receiver.shutdown().await;
        drained.cancel();
        if let Err(error) = probes.await {
            tracing::error!(error = %error, "the operations listener ended early");
        }
        if failed.is_cancelled() { Err(ServeError::InboxFailed) } else { Ok(()) }
    }
}

/// Probes and people: few, and none of them waits.
const OPERATIONS_CONNECTIONS: usize = 64;

async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen {
        address,
        setting,
        source,
    })
}

/// Waits for the signal to stop: SIGTERM or SIGINT, elsewhere Ctrl-C.
///
/// # Panics
/// The process cannot listen for signals.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
        let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.expect("Ctrl-C can be listened for");
}

/// The time of the system.
#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let wait = (at - Utc::now()).to_std().unwrap_or_default();
        Box::pin(tokio::time::sleep(wait))
    }
}

fn rejected(config: &Config) -> Rejected {
    match (config.answer.always_ack, config.answer.deliver_rejected) {
        (false, _) => Rejected::Nack,
        (true, false) => Rejected::Keep,
        (true, true) => Rejected::Deliver,
    }
}

fn callback_options(config: &Config) -> callbacks::Options {
    callbacks::Options {
        base_path: config.http.base_path.clone(),
        refuse_other_actions: config.http.other_actions == OtherActions::Refuse,
        body_limit: config.http.body_limit_bytes,
        in_flight_bytes: config.http.in_flight_bytes,
        in_flight_requests: config.http.in_flight_requests,
        request_timeout: config.http.request_timeout,
        nack_status: StatusCode::from_u16(config.answer.nack_status)
            .expect("the settings allow only statuses"),
        retry_after: config.http.retry_after_s,
    }
}

fn dispatch_options(config: &Config) -> dispatch::Options {
    let dispatch = &config.dispatch;
    dispatch::Options {
        concurrency: dispatch.concurrency,
        attempt_timeout: dispatch.attempt_timeout,
        drain_timeout: dispatch.drain_timeout,
        retry: Policy {
            initial: dispatch.retry_initial,
            cap: dispatch.retry_cap,
            attempts: dispatch.retry_attempts,
            give_up_after: dispatch.retry_window,
        },
    }
}

fn inbox_options(config: &Config) -> sqlite::Options {
    let inbox = &config.inbox;
    sqlite::Options {
        path: inbox.path.clone(),
        batch_limit: inbox.batch_limit,
        queue_limit: inbox.queue_limit,
        // What waits for the writer was in flight: a seller that hung up does not widen the bound.
        queue_bytes: config.http.in_flight_bytes,
        window_days: inbox.duplicate_window_days,
        window_events: inbox.duplicate_window_events,
        tail_events: inbox.tail_events,
        tail_bytes: inbox.tail_bytes,
        unsettled_limit: inbox.unsettled_limit,
        min_free_bytes: inbox.min_free_bytes,
        retention_days: inbox.retention_days,
        retention_bytes: inbox.retention_bytes,
        dead_letter_days: inbox.dead_letter_days,
        refusals_kept: inbox.refusals_kept,
        refusal_body_bytes: inbox.refusal_body_bytes,
        refusal_queue: inbox.refusal_queue,
        refusals_per_seller_and_cause: inbox.refusals_per_seller,
        poll: config.dispatch.poll,
    }
}
