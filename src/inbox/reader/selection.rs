//! Which events a filter names, found by walking the narrow rows once.
//!
//! How far events are lies in rows of their own. A join would look one up for each event; two
//! cursors that walk in the same order find the same in half of the time, and stop as early.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, Rows, params_from_iter};

use super::Progress;
use crate::inbox::sqlite::outcome::State;

/// Which events a list shows; `None` is any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// The action's name.
    pub(crate) action: Option<String>,
    /// The seller, verified or not.
    pub(crate) seller: Option<String>,
    /// The transaction's id.
    pub(crate) transaction_id: Option<String>,
    /// The order's id.
    pub(crate) order_id: Option<String>,
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
        if let Some(order_id) = &self.order_id {
            also("order_id = ?", vec![order_id.clone().into()]);
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

/// In which order of the log a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
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
    mut take: impl FnMut(i64) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    // Both cursors see the same moment; within a transaction of the caller, its moment.
    let snapshot =
        connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let (conditions, bound) = filter.conditions();
    let direction = order.sql();
    let mut events = connection.prepare(&format!(
        "SELECT seq, standing FROM event WHERE {conditions} ORDER BY seq {direction}"
    ))?;
    let mut events = events.query(params_from_iter(bound))?;
    let mut deliveries =
        connection.prepare(&format!("SELECT seq, state FROM delivery ORDER BY seq {direction}"))?;
    let mut deliveries = Deliveries { rows: deliveries.query([])?, order, at: None };
    while let Some(event) = events.next()? {
        let seq = event.get(0)?;
        if let Some(wanted) = filter.progress {
            let rejected = event.get::<_, i64>(1)? == 1;
            if deliveries.progress(seq, rejected)? != wanted {
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

/// The second cursor.
struct Deliveries<'a> {
    rows: Rows<'a>,
    order: Order,
    /// The row that was read last: its seq and state. `None`: none was, or there are no more.
    at: Option<(i64, i64)>,
}

impl Deliveries<'_> {
    /// Returns how far the event at `seq` is, which no earlier one may follow.
    fn progress(&mut self, seq: i64, rejected: bool) -> rusqlite::Result<Progress> {
        while self.at.is_none_or(|(at, _)| self.order.passes(at, seq)) {
            let Some(row) = self.rows.next()? else { break };
            self.at = Some((row.get(0)?, row.get(1)?));
        }
        let state = self.at.filter(|(at, _)| *at == seq).map(|(_, state)| state);
        Ok(match state {
            None if rejected => Progress::Rejected,
            Some(state) if state == State::Done.number() => Progress::Done,
            Some(state) if state == State::Dead.number() => Progress::Dead,
            None | Some(_) => Progress::Pending,
        })
    }
}
