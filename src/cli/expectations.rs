//! `expectations`: what the buyer app waits for, and what became of it.

use std::process::ExitCode;

use super::Failure;
use super::events::{List, named, print_all, time};
use super::source::Source;
use crate::inbox::reader::expectations::Status;
use crate::operations::views::ExpectationView;
use crate::words::Outside;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only those that are open, met, silent, or late: met after the silence was told
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<Status>,

    #[command(flatten)]
    list: List,
}

fn status(text: &str) -> Result<Status, String> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| format!("expected one of {}", Status::ALL.map(Status::as_str).join(", ")))
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let expectations = source.expectations(arguments.status, arguments.list.limit)?;
    print_all(&expectations, arguments.list.json, |row| row, line)
}

fn line(expectation: &ExpectationView) -> String {
    let became = match (&expectation.event_id, expectation.met_at) {
        (Some(event), _) => format!(" event={}", Outside(event)),
        // The event has left the inbox.
        (None, Some(at)) => format!(" met={}", time(at)),
        (None, None) => String::new(),
    };
    format!(
        "{} {} message={} transaction={} seller={} {} due={} by={}{became}",
        time(expectation.registered_at),
        Outside(&expectation.action),
        Outside(&expectation.message_id),
        named(expectation.transaction_id.as_deref()),
        named(expectation.bpp_id.as_deref()),
        Outside(&expectation.status),
        time(expectation.due_at),
        Outside(&expectation.registered_by),
    )
}
