//! `audit`: what operators changed, and who.

use std::process::ExitCode;

use super::Failure;
use super::events::{List, print_all, time};
use super::source::Source;
use crate::words::Outside;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    list: List,
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let audits = source.audits(arguments.list.limit)?;
    print_all(
        &audits,
        arguments.list.json,
        |line| line,
        |line| {
            let (who, what, target) =
                (Outside(&line.who), Outside(&line.what), Outside(&line.target));
            format!("{} {who} {what} {target}", time(line.at))
        },
    )
}
