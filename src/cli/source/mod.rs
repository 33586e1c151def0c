//! Where the commands look: the inbox on this machine, or a running receiver by its API.
//!
//! Both give the same views, so a command has no branches of its own. What the API calls a thing
//! stands here once.

pub(super) mod client;
mod place;

pub(super) use self::place::Place;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::json;

use self::client::{Client, Query};
use super::Failure;
use crate::config::Config;
use crate::event::{EventId, Flag};
use crate::inbox::reader::Progress;
use crate::inbox::reader::expectations::Status;
use crate::inbox::reader::refusals::RefusalFilter;
use crate::inbox::reader::selection::{Filter, Order};
use crate::operations::changes::By;
use crate::operations::events::Part;
use crate::operations::views::{
    AuditView, ErasureView, EventDetail, EventPage, EventView, ExpectationPage, ExpectationView,
    HandlerView, OrderView, RefusalPage, RefusalView, ReplayView, SellerView, StatusView,
    TimelineView,
};
use crate::operations::{Ledger, PAGE_LIMIT, Sight, place};

/// The inbox on this machine.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) ledger: Ledger,
    pub(super) config: Config,
    /// What drives the connections of `ledger`, where they are to a database.
    pub(super) _runtime: Option<tokio::runtime::Runtime>,
}

/// Where a command looks.
#[derive(Debug)]
pub(super) enum Source {
    Local(Box<Local>),
    Remote(Client),
}

/// A list as the API writes it.
#[derive(Debug, Deserialize)]
struct Handlers {
    handlers: Vec<HandlerView>,
}

#[derive(Debug, Deserialize)]
struct Sellers {
    sellers: Vec<SellerView>,
}

#[derive(Debug, Deserialize)]
struct Audits {
    audit: Vec<AuditView>,
    next: Option<String>,
}

impl Source {
    /// Returns the settings of the receiver, where they are known.
    pub(super) fn config(&self) -> Option<&Config> {
        match self {
            Source::Local(local) => Some(&local.config),
            Source::Remote(_) => None,
        }
    }

