//! Makes the handlers that the settings name, and finds out which event goes to which.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
use crate::config::Secret;
use crate::config::{Config, Handler, HandlerKind};
use crate::dispatch::Callee;
use crate::event::Address;
use crate::handler::ErasedHandler;
use crate::handlers::forward::{self, Forward};
#[cfg(feature = "jetstream")]
use crate::handlers::jetstream::{self, JetStream};
use crate::handlers::print::Print;
#[cfg(feature = "rabbitmq")]
use crate::handlers::rabbitmq::{self, RabbitMq};
use crate::inbox::{Outlet, Outlets};
use crate::routes::{Routes, UnknownHandler};
use crate::trace::Sampling;
use crate::words::Chain;

/// The handler that is there without being named.
pub(crate) const PRINT: &str = "print";

/// Why the handlers cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlersError {
    /// The settings lead to a handler that there is not.
    #[error(transparent)]
    Unknown(#[from] UnknownHandler),
    /// The program has a handler of this name, and another or the settings have it, too.
    #[error("handlers.{name}: the program has a handler of this name, too")]
    Twice {
        /// The name.
        name: String,
    },
    /// The program adds a handler by name, and starts with another one for every event.
    #[error("the handler `{name}` would get no event: start with `start_configured`")]
    Unreachable {
        /// The name of the one that was added.
        name: String,
    },
    /// The program gives one handler for everything, and the settings send events elsewhere.
    #[error(
        "the program starts with one handler for every event, and {setting} leads to others: leave \
         it out, or start with `start_configured`"
    )]
    Routed {
        /// The setting.
        setting: &'static str,
    },
    /// This program was built without a handler of this kind.
    #[error(
        "handlers.{name}: this program was built without `{kind}`: build it with the cargo feature \
         `{kind}`"
    )]
    NotBuilt {
        /// The handler's name.
        name: String,
        /// Its kind, which is the feature's name, too.
        kind: &'static str,
    },
    /// A handler cannot be opened with its settings.
    #[error("handlers.{name}: {why}")]
    Open {
        /// The handler's name.
        name: String,
        /// Why.
        why: String,
    },
}

/// A handler of the program's own, by its name.
pub(super) type Own = (String, Arc<dyn ErasedHandler>);

/// Where events go.
#[derive(Debug)]
pub(super) struct Destinations {
    /// What the inbox has to know of them.
    pub(super) outlets: Outlets,
    /// How they are called, in the same order.
    pub(super) callees: Vec<Callee>,
}

/// Sends every event to one handler of the program's.
pub(super) fn one(
    config: &Config,
    handler: Arc<dyn ErasedHandler>,
) -> Result<Destinations, HandlersError> {
    if !config.routes.is_empty() {
        return Err(HandlersError::Routed { setting: "routes" });
    }
    if config.dispatch.handler != PRINT {
        return Err(HandlersError::Routed { setting: "dispatch.handler" });
    }
    let name = "app".to_owned();
    Ok(Destinations {
        outlets: Outlets::new(vec![name.clone()], |_| Outlet(0)),
        callees: vec![callee(config, name, handler, true)],
    })
}

/// Sends each event where the settings say.
pub(super) fn configured(config: &Config, own: &[Own]) -> Result<Destinations, HandlersError> {
    for (place, (name, _)) in own.iter().enumerate() {
        if config.handlers.contains_key(name) || own[..place].iter().any(|(known, _)| known == name)
        {
            return Err(HandlersError::Twice { name: name.clone() });
        }
    }
    let known: Vec<&str> = names(config).chain(own.iter().map(|(name, _)| name.as_str())).collect();
    let routes = Routes::new(config, &known)?;
    for name in known.iter().filter(|name| **name != PRINT) {
        if !routes.handlers().iter().any(|used| used == name) {
            tracing::warn!(handler = name, "no route leads to handler `{name}`, nor is it default");
        }
    }
    let callees = routes.handlers().iter().map(|name| find(config, own, name));
    let callees = callees.collect::<Result<Vec<_>, _>>()?;
    let names = routes.handlers().to_vec();
    let choose = move |address: &Address<'_>| {
        // Each is named in the settings, which have at most a few hundred.
        Outlet(u16::try_from(routes.choose(address)).unwrap_or(0))
    };
    Ok(Destinations { outlets: Outlets::new(names, choose), callees })
}

/// Returns the names of the handlers that the settings have.
pub(crate) fn names(config: &Config) -> impl Iterator<Item = &str> {
    let unnamed = (!config.handlers.contains_key(PRINT)).then_some(PRINT);
    unnamed.into_iter().chain(config.handlers.keys().map(String::as_str))
}

