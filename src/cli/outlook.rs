//! Says of events which handler takes them, and what those wait for that are pending.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Failure;
use super::events::time;
use super::source::Source;
use crate::event::{Address, UNVERIFIED};
use crate::inbox::reader::Progress;
use crate::inbox::reader::selection::{Filter, Order};
use crate::operations::PAGE_LIMIT;
use crate::operations::events::Part;
use crate::operations::views::{EventView, HandlerView};
use crate::receiver::handlers::names;
use crate::routes::Routes;
use crate::words::{Outside, SubscriberId};

/// What is known of where events go.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// Each handler, and since when it is paused.
    handlers: HashMap<String, Option<DateTime<Utc>>>,
    /// The name of the only handler.
    only: Option<String>,
    /// Known where the settings are.
    routes: Option<Routes>,
    /// The first pending event of each transaction of a seller, as far as the oldest 500 tell.
    heads: HashMap<(String, String), Head>,
}

#[derive(Debug)]
struct Head {
    id: String,
    seq: u64,
}

impl Outlook {
    /// Looks for what these events wait for.
    pub(super) fn of(source: &Source, events: &[EventView]) -> Result<Self, Failure> {
        let handlers: HashMap<_, _> = source
            .handlers()?
            .into_iter()
            .map(|HandlerView { name, paused_at }| (name, paused_at))
            .collect();
        let only = handlers.keys().next().filter(|_| handlers.len() == 1).cloned();
        let routes = source.config().and_then(|config| {
            let known: Vec<&str> = names(config).collect();
            // A program may have handlers of its own, which its settings cannot name here.
            Routes::new(config, &known).ok()
        });
        let heads = if events.iter().any(is_pending) { heads(source)? } else { HashMap::new() };
        Ok(Self { handlers, only, routes, heads })
    }

    /// Returns the name of the handler that takes an event, where it is known.
    pub(super) fn handler(&self, event: &EventView) -> Option<&str> {
        let chosen = self.routes.as_ref().map(|routes| {
            let seller = event.seller.strip_prefix(UNVERIFIED).unwrap_or(&event.seller);
            let address = Address {
                action: &event.action,
                domain: event.domain.as_deref(),
                bap_id: event.bap_id.as_deref(),
                bpp_id: Some(SubscriberId::bare(seller)).filter(|id| !id.is_empty()),
            };
            routes.handlers()[routes.choose(&address)].as_str()
        });
        // These settings may be another receiver's.
        chosen.filter(|name| self.handlers.contains_key(*name)).or(self.only.as_deref())
    }

    /// Says what a pending event waits for, if that is more than a place with its handler.
    pub(super) fn waits(&self, event: &EventView) -> Option<String> {
        if !is_pending(event) {
            return None;
        }
        let lane = lane(event).and_then(|lane| self.heads.get(&lane));
        if let Some(head) = lane.filter(|head| head.seq < event.seq) {
            return Some(format!("behind {}", Outside(&head.id)));
        }
        let handler = self.handler(event);
        let paused = handler.and_then(|name| Some((name, (*self.handlers.get(name)?)?)));
        if let Some((name, at)) = paused {
            return Some(format!("for `resume {}`, paused since {}", Outside(name), time(at)));
        }
        event.next_attempt_at.map(|at| format!("for its next attempt at {}", time(at)))
    }
}

fn is_pending(event: &EventView) -> bool {
    event.progress == Progress::Pending.as_str()
}

/// What is handed over one after the other: a transaction of a seller.
fn lane(event: &EventView) -> Option<(String, String)> {
    Some((event.seller.clone(), event.transaction_id.clone()?))
}

fn heads(source: &Source) -> Result<HashMap<(String, String), Head>, Failure> {
    let filter = Filter { progress: Some(Progress::Pending), ..Filter::default() };
    let part = Part { order: Order::OldestFirst, after: None, limit: PAGE_LIMIT };
    let mut heads = HashMap::new();
    for event in source.page(&filter, part)?.events {
        if let Some(lane) = lane(&event) {
            heads.entry(lane).or_insert(Head { id: event.id, seq: event.seq });
        }
    }
    Ok(heads)
}
