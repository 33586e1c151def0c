//! `replay`: hands events over again.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;

use super::events::{Which, event_id};
use super::source::{Run, Source};
use super::{Failure, json};
use crate::event::{EventId, Flag};
use crate::inbox::reader::Progress;
use crate::operations::views::ReplayView;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("replayed").required(true).multiple(true).args(
    ["ids", "dead", "action", "seller", "transaction", "message", "order", "state", "flag",
     "progress", "since", "until"]))]
pub(super) struct Arguments {
    /// Ids of events, as `events` prints them
    #[arg(value_name = "ID", value_parser = event_id, conflicts_with_all =
        ["dead", "action", "seller", "transaction", "message", "order", "state", "flag",
         "progress", "since", "until"])]
    ids: Vec<EventId>,

    /// Replay every dead letter, or those that the other options name
    #[arg(long, conflicts_with = "progress")]
    dead: bool,

    #[command(flatten)]
    which: Which,

    /// Only say how many events would be handed over again
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,

    /// Print what came of it as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.ids.is_empty() {
        return replay_which(source, arguments);
    }
    let view = source.replay(&arguments.ids)?;
    if arguments.json {
        println!("{}", json(&view)?);
    } else {
        for id in &arguments.ids {
            println!("{id} {}", outcome(source, *id, &view)?);
        }
    }
    Ok(if view.unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const REQUESTED: &str = "requested: the running receiver, or the next, takes it up";
const PENDING: &str = "not needed: it is pending and will be delivered";
const ERASED: &str = "not possible: it was erased";

/// Says what came of one of several.
fn outcome(source: &Source, id: EventId, view: &ReplayView) -> Result<&'static str, Failure> {
    if view.unknown.contains(&id.to_string()) {
        return Ok("there is no such event");
    }
    Ok(match (view.requested, view.pending, view.erased) {
        (_, 0, 0) => REQUESTED,
        (0, _, 0) => PENDING,
        (0, 0, _) => ERASED,
        // Where they differ, each is asked which it is.
        _ => match source.event(id)? {
            Some(detail) if detail.event.flags.iter().any(|flag| flag == Flag::Erased.as_str()) => {
                ERASED
            }
            Some(detail)
                if detail.replay_requested
                    || detail.event.progress != Progress::Pending.as_str() =>
            {
                REQUESTED
            }
            Some(_) => PENDING,
            None => "there is no such event any more",
        },
    })
}

/// Replays what the options name: too many, maybe, to say a line of each.
fn replay_which(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut filter = arguments.which.filter();
    if arguments.dead {
        filter.progress = Some(Progress::Dead);
    }
    let run = if arguments.dry_run { Run::Dry } else { Run::Meant };
    // Hidden where standard error is no terminal.
    let spinner = ProgressBar::new_spinner().with_message("asking for replays");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let view = source.replay_matching(&filter, run);
    spinner.finish_and_clear();
    let view = view?;
    let ReplayView { requested, pending, erased, .. } = view;
    if arguments.json {
        println!("{}", json(&view)?);
    } else if arguments.dry_run {
        let events = if requested == 1 { "event" } else { "events" };
        println!("{requested} {events} would be handed over again");
        if erased > 0 {
            println!("{erased} would not: they were erased");
        }
    } else {
        println!("{requested} requested: the running receiver, or the next, takes them up");
        if pending > 0 {
            println!("{pending} not needed: they are pending and will be delivered");
        }
        if erased > 0 {
            println!("{erased} not possible: they were erased");
        }
    }
    Ok(ExitCode::SUCCESS)
}
