//! What is known of a transaction and of an order: its events put in line.

use std::collections::BTreeMap;

use super::events::{Part, view};
use super::views::{ChangeView, FulfillmentView, OrderView, TimelineEntry, TimelineView};
use super::{Ledger, PAGE_LIMIT, Sight, deadline, mask};
use crate::beckn::callback::{Callback, Payload};
use crate::beckn::order::Order;
use crate::beckn::scalar::Timestamp;
use crate::inbox::reader::selection::Filter;
use crate::inbox::reader::{self, Summary};

impl Ledger {
    /// Returns a transaction's events, the oldest first, as far as the newest 500 reach; `after`
    /// goes on with older ones where an earlier look has stopped.
    pub(crate) fn timeline(
        &self,
        transaction_id: &str,
        after: Option<i64>,
        sight: Sight,
    ) -> Result<TimelineView, reader::Error> {
        let filter =
            Filter { transaction_id: Some(transaction_id.to_owned()), ..Filter::default() };
        let (entries, next) = self.entries(&filter, after, sight)?;
        let expected = self.reader.expectations_of(transaction_id)?;
        let expectations = expected.into_iter().map(super::expectations::view).collect();
        Ok(TimelineView {
            transaction_id: transaction_id.to_owned(),
            sellers: distinct(entries.iter().map(|entry| Some(&entry.event.seller))),
            order_ids: distinct(entries.iter().map(|entry| entry.event.order_id.as_ref())),
            state: last_state(&entries),
            entries,
            expectations,
            next,
        })
    }

    /// Returns what is known of an order, as far as its newest 500 events say; `after` goes on
    /// with older ones where an earlier look has stopped.
    pub(crate) fn order(
        &self,
        order_id: &str,
        after: Option<i64>,
        sight: Sight,
    ) -> Result<OrderView, reader::Error> {
        let filter = Filter { order_id: Some(order_id.to_owned()), ..Filter::default() };
        let (entries, next) = self.entries(&filter, after, sight)?;
        let (changes, fulfillments) = changes(&entries);
        let transactions = entries.iter().map(|entry| entry.event.transaction_id.as_ref());
        Ok(OrderView {
            order_id: order_id.to_owned(),
            transaction_ids: distinct(transactions),
            sellers: distinct(entries.iter().map(|entry| Some(&entry.event.seller))),
            state: last_state(&entries),
            fulfillments,
            last_event: entries.last().map(|entry| entry.event.clone()),
            changes,
            next,
        })
    }

    fn entries(
        &self,
        filter: &Filter,
        after: Option<i64>,
        sight: Sight,
    ) -> Result<(Vec<TimelineEntry>, Option<String>), reader::Error> {
        let part = Part { after, ..Part::newest(PAGE_LIMIT) };
        let (summaries, next) = self.reader.page(filter, part.bounds(deadline()))?;
        let entries = summaries.into_iter().rev().map(|summary| self.entry(summary, sight));
        Ok((entries.collect::<Result<_, _>>()?, next.map(|place| place.to_string())))
    }

    fn entry(&self, mut summary: Summary, sight: Sight) -> Result<TimelineEntry, reader::Error> {
        let detail = self.reader.event_at(summary.seq)?;
        if let (Sight::Masked, Some(error), Some(detail)) = (sight, &mut summary.error, &detail) {
            *error = mask::error(error, &detail.body);
        }
        // What cannot be read says nothing of the order; the list still shows that it came.
        let callback =
            detail.and_then(|detail| Callback::parse(&detail.body).ok()).unwrap_or_default();
        let mut entry = TimelineEntry {
            event: view(summary, sight),
            fulfillments: Vec::new(),
            updated_at: None,
            tracking: None,
            error_code: callback.error.and_then(|error| error.code).map(|code| sight.code(&code)),
        };
        match &callback.payload {
            Payload::Order(order) => {
                entry.fulfillments = fulfillments(order, sight);
                entry.updated_at = order.updated_at.as_ref().and_then(Timestamp::utc);
            }
            Payload::Tracking(tracking) => {
                let status = tracking.status.as_ref();
                entry.tracking = status.map(|status| sight.code(status.as_str()));
            }
            Payload::Contract(_) | Payload::None => {}
        }
        Ok(entry)
    }
}

fn fulfillments(order: &Order, sight: Sight) -> Vec<FulfillmentView> {
    let one = |fulfillment: &crate::beckn::order::Fulfillment| FulfillmentView {
        id: fulfillment.id.clone().map(String::from),
        kind: fulfillment.r#type.as_deref().map(|kind| sight.code(kind)),
        state: fulfillment.code().map(|code| sight.code(code.as_str())),
    };
    order.fulfillments.iter().map(one).collect()
}

/// Returns what changed from event to event, and the last that is known of each fulfilment.
fn changes(entries: &[TimelineEntry]) -> (Vec<ChangeView>, Vec<FulfillmentView>) {
    let mut changes = Vec::new();
    let mut state: Option<&str> = None;
    let mut last: BTreeMap<&str, FulfillmentView> = BTreeMap::new();
    for entry in entries {
        let mut note = |what: String, from: Option<&str>, to: &str| {
            changes.push(ChangeView {
                at: entry.event.received_at,
                event_id: entry.event.id.clone(),
                what,
                from: from.map(str::to_owned),
                to: to.to_owned(),
            });
        };
        // A tracking's status is none of the order's.
        if entry.tracking.is_none()
            && let Some(now) = entry.event.state.as_deref()
            && state != Some(now)
        {
            note("state".to_owned(), state, now);
            state = Some(now);
        }
        for fulfillment in &entry.fulfillments {
            let id = fulfillment.id.as_deref().unwrap_or("");
            let before = last.get(id).and_then(|known| known.state.clone());
            if let Some(now) = &fulfillment.state
                && before.as_ref() != Some(now)
            {
                note(format!("fulfillment {id}").trim_end().to_owned(), before.as_deref(), now);
                last.insert(id, fulfillment.clone());
            }
        }
    }
    (changes, last.into_values().collect())
}

fn last_state(entries: &[TimelineEntry]) -> Option<String> {
    let of_order = entries.iter().rev().filter(|entry| entry.tracking.is_none());
    of_order.into_iter().find_map(|entry| entry.event.state.clone())
}

fn distinct<'a>(texts: impl Iterator<Item = Option<&'a String>>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts.flatten() {
        if !distinct.contains(text) {
            distinct.push(text.clone());
        }
    }
    distinct
}
