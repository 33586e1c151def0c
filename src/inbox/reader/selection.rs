//! Which events a filter names, found by walking the narrow rows once.
//!
//! How far events are lies in rows of their own. A join would look one up for each event; two
//! cursors that walk in the same order find the same in half of the time, and stop as early.

use std::fmt;
use std::ops::{ControlFlow, RangeInclusive};
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, Rows, params_from_iter};

use super::Progress;
use crate::event::{Flag, Flags};
use crate::inbox::outcome::State;
use crate::words::Outside;

/// Which events a list shows; `None` is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The action's name.
    pub(crate) action: Option<String>,
    /// The seller, verified or not.
    pub(crate) seller: Option<String>,
    /// The transaction's id.
    pub(crate) transaction_id: Option<String>,
    /// The message's id.
    pub(crate) message_id: Option<String>,
    /// The order's id.
    pub(crate) order_id: Option<String>,
    /// Any of the three: one walk finds what an id is of.
    pub(crate) any_id: Option<String>,
    /// What the payload said of the state.
    pub(crate) state: Option<String>,
    /// Something else that is known of it.
    pub(crate) flag: Option<Flag>,
    /// How far the event is.
    pub(crate) progress: Option<Progress>,
    /// Accepted at this moment or later.
    pub(crate) received_since: Option<DateTime<Utc>>,
    /// Accepted before this moment.
    pub(crate) received_until: Option<DateTime<Utc>>,
}

impl Filter {
    /// Returns the conditions on the event's own row, and what is bound in them.
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut sql = "TRUE".to_owned();
        let mut bound: Vec<Value> = Vec::new();
        // Only what is asked for: a row is looked at a million times.
        let mut also = |condition: &str, values: Vec<Value>| {
            sql.push_str(" AND ");
            sql.push_str(condition);
            bound.extend(values);
        };
        let micros = |at: DateTime<Utc>| at.timestamp_micros().into();
        if let Some(action) = &self.action {
            also("action = ?", vec![action.clone().into()]);
        }
        if let Some(seller) = &self.seller {
            let unverified = format!("unverified:{seller}");
            also("(seller = ? OR seller = ?)", vec![seller.clone().into(), unverified.into()]);
        }
        if let Some(transaction_id) = &self.transaction_id {
            also("transaction_id = ?", vec![transaction_id.clone().into()]);
        }
        if let Some(message_id) = &self.message_id {
            also("message_id = ?", vec![message_id.clone().into()]);
        }
        if let Some(order_id) = &self.order_id {
            also("order_id = ?", vec![order_id.clone().into()]);
        }
        if let Some(id) = &self.any_id {
            let either = "(order_id = ? OR transaction_id = ? OR message_id = ?)";
            also(either, vec![id.clone().into(), id.clone().into(), id.clone().into()]);
        }
        if let Some(state) = &self.state {
            also("state = ?", vec![state.clone().into()]);
        }
        if let Some(since) = self.received_since {
            also("received_at >= ?", vec![micros(since)]);
        }
        if let Some(until) = self.received_until {
            also("received_at < ?", vec![micros(until)]);
        }
        (sql, bound)
    }
}

impl fmt::Display for Filter {
    /// Writes what is asked for, as the audit keeps it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.received_since.map(|at| at.to_rfc3339());
        let until = self.received_until.map(|at| at.to_rfc3339());
        let parts = [
            ("action", self.action.as_deref()),
            ("seller", self.seller.as_deref()),
            ("transaction", self.transaction_id.as_deref()),
            ("message", self.message_id.as_deref()),
            ("order", self.order_id.as_deref()),
            ("id", self.any_id.as_deref()),
            ("state", self.state.as_deref()),
            ("flag", self.flag.map(Flag::as_str)),
            ("progress", self.progress.map(Progress::as_str)),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
        ];
        let mut is_any = true;
        for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            write!(f, "{}{name}={}", if is_any { "" } else { " " }, Outside(value))?;
            is_any = false;
        }
        if is_any { f.write_str("every event") } else { Ok(()) }
    }
}

/// How many places of the log a look at a page goes through before it asks for the time.
const STEP: i64 = 8_192;

/// A part of what a filter names.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The places of events that match, in the order of the walk.
    pub(crate) seqs: Vec<i64>,
    /// The last place that was looked at, when there may be more behind it.
    pub(crate) goes_on: Option<i64>,
}

/// Where a page begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// In which order.
    pub(crate) order: Order,
    /// Only what comes after this place, in that order.
    pub(crate) after: Option<i64>,
    /// At most so many.
    pub(crate) limit: usize,
    /// The walk ends then, wherever it is; a first step is always made.
    pub(crate) deadline: Instant,
}

