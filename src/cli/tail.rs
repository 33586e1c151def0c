//! `tail`: events as they come, one a line, until Ctrl-C.
//!
//! An inbox on this machine is looked at four times a second for what lies behind the last place; a
//! running receiver streams. A stream that is cut goes on where it was.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::events::{EventRow, Which, event_line};
use super::outlook::Outlook;
use super::source::client::{Client, StreamFailure};
use super::source::{Local, Source, filter_query};
use super::{Failure, json};
use crate::inbox::reader::selection::{Filter, Order};
use crate::operations::events::Part;
use crate::operations::views::EventView;
use crate::operations::{PAGE_LIMIT, Sight, place};
use crate::words::Message;

/// How often the inbox is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How long a stream that was cut rests before it is opened again, at first and at most.
const REST: Duration = Duration::from_millis(500);
const REST_MOST: Duration = Duration::from_secs(10);

/// The longest line of a stream that is read: an event is a few kilobytes.
const LINE_BYTES: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Begin with the event of this number [default: what comes from now on]
    #[arg(long, value_name = "SEQ")]
    from: Option<i64>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// How the tail ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Whoever reads the lines has gone, as `head` does.
    NobodyReads,
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let filter = arguments.which.filter();
    let printer = Printer { json: arguments.json, outlook: Outlook::of(source, &[])? };
    let after = match arguments.from {
        Some(from) => from.saturating_sub(1).max(0),
        None => i64::try_from(source.last_seq()?)?,
    };
    let stopped = |work| async {
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal.map_err(Failure::from),
            ended = work => ended,
        }
    };
    match source {
        Source::Local(local) => {
            look(local, &filter, after, &printer, &*until_signal()?)?;
        }
        Source::Remote(client) => {
            let work: std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>>>> =
                Box::pin(follow(client, &filter, after, &printer));
            client.block_on(stopped(work))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what becomes true at Ctrl-C. On a thread of its own: a look into the inbox blocks.
fn until_signal() -> Result<Arc<AtomicBool>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::<AtomicBool>::default();
    let told = Arc::clone(&stop);
    std::thread::Builder::new().name("signal".to_owned()).spawn(move || {
        // Where no signal can be waited for, it ends the process as it does any other.
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            told.store(true, Ordering::Relaxed);
        }
    })?;
    Ok(stop)
}

/// Prints what lies behind a place, again and again, until it is to stop.
fn look(
    local: &Local,
    filter: &Filter,
    mut after: i64,
    printer: &Printer,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    while !stop.load(Ordering::Relaxed) {
        // Asked for first: what is written meanwhile is found at the next look.
        let last = local.ledger.last_seq()?;
        let part = Part { order: Order::OldestFirst, after: Some(after), limit: PAGE_LIMIT };
        let page = local.ledger.events_for(filter, part, Sight::Bodies)?;
        for event in &page.events {
            if printer.print(event)? == Some(End::NobodyReads) {
                return Ok(());
            }
            after = after.max(i64::try_from(event.seq)?);
        }
        if let Some(reached) = page.next.as_deref().and_then(place) {
            after = after.max(reached);
        } else {
            after = after.max(last);
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}

/// Prints what a stream brings, and opens it again where it was cut.
async fn follow(
    client: &Client,
    filter: &Filter,
    after: i64,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut query = filter_query(filter);
    query.push(("after", after.to_string()));
    let mut lines = Lines::default();
    let mut rest = REST;
    loop {
        let cut = match client.stream(&["stream"], &query, lines.last_id.as_deref()).await {
            Err(StreamFailure::Refused(failure)) => return Err(failure),
            Err(StreamFailure::Cut(why)) => why,
            Ok(mut response) => {
                lines.begin();
                loop {
                    match response.chunk().await {
                        Ok(Some(chunk)) => {
                            rest = REST;
                            for event in lines.take(&chunk)? {
                                if printer.print(&event)? == Some(End::NobodyReads) {
                                    return Ok(());
                                }
                            }
                        }
                        Ok(None) => break "the receiver ended it".to_owned(),
                        Err(error) => break error.without_url().to_string(),
                    }
                }
            }
        };
        eprintln!("the stream was cut ({}); it goes on in {rest:?}", Message(&cut));
        tokio::time::sleep(rest).await;
        rest = (rest * 2).min(REST_MOST);
    }
}

/// Prints events.
#[derive(Debug)]
struct Printer {
    json: bool,
    outlook: Outlook,
}

impl Printer {
    fn print(&self, event: &EventView) -> Result<Option<End>, Failure> {
        let line = if self.json {
            json(&EventRow::new(event, &self.outlook))?
        } else {
            event_line(event, Some(&self.outlook))
        };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Some(End::NobodyReads)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads server-sent events: `id:`, `event:` and `data:` lines, ended by an empty one.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
    id: Option<String>,
    /// What the event is: a callback, or a gap where some have left the log.
    kind: String,
    data: String,
    /// The id of the last event that was whole: where a new stream goes on.
    last_id: Option<String>,
}

impl Lines {
    /// Forgets what an earlier stream has left half done.
    fn begin(&mut self) {
        self.rest.clear();
        self.id = None;
        self.kind.clear();
        self.data.clear();
    }

    fn take(&mut self, chunk: &[u8]) -> Result<Vec<EventView>, Failure> {
        self.rest.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\r', '\n']))?);
        }
        if self.rest.len() > LINE_BYTES || self.data.len() > LINE_BYTES {
            return Err(format!("the stream has a line of more than {LINE_BYTES} bytes").into());
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Result<Option<EventView>, Failure> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (line, field) {
            ("", _) => {
                let (id, data) = (self.id.take(), std::mem::take(&mut self.data));
                let kind = std::mem::take(&mut self.kind);
                if data.is_empty() {
                    return Ok(None);
                }
                if kind == "gap" {
                    eprintln!("events that would come here have left the inbox");
                    self.last_id = id.or(self.last_id.take());
                    return Ok(None);
                }
                let event = serde_json::from_str(&data)
                    .map_err(|_may_quote_it| "the stream brings something else than events")?;
                self.last_id = id.or(self.last_id.take());
                Ok(Some(event))
            }
            (_, "event") => {
                value.clone_into(&mut self.kind);
                Ok(None)
            }
            (_, "id") => {
                self.id = Some(value.to_owned());
                Ok(None)
            }
            (_, "data") => {
                self.data.push_str(value);
                Ok(None)
            }
            // Comments keep the connection, and other fields say nothing that is needed here.
            (_, _) => Ok(None),
        }
    }
}
