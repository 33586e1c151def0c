//! The command line: one file a command.
//!
//! # Constraints
//! - Results go to standard output, everything else to standard error.
//! - Exit codes: 0 as asked, 1 the answer is "no" or it failed, 2 the command line or the settings
//!   are wrong.
//! - Text from outside is cut and escaped before it reaches a terminal.

mod changes;
mod check;
mod dev;
mod edit;
mod events;
mod handlers;
mod health;
mod input;
mod keygen;
mod posting;
mod route;
mod seller;
mod seller_file;
mod send;
mod serve;
mod show;
mod sign;
mod trigger;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Exposed};
use crate::inbox::reader;
use crate::receiver::StartError;
use crate::receiver::keys::KeysError;
use crate::receiver::load::LoadError;
use crate::routes::UnknownHandler;

/// The settings file that is looked for when none is named.
const SETTINGS_FILE: &str = "config.toml";

#[derive(Debug, Parser)]
#[command(
    name = "beckn-receiver",
    version,
    about = "Receives Beckn / ONDC callbacks for a buyer app",
    long_about = "Receives the callbacks that Beckn / ONDC seller apps (BPPs) POST to a buyer app \
        (BAP): /on_status, /on_update, /on_track and the others at the same bap_uri.\n\n\
        If it answered ACK, the callback is on disk, and it will reach your code at least once, in \
        order within its transaction - or you will be told.",
    after_help = "Try it:\n  \
        beckn-receiver                                   serve with ./config.toml or the defaults\n  \
        beckn-receiver dev                               a small network, for `trigger` and `send`\n  \
        beckn-receiver check examples/payloads/*.json    what would be answered, without a server\n  \
        beckn-receiver events --progress dead            what was given up\n  \
        beckn-receiver replay --dead                     hand it over again\n\n\
        Every setting of config.toml can be set by a variable: http.listen is\n  \
        BECKN_RECEIVER_HTTP__LISTEN=127.0.0.1:8081"
)]
struct Arguments {
    /// The settings file [default: ./config.toml if there is one, else the built-in defaults]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take callbacks in and hand their events over (the default)
    Serve,
    /// Start a small network on this machine: a receiver, a registry, and a seller's key
    Dev(dev::Arguments),
    /// Say what would be answered to callbacks in files, without a server
    Check(check::Arguments),
    /// List events, newest first; beside a running receiver or without one
    Events(events::Arguments),
    /// Show one event: what came, its attempts, its warnings and oddities
    Show(show::Arguments),
    /// List the events that were given up, with the reason
    DeadLetters(events::DeadLetters),
    /// List the callbacks that were refused, with the reason
    Refusals(events::Refusals),
    /// Hand events over again, done or dead
    Replay(events::Replay),
    /// List the handlers, and since when one is paused
    Handlers(handlers::List),
    /// Hand nothing more to a handler, while callbacks are still ACKed
    Pause(handlers::Names),
    /// Hand events to a paused handler again
    Resume(handlers::Names),
    /// Say which handler takes which events, and why
    Route(route::Arguments),
    /// Post a callback as a seller app would: signed, repeated, or broken on purpose
    Trigger(Box<trigger::Arguments>),
    /// Post captured callbacks from files, repaired and signed
    Send(send::Arguments),
    /// Ask a running receiver whether it can take callbacks (for container health checks)
    Health(health::Arguments),
    /// Make a key pair, to register and to sign with
    Keygen(keygen::Arguments),
    /// Print the Authorization header for a body
    Sign(sign::Arguments),
    /// Say whether a signature is over a body, and why not
    Verify(verify::Arguments),
}

/// A failure that ends a command, told to the person at the terminal.
type Failure = Box<dyn std::error::Error>;

/// A mistake of the command line that its parser cannot see: trying again does not help.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Mistake(Failure);

/// Returns the failure of a command line that cannot be obeyed as it is.
fn mistake(what: impl Into<Failure>) -> Failure {
    Box::new(Mistake(what.into()))
}