/// Returns a page of the places of events that match: a walk over ranges of the log, which ends
/// when the page is full or its time is over.
pub(super) fn page(
    connection: &Connection,
    filter: &Filter,
    bounds: Bounds,
) -> rusqlite::Result<Page> {
    let Bounds { order, after, limit, deadline } = bounds;
    let (oldest, newest): (i64, i64) = connection.query_row(
        "SELECT coalesce((SELECT min(seq) FROM event), 1), coalesce((SELECT max(seq) FROM event), 0)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut left = match (order, after) {
        (Order::OldestFirst, after) => oldest.max(after.unwrap_or(0).saturating_add(1))..=newest,
        (Order::NewestFirst, Some(after)) => oldest..=newest.min(after.saturating_sub(1)),
        (Order::NewestFirst, None) => oldest..=newest,
    };
    let mut page = Page::default();
    while !left.is_empty() && page.seqs.len() < limit {
        if page.goes_on.is_some() && Instant::now() >= deadline {
            return Ok(page);
        }
        let (first, last) = (*left.start(), *left.end());
        let span = match order {
            Order::OldestFirst => first..=last.min(first.saturating_add(STEP - 1)),
            Order::NewestFirst => first.max(last.saturating_sub(STEP - 1))..=last,
        };
        walk_span(connection, filter, order, &span, |seq| {
            page.seqs.push(seq);
            if page.seqs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        (page.goes_on, left) = match order {
            Order::OldestFirst => (Some(*span.end()), span.end() + 1..=last),
            Order::NewestFirst => (Some(*span.start()), first..=span.start() - 1),
        };
    }
    // A page that is full ended inside its last span.
    let ended_early = page.seqs.len() >= limit;
    page.goes_on = if ended_early {
        page.seqs.last().copied()
    } else {
        page.goes_on.filter(|_| !left.is_empty())
    };
    Ok(page)
}

/// In which order of the log a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// From the beginning of the log.
    OldestFirst,
    /// From its end.
    NewestFirst,
}

impl Order {
    const fn sql(self) -> &'static str {
        match self {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        }
    }

    const fn passes(self, one: i64, other: i64) -> bool {
        match self {
            Order::OldestFirst => one < other,
            Order::NewestFirst => one > other,
        }
    }
}

/// Returns the places of at most `limit` events that match.
pub(super) fn seqs(
    connection: &Connection,
    filter: &Filter,
    order: Order,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let mut seqs = Vec::new();
    if limit > 0 {
        walk(connection, filter, order, |seq| {
            seqs.push(seq);
            if seqs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    Ok(seqs)
}

/// Hands the place of each event that matches to `take`, until it has enough.
pub(super) fn walk(
    connection: &Connection,
    filter: &Filter,
    order: Order,
    take: impl FnMut(i64) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    walk_span(connection, filter, order, &(i64::MIN..=i64::MAX), take)
}

/// Walks only the places in `span`.
fn walk_span(
    connection: &Connection,
    filter: &Filter,
    order: Order,
    span: &RangeInclusive<i64>,
    mut take: impl FnMut(i64) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    // Both cursors see the same moment; within a transaction of the caller, its moment.
    let snapshot =
        connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let (conditions, bound) = filter.conditions();
    let direction = order.sql();
    let (first, last) = (*span.start(), *span.end());
    let mut events = connection.prepare(&format!(
        "SELECT seq, standing, flags FROM event WHERE seq BETWEEN {first} AND {last} AND {conditions}
         ORDER BY seq {direction}"
    ))?;
    let mut events = events.query(params_from_iter(bound))?;
    let mut deliveries = connection.prepare(&format!(
        "SELECT seq, state, flags FROM delivery WHERE seq BETWEEN {first} AND {last}
         ORDER BY seq {direction}"
    ))?;
    let mut deliveries = Deliveries { rows: deliveries.query([])?, order, at: None };
    while let Some(event) = events.next()? {
        let seq = event.get(0)?;
        if filter.progress.is_some() || filter.flag.is_some() {
            let rejected = event.get::<_, i64>(1)? == 1;
            let found = deliveries.of(seq)?;
            let flags = event.get::<_, u32>(2)? | found.map_or(0, |found| found.flags);
            let has = |flag| Flags::from_bits(flags).contains(flag);
            let progress = progress(found.map(|found| found.state), rejected);
            if filter.progress.is_some_and(|wanted| wanted != progress)
                || filter.flag.is_some_and(|flag| !has(flag))
            {
                continue;
            }
        }
        if take(seq).is_break() {
            break;
        }
    }
    drop(snapshot);
    Ok(())
}

/// Returns how far an event is whose delivery has this state.
fn progress(state: Option<i64>, rejected: bool) -> Progress {
    match state {
        None if rejected => Progress::Rejected,
        Some(state) if state == State::Done.number() => Progress::Done,
        Some(state) if state == State::Dead.number() => Progress::Dead,
        None | Some(_) => Progress::Pending,
    }
}

/// What a delivery says of its event.
#[derive(Debug, Clone, Copy)]
struct Delivery {
    seq: i64,
    state: i64,
    flags: u32,
}

/// The second cursor.
struct Deliveries<'a> {
    rows: Rows<'a>,
    order: Order,
    /// The row that was read last. `None`: none was, or there are no more.
    at: Option<Delivery>,
}

impl Deliveries<'_> {
    /// Returns the delivery of the event at `seq`, which no earlier one may follow.
    fn of(&mut self, seq: i64) -> rusqlite::Result<Option<Delivery>> {
        while self.at.is_none_or(|at| self.order.passes(at.seq, seq)) {
            let Some(row) = self.rows.next()? else { break };
            self.at = Some(Delivery { seq: row.get(0)?, state: row.get(1)?, flags: row.get(2)? });
        }
        Ok(self.at.filter(|at| at.seq == seq))
    }
}
