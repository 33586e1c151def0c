//! `events`, `dead-letters`, `refusals`, `replay`: the inbox as lists, and what to do about it.

use std::borrow::Cow;
use std::io::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use crate::beckn::action::Action;
use crate::config::Config;
use crate::event::EventId;
use crate::inbox::reader::refusals::{KeptRefusal, RefusalFilter};
use crate::inbox::reader::{self, Filter, Progress, Reader, Summary, Totals};
use crate::words::nearest::nearest;
use crate::words::{Message, Outside};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this callback, as `on_status`
    #[arg(long, value_parser = action)]
    action: Option<Action>,

    /// Only this seller, verified or not: its subscriber id
    #[arg(long, value_name = "BPP_ID")]
    seller: Option<String>,

    /// Only this transaction
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,

    /// Only this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,

    /// Only events that are pending, done, dead or rejected
    #[arg(long, value_name = "PROGRESS", value_parser = progress)]
    progress: Option<Progress>,

    #[command(flatten)]
    list: List,
}

/// How a list is printed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// At most so many, the newest
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeadLetters {
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Args)]
pub(super) struct Refusals {
    /// Only this seller, verified or not: its subscriber id
    #[arg(long, value_name = "BPP_ID")]
    seller: Option<String>,

    /// Only this cause, as `signature.expired`; `signature` is every one that begins so
    #[arg(long, value_name = "NAME")]
    cause: Option<String>,

    #[command(flatten)]
    list: List,

    /// Put what was kept of the bodies into the JSON: they hold personal data
    #[arg(long, requires = "json")]
    bodies: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// Ids of events, as `events` prints them
    #[arg(required_unless_present = "dead", value_name = "ID", value_parser = event_id)]
    ids: Vec<EventId>,

    /// Replay every dead letter
    #[arg(long, conflicts_with = "ids")]
    dead: bool,
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
        format!("expected an event's id, as `beckn-receiver events` prints it: {error}")
    })
}

fn progress(text: &str) -> Result<Progress, String> {
    Progress::ALL
        .into_iter()
        .find(|progress| progress.as_str() == text)
        .ok_or_else(|| "expected pending, done, dead or rejected".to_owned())
}

pub(super) fn list(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let filter = Filter {
        action: arguments.action.map(|action| action.as_str().to_owned()),
        seller: arguments.seller.clone(),
        transaction_id: arguments.transaction.clone(),
        order_id: arguments.order.clone(),
        progress: arguments.progress,
    };
    let reader = Reader::open(&config.inbox.path)?;
    let events = reader.events(&filter, arguments.list.limit)?;
    let code = print_all(&events, arguments.list.json, EventRow::new, event_line)?;
    let Totals { pending, done, dead, rejected, refused } = reader.totals()?;
    eprintln!(
        "in all: {pending} pending, {done} done, {dead} dead, {rejected} rejected; \
         {refused} callbacks refused"
    );
    Ok(code)
}

