//! An event as a person reads an order: its state, how it reaches the buyer, what is in it, what it
//! costs.
//!
//! # Constraints
//! - It is made from the typed models, so every dialect looks the same.
//! - What tells of a person (names, phones, addresses, positions, links that show where somebody
//!   is) is in it only for who may see bodies.
//! - Lists are cut, and say how much was cut: a page stays a page.

mod steps;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use self::steps::{Tone, tone_of};
pub(crate) use self::view::SummaryView;

use self::view::{
    CancellationSummary, DocumentSummary, ErrorSummary, FulfillmentSummary, ItemSummary, Moment,
    Money, PaymentSummary, QuoteLine, QuoteSummary, Rows, StopSummary, TrackingSummary,
};
use super::{Ledger, Sight};
use crate::beckn::callback::{Callback, Payload};
use crate::beckn::contract::Contract;
use crate::beckn::order::{
    Breakup, Cancellation, Document, Fulfillment, Item, Order, Payment, Price, Quote, Stop,
};
use crate::beckn::place::{Address, Location, Time};
use crate::beckn::scalar::{Decimal, Timestamp};
use crate::beckn::text::Text;
use crate::beckn::tracking::Tracking;
use crate::event::EventId;
use crate::inbox::reader;

/// What is shown of a list.
const ROWS: usize = 50;

impl Ledger {
    /// Returns an event in words; `None` when its body is gone or cannot be read.
    pub(crate) fn summary(
        &self,
        id: EventId,
        sight: Sight,
    ) -> Result<Option<SummaryView>, reader::Error> {
        let callback = self.body(id)?.and_then(|body| Callback::parse(&body).ok());
        Ok(callback.map(|callback| summary(&callback, sight)))
    }
}

/// Returns a callback in words.
pub(crate) fn summary(callback: &Callback, sight: Sight) -> SummaryView {
    let mut scribe = Scribe { sight, holds_back: false };
    let mut view = match &callback.payload {
        Payload::Order(order) => scribe.order(order),
        Payload::Tracking(tracking) => scribe.tracking_alone(tracking),
        Payload::Contract(contract) => of_contract(contract),
        Payload::None => SummaryView::default(),
    };
    view.error = callback.error.as_ref().map(|error| ErrorSummary {
        code: error.code.clone(),
        path: error.path.clone(),
        message: error.message.clone(),
    });
    view.holds_back = scribe.holds_back;
    view
}

fn of_contract(contract: &Contract) -> SummaryView {
    let state = contract.status.as_ref().map(|status| Text::from(status.as_str()));
    SummaryView {
        about: "contract",
        id: contract.id.clone(),
        tone: state.as_deref().map(tone_of).unwrap_or_default(),
        steps: steps::of_order(state.as_deref()),
        state,
        ..SummaryView::default()
    }
}

/// Writes a summary, and notes whether it has left something out.
struct Scribe {
    sight: Sight,
    holds_back: bool,
}

impl Scribe {
    /// Returns what tells of a person, to who may see it.
    fn private<T>(&mut self, value: Option<T>) -> Option<T> {
        match self.sight {
            Sight::Bodies => value,
            Sight::Masked => {
                self.holds_back |= value.is_some();
                None
            }
        }
    }

    fn order(&mut self, order: &Order) -> SummaryView {
        let state = order.state().map(|state| Text::from(state.as_str()));
        let provider = order.provider.as_ref().and_then(|provider| {
            let name = provider.descriptor.as_ref().and_then(|descriptor| descriptor.name.clone());
            name.or_else(|| provider.id.clone())
        });
        SummaryView {
            about: "order",
            id: order.id.clone(),
            tone: state.as_deref().map(tone_of).unwrap_or_default(),
            steps: steps::of_order(state.as_deref()),
            state,
            provider,
            created_at: moment(order.created_at.as_ref()),
            updated_at: moment(order.updated_at.as_ref()),
            fulfillments: rows(&order.fulfillments, |one| self.fulfillment(one)),
            items: rows(&order.items, |one| item(one, order.quote.as_ref())),
            quote: order.quote.as_ref().map(quote),
            payments: rows(&order.payments, payment),
            cancellation: order.cancellation.as_deref().map(cancellation),
            documents: rows(&order.documents, |one| self.document(one)),
            ..SummaryView::default()
        }
    }

