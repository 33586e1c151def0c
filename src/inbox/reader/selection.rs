//! Which events a filter names, found by walking the narrow rows once.
//!
//! How far events are lies in rows of their own. A join would look one up for each event; two
//! cursors that walk in the same order find the same in half of the time, and stop as early. A
//! database walks by itself: it joins, a part of the log at a time, or goes by an index.

use std::fmt;
use std::ops::{ControlFlow, RangeInclusive};
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Rows, params_from_iter};

use super::Progress;
use super::client::{Client, DbError, Value};
use super::rows::{ENDS, PROGRESS};
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
    /// Returns the conditions on the event's own row: only what is asked for, since a row is looked
    /// at a million times.
    fn conditions(&self, client: &Client) -> Conditions<'_> {
        let mut all = Conditions { sql: "TRUE".to_owned(), bound: Vec::new() };
        let plain =
            [("action", &self.action), ("order_id", &self.order_id), ("state", &self.state)];
        for (column, text) in plain {
            all.also(text.as_ref(), |bound| format!("e.{column} = {bound}"));
        }
        let ids = [("transaction_id", &self.transaction_id), ("message_id", &self.message_id)];
        for (column, text) in ids {
            all.also(text.as_ref(), |bound| client.is(&format!("e.{column}"), bound));
        }
        if let Some(seller) = &self.seller {
            let unverified = all.bind(format!("unverified:{seller}"));
            all.also(Some(seller), |bound| format!("e.seller IN ({bound}, {unverified})"));
        }
        all.also(self.any_id.as_ref(), |bound| {
            format!("{bound} IN (e.order_id, e.transaction_id, e.message_id)")
        });
        let micros = |at: DateTime<Utc>| at.timestamp_micros();
        all.also(self.received_since.map(micros), |bound| format!("e.received_at >= {bound}"));
        all.also(self.received_until.map(micros), |bound| format!("e.received_at < {bound}"));
        all
    }

    /// Returns whether it is looked at what became of an event.
    const fn asks_for_delivery(&self) -> bool {
        self.progress.is_some() || self.flag.is_some()
    }

    /// Returns whether a database finds the events by an index.
    const fn has_index(&self) -> bool {
        self.transaction_id.is_some() || self.message_id.is_some()
    }
}

/// Conditions on rows, joined by `AND`.
struct Conditions<'a> {
    sql: String,
    bound: Vec<Value<'a>>,
}

impl<'a> Conditions<'a> {
    /// Adds one on a value, if there is one; `condition` is told its placeholder.
    fn also(
        &mut self,
        value: Option<impl Into<Value<'a>>>,
        condition: impl FnOnce(&str) -> String,
    ) {
        if let Some(value) = value {
            let bound = self.bind(value);
            self.sql.push_str(" AND ");
            self.sql.push_str(&condition(&bound));
        }
    }

