//! What ONDC 1.2.5 adds: the paths that its machine-readable contract makes mandatory.
//!
//! The paths that every network asks for (the context's, `order.id`) are rules of their own. A
//! path through a list is satisfied when one element has it: a delivery row of a quote has no
//! item, in ONDC's own sample as well.

use super::catalogue::Id;
use super::finding::Check;
use super::format::{self, Form, FoundText};
use super::scope::{Network, Scope};
use crate::beckn::action::Action;
use crate::beckn::order::{Billing, Breakup, Order, Payment, Price};
use crate::beckn::place::Address;
use crate::beckn::scalar::Timestamp;
use crate::beckn::tracking::Tracking;

const ORDER_ID: Form = Form {
    is: format::is_ondc_order_id,
    expected: "at most 32 letters, digits and hyphens, or a UUID",
    found: FoundText::Shown,
};
const TIME: Form = Form {
    is: format::is_ondc_time,
    expected: "a time with milliseconds and `Z`",
    found: FoundText::Shown,
};

/// A path that must be there.
struct Wanted<T> {
    rule: Id,
    /// The callbacks that must have it.
    actions: &'static [Action],
    /// The JSON Pointer under the payload, lists at their first element.
    pointer: &'static str,
    has: Has<T>,
}

type Has<T> = fn(&T) -> bool;

/// A path that an `on_status` must have.
const fn status(rule: Id, pointer: &'static str, has: Has<Order>) -> Wanted<Order> {
    Wanted { rule, actions: &[Action::OnStatus], pointer, has }
}

/// A path that an `on_update` must have as well.
const fn update(rule: Id, pointer: &'static str, has: Has<Order>) -> Wanted<Order> {
    Wanted { rule, actions: &[Action::OnStatus, Action::OnUpdate], pointer, has }
}

/// A path that an `on_track` must have.
const fn track(rule: Id, pointer: &'static str, has: Has<Tracking>) -> Wanted<Tracking> {
    Wanted { rule, actions: &[Action::OnTrack], pointer, has }
}

fn has_billing(order: &Order, has: impl FnOnce(&Billing) -> bool) -> bool {
    order.billing.as_deref().is_some_and(has)
}

fn has_address(order: &Order, has: impl FnOnce(&Address) -> bool) -> bool {
    has_billing(order, |billing| billing.address.as_deref().is_some_and(has))
}

fn has_row(order: &Order, has: impl FnMut(&Breakup) -> bool) -> bool {
    order.quote.as_ref().is_some_and(|quote| quote.breakup.iter().any(has))
}

fn has_row_price(order: &Order, has: fn(&Price) -> bool) -> bool {
    has_row(order, |row| row.price.as_ref().is_some_and(has))
}

fn has_row_item_price(order: &Order, has: fn(&Price) -> bool) -> bool {
    has_row(order, |row| row.item.as_ref().and_then(|item| item.price.as_ref()).is_some_and(has))
}

fn has_quote_price(order: &Order, has: fn(&Price) -> bool) -> bool {
    order.quote.as_ref().and_then(|quote| quote.price.as_ref()).is_some_and(has)
}

fn has_payment(order: &Order, has: impl FnMut(&Payment) -> bool) -> bool {
    order.payments.iter().any(has)
}

