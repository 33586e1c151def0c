//! `handlers`, `pause`, `resume`: where events go, and stopping that for a while.

use std::io::Write as _;
use std::process::ExitCode;

use chrono::Utc;
use serde::Serialize;

use super::events::time;
use super::{Failure, mistake};
use crate::config::Config;
use crate::inbox::reader::Reader;
use crate::inbox::reader::handlers::{KnownHandler, set_paused};
use crate::words::Outside;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Names {
    /// Names of handlers, as `handlers` lists them
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,

    /// Every handler
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

/// A handler as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    paused_at: Option<String>,
}

pub(super) fn list(config: &Config, arguments: &List) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    for KnownHandler { name, paused_at } in Reader::open(&config.inbox.path)?.handlers()? {
        let paused_at = paused_at.map(time);
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string(&Row { name: &name, paused_at })?)?;
        } else {
            let says =
                paused_at.map_or("gets events".to_owned(), |at| format!("paused since {at}"));
            writeln!(out, "{} {says}", Outside(&name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn pause(config: &Config, arguments: &Names) -> Result<ExitCode, Failure> {
    let names = named(config, arguments)?;
    set_paused(&config.inbox.path, &names, Some(Utc::now()))?;
    let when = when(config);
    for name in &names {
        let name = Outside(name);
        println!(
            "{name} is paused {when}: callbacks are still ACKed, its events wait for `resume {name}`"
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(config: &Config, arguments: &Names) -> Result<ExitCode, Failure> {
    let names = named(config, arguments)?;
    set_paused(&config.inbox.path, &names, None)?;
    let when = when(config);
    for name in &names {
        println!("{} is resumed {when}", Outside(name));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says when a running receiver knows; another one does when it starts.
fn when(config: &Config) -> String {
    format!("within {} ms", config.dispatch.poll.as_millis())
}

/// Returns the names that were asked for, each of them known.
fn named(config: &Config, arguments: &Names) -> Result<Vec<String>, Failure> {
    let known = Reader::open(&config.inbox.path)?.handlers()?;
    let known: Vec<String> = known.into_iter().map(|handler| handler.name).collect();
    if arguments.all {
        return Ok(known);
    }
    if let Some(unknown) = arguments.names.iter().find(|name| !known.contains(name)) {
        let known: Vec<String> = known.iter().map(|name| Outside(name).to_string()).collect();
        let (unknown, known) = (Outside(unknown), known.join(", "));
        return Err(mistake(format!("there is no handler called `{unknown}` here, only: {known}")));
    }
    Ok(arguments.names.clone())
}
