//! Receives the callbacks that Beckn / ONDC seller apps (BPPs) send to a buyer app (BAP).

pub mod beckn;
mod words;

mod buyer_rule;
mod clock;
pub mod config;
mod event;

mod handler;
mod inbox;
mod retry;

mod dispatch;
mod handlers;

#[cfg(feature = "mock")]
pub mod mock;

pub use beckn::action::Action;
pub use buyer_rule::{BuyerRule, Refuse};
pub use config::Config;
pub use event::{EventId, Flag, Flags, OrderEvent};
pub use handler::{HandlerError, OrderEventHandler};
pub use handlers::print::Print;
pub use words::{Level, Outside, Profile, Sender, SubscriberId, Violation};
