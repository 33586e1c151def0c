//! `erase`: empties what tells of a transaction, when a person asks for it.

use std::process::ExitCode;

use super::source::Source;
use super::{Failure, json, mistake};
use crate::operations::views::ErasureView;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The transaction
    #[arg(long, value_name = "ID")]
    transaction: String,

    /// Print what there is of it as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.transaction.is_empty() {
        return Err(mistake("--transaction: expected an id, found nothing"));
    }
    let view = source.erase(&arguments.transaction)?;
    if arguments.json {
        println!("{}", json(&view)?);
        return Ok(ExitCode::SUCCESS);
    }
    let ErasureView { events, pending, refusals, .. } = view;
    if events == 0 && refusals == 0 {
        println!(
            "requested, but nothing is kept of this transaction id: is it written as `events` \
             shows it? What is erased already has no id any more"
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "requested: the running receiver, or the next, erases {} and {}",
        counted(events, "event"),
        counted(refusals, "refusal"),
    );
    if pending > 0 {
        println!("{pending} of them once settled: until then they are handed over as they are");
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
