//! `events`, `dead-letters`, `refusals`, `replay`: the inbox as lists, and what to do about it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::ProgressBar;
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use crate::beckn::action::Action;
use crate::config::Config;
use crate::event::EventId;
use crate::inbox::reader::refusals::{KeptRefusal, RefusalFilter};
use crate::inbox::reader::replays::{self, request_replays};
use crate::inbox::reader::selection::Filter;
use crate::inbox::reader::{Progress, Reader, Summary, Totals};
use crate::words::nearest::nearest;
use crate::words::{Message, Outside};

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

    /// Only this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,

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
    fn filter(&self) -> Filter {
        Filter {
            action: self.action.map(|action| action.as_str().to_owned()),
            seller: self.seller.clone(),
            transaction_id: self.transaction.clone(),
            order_id: self.order.clone(),
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
#[command(group = clap::ArgGroup::new("replayed").required(true).multiple(true).args(
    ["ids", "dead", "action", "seller", "transaction", "order", "progress", "since", "until"]))]
pub(super) struct Replay {
    /// Ids of events, as `events` prints them
    #[arg(value_name = "ID", value_parser = event_id, conflicts_with_all =
        ["dead", "action", "seller", "transaction", "order", "progress", "since", "until"])]
    ids: Vec<EventId>,

    /// Replay every dead letter, or those that the other options name
    #[arg(long, conflicts_with = "progress")]
    dead: bool,

    #[command(flatten)]
    which: Which,

    /// Only say how many events would be handed over again
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
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

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|error| format!("expected a time as 2026-01-31T08:00:00Z: {error}"))
}

fn progress(text: &str) -> Result<Progress, String> {
    Progress::ALL
        .into_iter()
        .find(|progress| progress.as_str() == text)
        .ok_or_else(|| "expected pending, done, dead or rejected".to_owned())
}

pub(super) fn list(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let reader = Reader::open(&config.inbox.path)?;
    let events = reader.events(&arguments.which.filter(), arguments.list.limit)?;
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
    if arguments.ids.is_empty() {
        return replay_which(config, arguments);
    }
    let directory = &config.inbox.path;
    let places = Reader::open(directory)?.places(&arguments.ids)?;
    let mut replays = HashMap::new();
    request_replays(directory, places.values().copied().collect(), Utc::now(), |step| {
        replays.extend(step.iter().copied());
    })?;
    let mut all = true;
    for id in &arguments.ids {
        let replay = places.get(id).and_then(|seq| replays.get(seq));
        let said = match replay.copied().unwrap_or(replays::Replay::Unknown) {
            replays::Replay::Requested => {
                "requested: the running receiver, or the next, takes it up"
            }
            replays::Replay::StillPending => "not needed: it is pending and will be delivered",
            replays::Replay::Unknown => {
                all = false;
                "there is no such event"
            }
        };
        println!("{id} {said}");
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Replays what the options name: too many, maybe, to say a line of each.
fn replay_which(config: &Config, arguments: &Replay) -> Result<ExitCode, Failure> {
    let directory = &config.inbox.path;
    let mut filter = arguments.which.filter();
    if arguments.dead {
        filter.progress = Some(Progress::Dead);
    }
    let reader = Reader::open(directory)?;
    if arguments.dry_run {
        let settled = match filter.progress {
            Some(Progress::Pending) => 0,
            Some(Progress::Done | Progress::Dead | Progress::Rejected) => reader.count(&filter)?,
            None => {
                let pending = Filter { progress: Some(Progress::Pending), ..filter.clone() };
                reader.count(&filter)?.saturating_sub(reader.count(&pending)?)
            }
        };
        let events = if settled == 1 { "event" } else { "events" };
        println!("{settled} {events} would be handed over again");
        return Ok(ExitCode::SUCCESS);
    }
    let seqs = reader.seqs(&filter)?;
    let (mut requested, mut pending) = (0, 0);
    // Hidden where standard error is no terminal.
    let progress = ProgressBar::new(seqs.len() as u64);
    request_replays(directory, seqs, Utc::now(), |step| {
        let count = |wanted| step.iter().filter(|(_, replay)| *replay == wanted).count();
        requested += count(replays::Replay::Requested);
        pending += count(replays::Replay::StillPending);
        progress.inc(step.len() as u64);
    })?;
    progress.finish_and_clear();
    println!("{requested} requested: the running receiver, or the next, takes them up");
    if pending > 0 {
        println!("{pending} not needed: they are pending and will be delivered");
    }
    Ok(ExitCode::SUCCESS)
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
