//! `events`, `dead-letters`: the inbox as lists.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::outlook::Outlook;
use super::source::Source;
use crate::beckn::action::Action;
use crate::event::{EventId, Flag};
use crate::inbox::reader::Progress;
use crate::inbox::reader::selection::Filter;
use crate::operations::views::{EventView, StatusView};
use crate::words::Outside;
use crate::words::nearest::nearest;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    list: List,
}

/// Which events are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Only this callback, as `on_status`
    #[arg(long, value_parser = action)]
    action: Option<Action>,

    /// Only this seller, verified or not: its subscriber id
    #[arg(long, value_name = "BPP_ID")]
    seller: Option<String>,

    /// Only this transaction
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,

    /// Only this message
    #[arg(long, value_name = "ID")]
    message: Option<String>,

    /// Only this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,

    /// Only events that tell of this state of the order, the contract or the tracking
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Only events with this flag, as `id_reused`
    #[arg(long, value_name = "FLAG", value_parser = flag)]
    flag: Option<Flag>,

    /// Only events that are pending, done, dead or rejected
    #[arg(long, value_name = "PROGRESS", value_parser = progress)]
    progress: Option<Progress>,

    /// Only events received at this time or later, as `2026-01-31T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,

    /// Only events received before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,
}

impl Which {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            action: self.action.map(|action| action.as_str().to_owned()),
            seller: self.seller.clone(),
            transaction_id: self.transaction.clone(),
            message_id: self.message.clone(),
            order_id: self.order.clone(),
            any_id: None,
            state: self.state.clone(),
            flag: self.flag,
            progress: self.progress,
            received_since: self.since,
            received_until: self.until,
        }
    }
}

/// How a list is printed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// At most so many, the newest
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(super) limit: usize,

    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeadLetters {
    #[command(flatten)]
    list: List,
}

pub(super) fn action(text: &str) -> Result<Action, String> {
    Action::from_name(text.trim_start_matches('/')).ok_or_else(|| {
        let known = Action::ALL.map(Action::as_str);
        let nearest = nearest(text, known).unwrap_or_default();
        format!("expected a callback's name, the nearest is {nearest}")
    })
}

pub(super) fn event_id(text: &str) -> Result<EventId, String> {
    // A delivery id names its event, too.
    let text = text.get(..36).unwrap_or(text);
    Uuid::try_parse(text).map(EventId::new).map_err(|error| {
        format!(
            "expected an event's id, as `beckn-receiver events` prints it; `order` and `timeline` \
             take others: {error}"
        )
    })
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|error| format!("expected a time as 2026-01-31T08:00:00Z: {error}"))
}

fn flag(text: &str) -> Result<Flag, String> {
    Flag::ALL
        .into_iter()
        .find(|flag| flag.as_str() == text)
        .ok_or_else(|| format!("expected one of {}", Flag::ALL.map(Flag::as_str).join(", ")))
}

fn progress(text: &str) -> Result<Progress, String> {
    Progress::ALL
        .into_iter()
        .find(|progress| progress.as_str() == text)
        .ok_or_else(|| "expected pending, done, dead or rejected".to_owned())
}

pub(super) fn list(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let events = source.events(&arguments.which.filter(), arguments.list.limit)?;
    let outlook = Outlook::of(source, &events)?;
    let code = print_all(
        &events,
        arguments.list.json,
        |event| EventRow::new(event, &outlook),
        |event| event_line(event, Some(&outlook)),
    )?;
    let StatusView { pending, done, dead, rejected, refused, .. } = source.status()?;
    eprintln!(
        "in all: {pending} pending, {done} done, {dead} dead, {rejected} rejected; \
         {refused} callbacks refused"
    );
    Ok(code)
}

