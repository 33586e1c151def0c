//! The command line: one file a command.
//!
//! # Constraints
//! - Results go to standard output, everything else to standard error.
//! - Exit codes: 0 as asked, 1 the answer is "no" or it failed, 2 the command line or the settings
//!   are wrong.
//! - Text from outside is cut and escaped before it reaches a terminal.

mod audit;
mod backup;
mod changes;
mod check;
mod dev;
mod doctor;
mod edit;
mod erase;
mod events;
mod expectations;
mod handlers;
mod health;
mod input;
mod keygen;
mod outlook;
mod posting;
mod refusals;
mod replay;
mod route;
mod seller;
mod seller_file;
mod sellers;
mod send;
mod serve;
mod show;
mod sign;
mod source;
mod tail;
mod timeline;
mod trigger;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::source::Source;

use crate::config::{Config, Exposed};
use crate::inbox::reader;
use crate::receiver::StartError;
use crate::receiver::inbox::DatabaseError;
use crate::receiver::keys::KeysError;
use crate::receiver::load::LoadError;
use crate::routes::UnknownHandler;
use crate::words::PlainJson;

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

    #[command(flatten)]
    place: source::Place,

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
    #[command(flatten)]
    Look(Look),
    /// Say which handler takes which events, and why
    Route(route::Arguments),
    /// Check all that a receiver needs, and say what to do
    Doctor(doctor::Arguments),
    /// Copy the inbox of this machine to a new file, while a receiver runs or not
    Backup(backup::Backup),
    /// Bring an inbox back from a copy, into a place where there is none
    Restore(backup::Restore),
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

/// Commands that look into an inbox, here or by a running receiver.
#[derive(Debug, Subcommand)]
enum Look {
    /// List events, newest first; beside a running receiver or without one
    Events(events::Arguments),
    /// Print events as they come, until Ctrl-C
    Tail(tail::Arguments),
    /// Show one event: what came, its attempts, its warnings and oddities
    Show(show::Arguments),
    /// Show a transaction, event by event
    Timeline(timeline::Transaction),
    /// Show what is known of an order, and what changed when
    Order(timeline::Order),
    /// List the events that were given up, with the reason
    DeadLetters(events::DeadLetters),
    /// List the callbacks that were refused, with the reason
    Refusals(refusals::Arguments),
    /// Hand events over again, done or dead
    Replay(replay::Arguments),
    /// List the handlers, and since when one is paused
    Handlers(handlers::List),
    /// Hand nothing more to a handler, while callbacks are still ACKed
    Pause(handlers::Names),
    /// Hand events to a paused handler again
    Resume(handlers::Names),
    /// List the sellers, and what came of each
    Sellers(sellers::Arguments),
    /// List the callbacks that the buyer app waits for, and what became of each
    Expectations(expectations::Arguments),
    /// Empty all that is kept of a transaction, for good
    Erase(erase::Arguments),
    /// List what operators changed, and who
    Audit(audit::Arguments),
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
    let Arguments { config: file, place, command } = arguments;
    let command = command.unwrap_or(Command::Serve);
    let load = || load(file.as_deref());
    if let Command::Look(look) = command {
        let source = match place.remote()? {
            Some(receiver) => receiver,
            None => place.local(load()?)?,
        };
        return look.obey(&source);
    }
    if place.is_given() && !matches!(command, Command::Backup(_) | Command::Restore(_)) {
        return Err(mistake(
            "--inbox, --url and --token-file are for commands that look into an inbox",
        ));
    }
    match command {
        Command::Look(_) => unreachable!("it was obeyed"),
        // These have no use for the settings file, and a mistake in it does not stop them.
        Command::Dev(_) if file.is_some() => Err(mistake(
            "`dev` has settings of its own and takes no --config; variables override them",
        )),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Trigger(arguments) => trigger::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
        // Their mistakes are what it tells.
        Command::Doctor(arguments) => doctor::run(load(), &arguments),
        Command::Serve => serve::run(load()?),
        Command::Backup(arguments) => backup::backup(&place.directory(&load()?)?, &arguments),
        Command::Restore(arguments) => backup::restore(&place.directory(&load()?)?, &arguments),
        Command::Check(arguments) => check::run(&load()?, &arguments),
        Command::Route(arguments) => route::run(&load()?, &arguments),
        Command::Send(arguments) => send::run(&load()?, &arguments),
        Command::Health(arguments) => health::run(&load()?, &arguments),
        Command::Sign(arguments) => sign::run(&load()?, &arguments),
        Command::Verify(arguments) => verify::run(&load()?, &arguments),
    }
}

impl Look {
    fn obey(self, source: &Source) -> Result<ExitCode, Failure> {
        match self {
            Look::Events(arguments) => events::list(source, &arguments),
            Look::Tail(arguments) => tail::run(source, &arguments),
            Look::Show(arguments) => show::run(source, &arguments),
            Look::Timeline(arguments) => timeline::transaction(source, &arguments),
            Look::Order(arguments) => timeline::order(source, &arguments),
            Look::DeadLetters(arguments) => events::dead_letters(source, &arguments),
            Look::Refusals(arguments) => refusals::run(source, &arguments),
            Look::Replay(arguments) => replay::run(source, &arguments),
            Look::Handlers(arguments) => handlers::list(source, &arguments),
            Look::Pause(arguments) => handlers::pause(source, &arguments),
            Look::Resume(arguments) => handlers::resume(source, &arguments),
            Look::Sellers(arguments) => sellers::run(source, &arguments),
            Look::Expectations(arguments) => expectations::run(source, &arguments),
            Look::Erase(arguments) => erase::run(source, &arguments),
            Look::Audit(arguments) => audit::run(source, &arguments),
        }
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
                | StartError::NotBuilt
        ) || matches!(error, StartError::Database(error) if error.is_mistake())
    });
    let of_database =
        failure.downcast_ref::<DatabaseError>().is_some_and(DatabaseError::is_mistake);
    of_start
        || of_database
        || failure.is::<LoadError>()
        || failure.is::<Exposed>()
        || failure.is::<KeysError>()
        || failure.is::<UnknownHandler>()
        || failure.is::<Mistake>()
}

/// Returns a row as one line of JSON that does nothing to a terminal.
fn json(row: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(PlainJson(&serde_json::to_string(row)?).to_string())
}

/// Returns what to type in place of a command that found no inbox, where `dev` keeps one.
fn hint(failure: &(dyn std::error::Error + 'static)) -> Option<String> {
    let reader::Error::Missing { directory } = failure.downcast_ref()? else { return None };
    let inbox = dev::inbox_here().filter(|inbox| inbox != directory)?;
    let inbox = inbox.display();
    Some(format!("`dev` keeps one here: beckn-receiver events --inbox {inbox}"))
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