    /// Returns the placeholder of what is bound.
    fn bind(&mut self, value: impl Into<Value<'a>>) -> String {
        self.bound.push(value.into());
        format!("?{}", self.bound.len())
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

/// How many places of the log a look at a page goes through before it asks for the time, and how
/// many a database is asked for at a time.
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
pub(super) fn page(client: &Client, filter: &Filter, bounds: Bounds) -> Result<Page, DbError> {
    let Bounds { order, after, limit, deadline } = bounds;
    let (oldest, newest) = ends(client)?;
    let mut left = match (order, after) {
        (Order::OldestFirst, after) => oldest.max(after.unwrap_or(0).saturating_add(1))..=newest,
        (Order::NewestFirst, Some(after)) => oldest..=newest.min(after.saturating_sub(1)),
        (Order::NewestFirst, None) => oldest..=newest,
    };
    let step = step(client, filter, STEP);
    let mut page = Page::default();
    while !left.is_empty() && page.seqs.len() < limit {
        if page.goes_on.is_some() && Instant::now() >= deadline {
            return Ok(page);
        }
        let places = order.first_of(&mut left, step);
        page.goes_on = Some(order.last_place(&places));
        let part = Stretch { order, places, limit: limit - page.seqs.len() };
        walk_stretch(client, filter, &part, |seq| {
            page.seqs.push(seq);
            if page.seqs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
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

/// Returns the oldest and the newest place.
fn ends(client: &Client) -> Result<(i64, i64), DbError> {
    client.query_one(ENDS, &[], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Returns how many places are walked at a time, where a file would be by `of_file`.
fn step(client: &Client, filter: &Filter, of_file: i64) -> i64 {
    if client.sqlite().is_some() {
        of_file
    } else if filter.has_index() {
        // It looks at no more than what matches, wherever that is.
        i64::MAX
    } else {
        STEP
    }
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

    /// Takes the first `step` places out of those that are left.
    fn first_of(self, left: &mut RangeInclusive<i64>, step: i64) -> RangeInclusive<i64> {
        let (first, last) = (*left.start(), *left.end());
        let taken = match self {
            Order::OldestFirst => first..=last.min(first.saturating_add(step - 1)),
            Order::NewestFirst => first.max(last.saturating_sub(step - 1))..=last,
        };
        *left = match self {
            Order::OldestFirst => taken.end() + 1..=last,
            Order::NewestFirst => first..=taken.start() - 1,
        };
        taken
    }

    /// Returns where a walk through these places ends.
    const fn last_place(self, places: &RangeInclusive<i64>) -> i64 {
        match self {
            Order::OldestFirst => *places.end(),
            Order::NewestFirst => *places.start(),
        }
    }
}

/// Hands the place of each event that matches to `take`, until it has enough.
pub(super) fn walk(
    client: &Client,
    filter: &Filter,
    order: Order,
    mut take: impl FnMut(i64) -> ControlFlow<()>,
) -> Result<(), DbError> {
    let (oldest, newest) = ends(client)?;
    let mut left = oldest..=newest;
    let step = step(client, filter, i64::MAX);
    while !left.is_empty() {
        let places = order.first_of(&mut left, step);
        walk_stretch(client, filter, &Stretch { order, places, limit: usize::MAX }, &mut take)?;
    }
    Ok(())
}

/// A part of the log.
struct Stretch {
    /// In which order it is walked.
    order: Order,
    places: RangeInclusive<i64>,
    /// So many are enough.
    limit: usize,
}

fn walk_stretch(
    client: &Client,
    filter: &Filter,
    part: &Stretch,
    mut take: impl FnMut(i64) -> ControlFlow<()>,
) -> Result<(), DbError> {
    let conditions = filter.conditions(client);
    if let Some(connection) = client.sqlite() {
        return Ok(walk_with_cursors(connection, (filter, &conditions), part, take)?);
    }
    for seq in joined(client, filter, conditions, part)? {
        if take(seq).is_break() {
            break;
        }
    }
    Ok(())
}

/// Returns the places of events that match, as a database joins them.
fn joined(
    client: &Client,
    filter: &Filter,
    mut conditions: Conditions<'_>,
    stretch: &Stretch,
) -> Result<Vec<i64>, DbError> {
    let first = conditions.bind(*stretch.places.start());
    let last = conditions.bind(*stretch.places.end());
    let join = if filter.asks_for_delivery() {
        // The bounds are said of both: the server does not conclude the one from the other, and
        // would read all of them for each part of the log.
        format!("LEFT JOIN delivery d ON d.seq = e.seq AND d.seq >= {first} AND d.seq <= {last}")
    } else {
        String::new()
    };
    let place_of = |wanted: Progress| Progress::ALL.iter().position(|one| *one == wanted);
    conditions.also(filter.progress.and_then(place_of), |bound| format!("({PROGRESS}) = {bound}"));
    conditions.also(filter.flag.map(Flag::bit), |bound| {
        format!("(e.flags | coalesce(d.flags, 0)) & {bound} <> 0")
    });
    let limit = conditions.bind(stretch.limit);
    let sql = format!(
        "SELECT e.seq FROM event e {join}
         WHERE e.seq >= {first} AND e.seq <= {last} AND {} ORDER BY e.seq {} LIMIT {limit}",
        conditions.sql,
        stretch.order.sql()
    );
    client.query(&sql, &conditions.bound, |row| row.get(0))
}

/// Walks by two cursors that go side by side.
fn walk_with_cursors(
    connection: &Connection,
    (filter, conditions): (&Filter, &Conditions<'_>),
    part: &Stretch,
    mut take: impl FnMut(i64) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    // Both see the same moment; within a transaction of the caller, its moment.
    let _moment =
        connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let (order, direction) = (part.order, part.order.sql());
    let (first, last) = (*part.places.start(), *part.places.end());
    let mut events = connection.prepare(&format!(
        "SELECT e.seq, e.standing, e.flags FROM event e
         WHERE e.seq BETWEEN {first} AND {last} AND {} ORDER BY e.seq {direction}",
        conditions.sql
    ))?;
    let mut events = events.query(params_from_iter(&conditions.bound))?;
    let mut deliveries = connection.prepare(&format!(
        "SELECT seq, state, flags FROM delivery WHERE seq BETWEEN {first} AND {last}
         ORDER BY seq {direction}"
    ))?;
    let mut deliveries = Deliveries { rows: deliveries.query([])?, order, at: None };
    while let Some(event) = events.next()? {
        let seq = event.get(0)?;
        if filter.asks_for_delivery() {
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