/// Runs the command line with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help_or_mistake) => {
            let code = if help_or_mistake.use_stderr() { 2 } else { 0 };
            // Nothing can be said when even this cannot be printed.
            let _ = help_or_mistake.print();
            return ExitCode::from(code);
        }
    };
    match obey(arguments) {
        Ok(code) => code,
        Err(failure) => {
            tell(failure.as_ref());
            if let Some(hint) = hint(failure.as_ref()) {
                eprintln!("  {hint}");
            }
            if is_mistake(failure.as_ref()) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn obey(arguments: Arguments) -> Result<ExitCode, Failure> {
    let command = match arguments.command.unwrap_or(Command::Serve) {
        // These have no use for the settings file, and a mistake in it does not stop them.
        Command::Dev(_) if arguments.config.is_some() => {
            return Err(mistake(
                "`dev` has settings of its own and takes no --config; variables override them",
            ));
        }
        Command::Dev(arguments) => return dev::run(&arguments),
        Command::Trigger(arguments) => return trigger::run(&arguments),
        Command::Keygen(arguments) => return keygen::run(&arguments),
        command => command,
    };
    obey_with(load(arguments.config.as_deref())?, command)
}

fn obey_with(config: Config, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve => serve::run(config),
        Command::Dev(_) | Command::Trigger(_) | Command::Keygen(_) => {
            unreachable!("they are obeyed without settings")
        }
        Command::Check(arguments) => check::run(&config, &arguments),
        Command::Events(arguments) => events::list(&config, &arguments),
        Command::Show(arguments) => show::run(&config, &arguments),
        Command::DeadLetters(arguments) => events::dead_letters(&config, &arguments),
        Command::Refusals(arguments) => events::refusals(&config, &arguments),
        Command::Replay(arguments) => events::replay(&config, &arguments),
        Command::Handlers(arguments) => handlers::list(&config, &arguments),
        Command::Pause(arguments) => handlers::pause(&config, &arguments),
        Command::Resume(arguments) => handlers::resume(&config, &arguments),
        Command::Route(arguments) => route::run(&config, &arguments),
        Command::Send(arguments) => send::run(&config, &arguments),
        Command::Health(arguments) => health::run(&config, &arguments),
        Command::Sign(arguments) => sign::run(&config, &arguments),
        Command::Verify(arguments) => verify::run(&config, &arguments),
    }
}

fn load(named: Option<&Path>) -> Result<Config, LoadError> {
    match named {
        Some(file) => Config::load(file),
        None if Path::new(SETTINGS_FILE).exists() => Config::load(SETTINGS_FILE),
        None => Config::from_environment(),
    }
}

/// Returns whether a failure is a mistake of the settings or the command line.
fn is_mistake(failure: &(dyn std::error::Error + 'static)) -> bool {
    let of_start = failure.downcast_ref::<StartError>().is_some_and(|error| {
        matches!(
            error,
            StartError::Settings(_)
                | StartError::Rules(_)
                | StartError::Keys(_)
                | StartError::Handlers(_)
        )
    });
    of_start
        || failure.is::<LoadError>()
        || failure.is::<Exposed>()
        || failure.is::<KeysError>()
        || failure.is::<UnknownHandler>()
        || failure.is::<Mistake>()
}

/// Returns what to type in place of a command that found no inbox, where `dev` keeps one.
fn hint(failure: &(dyn std::error::Error + 'static)) -> Option<String> {
    let reader::Error::Missing { directory } = failure.downcast_ref()? else { return None };
    let inbox = dev::inbox_here().filter(|inbox| inbox != directory)?;
    let inbox = inbox.display();
    Some(format!("`dev` keeps one here: BECKN_RECEIVER_INBOX__PATH={inbox} beckn-receiver events"))
}

/// Prints a failure and what caused it, each once.
fn tell(failure: &dyn std::error::Error) {
    eprintln!("beckn-receiver: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
