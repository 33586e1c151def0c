//! An order: formats and enumerations from top to bottom, whatever of them is there.

use std::fmt;

use super::catalogue::Id;
use super::finding::Check;
use super::format::{DURATION, Form, FoundText, GPS, TIME};
use super::scope::Scope;
use crate::beckn::action::Action;
use crate::beckn::order::{Breakup, Fulfillment, Order, Payment, Price, Provider, Quote, Stop};
use crate::beckn::place::Time;
use crate::beckn::scalar::{Decimal, Gps, IsoDuration, Timestamp};

const FULFILLMENT_TYPE: Form = Form {
    is: is_fulfillment_type,
    expected: "a type that ONDC publishes",
    found: FoundText::Shown,
};
const FINDER_FEE_TYPE: Form =
    Form { is: is_finder_fee_type, expected: "`percent` or `amount`", found: FoundText::Shown };
const SETTLEMENT_TYPE: Form = Form {
    is: is_settlement_type,
    expected: "a means that ONDC publishes",
    found: FoundText::Shown,
};
const SETTLEMENT_BASIS: Form = Form {
    is: is_settlement_basis,
    expected: "`shipment`, `delivery` or `return_Window_expiry`",
    found: FoundText::Shown,
};

fn is_fulfillment_type(text: &str) -> bool {
    let retail = ["Delivery", "Self-Pickup", "Buyer-Delivery", "Return", "Cancel", "RTO"];
    let logistics = ["Batch", "FTL", "PTL"];
    retail.contains(&text) || logistics.contains(&text)
}

fn is_finder_fee_type(text: &str) -> bool {
    // ONDC RET 1.2.0 publishes capitals, its own samples have none.
    ["percent", "amount"].iter().any(|one| text.eq_ignore_ascii_case(one))
}

fn is_settlement_type(text: &str) -> bool {
    ["upi", "neft", "rtgs", "wallet", "netbanking", "paylater", "card"].contains(&text)
}

fn is_settlement_basis(text: &str) -> bool {
    // Published as `return_Window_expiry`: no one can be blamed for another case.
    ["shipment", "delivery", "return_window_expiry"]
        .iter()
        .any(|one| text.eq_ignore_ascii_case(one))
}

pub(super) fn check(check: &mut Check<'_>, route: Action, order: &Order, scope: Scope) {
    let is_draft = matches!(route, Action::OnSearch | Action::OnSelect | Action::OnInit);
    if order.id.is_none() && !is_draft {
        check.report_missing(Id::OrderId, "/message/order/id", "the order's id");
    }
    check_state(check, order, scope);
    if let Some(provider) = &order.provider {
        check_provider(check, provider);
    }
    for (index, item) in order.items.iter().enumerate() {
        let path = format_args!("/message/order/items/{index}/quantity");
        check.count(Id::OrderItemsQuantity, path, item.count());
    }
    if let Some(billing) = &order.billing {
        let path = "/message/order/billing";
        let (created, updated) = (billing.created_at.as_ref(), billing.updated_at.as_ref());
        let rule = Id::OrderBillingTimes;
        check.form(rule, format_args!("{path}/created_at"), &TIME, text(created));
        check.form(rule, format_args!("{path}/updated_at"), &TIME, text(updated));
    }
    let (keys, count) = (["fulfillment", "fulfillments"], order.fulfillments.len());
    for (index, fulfillment) in order.fulfillments.iter().enumerate() {
        let at = Element::of(keys, order.singular_fulfillment, index, count);
        if scope.is_ondc_goods() {
            check_type(check, at, fulfillment);
        }
        // A draft's fulfilment says whether it can be served, in words of its own.
        if scope.is_ondc_goods() && !is_draft {
            check_code(check, at, fulfillment);
        }
        check_fulfillment(check, at, fulfillment);
    }
    if let Some(quote) = &order.quote {
        check_quote(check, quote, scope);
    }
    let (keys, count) = (["payment", "payments"], order.payments.len());
    for (index, payment) in order.payments.iter().enumerate() {
        let at = Element::of(keys, order.singular_payment, index, count);
        check_payment(check, at, payment, scope);
    }
    let (created, updated) = (text(order.created_at.as_ref()), text(order.updated_at.as_ref()));
    check.form(Id::OrderCreatedAt, "/message/order/created_at", &TIME, created);
    check.form(Id::OrderUpdatedAt, "/message/order/updated_at", &TIME, updated);
}