    fn tracking_alone(&mut self, tracking: &Tracking) -> SummaryView {
        let status = tracking.status.as_ref().map(|status| Text::from(status.as_str()));
        let location = tracking.location.as_ref();
        let at = location.and_then(|location| {
            let time = location.time.as_ref().and_then(|time| time.timestamp.as_ref());
            location.updated_at.as_ref().or(time)
        });
        SummaryView {
            about: "tracking",
            id: tracking.order_id().map(Text::from),
            tone: status.as_deref().map(tone_of).unwrap_or_default(),
            state: status.clone(),
            tracking: Some(TrackingSummary {
                fulfillment: tracking.id.clone(),
                status,
                url: self.private(tracking.url.clone()),
                gps: self.private(location.and_then(gps)),
                at: moment(at),
            }),
            ..SummaryView::default()
        }
    }

    fn fulfillment(&mut self, one: &Fulfillment) -> FulfillmentSummary {
        let state = one.code().map(|code| Text::from(code.as_str()));
        let agent = one.agent.as_ref().and_then(|agent| together([agent.name(), agent.phone()]));
        let vehicle = one.vehicle.as_ref().and_then(|vehicle| {
            together([vehicle.category.as_deref(), vehicle.registration.as_deref()])
        });
        let customer = one.customer.as_ref().and_then(|customer| {
            let name = customer.person.as_ref().and_then(|person| person.name.as_deref());
            let phone = customer.contact.as_ref().and_then(|contact| contact.phone.as_deref());
            together([name, phone])
        });
        let mut to = one.destination().map(|stop| self.stop(stop));
        if let Some(customer) = self.private(customer) {
            to.get_or_insert_default().person.get_or_insert(customer);
        }
        FulfillmentSummary {
            id: one.id.clone(),
            kind: one.r#type.clone(),
            category: one.category.clone(),
            tone: state.as_deref().map(tone_of).unwrap_or_default(),
            steps: steps::of_fulfillment(state.as_deref()),
            state,
            provider: one.provider_name.clone(),
            tracking: one.tracking,
            agent: self.private(agent),
            vehicle: self.private(vehicle),
            from: one.origin().map(|stop| self.stop(stop)),
            to,
        }
    }

    fn stop(&mut self, stop: &Stop) -> StopSummary {
        let name = stop.person.as_ref().and_then(|person| person.name.as_deref());
        let phone = stop.contact.as_ref().and_then(|contact| contact.phone.as_deref());
        let location = stop.location.as_deref();
        let town = location.and_then(town);
        let whole = location.and_then(|location| address(location.address.as_deref()?));
        let range = stop.time.as_deref().and_then(|time| time.range.as_ref());
        StopSummary {
            place: self.private(whole).or(town),
            person: self.private(together([name, phone])),
            gps: self.private(location.and_then(gps)),
            at: moment(stop.time.as_deref().and_then(timestamp)),
            since: moment(range.and_then(|range| range.start.as_ref())),
            until: moment(range.and_then(|range| range.end.as_ref())),
        }
    }

    /// An invoice names who pays.
    fn document(&mut self, document: &Document) -> DocumentSummary {
        DocumentSummary { label: document.label.clone(), url: self.private(document.url.clone()) }
    }
}

