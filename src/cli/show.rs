//! `show`: one event, as a person on call needs it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::Failure;
use super::events::{EventRow, event_id, time};
use crate::beckn::callback::Callback;
use crate::beckn::oddity::Oddity;
use crate::config::Config;
use crate::event::EventId;
use crate::inbox::reader::{Detail, Reader, Summary};
use crate::words::Outside;

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
    #[serde(rename = "event")]
    summary: EventRow<'a>,
    body_bytes: usize,
    replay_requested: bool,
    warnings: Vec<Warning<'a>>,
    oddities: &'a [Oddity],
}

#[derive(Debug, Serialize)]
struct Warning<'a> {
    rule: &'a str,
    path: &'a str,
    message: &'a str,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Some(event) = Reader::open(&config.inbox.path)?.event(arguments.id)? else {
        return Err(format!("there is no event {}", arguments.id).into());
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if arguments.body {
        out.write_all(&event.body)?;
    } else {
        // Oddities are not kept: they are read again from the body, as an attempt does.
        let oddities = Callback::parse(&event.body).map(|callback| callback.oddities);
        let oddities = oddities.unwrap_or_default();
        if arguments.json {
            serde_json::to_writer(&mut out, &row(&event, &oddities))?;
            writeln!(out)?;
        } else {
            write(&mut out, &event, &oddities)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn row<'a>(event: &'a Detail, oddities: &'a [Oddity]) -> Row<'a> {
    let warnings = event.warnings.iter().map(|warning| Warning {
        rule: &warning.rule,
        path: &warning.path,
        message: &warning.message,
    });
    Row {
        summary: EventRow::new(&event.summary),
        body_bytes: event.body.len(),
        replay_requested: event.replay_requested,
        warnings: warnings.collect(),
        oddities,
    }
}

fn write(
    out: &mut impl std::io::Write,
    event: &Detail,
    oddities: &[Oddity],
) -> std::io::Result<()> {
    let Summary { action, seller, .. } = &event.summary;
    let summary = &event.summary;
    let named = |text: &Option<String>| {
        text.as_deref().map_or_else(|| "-".to_owned(), |text| Outside(text).to_string())
    };
    writeln!(out, "event        {}", summary.id)?;
    writeln!(out, "received     {} as number {}", time(summary.received_at), summary.seq)?;
    writeln!(out, "callback     {action} from {}", Outside(seller))?;
    writeln!(out, "transaction  {}", named(&summary.transaction_id))?;
    writeln!(out, "message      {}", named(&summary.message_id))?;
    writeln!(out, "order        {}", named(&summary.order_id))?;
    writeln!(out, "state        {}", named(&summary.state))?;
    writeln!(out, "body         {} bytes (`show --body` prints it)", event.body.len())?;
    writeln!(out, "delivery     {}", delivery(event))?;
    if let Some(error) = &summary.error {
        writeln!(out, "last error   {}", Outside(error))?;
    }
    let flags = summary.flags.to_string();
    if !flags.is_empty() {
        writeln!(out, "flags        {flags}")?;
    }
    for warning in &event.warnings {
        writeln!(out, "warning      {} at {}", warning.rule, Outside(&warning.path))?;
        writeln!(out, "             {}", Outside(&warning.message))?;
    }
    for oddity in oddities {
        let Oddity { path, expected, found, .. } = oddity;
        writeln!(out, "oddity       {} at {}", oddity.name(), Outside(path))?;
        writeln!(out, "             expected {expected}, found {found}")?;
    }
    Ok(())
}

/// Says how far the event is: the round, the attempts, and what comes next.
fn delivery(event: &Detail) -> String {
    let summary = &event.summary;
    let mut text = summary.progress.as_str().to_owned();
    if summary.replay > 0 {
        write!(text, ", replay {}", summary.replay).expect("a text takes what is written");
    }
    if summary.attempts > 0 {
        write!(text, ", attempts {}", summary.attempts).expect("a text takes what is written");
    }
    if let Some(at) = summary.first_attempt_at {
        write!(text, ", first attempt {}", time(at)).expect("a text takes what is written");
    }
    if let Some(at) = summary.settled_at {
        write!(text, ", settled {}", time(at)).expect("a text takes what is written");
    }
    if let Some(at) = summary.next_at {
        write!(text, ", next attempt {}", time(at)).expect("a text takes what is written");
    }
    if event.replay_requested {
        text.push_str(", a replay is requested");
    }
    text
}
