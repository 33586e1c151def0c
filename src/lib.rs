//! The callback inbox of a Beckn / ONDC buyer app (BAP).
//!
//! Seller apps (BPPs) POST `/on_status`, `/on_update`, `/on_track` and the protocol's other
//! callbacks. The receiver reads them into typed models, checks them, keeps them on disk, answers
//! ACK, and then hands each event to your [`OrderEventHandler`] until it has taken it.
//!
//! > If it answered ACK, the callback is on disk, and it will reach your code at least once, in
//! > order within its transaction — or you will be told.
//!
//! # The life of a callback
//! 1. `http::callbacks` takes a POST within bounds, as raw bytes; the last segment of the path is
//!    the [`Action`].
//! 2. `intake` verifies who signed these bytes, parses them into a [`Callback`] (typed models, lax
//!    about types), checks the rules, and appends the event to the inbox.
//! 3. The `inbox`'s writer commits what waits as one group and syncs it to the disk; it gives each
//!    event its id and its place in the log, and finds the duplicates.
//! 4. Only then the seller is answered `{"message":{"ack":{"status":"ACK"}}}`; a rejection is a
//!    NACK that says what to mend and where.
//! 5. The `dispatch` half, on a runtime of its own, claims the event, calls the handler, and
//!    settles: done, again later, or a dead letter that an operator sees and can replay.
//!
//! Both halves meet only in the inbox.
//!
//! # Your handler
//! ```no_run
//! use beckn_receiver::{Config, HandlerError, OrderEvent, OrderEventHandler, Payload, Receiver};
//!
//! struct PrintOrders;
//!
//! impl OrderEventHandler for PrintOrders {
//!     async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
//!         match &event.payload {
//!             Payload::Order(order) => println!("{:?} is {:?}", order.id, order.state()),
//!             Payload::Tracking(tracking) => println!("on its way: {:?}", tracking.url),
//!             _ => println!("{}: {:?}", event.action, event.error),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::load("config.toml")?; // or Config::from_environment()?
//!     beckn_receiver::start_log(&config)?; // retries and dead letters are told there
//!     let receiver = Receiver::builder(config).start(PrintOrders).await?;
//!     receiver.bind().await?.run(beckn_receiver::shutdown_signal()).await?;
//!     Ok(())
//! }
//! ```
//! To nest it in an axum app of yours, see [`Receiver::router`].

pub mod beckn;
#[cfg(all(test, any(feature = "jetstream", feature = "postgres", feature = "rabbitmq")))]
#[path = "../tests/servers/mod.rs"]
mod servers;
mod words;

mod buyer_rule;
mod clock;
pub mod config;
mod event;
mod metrics;
mod priority;
mod rules;
mod signature;

mod handler;
mod inbox;
mod registry;
mod retry;
mod routes;
mod trace;

mod dispatch;
mod handlers;
mod intake;
mod operations;
#[cfg(feature = "otlp")]
mod otlp;

mod http;

#[cfg(feature = "cli")]
mod log;
#[cfg(feature = "mock")]
pub mod mock;
mod receiver;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

pub use beckn::action::Action;
pub use beckn::answer::ErrorType;
pub use beckn::callback::{Callback, Malformed, Payload};
pub use beckn::text::Text;
pub use buyer_rule::{BuyerRule, Refuse};
pub use config::Config;
pub use event::{EventId, Flag, Flags, OrderEvent};
pub use handler::{HandlerError, OrderEventHandler};
pub use handlers::print::Print;
pub use http::operations::access::TokensError;
pub use inbox::sqlite::open_error::{EngineError, OpenError};
#[cfg(feature = "cli")]
pub use log::{LogError, start_log};
pub use receiver::handlers::HandlersError;
pub use receiver::inbox::DatabaseError;
pub use receiver::keys::KeysError;
pub use receiver::load::LoadError;
pub use receiver::{Builder, Receiver, ServeError, Server, StartError, shutdown_signal};
pub use routes::UnknownHandler;
pub use rules::UnknownRules;
pub use words::{
    Glob, HostName, KeyId, Level, Outside, PinnedKey, Profile, Sender, SubscriberId, Template,
    Violation,
};
