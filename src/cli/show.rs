//! `show`: one event, as a person on call needs it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::events::{EventRow, event_id, flags, named, time};
use super::outlook::Outlook;
use super::source::Source;
use super::{Failure, json};
use crate::event::EventId;
use crate::operations::views::{AttemptView, EventDetail, OddityView, WarningView};
use crate::words::{Message, Outside};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The event's id, as `events` prints it
    #[arg(value_parser = event_id)]
    id: EventId,

    /// Print only the body, byte for byte as it came: it holds personal data
    #[arg(long, conflicts_with = "json")]
    body: bool,

    /// Print JSON, without the body
    #[arg(long)]
    json: bool,
}

/// An event as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    event: EventRow<'a>,
    body_bytes: u64,
    replay_requested: bool,
    warnings: &'a [WarningView],
    oddities: &'a [OddityView],
    attempts: &'a [AttemptView],
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let missing = || format!("there is no event {}", arguments.id);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if arguments.body {
        out.write_all(&source.body(arguments.id)?.ok_or_else(missing)?)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let detail = source.event(arguments.id)?.ok_or_else(missing)?;
    let outlook = Outlook::of(source, std::slice::from_ref(&detail.event))?;
    if arguments.json {
        writeln!(out, "{}", json(&row(&detail, &outlook))?)?;
    } else {
        write(&mut out, &detail, &outlook)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn row<'a>(detail: &'a EventDetail, outlook: &'a Outlook) -> Row<'a> {
    Row {
        event: EventRow::new(&detail.event, outlook),
        body_bytes: detail.body_bytes,
        replay_requested: detail.replay_requested,
        warnings: &detail.warnings,
        oddities: &detail.oddities,
        attempts: &detail.attempts,
    }
}

fn write(
    out: &mut impl std::io::Write,
    detail: &EventDetail,
    outlook: &Outlook,
) -> std::io::Result<()> {
    let event = &detail.event;
    let (action, seller) = (Outside(&event.action), Outside(&event.seller));
    writeln!(out, "event        {}", Outside(&event.id))?;
    writeln!(out, "received     {} as number {}", time(event.received_at), event.seq)?;
    writeln!(out, "callback     {action} from {seller}")?;
    writeln!(out, "transaction  {}", named(event.transaction_id.as_deref()))?;
    writeln!(out, "message      {}", named(event.message_id.as_deref()))?;
    writeln!(out, "order        {}", named(event.order_id.as_deref()))?;
    writeln!(out, "state        {}", named(event.state.as_deref()))?;
    writeln!(out, "body         {} bytes (`show --body` prints it)", detail.body_bytes)?;
    if let Some(handler) = outlook.handler(event) {
        writeln!(out, "handler      {}", Outside(handler))?;
    }
    writeln!(out, "delivery     {}", delivery(detail))?;
    if let Some(waits) = outlook.waits(event) {
        writeln!(out, "waits        {waits}")?;
    }
    if let Some(error) = &event.error {
        writeln!(out, "last error   {}", Message(error))?;
    }
    if event.duplicates > 0 {
        let last = event.last_duplicate_at.map_or_else(|| "-".to_owned(), time);
        writeln!(out, "duplicates   {}, the last at {last}", event.duplicates)?;
    }
    if !event.flags.is_empty() {
        writeln!(out, "flags        {}", flags(event))?;
    }
    write_findings(out, detail)
}

fn write_findings(out: &mut impl std::io::Write, detail: &EventDetail) -> std::io::Result<()> {
    for AttemptView { replay, attempt, ended_at, error } in &detail.attempts {
        let round = if *replay > 0 { format!(" of replay {replay}") } else { String::new() };
        let outcome = error
            .as_deref()
            .map_or_else(|| "taken".to_owned(), |error| format!("failed: {}", Message(error)));
        writeln!(out, "attempt      {attempt}{round} at {}: {outcome}", time(*ended_at))?;
    }
    for WarningView { rule, path, message } in &detail.warnings {
        writeln!(out, "warning      {} at {}", Outside(rule), Outside(path))?;
        writeln!(out, "             {}", Message(message))?;
    }
    for OddityView { kind, path, expected, found, .. } in &detail.oddities {
        writeln!(out, "oddity       {} at {}", Outside(kind), Outside(path))?;
        writeln!(out, "             expected {}, found {}", Outside(expected), Outside(found))?;
    }
    if let Some(met) = &detail.expectation {
        let (action, at) = (Outside(&met.action), time(met.registered_at));
        writeln!(out, "expected     {action} since {at}: {}", Outside(&met.status))?;
    }
    Ok(())
}

/// Says how far the event is: the round, the attempts, and what comes next.
fn delivery(detail: &EventDetail) -> String {
    let event = &detail.event;
    let mut text = Outside(&event.progress).to_string();
    let mut add = |what: std::fmt::Arguments<'_>| {
        text.write_str(", ").and_then(|()| text.write_fmt(what)).expect("a text takes it");
    };
    if event.replay > 0 {
        add(format_args!("replay {}", event.replay));
    }
    if event.attempts > 0 {
        add(format_args!("attempts {}", event.attempts));
    }
    if let Some(at) = event.first_attempt_at {
        add(format_args!("first attempt {}", time(at)));
    }
    if let Some(at) = event.settled_at {
        add(format_args!("settled {}", time(at)));
    }
    if let Some(at) = event.next_attempt_at {
        add(format_args!("next attempt {}", time(at)));
    }
    if detail.replay_requested {
        add(format_args!("a replay is requested"));
    }
    text
}