    /// Returns how the receiver is.
    pub(super) fn status(&self) -> Result<StatusView, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.status()?),
            Source::Remote(client) => found(client.get(&["status"], &Query::new())?),
        }
    }

    /// Returns the place of the newest event.
    pub(super) fn last_seq(&self) -> Result<u64, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.last_seq()?.unsigned_abs()),
            Source::Remote(_) => Ok(self.status()?.last_seq),
        }
    }

    /// Returns a page of events.
    pub(super) fn page(&self, filter: &Filter, part: Part) -> Result<EventPage, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.events_for(filter, part, Sight::Bodies)?),
            Source::Remote(client) => {
                let mut query = filter_query(filter);
                query.push(("order", order_word(part.order).to_owned()));
                query.extend(part.after.map(|after| ("after", after.to_string())));
                query.push(("limit", part.limit.min(PAGE_LIMIT).to_string()));
                found(client.get(&["events"], &query)?)
            }
        }
    }

    /// Returns at most `limit` events, of as many pages as it takes.
    pub(super) fn events(&self, filter: &Filter, limit: usize) -> Result<Vec<EventView>, Failure> {
        let mut events = Vec::new();
        let mut after = None;
        while events.len() < limit {
            let left = limit - events.len();
            let part = Part { order: Order::NewestFirst, after, limit: left.min(PAGE_LIMIT) };
            let page = self.page(filter, part)?;
            events.extend(page.events);
            after = page.next.as_deref().and_then(place);
            if after.is_none() {
                break;
            }
        }
        Ok(events)
    }

    /// Returns one event.
    pub(super) fn event(&self, id: EventId) -> Result<Option<EventDetail>, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.event(id, Sight::Bodies)?),
            Source::Remote(client) => client.get(&["events", &id.to_string()], &Query::new()),
        }
    }

    /// Returns a body, byte for byte.
    pub(super) fn body(&self, id: EventId) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.body(id)?.map(Vec::from)),
            Source::Remote(client) => client.get_bytes(&["events", &id.to_string(), "body"]),
        }
    }

    /// Returns what is known of a transaction.
    pub(super) fn timeline(&self, id: &str, after: Option<i64>) -> Result<TimelineView, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.timeline(id, after, Sight::Bodies)?),
            Source::Remote(client) => {
                found(client.get(&["transactions", id], &after_query(after))?)
            }
        }
    }

    /// Returns what is known of an order.
    pub(super) fn order(&self, id: &str, after: Option<i64>) -> Result<OrderView, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.order(id, after, Sight::Bodies)?),
            Source::Remote(client) => found(client.get(&["orders", id], &after_query(after))?),
        }
    }

    /// Returns at most `limit` refusals, the newest first.
    pub(super) fn refusals(
        &self,
        filter: &RefusalFilter,
        limit: usize,
    ) -> Result<Vec<RefusalView>, Failure> {
        let mut refusals = Vec::new();
        let mut after = None;
        while refusals.len() < limit {
            let page =
                self.refusal_page(filter, after, (limit - refusals.len()).min(PAGE_LIMIT))?;
            refusals.extend(page.refusals);
            after = page.next.as_deref().and_then(place);
            if after.is_none() {
                break;
            }
        }
        Ok(refusals)
    }

    /// Returns one refusal.
    pub(super) fn refusal(&self, number: u64) -> Result<Option<RefusalView>, Failure> {
        match self {
            Source::Local(local) => {
                let Ok(place) = i64::try_from(number) else { return Ok(None) };
                Ok(local.ledger.refusal(place, Sight::Bodies)?)
            }
            Source::Remote(client) => client.get(&["refusals", &number.to_string()], &Query::new()),
        }
    }

    fn refusal_page(
        &self,
        filter: &RefusalFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<RefusalPage, Failure> {
        match self {
            Source::Local(local) => {
                Ok(local.ledger.refusals(filter, after, limit, Sight::Bodies)?)
            }
            Source::Remote(client) => {
                let mut query = after_query(after);
                query.extend(filter.seller.clone().map(|seller| ("seller", seller)));
                query.extend(filter.cause.clone().map(|cause| ("cause", cause)));
                query.push(("limit", limit.to_string()));
                found(client.get(&["refusals"], &query)?)
            }
        }
    }

    /// Returns the handlers, by name.
    pub(super) fn handlers(&self) -> Result<Vec<HandlerView>, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.handlers()?),
            Source::Remote(client) => {
                let listed: Handlers = found(client.get(&["handlers"], &Query::new())?)?;
                Ok(listed.handlers)
            }
        }
    }

    /// Pauses or resumes a handler; returns whether there is one of this name.
    pub(super) fn set_paused(&self, handler: &str, wanted: Wanted) -> Result<bool, Failure> {
        match self {
            Source::Local(local) => {
                let paused = wanted == Wanted::Paused;
                Ok(local.ledger.set_paused(handler, paused, by(&who()))?)
            }
            Source::Remote(client) => {
                let verb = match wanted {
                    Wanted::Paused => "pause",
                    Wanted::Resumed => "resume",
                };
                let view: Option<HandlerView> =
                    client.post(&["handlers", handler, verb], &json!({}))?;
                Ok(view.is_some())
            }
        }
    }

    /// Asks for another round of these events.
    pub(super) fn replay(&self, ids: &[EventId]) -> Result<ReplayView, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.replay(ids, by(&who()))?),
            Source::Remote(client) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                found(client.post(&["replays"], &json!({ "ids": ids }))?)
            }
        }
    }

    /// Asks for another round of the settled ones of the events that match, or counts them.
    pub(super) fn replay_matching(&self, filter: &Filter, run: Run) -> Result<ReplayView, Failure> {
        let dry_run = run == Run::Dry;
        match self {
            Source::Local(local) => {
                Ok(local.ledger.replay_matching(filter, dry_run, by(&who()))?)
            }
            Source::Remote(client) => {
                let filter: serde_json::Map<String, serde_json::Value> = filter_query(filter)
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect();
                let wish = json!({ "filter": filter, "dry_run": dry_run });
                found(client.post(&["replays"], &wish)?)
            }
        }
    }

    /// Returns the sellers, the one that was seen last first.
    pub(super) fn sellers(&self) -> Result<Vec<SellerView>, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.sellers(Utc::now())?),
            Source::Remote(client) => {
                let listed: Sellers = found(client.get(&["sellers"], &Query::new())?)?;
                Ok(listed.sellers)
            }
        }
    }

    /// Returns at most `limit` expectations, the newest first.
    pub(super) fn expectations(
        &self,
        status: Option<Status>,
        limit: usize,
    ) -> Result<Vec<ExpectationView>, Failure> {
        let mut expectations = Vec::new();
        let mut after = None;
        while expectations.len() < limit {
            let left = (limit - expectations.len()).min(PAGE_LIMIT);
            let page: ExpectationPage = match self {
                Source::Local(local) => local.ledger.expectations(status, after, left)?,
                Source::Remote(client) => {
                    let mut query = after_query(after);
                    query.extend(status.map(|status| ("status", status.as_str().to_owned())));
                    query.push(("limit", left.to_string()));
                    found(client.get(&["expectations"], &query)?)?
                }
            };
            expectations.extend(page.expectations);
            after = page.next.as_deref().and_then(place);
            if after.is_none() {
                break;
            }
        }
        Ok(expectations)
    }

    /// Asks for all that is kept of a transaction to be emptied.
    pub(super) fn erase(&self, transaction_id: &str) -> Result<ErasureView, Failure> {
        match self {
            Source::Local(local) => Ok(local.ledger.erase(transaction_id, by(&who()))?),
            Source::Remote(client) => {
                found(client.post(&["erasures"], &json!({ "transaction_id": transaction_id }))?)
            }
        }
    }

    /// Returns at most `limit` changes that operators made, the newest first.
    pub(super) fn audits(&self, limit: usize) -> Result<Vec<AuditView>, Failure> {
        let mut audits: Vec<AuditView> = Vec::new();
        let mut after = None;
        while audits.len() < limit {
            let left = (limit - audits.len()).min(PAGE_LIMIT);
            let page = match self {
                Source::Local(local) => {
                    let audit = local.ledger.audits(after, left)?;
                    let next = audit.last().filter(|_| audit.len() == left);
                    Audits { next: next.map(|last| last.seq.to_string()), audit }
                }
                Source::Remote(client) => {
                    let mut query = after_query(after);
                    query.push(("limit", left.to_string()));
                    found(client.get(&["audit"], &query)?)?
                }
            };
            audits.extend(page.audit);
            after = page.next.as_deref().and_then(place);
            if after.is_none() {
                break;
            }
        }
        Ok(audits)
    }
}