fn item(item: &Item, quote: Option<&Quote>) -> ItemSummary {
    let line = quote.and_then(|quote| {
        let is_of_item =
            |line: &&Breakup| item.id.is_some() && line.item_id() == item.id.as_deref();
        quote.breakup.iter().find(is_of_item)
    });
    let name = item.descriptor.as_ref().and_then(|descriptor| descriptor.name.clone());
    let inner = line.and_then(|line| line.item.as_ref()?.price.as_ref());
    ItemSummary {
        id: item.id.clone(),
        name: name.or_else(|| line.and_then(|line| line.title.clone())),
        count: item.count().map(text),
        price: item.price.as_deref().or(inner).and_then(money),
        fulfillments: item.fulfillment_ids.iter().take(ROWS).cloned().collect(),
        is_part: item.tags.value("type", "type") == Some("customization"),
    }
}

fn quote(quote: &Quote) -> QuoteSummary {
    let line = |line: &Breakup| QuoteLine {
        title: line.title.clone().or_else(|| line.item_id().map(Text::from)),
        kind: line.title_type.as_ref().map(|kind| Text::from(kind.as_str())),
        count: line.item_quantity.as_ref().and_then(|quantity| quantity.count.as_ref()).map(text),
        price: line.price.as_ref().and_then(money),
    };
    QuoteSummary { total: quote.price.as_ref().and_then(money), lines: rows(&quote.breakup, line) }
}

fn payment(payment: &Payment) -> PaymentSummary {
    let params = payment.params.as_deref();
    let amount = params.and_then(|params| {
        let value = text(params.amount.as_ref()?);
        Some(Money { value, currency: params.currency.clone() })
    });
    PaymentSummary {
        kind: payment.r#type.as_ref().map(|kind| Text::from(kind.as_str())),
        status: payment.status.as_ref().map(|status| Text::from(status.as_str())),
        collected_by: payment.collected_by.as_ref().map(|by| Text::from(by.as_str())),
        amount,
        transaction_id: params.and_then(|params| params.transaction_id.clone()),
    }
}

fn cancellation(cancellation: &Cancellation) -> CancellationSummary {
    let reason = cancellation.reason.as_ref().and_then(|reason| {
        let name = reason.descriptor.as_ref().and_then(|descriptor| descriptor.name.as_deref());
        together([reason.id.as_deref(), name])
    });
    CancellationSummary {
        by: cancellation.cancelled_by.clone(),
        reason,
        at: moment(cancellation.time.as_ref()),
    }
}

fn money(price: &Price) -> Option<Money> {
    Some(Money { value: text(price.value.as_ref()?), currency: price.currency.clone() })
}

fn text(decimal: &Decimal) -> Text {
    decimal.as_str().into()
}

fn timestamp(time: &Time) -> Option<&Timestamp> {
    time.timestamp.as_ref()
}

fn moment(time: Option<&Timestamp>) -> Option<Moment> {
    let time = time?;
    let utc = time.utc().map(|utc| utc.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into());
    Some(Moment { text: time.as_str().into(), utc })
}

fn gps(location: &Location) -> Option<Text> {
    Some(location.gps.as_ref()?.as_str().into())
}

/// Returns the town: no person lives in all of it.
fn town(location: &Location) -> Option<Text> {
    let address = location.address.as_deref();
    let city = location.city.as_deref().and_then(|city| city.name());
    let code = location.area_code.as_deref();
    let written = address.and_then(|address| address.city.as_deref());
    let written_code = address.and_then(|address| address.area_code.as_deref());
    together([city.or(written), code.or(written_code)])
}

fn address(address: &Address) -> Option<Text> {
    if let Some(text) = &address.text {
        return Some(text.clone());
    }
    let Address { door, name, building, street, locality, ward, city, state, area_code, .. } =
        address;
    let parts = [name, door, building, street, locality, ward, city, state, area_code];
    together(parts.map(|part| part.as_deref()))
}

/// Returns the parts that there are, with commas.
fn together<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Option<Text> {
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", ").into())
}

fn rows<T, R>(all: &[T], row: impl FnMut(&T) -> R) -> Rows<R> {
    let rows: Vec<R> = all.iter().take(ROWS).map(row).collect();
    Rows { more: all.len() - rows.len(), rows }
}
