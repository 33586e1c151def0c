//! What can be set: one table of settings that drives the file, the environment and the document.
//!
//! Constraints: nothing here reads a file, the environment or a clock; [`Config::parse`] takes the
//! text and the variables. Every mistake is reported, not the first one. A setting exists once, in
//! `settings`: its name, its default, what is allowed and why it is there; `config.toml` is that
//! table written out, and a test proves it.
//!
//! Layout: `settings` is the table, of rows as `table` has them, `value`, `list` and `levels`
//! read one value of each kind, `forms` say what texts look like, `secret` one that is never shown, `words` are the settings
//! that are a choice, `handlers` is the table of each kind of handler and `entries` reads them,
//! `routes` reads routes, `parse` walks the file and the environment, `check` holds what settings
//! demand of each other, `problem` says what is wrong and where.

mod check;
mod entries;
mod forms;
mod handlers;
mod levels;
mod list;
mod parse;
mod problem;
mod routes;
mod secret;
mod settings;
mod table;
mod value;
mod words;

pub use check::Exposed;
pub use handlers::{
    Forward, Handler, HandlerKind, JetStream, RabbitMq, Server as NatsServer, TargetUrl,
};
pub use problem::{ConfigError, Place, Problem};
pub use routes::Route;
pub use secret::Secret;
pub use settings::{
    Answer, Config, Dispatch, Http, Inbox, Log, Operations, Registry, Rules, Server, Signature,
    Trace,
};
pub use words::{Content, Engine, LogFormat, OtherActions, RegistryApi, SignatureMode};

#[cfg(test)]
mod handlers_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;