/// What an order must have, from top to bottom.
static ORDER: [Wanted<Order>; 38] = [
    status(Id::Ret11ProviderId, "/provider/id", |order| {
        order.provider.as_ref().is_some_and(|provider| provider.id.is_some())
    }),
    status(Id::Ret11ProviderLocationsId, "/provider/locations/0/id", |order| {
        let locations = order.provider.as_ref().map(|provider| &provider.locations);
        locations.is_some_and(|locations| locations.iter().any(|one| one.id.is_some()))
    }),
    status(Id::Ret11ItemsId, "/items/0/id", |order| order.items.iter().any(|one| one.id.is_some())),
    status(Id::Ret11ItemsFulfillmentId, "/items/0/fulfillment_id", |order| {
        order.items.iter().any(|one| !one.fulfillment_ids.is_empty())
    }),
    status(Id::Ret11ItemsQuantityCount, "/items/0/quantity/count", |order| {
        order.items.iter().any(|one| one.count().is_some())
    }),
    status(Id::Ret11BillingName, "/billing/name", |order| {
        has_billing(order, |billing| billing.name.is_some())
    }),
    status(Id::Ret11BillingPhone, "/billing/phone", |order| {
        has_billing(order, |billing| billing.phone.is_some())
    }),
    status(Id::Ret11BillingCreatedAt, "/billing/created_at", |order| {
        has_billing(order, |billing| billing.created_at.is_some())
    }),
    status(Id::Ret11BillingUpdatedAt, "/billing/updated_at", |order| {
        has_billing(order, |billing| billing.updated_at.is_some())
    }),
    status(Id::Ret11AddressName, "/billing/address/name", |order| {
        has_address(order, |address| address.name.is_some())
    }),
    status(Id::Ret11AddressBuilding, "/billing/address/building", |order| {
        has_address(order, |address| address.building.is_some())
    }),
    status(Id::Ret11AddressLocality, "/billing/address/locality", |order| {
        has_address(order, |address| address.locality.is_some())
    }),
    status(Id::Ret11AddressCity, "/billing/address/city", |order| {
        has_address(order, |address| address.city.is_some())
    }),
    status(Id::Ret11AddressState, "/billing/address/state", |order| {
        has_address(order, |address| address.state.is_some())
    }),
    status(Id::Ret11AddressCountry, "/billing/address/country", |order| {
        has_address(order, |address| address.country.is_some())
    }),
    status(Id::Ret11AddressAreaCode, "/billing/address/area_code", |order| {
        has_address(order, |address| address.area_code.is_some())
    }),
    update(Id::Ret11FulfillmentsId, "/fulfillments/0/id", |order| {
        order.fulfillments.iter().any(|one| one.id.is_some())
    }),
    update(Id::Ret11FulfillmentsType, "/fulfillments/0/type", |order| {
        order.fulfillments.iter().any(|one| one.r#type.is_some())
    }),
    status(Id::Ret11FulfillmentsCode, "/fulfillments/0/state/descriptor/code", |order| {
        order.fulfillments.iter().any(|one| one.code().is_some())
    }),
    status(Id::Ret11QuoteCurrency, "/quote/price/currency", |order| {
        has_quote_price(order, |price| price.currency.is_some())
    }),
    status(Id::Ret11QuoteValue, "/quote/price/value", |order| {
        has_quote_price(order, |price| price.value.is_some())
    }),
    status(Id::Ret11BreakupItemId, "/quote/breakup/0/@ondc~1org~1item_id", |order| {
        has_row(order, |row| row.item_id.is_some())
    }),
    status(Id::Ret11BreakupTitle, "/quote/breakup/0/title", |order| {
        has_row(order, |row| row.title.is_some())
    }),
    status(Id::Ret11BreakupCurrency, "/quote/breakup/0/price/currency", |order| {
        has_row_price(order, |price| price.currency.is_some())
    }),
    status(Id::Ret11BreakupValue, "/quote/breakup/0/price/value", |order| {
        has_row_price(order, |price| price.value.is_some())
    }),
    status(Id::Ret11BreakupItemCurrency, "/quote/breakup/0/item/price/currency", |order| {
        has_row_item_price(order, |price| price.currency.is_some())
    }),
    status(Id::Ret11BreakupItemValue, "/quote/breakup/0/item/price/value", |order| {
        has_row_item_price(order, |price| price.value.is_some())
    }),
    status(Id::Ret11QuoteTtl, "/quote/ttl", |order| {
        order.quote.as_ref().is_some_and(|quote| quote.ttl.is_some())
    }),
    status(
        Id::Ret11PaymentFinderFee,
        "/payment/@ondc~1org~1buyer_app_finder_fee_amount",
        |order| has_payment(order, |payment| payment.finder_fee_amount.is_some()),
    ),
    update(
        Id::Ret11PaymentCounterparty,
        "/payment/@ondc~1org~1settlement_details/0/settlement_counterparty",
        |order| {
            has_payment(order, |payment| {
                payment.settlement_details.iter().any(|one| one.settlement_counterparty.is_some())
            })
        },
    ),
    update(
        Id::Ret11PaymentPhase,
        "/payment/@ondc~1org~1settlement_details/0/settlement_phase",
        |order| {
            has_payment(order, |payment| {
                payment.settlement_details.iter().any(|one| one.settlement_phase.is_some())
            })
        },
    ),
    status(Id::Ret11PaymentCurrency, "/payment/params/currency", |order| {
        has_payment(order, |payment| {
            payment.params.as_ref().is_some_and(|params| params.currency.is_some())
        })
    }),
    status(Id::Ret11PaymentAmount, "/payment/params/amount", |order| {
        has_payment(order, |payment| {
            payment.params.as_ref().is_some_and(|params| params.amount.is_some())
        })
    }),
    status(Id::Ret11PaymentStatus, "/payment/status", |order| {
        has_payment(order, |payment| payment.status.is_some())
    }),
    status(Id::Ret11PaymentType, "/payment/type", |order| {
        has_payment(order, |payment| payment.r#type.is_some())
    }),
    status(Id::Ret11PaymentCollectedBy, "/payment/collected_by", |order| {
        has_payment(order, |payment| payment.collected_by.is_some())
    }),
    status(Id::Ret11CreatedAt, "/created_at", |order| order.created_at.is_some()),
    status(Id::Ret11UpdatedAt, "/updated_at", |order| order.updated_at.is_some()),
];

/// What the tracking of retail and of logistics must have.
static TRACKING: [Wanted<Tracking>; 2] = [
    track(Id::Ret11TrackingId, "/id", |tracking| tracking.id.is_some()),
    track(Id::Ret11TrackingStatus, "/status", |tracking| tracking.status.is_some()),
];

/// What the tracking of retail must have.
static RETAIL_TRACKING: [Wanted<Tracking>; 5] = [
    track(Id::Ret11TrackingGps, "/location/gps", |tracking| {
        tracking.location.as_ref().is_some_and(|location| location.gps.is_some())
    }),
    track(Id::Ret11TrackingOrderId, "/tags", |tracking| {
        tracking.tags.value("order", "id").is_some()
    }),
    track(Id::Ret11TrackingAttr, "/tags", |tracking| {
        tracking.tags.value("config", "attr").is_some()
    }),
    track(Id::Ret11TrackingLatLng, "/tags", |tracking| {
        tracking.tags.value("path", "lat_lng").is_some()
    }),
    track(Id::Ret11TrackingSequence, "/tags", |tracking| {
        tracking.tags.value("path", "sequence").is_some()
    }),
];

/// Looks for the paths that an action must have in the payload that lies at `at`.
fn want<T>(check: &mut Check<'_>, route: Action, (at, payload): (&str, &T), paths: &[Wanted<T>]) {
    let is_missing = |path: &&Wanted<T>| path.actions.contains(&route) && !(path.has)(payload);
    for path in paths.iter().filter(is_missing) {
        let expected = "what ONDC 1.2.5 makes mandatory";
        check.report_missing(path.rule, format_args!("{at}{}", path.pointer), expected);
    }
}

/// Looks at the order of an `on_status` or `on_update` of ONDC retail 1.2.5.
pub(super) fn check_order(check: &mut Check<'_>, route: Action, order: &Order, scope: Scope) {
    // Logistics has a contract of its own for orders, which is not among the rules.
    if !scope.is_1_2_5 || scope.network == Network::OndcLogistics {
        return;
    }
    let id = order.id.as_deref();
    check.form(Id::Ret11OrderId, "/message/order/id", &ORDER_ID, id);
    want(check, route, ("/message/order", order), &ORDER);
    let (created, updated) = (order.created_at.as_ref(), order.updated_at.as_ref());
    let rule = Id::Ret11OrderTimes;
    check.form(rule, "/message/order/created_at", &TIME, created.map(Timestamp::as_str));
    check.form(rule, "/message/order/updated_at", &TIME, updated.map(Timestamp::as_str));
}

/// Looks at the tracking of ONDC retail and logistics 1.2.5.
pub(super) fn check_tracking(
    check: &mut Check<'_>,
    route: Action,
    tracking: &Tracking,
    scope: Scope,
) {
    if !scope.is_1_2_5 {
        return;
    }
    let payload = ("/message/tracking", tracking);
    want(check, route, payload, &TRACKING);
    if scope.network == Network::OndcLogistics {
        return;
    }
    want(check, route, payload, &RETAIL_TRACKING);
    let Some(location) = &tracking.location else { return };
    let taken = location.time.as_ref().and_then(|time| time.timestamp.as_ref());
    let (rule, updated) = (Id::Ret11TrackingTimes, location.updated_at.as_ref());
    let path = "/message/tracking/location/time/timestamp";
    check.form(rule, path, &TIME, taken.map(Timestamp::as_str));
    let path = "/message/tracking/location/updated_at";
    check.form(rule, path, &TIME, updated.map(Timestamp::as_str));
}
