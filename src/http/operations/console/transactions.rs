//! A transaction: its callbacks in a picture, and the same in a table.

use axum::extract::{Path, Query};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::picture::{Picture, picture};
use super::strip::span;
use super::visitor::{Section, Trouble, Visitor};
use crate::operations::views::{TimelineEntry, TimelineView};
use crate::operations::{PAGE_LIMIT, place};

/// Where a page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cursor {
    pub(super) after: String,
}

/// What is quiet for so long is said in the table.
const QUIET: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

#[derive(Debug, Serialize)]
struct TransactionPage<'a> {
    timeline: &'a TimelineView,
    rows: Vec<EntryRow<'a>>,
    picture: Option<Picture>,
    is_older: bool,
    /// The look ended by its time, not by its number of events.
    is_cut: bool,
}

#[derive(Debug, Serialize)]
struct EntryRow<'a> {
    entry: &'a TimelineEntry,
    /// How long nothing came before it, when that was long.
    quiet: Option<String>,
    /// Which fulfilments say something else than before.
    changed: Vec<bool>,
}

/// Shows it.
pub(super) async fn show(
    visitor: Visitor,
    Path(id): Path<String>,
    Query(cursor): Query<Cursor>,
) -> Result<Response, Trouble> {
    let (after, sight) = (place(&cursor.after), visitor.principal.sight());
    let timeline = visitor.look(move |ledger| ledger.timeline(&id, after, sight)).await?;
    if timeline.entries.is_empty() && timeline.expectations.is_empty() && timeline.next.is_none() {
        return Err(Trouble::Missing("Nothing of this transaction is in the inbox."));
    }
    let page = TransactionPage {
        rows: rows(&timeline.entries),
        picture: picture(&timeline),
        is_older: after.is_some(),
        is_cut: timeline.next.is_some() && timeline.entries.len() < PAGE_LIMIT,
        timeline: &timeline,
    };
    visitor.page((Section::Events, "Transaction"), "transaction.html", page).await
}

fn rows(entries: &[TimelineEntry]) -> Vec<EntryRow<'_>> {
    let mut known = std::collections::BTreeMap::new();
    let mut before = None;
    let row = |entry: &'_ TimelineEntry| {
        let TimelineEntry { event, fulfillments, .. } = entry;
        let waited = before.replace(event.received_at).map(|before| event.received_at - before);
        let mut changed = Vec::new();
        for one in fulfillments {
            let last = known.insert(one.id.clone(), one.state.clone());
            changed.push(last.as_ref() != Some(&one.state));
        }
        (waited.filter(|waited| *waited >= QUIET).map(span), changed)
    };
    let said: Vec<_> = entries.iter().map(row).collect();
    let row = |(entry, (quiet, changed))| EntryRow { entry, quiet, changed };
    entries.iter().zip(said).map(row).collect()
}
