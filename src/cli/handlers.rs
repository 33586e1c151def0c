//! `handlers`, `pause`, `resume`: where events go, and stopping that for a while.

use std::process::ExitCode;

use serde::Serialize;

use super::events::{print_all, time};
use super::source::{Source, Wanted};
use super::{Failure, mistake};
use crate::operations::views::HandlerView;
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
struct Row {
    name: String,
    paused_at: Option<String>,
}

pub(super) fn list(source: &Source, arguments: &List) -> Result<ExitCode, Failure> {
    let handlers = source.handlers()?;
    let row = |handler: &HandlerView| Row {
        name: handler.name.clone(),
        paused_at: handler.paused_at.map(time),
    };
    print_all(&handlers, arguments.json, row, |handler| {
        let says = match handler.paused_at {
            None => "gets events".to_owned(),
            Some(at) => format!("paused since {}", time(at)),
        };
        format!("{} {says}", Outside(&handler.name))
    })
}

pub(super) fn pause(source: &Source, arguments: &Names) -> Result<ExitCode, Failure> {
    let names = named(source, arguments)?;
    let when = when(source);
    for name in &names {
        set(source, name, Wanted::Paused)?;
        let name = Outside(name);
        println!(
            "{name} is paused {when}: callbacks are still ACKed, its events wait for `resume {name}`"
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(source: &Source, arguments: &Names) -> Result<ExitCode, Failure> {
    let names = named(source, arguments)?;
    let when = when(source);
    for name in &names {
        set(source, name, Wanted::Resumed)?;
        println!("{} is resumed {when}", Outside(name));
    }
    Ok(ExitCode::SUCCESS)
}

fn set(source: &Source, name: &str, wanted: Wanted) -> Result<(), Failure> {
    if source.set_paused(name, wanted)? {
        return Ok(());
    }
    Err(format!("there is no handler called `{}` any more", Outside(name)).into())
}

/// Says when a running receiver knows; another one does when it starts.
fn when(source: &Source) -> String {
    match source.config() {
        Some(config) => format!("within {} ms", config.dispatch.poll.as_millis()),
        None => "at the receiver's next look".to_owned(),
    }
}

/// Returns the names that were asked for, each of them known.
fn named(source: &Source, arguments: &Names) -> Result<Vec<String>, Failure> {
    let known = source.handlers()?;
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