pub(super) fn dead_letters(source: &Source, arguments: &DeadLetters) -> Result<ExitCode, Failure> {
    let filter = Filter { progress: Some(Progress::Dead), ..Filter::default() };
    let events = source.events(&filter, arguments.list.limit)?;
    let outlook = Outlook::of(source, &events)?;
    let row = |event| EventRow::new(event, &outlook);
    print_all(&events, arguments.list.json, row, |event| {
        let reason = event.error.as_deref().unwrap_or("no reason was kept");
        let attempts = match event.attempts {
            1 => "1 attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        let line = event_line(event, Some(&outlook));
        format!("{line}\n    after {attempts}: {}", Outside(reason))
    })
}

/// Prints a list, as JSON lines or for people.
pub(super) fn print_all<'a, T, R: Serialize>(
    items: &'a [T],
    json: bool,
    row: impl Fn(&'a T) -> R,
    line: impl Fn(&'a T) -> String,
) -> Result<ExitCode, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for item in items {
        if json {
            writeln!(out, "{}", super::json(&row(item))?)?;
        } else {
            writeln!(out, "{}", line(item))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns a text from outside, or `-`.
pub(super) fn named(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| Outside(text).to_string())
}

/// Returns the flags of an event and how many warnings it has; `-` for none of both.
pub(super) fn flags(event: &EventView) -> String {
    let mut flags: Vec<String> = event.flags.iter().map(|flag| Outside(flag).to_string()).collect();
    flags.extend((event.warnings > 0).then(|| format!("warnings:{}", event.warnings)));
    if flags.is_empty() { "-".to_owned() } else { flags.join(",") }
}

/// One line of an event: what `print` says, how far it is, and what it waits for.
pub(super) fn event_line(event: &EventView, outlook: Option<&Outlook>) -> String {
    let mut line = format!(
        "{} {} {} order={} state={} transaction={} {} flags={} event={}",
        time(event.received_at),
        Outside(&event.action),
        Outside(&event.seller),
        named(event.order_id.as_deref()),
        named(event.state.as_deref()),
        named(event.transaction_id.as_deref()),
        Outside(&event.progress),
        flags(event),
        Outside(&event.id),
    );
    let mut add = |what: std::fmt::Arguments<'_>| {
        line.write_fmt(what).expect("a text takes what is written");
    };
    if event.duplicates > 0 {
        add(format_args!(" duplicates={}", event.duplicates));
    }
    if let Some(handler) = outlook.and_then(|outlook| outlook.handler(event)) {
        add(format_args!(" handler={}", Outside(handler)));
    }
    if let Some(waits) = outlook.and_then(|outlook| outlook.waits(event)) {
        add(format_args!(" waits {waits}"));
    }
    line
}

/// An event as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct EventRow<'a> {
    id: &'a str,
    seq: u64,
    received_at: String,
    action: &'a str,
    seller: &'a str,
    verified: bool,
    domain: Option<&'a str>,
    bap_id: Option<&'a str>,
    transaction_id: Option<&'a str>,
    message_id: Option<&'a str>,
    order_id: Option<&'a str>,
    state: Option<&'a str>,
    progress: &'a str,
    flags: &'a [String],
    warnings: u64,
    replay: u32,
    attempts: u32,
    next_attempt_at: Option<String>,
    settled_at: Option<String>,
    error: Option<&'a str>,
    duplicates: u64,
    last_duplicate_at: Option<String>,
    handler: Option<&'a str>,
    waits: Option<String>,
}

impl<'a> EventRow<'a> {
    pub(super) fn new(event: &'a EventView, outlook: &'a Outlook) -> Self {
        Self {
            id: &event.id,
            seq: event.seq,
            received_at: time(event.received_at),
            action: &event.action,
            seller: &event.seller,
            verified: event.verified,
            domain: event.domain.as_deref(),
            bap_id: event.bap_id.as_deref(),
            transaction_id: event.transaction_id.as_deref(),
            message_id: event.message_id.as_deref(),
            order_id: event.order_id.as_deref(),
            state: event.state.as_deref(),
            progress: &event.progress,
            flags: &event.flags,
            warnings: event.warnings,
            replay: event.replay,
            attempts: event.attempts,
            next_attempt_at: event.next_attempt_at.map(time),
            settled_at: event.settled_at.map(time),
            error: event.error.as_deref(),
            duplicates: event.duplicates,
            last_duplicate_at: event.last_duplicate_at.map(time),
            handler: outlook.handler(event),
            waits: outlook.waits(event),
        }
    }
}
