//! `timeline`, `order`: a transaction and an order, event by event.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use chrono::TimeDelta;

use super::events::{flags, named, time};
use super::source::Source;
use super::{Failure, json};
use crate::operations::place;
use crate::operations::views::{FulfillmentView, OrderView, TimelineEntry, TimelineView};
use crate::words::Outside;

/// How many looks are joined: each finds up to 500 events or ends by its time.
const LOOKS: usize = 1_000;

/// The most events that are shown of one transaction.
const ENTRIES: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Transaction {
    /// The transaction's id
    #[arg(value_name = "TRANSACTION")]
    id: String,

    /// Print one JSON object an event
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Order {
    /// The order's id
    #[arg(value_name = "ORDER_ID")]
    id: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn transaction(source: &Source, arguments: &Transaction) -> Result<ExitCode, Failure> {
    let view = whole(source, &arguments.id)?;
    if view.entries.is_empty() {
        return Err(format!(
            "there is no event of transaction {}; `order` takes an order's id, `show` an event's",
            Outside(&arguments.id)
        )
        .into());
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if arguments.json {
        for entry in &view.entries {
            writeln!(out, "{}", json(entry)?)?;
        }
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "transaction  {}", Outside(&view.transaction_id))?;
    writeln!(out, "sellers      {}", joined(&view.sellers))?;
    writeln!(out, "orders       {}", joined(&view.order_ids))?;
    writeln!(out, "state        {}", named(view.state.as_deref()))?;
    let mut before = None;
    for entry in &view.entries {
        let at = entry.event.received_at;
        let gap = before.map_or_else(String::new, |before| gap(at - before));
        writeln!(out, "{}", line(entry, &gap))?;
        before = Some(at);
    }
    for expected in &view.expectations {
        let (action, due) = (Outside(&expected.action), time(expected.due_at));
        writeln!(out, "expects {action} by {due}: {}", Outside(&expected.status))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Joins the looks at a transaction: each goes on with older events than the one before.
fn whole(source: &Source, id: &str) -> Result<TimelineView, Failure> {
    let mut whole = source.timeline(id, None)?;
    for _look in 0..LOOKS {
        let Some(after) = whole.next.as_deref().and_then(place) else { break };
        if whole.entries.len() >= ENTRIES {
            break;
        }
        let mut older = source.timeline(id, Some(after))?;
        older.entries.append(&mut whole.entries);
        for (all, new) in
            [(&mut older.sellers, &whole.sellers), (&mut older.order_ids, &whole.order_ids)]
        {
            let more: Vec<String> = new.iter().filter(|one| !all.contains(one)).cloned().collect();
            all.extend(more);
        }
        older.state = whole.state.or(older.state);
        older.expectations = whole.expectations;
        whole = older;
    }
    if whole.next.is_some() {
        eprintln!("older events than these are not shown");
    }
    Ok(whole)
}

/// One event: when, how long after the one before, what it says and how far it is.
fn line(entry: &TimelineEntry, gap: &str) -> String {
    let event = &entry.event;
    let mut text = format!("{} {gap:>8} {}", time(event.received_at), Outside(&event.action));
    let mut add = |what: std::fmt::Arguments<'_>| {
        text.write_char(' ').and_then(|()| text.write_fmt(what)).expect("a text takes it");
    };
    match &entry.tracking {
        Some(status) => add(format_args!("tracking={}", Outside(status))),
        None => add(format_args!("state={}", named(event.state.as_deref()))),
    }
    if !entry.fulfillments.is_empty() {
        add(format_args!("{}", fulfillments(&entry.fulfillments)));
    }
    if let Some(code) = &entry.error_code {
        add(format_args!("error={}", Outside(code)));
    }
    if event.duplicates > 0 {
        add(format_args!("duplicates={}", event.duplicates));
    }
    let (progress, id) = (Outside(&event.progress), Outside(&event.id));
    add(format_args!("{progress} flags={} event={id}", flags(event)));
    if let Some(error) = &event.error {
        add(format_args!("({})", Outside(error)));
    }
    text
}

fn fulfillments(all: &[FulfillmentView]) -> String {
    // An order has a few; a hostile one has thousands.
    let shown = all.iter().take(8).map(|one| {
        let id = named(one.id.as_deref());
        format!("{id}:{}", named(one.state.as_deref()))
    });
    let more = if all.len() > 8 { ",…" } else { "" };
    format!("fulfillments={}{more}", shown.collect::<Vec<_>>().join(","))
}

/// Returns how long after the one before, as `+2m05s`.
fn gap(gap: TimeDelta) -> String {
    let ms = gap.num_milliseconds().max(0);
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match (hours, minutes, seconds) {
        (24.., _, _) => format!("+{}d{:02}h", hours / 24, hours % 24),
        (1.., _, _) => format!("+{hours}h{:02}m", minutes % 60),
        (_, 1.., _) => format!("+{minutes}m{:02}s", seconds % 60),
        _ => format!("+{seconds}.{:03}s", ms % 1_000),
    }
}

pub(super) fn order(source: &Source, arguments: &Order) -> Result<ExitCode, Failure> {
    let mut view = source.order(&arguments.id, None)?;
    for _look in 0..LOOKS {
        // A look that found nothing has ended by its time.
        let after = view.next.as_deref().and_then(place).filter(|_| view.last_event.is_none());
        let Some(after) = after else { break };
        view = source.order(&arguments.id, Some(after))?;
    }
    if view.last_event.is_none() {
        return Err(format!(
            "there is no event of order {}; `timeline` takes a transaction's id, `show` an event's",
            Outside(&arguments.id)
        )
        .into());
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if arguments.json {
        writeln!(out, "{}", json(&view)?)?;
    } else {
        write_order(&mut out, &view)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write_order(out: &mut impl std::io::Write, view: &OrderView) -> std::io::Result<()> {
    writeln!(out, "order        {}", Outside(&view.order_id))?;
    writeln!(out, "transactions {}", joined(&view.transaction_ids))?;
    writeln!(out, "sellers      {}", joined(&view.sellers))?;
    writeln!(out, "state        {}", named(view.state.as_deref()))?;
    for one in &view.fulfillments {
        let (id, kind) = (named(one.id.as_deref()), named(one.kind.as_deref()));
        writeln!(out, "fulfillment  {id} {kind} {}", named(one.state.as_deref()))?;
    }
    if let Some(last) = &view.last_event {
        let (action, id) = (Outside(&last.action), Outside(&last.id));
        writeln!(out, "last event   {} {action} event={id}", time(last.received_at))?;
    }
    for change in &view.changes {
        let from =
            change.from.as_deref().map_or(String::new(), |from| format!("{} → ", Outside(from)));
        let (what, to, id) =
            (Outside(&change.what), Outside(&change.to), Outside(&change.event_id));
        writeln!(out, "{} {what}: {from}{to} event={id}", time(change.at))?;
    }
    if view.next.is_some() {
        writeln!(out, "older events than these are not shown")?;
    }
    Ok(())
}

fn joined(texts: &[String]) -> String {
    if texts.is_empty() {
        return "-".to_owned();
    }
    let shown = texts.iter().take(8).map(|text| Outside(text).to_string());
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::gap;

    #[test]
    fn a_gap_has_two_units() {
        let check = |ms: i64, expected: &str| {
            assert_eq!(gap(TimeDelta::milliseconds(ms)), expected, "{ms}");
        };
        check(-5, "+0.000s");
        check(1_234, "+1.234s");
        check(125_000, "+2m05s");
        check(7_380_000, "+2h03m");
        check(180_000_000, "+2d02h");
    }
}