fn value(price: Option<&Price>) -> Option<&Decimal> {
    price.and_then(|price| price.value.as_ref())
}

fn text(time: Option<&Timestamp>) -> Option<&str> {
    time.map(Timestamp::as_str)
}

/// Where an element of the order lies: under which of its keys, and in a list or not.
#[derive(Clone, Copy)]
struct Element {
    key: &'static str,
    index: Option<usize>,
}

impl Element {
    /// An element of `fulfillments` or `payments`; the singular keys hold one object as a rule.
    fn of(keys: [&'static str; 2], is_singular: bool, index: usize, count: usize) -> Element {
        let is_alone = is_singular && count == 1;
        Element { key: keys[usize::from(!is_singular)], index: (!is_alone).then_some(index) }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/message/order/{}", self.key)?;
        self.index.map_or(Ok(()), |index| write!(f, "/{index}"))
    }
}

fn check_state(check: &mut Check<'_>, order: &Order, scope: Scope) {
    // Free text in Beckn 0.9; ONDC's other domains publish states of their own.
    let is_published = scope.is_ondc_goods() || scope.is_beckn_1 && scope.has_published_values();
    let Some(state) = order.state().filter(|state| is_published && state.known().is_none()) else {
        return;
    };
    let key = if order.state.is_some() { "state" } else { "status" };
    let path = format_args!("/message/order/{key}");
    check.report_text(Id::OrderState, path, "a state that is published", state.as_str());
}

fn check_provider(check: &mut Check<'_>, provider: &Provider) {
    for (index, location) in provider.locations.iter().enumerate() {
        let path = format_args!("/message/order/provider/locations/{index}/gps");
        let gps = location.gps.as_ref().map(Gps::as_str);
        check.form(Id::OrderProviderGps, path, &GPS, gps);
    }
}

fn check_type(check: &mut Check<'_>, at: Element, fulfillment: &Fulfillment) {
    let path = format_args!("{at}/type");
    let found = fulfillment.r#type.as_deref();
    check.form(Id::OrderFulfillmentsType, path, &FULFILLMENT_TYPE, found);
}

fn check_code(check: &mut Check<'_>, at: Element, fulfillment: &Fulfillment) {
    if let Some(code) = fulfillment.code().filter(|code| code.known().is_none()) {
        let (path, rule) = (format_args!("{at}/state/descriptor/code"), Id::OrderFulfillmentsState);
        check.report_text(rule, path, "a code that ONDC publishes", code.as_str());
    }
}

fn check_fulfillment(check: &mut Check<'_>, at: Element, fulfillment: &Fulfillment) {
    let tat = fulfillment.tat.as_ref().map(IsoDuration::as_str);
    check.form(Id::OrderFulfillmentsTat, format_args!("{at}/@ondc~1org~1TAT"), &DURATION, tat);
    if let Some(start) = &fulfillment.start {
        check_stop(check, format_args!("{at}/start"), start);
    }
    if let Some(end) = &fulfillment.end {
        check_stop(check, format_args!("{at}/end"), end);
    }
    for (index, stop) in fulfillment.stops.iter().enumerate() {
        check_stop(check, format_args!("{at}/stops/{index}"), stop);
    }
}

fn check_stop(check: &mut Check<'_>, at: fmt::Arguments<'_>, stop: &Stop) {
    let gps = stop.location.as_ref().and_then(|location| location.gps.as_ref());
    let path = format_args!("{at}/location/gps");
    check.form(Id::OrderFulfillmentsGps, path, &GPS, gps.map(Gps::as_str));
    if let Some(time) = &stop.time {
        check_time(check, at, time);
    }
}

fn check_time(check: &mut Check<'_>, at: fmt::Arguments<'_>, time: &Time) {
    let rule = Id::OrderFulfillmentsTimes;
    check.form(rule, format_args!("{at}/time/timestamp"), &TIME, text(time.timestamp.as_ref()));
    let Some(range) = &time.range else { return };
    check.form(rule, format_args!("{at}/time/range/start"), &TIME, text(range.start.as_ref()));
    check.form(rule, format_args!("{at}/time/range/end"), &TIME, text(range.end.as_ref()));
}

fn check_quote(check: &mut Check<'_>, quote: &Quote, scope: Scope) {
    let path = "/message/order/quote/price/value";
    check.amount(Id::OrderQuotePrice, path, value(quote.price.as_ref()));
    for (index, row) in quote.breakup.iter().enumerate() {
        check_row(check, format_args!("/message/order/quote/breakup/{index}"), row, scope);
    }
    let ttl = quote.ttl.as_ref().map(IsoDuration::as_str);
    check.form(Id::OrderQuoteTtl, "/message/order/quote/ttl", &DURATION, ttl);
}

fn check_row(check: &mut Check<'_>, at: fmt::Arguments<'_>, row: &Breakup, scope: Scope) {
    let rule = Id::OrderQuoteBreakupPrice;
    check.amount(rule, format_args!("{at}/price/value"), value(row.price.as_ref()));
    let item_price = row.item.as_ref().and_then(|item| item.price.as_ref());
    check.amount(rule, format_args!("{at}/item/price/value"), value(item_price));
    let count = row.item_quantity.as_ref().and_then(|quantity| quantity.count.as_ref());
    let path = format_args!("{at}/@ondc~1org~1item_quantity/count");
    check.count(Id::OrderQuoteBreakupQuantity, path, count);
    let unknown = row.title_type.as_ref().filter(|title| title.known().is_none());
    if let Some(title) = unknown.filter(|_| scope.is_ondc_goods()) {
        let (rule, path) =
            (Id::OrderQuoteBreakupTitleType, format_args!("{at}/@ondc~1org~1title_type"));
        check.report_text(rule, path, "a kind of row that ONDC publishes", title.as_str());
    }
}

fn check_payment(check: &mut Check<'_>, at: Element, payment: &Payment, scope: Scope) {
    if scope.has_published_values() {
        check_payment_codes(check, at, payment);
    }
    let rule = Id::OrderPaymentsAmount;
    let amount = payment.params.as_ref().and_then(|params| params.amount.as_ref());
    check.amount(rule, format_args!("{at}/params/amount"), amount);
    let path = format_args!("{at}/@ondc~1org~1buyer_app_finder_fee_amount");
    check.amount(rule, path, payment.finder_fee_amount.as_ref());
    let path = format_args!("{at}/@ondc~1org~1withholding_amount");
    check.amount(rule, path, payment.withholding_amount.as_ref());
    if !scope.is_ondc() {
        return;
    }
    let path = format_args!("{at}/@ondc~1org~1buyer_app_finder_fee_type");
    let fee_type = payment.finder_fee_type.as_deref();
    check.form(Id::OrderPaymentsFinderFeeType, path, &FINDER_FEE_TYPE, fee_type);
    for (index, detail) in payment.settlement_details.iter().enumerate() {
        let path = format_args!("{at}/@ondc~1org~1settlement_details/{index}/settlement_type");
        let means = detail.settlement_type.as_deref();
        check.form(Id::OrderPaymentsSettlementType, path, &SETTLEMENT_TYPE, means);
    }
    let path = format_args!("{at}/@ondc~1org~1settlement_basis");
    let basis = payment.settlement_basis.as_deref();
    check.form(Id::OrderPaymentsSettlementBasis, path, &SETTLEMENT_BASIS, basis);
    let path = format_args!("{at}/@ondc~1org~1settlement_window");
    let window = payment.settlement_window.as_ref().map(IsoDuration::as_str);
    check.form(Id::OrderPaymentsSettlementWindow, path, &DURATION, window);
}

fn check_payment_codes(check: &mut Check<'_>, at: Element, payment: &Payment) {
    if let Some(kind) = payment.r#type.as_ref().filter(|kind| kind.known().is_none()) {
        let expected = "a time of payment that is published";
        check.report_text(
            Id::OrderPaymentsType,
            format_args!("{at}/type"),
            expected,
            kind.as_str(),
        );
    }
    if let Some(status) = payment.status.as_ref().filter(|status| status.known().is_none()) {
        let (rule, path) = (Id::OrderPaymentsStatus, format_args!("{at}/status"));
        check.report_text(rule, path, "`PAID` or `NOT-PAID`", status.as_str());
    }
    if let Some(who) = payment.collected_by.as_ref().filter(|who| who.known().is_none()) {
        let (rule, path) = (Id::OrderPaymentsCollectedBy, format_args!("{at}/collected_by"));
        check.report_text(rule, path, "`BAP` or `BPP`", who.as_str());
    }
}