/// What a handler shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Paused,
    Resumed,
}

/// Whether a wish is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Dry,
    Meant,
}

fn by(who: &str) -> By<'_> {
    By { who, now: Utc::now() }
}

/// Returns who the audit says that a change of this command is by.
fn who() -> String {
    format!("local:{}", std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()))
}

/// What is always there, even when it is empty, was not found.
fn found<T>(view: Option<T>) -> Result<T, Failure> {
    view.ok_or_else(|| "the receiver does not know this part of the API: is it older?".into())
}

fn after_query(after: Option<i64>) -> Query {
    after.map(|after| ("after", after.to_string())).into_iter().collect()
}

const fn order_word(order: Order) -> &'static str {
    match order {
        Order::NewestFirst => "newest",
        Order::OldestFirst => "oldest",
    }
}

/// Returns a filter as the API takes it.
pub(super) fn filter_query(filter: &Filter) -> Query {
    let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let parts = [
        ("action", filter.action.clone()),
        ("seller", filter.seller.clone()),
        ("transaction_id", filter.transaction_id.clone()),
        ("message_id", filter.message_id.clone()),
        ("order_id", filter.order_id.clone()),
        ("state", filter.state.clone()),
        ("flag", filter.flag.map(|flag: Flag| flag.as_str().to_owned())),
        ("progress", filter.progress.map(|progress: Progress| progress.as_str().to_owned())),
        ("since", filter.received_since.map(moment)),
        ("until", filter.received_until.map(moment)),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