fn find(config: &Config, own: &[Own], name: &str) -> Result<Callee, HandlersError> {
    if let Some((_, handler)) = own.iter().find(|(known, _)| known == name) {
        return Ok(callee(config, name.to_owned(), Arc::clone(handler), true));
    }
    let Some(settings) = config.handlers.get(name) else {
        return Ok(callee(config, name.to_owned(), Arc::new(Print::default()), true));
    };
    let Handler { concurrency, rate_per_s, kind, .. } = settings;
    let handler = open(name, kind, Sampling::share(config.trace.sample_ratio))?;
    // Standard output may be a pipe that nobody reads; the others wait for the network only.
    let may_block = matches!(kind, HandlerKind::Print);
    let mut callee = callee(config, name.to_owned(), handler, may_block);
    if *concurrency > 0 {
        callee.concurrency = *concurrency;
    }
    callee.rate_per_s = NonZeroU32::new(*rate_per_s);
    Ok(callee)
}

fn callee(
    config: &Config,
    name: String,
    handler: Arc<dyn ErasedHandler>,
    may_block: bool,
) -> Callee {
    let concurrency = config.dispatch.concurrency;
    Callee { name, handler, concurrency, rate_per_s: None, may_block }
}

/// Opens the ready-made handler of a kind.
fn open(
    name: &str,
    kind: &HandlerKind,
    sampling: Sampling,
) -> Result<Arc<dyn ErasedHandler>, HandlersError> {
    match kind {
        HandlerKind::Print => Ok(Arc::new(Print::default())),
        HandlerKind::Forward(settings) => Ok(Arc::new(forward(name, settings, sampling)?)),
        #[cfg(feature = "jetstream")]
        HandlerKind::JetStream(settings) => Ok(Arc::new(jetstream(name, settings, sampling)?)),
        #[cfg(feature = "rabbitmq")]
        HandlerKind::RabbitMq(settings) => Ok(Arc::new(rabbitmq(name, settings, sampling)?)),
        #[cfg(not(all(feature = "jetstream", feature = "rabbitmq")))]
        _ => Err(HandlersError::NotBuilt { name: name.to_owned(), kind: kind.as_str() }),
    }
}

fn forward(
    name: &str,
    settings: &crate::config::Forward,
    sampling: Sampling,
) -> Result<Forward, HandlersError> {
    let options = forward::Options {
        url: settings.url.expose().to_owned(),
        content: settings.content,
        secrets: settings.secrets.iter().map(|secret| secret.expose().to_owned()).collect(),
        secrets_file: named(&settings.secrets_file),
        ca_file: named(&settings.ca_file),
        connect_timeout: settings.connect_timeout,
        response_limit: settings.response_limit_bytes,
        sampling,
    };
    Forward::open(options).map_err(|error| not_opened(name, &error))
}

#[cfg(feature = "rabbitmq")]
fn rabbitmq(
    name: &str,
    settings: &crate::config::RabbitMq,
    sampling: Sampling,
) -> Result<RabbitMq, HandlersError> {
    let user = if settings.user.is_empty() { "guest" } else { &settings.user };
    let options = rabbitmq::Options {
        url: settings.url.clone(),
        user: user.to_owned(),
        password: password(name, &settings.password, &settings.password_file)?,
        exchange: settings.exchange.clone(),
        routing_key: settings.routing_key.clone(),
        declare: settings.declare,
        content: settings.content,
        ca_file: named(&settings.ca_file),
        confirm_timeout: settings.confirm_timeout,
        sampling,
    };
    RabbitMq::open(options).map_err(|error| not_opened(name, &error))
}

#[cfg(feature = "jetstream")]
fn jetstream(
    name: &str,
    settings: &crate::config::JetStream,
    sampling: Sampling,
) -> Result<JetStream, HandlersError> {
    let options = jetstream::Options {
        servers: settings.servers.iter().map(|server| server.as_str().to_owned()).collect(),
        subject: settings.subject.clone(),
        stream: settings.stream.clone(),
        create_stream: settings.create_stream,
        content: settings.content,
        user: settings.user.clone(),
        password: password(name, &settings.password, &settings.password_file)?,
        token: settings.token.expose().to_owned(),
        credentials_file: named(&settings.credentials_file),
        ca_file: named(&settings.ca_file),
        ack_timeout: settings.ack_timeout,
        sampling,
    };
    JetStream::open(options).map_err(|error| not_opened(name, &error))
}

fn not_opened(name: &str, error: &(dyn std::error::Error + 'static)) -> HandlersError {
    HandlersError::Open { name: name.to_owned(), why: Chain(error).to_string() }
}

/// Returns the password of the settings, or the one in their file.
#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
fn password(name: &str, password: &Secret, file: &Path) -> Result<String, HandlersError> {
    if file.as_os_str().is_empty() {
        return Ok(password.expose().to_owned());
    }
    let text = std::fs::read_to_string(file).map_err(|error| HandlersError::Open {
        name: name.to_owned(),
        why: format!("could not read password_file, {}: {error}", file.display()),
    })?;
    // A file that an editor or `echo` made ends with a line end.
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Returns a path that the settings name; "" is none.
fn named(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_handlers_of_the_program_do_not_share_a_name() {
        let own = || -> Own { ("orders".to_owned(), Arc::new(Print::default())) };
        configured(&Config::default(), &[own()]).unwrap();
        let error = configured(&Config::default(), &[own(), own()]).unwrap_err();
        assert!(matches!(error, HandlersError::Twice { name } if name == "orders"));
    }
}