pub(super) fn dead_letters(config: &Config, arguments: &DeadLetters) -> Result<ExitCode, Failure> {
    let events = Reader::open(&config.inbox.path)?.dead_letters(arguments.list.limit)?;
    print_all(&events, arguments.list.json, EventRow::new, |event| {
        let reason = event.error.as_deref().unwrap_or("no reason was kept");
        let attempts = match event.attempts {
            1 => "1 attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        format!("{}\n    after {attempts}: {}", event_line(event), Outside(reason))
    })
}

pub(super) fn refusals(config: &Config, arguments: &Refusals) -> Result<ExitCode, Failure> {
    let filter = RefusalFilter { seller: arguments.seller.clone(), cause: arguments.cause.clone() };
    let refusals = Reader::open(&config.inbox.path)?.refusals(&filter, arguments.list.limit)?;
    let row = |refusal| RefusalRow::new(refusal, arguments.bodies);
    print_all(&refusals, arguments.list.json, row, |refusal| {
        let place = if refusal.path.is_empty() { "the body" } else { &refusal.path };
        format!(
            "{} /{} {} {} at {}\n    answered {}: {}",
            time(refusal.at),
            Outside(&refusal.route),
            Outside(&refusal.seller),
            refusal.cause,
            Outside(place),
            refusal.status,
            Message(&refusal.message),
        )
    })
}

pub(super) fn replay(config: &Config, arguments: &Replay) -> Result<ExitCode, Failure> {
    let directory = &config.inbox.path;
    let ids = if arguments.dead {
        let dead = Reader::open(directory)?.dead_letters(usize::MAX)?;
        dead.into_iter().map(|event| event.id).collect()
    } else {
        arguments.ids.clone()
    };
    let replays = reader::request_replays(directory, &ids, Utc::now())?;
    for (id, replay) in ids.iter().zip(&replays) {
        let said = match replay {
            reader::Replay::Requested => {
                "requested: the running receiver, or the next, takes it up"
            }
            reader::Replay::StillPending => "not needed: it is pending and will be delivered",
            reader::Replay::Unknown => "there is no such event",
        };
        println!("{id} {said}");
    }
    if ids.is_empty() {
        println!("there are no dead letters");
    }
    let all = !replays.contains(&reader::Replay::Unknown);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a list, as JSON lines or for people.
fn print_all<'a, T, R: Serialize>(
    items: &'a [T],
    json: bool,
    row: impl Fn(&'a T) -> R,
    line: impl Fn(&'a T) -> String,
) -> Result<ExitCode, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for item in items {
        if json {
            serde_json::to_writer(&mut out, &row(item))?;
            writeln!(out)?;
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

/// One line of an event: what `print` says, and how far it is.
fn event_line(event: &Summary) -> String {
    let named = |text: &Option<String>| {
        text.as_deref().map_or_else(|| "-".to_owned(), |text| Outside(text).to_string())
    };
    let mut flags: Vec<String> = event.flags.iter().map(|flag| flag.as_str().to_owned()).collect();
    flags.extend((event.warnings > 0).then(|| format!("warnings:{}", event.warnings)));
    format!(
        "{} {} {} order={} state={} transaction={} {} flags={} event={}",
        time(event.received_at),
        event.action,
        Outside(&event.seller),
        named(&event.order_id),
        named(&event.state),
        named(&event.transaction_id),
        event.progress.as_str(),
        if flags.is_empty() { "-".to_owned() } else { flags.join(",") },
        event.id,
    )
}

/// An event as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct EventRow<'a> {
    id: String,
    seq: i64,
    received_at: String,
    action: &'a str,
    seller: &'a str,
    transaction_id: Option<&'a str>,
    message_id: Option<&'a str>,
    order_id: Option<&'a str>,
    state: Option<&'a str>,
    progress: &'static str,
    flags: Vec<&'static str>,
    warnings: usize,
    replay: u32,
    attempts: u32,
    next_attempt_at: Option<String>,
    settled_at: Option<String>,
    error: Option<&'a str>,
}

impl<'a> EventRow<'a> {
    pub(super) fn new(event: &'a Summary) -> Self {
        Self {
            id: event.id.to_string(),
            seq: event.seq,
            received_at: time(event.received_at),
            action: &event.action,
            seller: &event.seller,
            transaction_id: event.transaction_id.as_deref(),
            message_id: event.message_id.as_deref(),
            order_id: event.order_id.as_deref(),
            state: event.state.as_deref(),
            progress: event.progress.as_str(),
            flags: event.flags.iter().map(crate::event::Flag::as_str).collect(),
            warnings: event.warnings,
            replay: event.replay,
            attempts: event.attempts,
            next_attempt_at: event.next_at.map(time),
            settled_at: event.settled_at.map(time),
            error: event.error.as_deref(),
        }
    }
}

/// A refusal as `--json` prints it; the body only when it is asked for.
#[derive(Debug, Serialize)]
struct RefusalRow<'a> {
    at: String,
    route: &'a str,
    seller: &'a str,
    verified: bool,
    cause: &'a str,
    path: &'a str,
    message: &'a str,
    status: u16,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
}

impl<'a> RefusalRow<'a> {
    fn new(refusal: &'a KeptRefusal, with_body: bool) -> Self {
        Self {
            at: time(refusal.at),
            route: &refusal.route,
            seller: &refusal.seller,
            verified: refusal.verified,
            cause: &refusal.cause,
            path: &refusal.path,
            message: &refusal.message,
            status: refusal.status,
            body_bytes: refusal.body_bytes,
            body: with_body.then(|| String::from_utf8_lossy(&refusal.body)),
        }
    }
}
