//! The five documents that the receiver was asked for, their JSON cut out as it stands.

use std::fs;

use chrono::{DateTime, Utc};

use crate::beckn::action::Action;
use crate::beckn::callback::{Callback, Payload};
use crate::beckn::context::Dialect;
use crate::beckn::oddity::Oddity;
use crate::beckn::order::{Breakup, Order, Stop};
use crate::beckn::scalar::Decimal;
use crate::beckn::text::Text;
use crate::beckn::vocabulary::{
    KnownCollectedBy, KnownFulfillmentCode, KnownOrderState, KnownPaymentStatus, KnownPaymentType,
    KnownTitleType, KnownTrackingStatus,
};

use super::shared;

/// Returns the request's JSON in the document that starts with this number.
pub(crate) fn seed(number: &str) -> Option<String> {
    let mut files = fs::read_dir(shared("seeds")?).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|file| file.file_name().unwrap().to_string_lossy().starts_with(number));
    let text = fs::read_to_string(file?).unwrap();
    // In the document of a web page that shows a curl command, the JSON is what it quotes.
    let (start, end) = match text.find("--data-raw '") {
        Some(at) => (at + "--data-raw '".len(), "}'"),
        None => (text.find("\n{").unwrap() + 1, "\n}"),
    };
    let json = &text[start..];
    let end = json.find(end).unwrap() + end.find('}').unwrap() + 1;
    Some(json[..end].to_owned())
}

/// Returns the sample with its placeholders filled.
pub(crate) fn filled(seed: &str) -> String {
    seed.replace("{{transaction_id}}", "6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3f")
        .replace("{{message_id}}", "0a6b7c5d-93f2-4a86-9c8e-6f1c2f0e4e3f")
        .replace("{{timestamp}}", "2025-05-23T07:37:38.522Z")
        .replace("{{bap_uri}}", "https://buyer.example/beckn")
        .replace("{{bap_id}}", "buyer.example")
}

fn callback(number: &str) -> Option<Callback> {
    Some(Callback::parse(seed(number)?.as_bytes()).unwrap())
}

fn order(callback: &Callback) -> &Order {
    let Payload::Order(order) = &callback.payload else { panic!("{:?}", callback.payload) };
    order
}

fn oddities(callback: &Callback) -> Vec<&str> {
    callback.oddities.iter().map(Oddity::name).collect()
}

#[track_caller]
fn check_context(callback: &Callback, action: Action, domain: &str) {
    let context = &callback.context;
    assert_eq!(context.action(), Some(action));
    assert_eq!(context.domain.as_deref(), Some(domain));
    assert_eq!(context.country(), Some("IND"));
    assert_eq!(context.city(), Some("std:080"));
    assert_eq!(context.version(), Some("0.9.1"));
    assert_eq!(context.dialect(), Some(Dialect::A));
    assert_eq!(context.bap_id.as_deref(), Some("https://mock_bap.com/"));
    assert_eq!(context.bap_uri.as_deref(), Some("https://mock_bap.com/beckn/"));
    assert_eq!(context.bpp_id.as_deref(), Some("https://mock_bpp.com/"));
    assert_eq!(context.bpp_uri.as_deref(), Some("https://mock_bpp.com/beckn/"));
    assert_eq!(context.transaction_id.as_deref(), Some("1209849124"));
    assert_eq!(context.message_id.as_deref(), Some("12341242343"));
    assert_eq!(context.timestamp.as_ref().unwrap().utc(), time("2021-03-23T10:00:40.065Z"));
    assert_eq!(context.ttl, None);
    assert_eq!(callback.error, None);
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = text.parse();
    assert!(time.is_ok(), "{text}");
    time.ok()
}

#[track_caller]
fn check_stop(stop: Option<&Stop>, gps: (f64, f64), from: &str, to: &str) {
    let stop = stop.unwrap();
    let position = stop.location.as_ref().unwrap().gps.as_ref().unwrap();
    assert_eq!(position.coordinates(), Some(gps));
    let range = stop.time.as_ref().unwrap().range.as_ref().unwrap();
    assert_eq!(range.start.as_ref().unwrap().utc(), time(from));
    assert_eq!(range.end.as_ref().unwrap().utc(), time(to));
}

#[track_caller]
fn check_words(stop: Option<&Stop>, name: &str, short: &str, phone: Option<&str>) {
    let stop = stop.unwrap();
    let instructions = stop.instructions.as_ref().unwrap();
    assert_eq!(instructions.name.as_deref(), Some(name));
    assert_eq!(instructions.short_desc.as_deref(), Some(short));
    assert_eq!(stop.contact.as_ref().and_then(|contact| contact.phone.as_deref()), phone);
}

#[track_caller]
fn check_items(order: &Order, expected: &[(&str, i64)]) {
    let count = |item: &crate::beckn::order::Item| item.count().unwrap().integer().unwrap();
    let items: Vec<_> =
        order.items.iter().map(|item| (item.id.as_deref().unwrap(), count(item))).collect();
    assert_eq!(items, expected);
}

#[track_caller]
fn check_quote(order: &Order, value: &str, rows: &[(&str, &str)]) {
    let quote = order.quote.as_ref().unwrap();
    let price = quote.price.as_ref().unwrap();
    assert_eq!(price.currency.as_deref(), Some("INR"));
    assert_eq!(price.value.as_ref().unwrap().as_str(), value);
    let row = |row: &Breakup| {
        let price = row.price.as_ref().unwrap();
        assert_eq!(price.currency.as_deref(), Some("INR"));
        (row.title.clone().unwrap(), price.value.clone().unwrap())
    };
    let found: Vec<_> = quote.breakup.iter().map(row).collect();
    let expected: Vec<_> =
        rows.iter().map(|(title, value)| (Text::from(*title), Decimal::new(value))).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_payment(order: &Order, amount: &str, transaction: Option<&str>, paid: KnownPaymentStatus) {
    let [payment] = &order.payments[..] else { panic!("{:?}", order.payments) };
    let uri = format!("https://api.bpp.com/pay?amt=${amount}&mode=upi&vpa=bpp@upi");
    assert_eq!(payment.uri.as_deref(), Some(uri.as_str()));
    assert_eq!(payment.tl_method.as_deref(), Some("http/get"));
    let kind = payment.r#type.as_ref().unwrap();
    assert_eq!(kind.as_str(), "ON-FULFILMENT");
    assert_eq!(kind.known(), Some(KnownPaymentType::OnFulfillment));
    assert_eq!(payment.status.as_ref().unwrap().known(), Some(paid));
    let params = payment.params.as_ref().unwrap();
    assert_eq!(params.amount.as_ref().unwrap().as_str(), amount);
    assert_eq!(params.transaction_id.as_deref(), transaction);
    assert_eq!(params.mode.as_deref(), Some("upi"));
    assert_eq!(params.virtual_payment_address.as_deref(), Some("bpp@upi"));
    assert_eq!(params.currency, None);
}

#[track_caller]
fn check_billing(order: &Order, email: Option<&str>) {
    let billing = order.billing.as_ref().unwrap();
    assert_eq!(billing.name.as_deref(), Some("John Doe"));
    assert_eq!(billing.phone.as_deref(), Some("+919876543210"));
    if email.is_some() {
        assert_eq!(billing.email.as_deref(), email);
    }
    let address = billing.address.as_ref().unwrap();
    assert_eq!(address.text, None);
    assert_eq!(address.door.as_deref(), Some("21A"));
    assert_eq!(address.name.as_deref(), Some("ABC Appartments"));
    assert_eq!(address.locality.as_deref(), Some("HSR Layout"));
    assert_eq!(address.city.as_deref(), Some("Bengaluru"));
    assert_eq!(address.state.as_deref(), Some("Karnataka"));
    assert_eq!(address.country.as_deref(), Some("India"));
    assert_eq!(address.area_code.as_deref(), Some("560102"));
}

#[test]
fn seed_000_is_a_tracking_by_url() {
    let Some(callback) = callback("000") else { return };
    check_context(&callback, Action::OnTrack, "nic2004:52110");
    let Payload::Tracking(tracking) = &callback.payload else { panic!("{:?}", callback.payload) };
    assert_eq!(tracking.url.as_deref(), Some("https://track.mock_bpp.com?order_id=order_1"));
    assert_eq!(tracking.tl_method.as_deref(), Some("http/get"));
    assert_eq!(tracking.status.as_ref().unwrap().known(), Some(KnownTrackingStatus::Active));
    assert_eq!((&tracking.id, &tracking.location), (&None, &None));
    assert!(callback.oddities.is_empty(), "{:?}", callback.oddities);
}

/// 001 and 003 are the same order, at two states.
#[track_caller]
fn check_groceries(callback: &Callback, action: Action, state: &str) {
    check_context(callback, action, "nic2004:52110");
    assert_eq!(oddities(callback), ["trailing_comma"]);
    let order = order(callback);
    assert_eq!(order.id.as_deref(), Some("order_1"));
    assert_eq!(order.state().unwrap(), &state);
    assert_eq!(order.state().unwrap().known(), None);
    check_items(order, &[("item_1", 2), ("item_2", 1)]);
    check_billing(order, Some("user@example.com"));
    let rows = [("Red Apples", "180"), ("Green Apples Organic", "170"), ("Delivery Charges", "20")];
    check_quote(order, "370", &rows);
    check_payment(order, "640", Some("transaction_453"), KnownPaymentStatus::Paid);
    let [fulfillment] = &order.fulfillments[..] else { panic!("{:?}", order.fulfillments) };
    assert_eq!(fulfillment.r#type.as_deref(), Some("home-delivery"));
    assert_eq!(fulfillment.tracking, Some(false));
    let (origin, end) = (fulfillment.origin(), fulfillment.destination());
    let (from, to) = ("2021-06-15T07:09:30.000Z", "2021-06-15T07:10:30.000Z");
    check_stop(origin, (12.934_937_7, 77.605_558_6), from, to);
    let (from, to) = ("2021-06-15T07:11:36.212Z", "2021-06-15T07:12:36.212Z");
    check_stop(end, (12.914_028, 77.638_698), from, to);
    check_words(origin, "pick up instructions", "Provide the order id", Some("+919999999999"));
    check_words(end, "drop off instructions", "Leave at door step", Some("+919876543210"));
    let shop = origin.unwrap().location.as_ref().unwrap();
    assert_eq!(shop.id.as_deref(), Some("koramangala-4th-block-location"));
    assert_eq!(shop.descriptor.as_ref().unwrap().name.as_deref(), Some("Pooja Stores"));
    let home = end.unwrap().location.as_ref().unwrap().address.as_ref().unwrap();
    assert_eq!(home.area_code.as_deref(), Some("560102"));
}

#[test]
fn seed_001_is_a_picked_order() {
    let Some(callback) = callback("001") else { return };
    check_groceries(&callback, Action::OnStatus, "Picked from Store");
}

#[test]
fn seed_003_is_a_completed_order() {
    let Some(callback) = callback("003") else { return };
    check_groceries(&callback, Action::OnUpdate, "Order Complete");
}

#[test]
fn seed_002_is_a_courier_at_the_door() {
    let Some(callback) = callback("002") else { return };
    check_context(&callback, Action::OnStatus, "nic2004:55204");
    assert_eq!(oddities(&callback), ["trailing_comma"]);
    let order = order(&callback);
    assert_eq!(order.id.as_deref(), Some("order_1"));
    assert_eq!(order.state().unwrap(), &"AT-PICKUP-LOCATION");
    check_items(order, &[("normal-documents", 1)]);
    check_billing(order, None);
    let rows = [("Documents normal delivery", "170"), ("Service Charge", "10")];
    check_quote(order, "180", &rows);
    check_payment(order, "180", None, KnownPaymentStatus::NotPaid);
    let [fulfillment] = &order.fulfillments[..] else { panic!("{:?}", order.fulfillments) };
    assert_eq!((&fulfillment.r#type, fulfillment.tracking), (&None, Some(true)));
    let (origin, end) = (fulfillment.origin(), fulfillment.destination());
    let (from, to) = ("2021-06-15T07:11:36.212Z", "2021-06-15T07:12:36.212Z");
    check_stop(origin, (12.934_937_7, 77.605_558_6), from, to);
    let (from, to) = ("2021-06-15T07:11:56.212Z", "2021-06-15T07:12:56.212Z");
    check_stop(end, (12.914_028, 77.638_698), from, to);
    check_words(origin, "pick up instructions", "Ask doorman to ring 21A", Some("+919999999999"));
    check_words(end, "drop off instructions", "Drop at front desk", None);
    // The web site's protection against spam left a no-break space: kept as sent.
    let contact = origin.unwrap().contact.as_ref().unwrap();
    assert!(contact.email.as_deref().unwrap().contains('\u{a0}'));
}

#[test]
fn the_first_trailing_comma_of_each_document_has_its_place() {
    for (number, line, column) in [("001", 32, 18), ("002", 89, 22), ("003", 32, 18)] {
        let Some(callback) = callback(number) else { return };
        let comma = callback.shape.trailing_comma.unwrap();
        assert_eq!((comma.line, comma.column), (line, column), "{number}");
    }
}

#[test]
fn seed_004_is_a_retail_order_with_its_placeholders() {
    let Some(callback) = callback("004") else { return };
    let context = &callback.context;
    assert_eq!(context.action(), Some(Action::OnStatus));
    assert_eq!((context.domain.as_deref(), context.version()), (Some("ONDC:RET11"), Some("1.2.5")));
    assert_eq!((context.city(), context.dialect()), (Some("std:0124"), Some(Dialect::A)));
    assert_eq!(context.transaction_id.as_deref(), Some("{{transaction_id}}"));
    assert_eq!(context.timestamp.as_ref().unwrap().utc(), None);
    assert_eq!(context.ttl.as_ref().unwrap().seconds(), Some(30));
    assert_eq!((&context.bpp_id, &context.bpp_uri), (&None, &None));
    assert!(callback.oddities.is_empty(), "{:?}", callback.oddities);
    let order = order(&callback);
    assert_eq!(order.id.as_deref(), Some("SS1747985714991"));
    assert_eq!(order.state().unwrap().known(), Some(KnownOrderState::InProgress));
    let provider = order.provider.as_ref().unwrap();
    assert_eq!(provider.id.as_deref(), Some("pramaan_provider_1"));
    assert_eq!(provider.locations[0].id.as_deref(), Some("SSL1"));
    assert_eq!(order.created_at.as_ref().unwrap().utc(), time("2025-05-23T07:35:14.991Z"));
    assert_eq!(order.updated_at.as_ref().unwrap().utc(), time("2025-05-23T07:37:38.522Z"));
    assert_eq!(order.tags.value("bpp_terms", "max_liability_cap"), Some("10000.00"));
    assert_eq!(order.tags.value("bpp_terms", "court_jurisdiction"), Some("New Delhi"));
    assert_eq!(order.tags.value("bap_terms", "accept_bpp_terms"), Some("Y"));
    assert_eq!(order.tags.value("bap_terms", "np_type"), None);
    check_retail_items(order);
    check_retail_fulfillment(order);
    check_retail_quote(order);
    check_retail_payment(order);
    let billing = order.billing.as_ref().unwrap();
    assert_eq!(billing.tax_number.as_deref(), Some("00ABCDE1234F1Z5"));
    assert_eq!(billing.phone.as_deref(), Some("9876543210"));
    assert_eq!(billing.address.as_ref().unwrap().building.as_deref(), Some("221 B"));
    assert_eq!(billing.created_at.as_ref().unwrap().utc(), time("2025-05-23T07:34:52.693Z"));
}

const FULFILLMENT: &str = "60e58daa-9c69-445a-8a31-ae3ef14913ab";

#[track_caller]
fn check_retail_items(order: &Order) {
    check_items(order, &[("id_ancc5_0_0", 2), ("id_5yzai_2_0", 2)]);
    for item in &order.items {
        assert_eq!(item.fulfillment_ids, [FULFILLMENT]);
        assert_eq!(item.parent_item_id.as_deref(), Some("P3121"));
    }
    assert_eq!(order.items[0].tags.value("np_fees", "id"), Some("1"));
    assert_eq!(order.items[1].tags.value("type", "type"), Some("customization"));
    assert_eq!(order.items[1].tags.value("parent", "default"), Some("yes"));
}

#[track_caller]
fn check_retail_fulfillment(order: &Order) {
    let fulfillment = order.fulfillment(FULFILLMENT).unwrap();
    assert_eq!(fulfillment.provider_name.as_deref(), Some("Pramaan Store 1"));
    assert_eq!(fulfillment.category.as_deref(), Some("Takeaway"));
    assert_eq!(fulfillment.tat.as_ref().unwrap().seconds(), Some(24 * 3600));
    assert_eq!(fulfillment.code().unwrap().known(), Some(KnownFulfillmentCode::Packed));
    assert_eq!(fulfillment.r#type.as_deref(), Some("Self-Pickup"));
    assert_eq!(fulfillment.tracking, Some(false));
    let origin = fulfillment.origin();
    let (from, to) = ("2025-05-23T07:35:15.012Z", "2025-05-23T23:00:00.000Z");
    check_stop(origin, (28.5273, 77.1821), from, to);
    let location = origin.unwrap().location.as_ref().unwrap();
    assert_eq!(location.id.as_deref(), Some("SSL1"));
    let image = &location.descriptor.as_ref().unwrap().images[0];
    assert!(image.url.as_deref().unwrap().starts_with("https://ondc.org/assets/"));
    let address = location.address.as_ref().unwrap();
    assert_eq!(address.locality.as_deref(), Some("N. Caldwell"));
    assert_eq!(address.area_code.as_deref(), Some("110030"));
    let contact = origin.unwrap().contact.as_ref().unwrap();
    assert_eq!(contact.email.as_deref(), Some("ss_seller_1@ss.com"));
    assert_eq!(fulfillment.destination(), None);
}

#[track_caller]
fn check_retail_quote(order: &Order) {
    let rows = [
        ("Farmhouse Pizza", "530.00"),
        ("100% Wheat Thin Crust", "0.00"),
        ("Delivery charges", "0"),
        ("Packing charges", "25"),
        ("Tax", "5"),
        ("Convenience Fee", "40"),
    ];
    check_quote(order, "830.00", &rows);
    let quote = order.quote.as_ref().unwrap();
    assert_eq!(quote.ttl, None);
    let kinds: Vec<_> =
        quote.breakup.iter().map(|row| row.title_type.as_ref().unwrap().known().unwrap()).collect();
    let expected = [
        KnownTitleType::Item,
        KnownTitleType::Item,
        KnownTitleType::Delivery,
        KnownTitleType::Packing,
        KnownTitleType::Tax,
        KnownTitleType::Misc,
    ];
    assert_eq!(kinds, expected);
    let pizza = &quote.breakup[0];
    assert_eq!(pizza.item_id(), Some("id_ancc5_0_0"));
    let quantity = pizza.item_quantity.as_ref().unwrap();
    assert_eq!(quantity.count.as_ref().unwrap().integer(), Some(2));
    let item = pizza.item.as_ref().unwrap();
    assert_eq!(item.price.as_ref().unwrap().value.as_ref().unwrap().as_str(), "265");
    assert_eq!(item.parent_item_id.as_deref(), Some("P3121"));
    assert_eq!(item.tags.value("np_fees", "channel_margin_value"), Some("0.50"));
    let tax = quote.breakup[4].item.as_ref().unwrap();
    assert_eq!((tax.tags.value("quote", "subtype"), &tax.price), (Some("misc"), &None));
}

#[track_caller]
fn check_retail_payment(order: &Order) {
    let [payment] = &order.payments[..] else { panic!("{:?}", order.payments) };
    assert_eq!(payment.finder_fee_type.as_deref(), Some("percent"));
    assert_eq!(payment.finder_fee_amount.as_ref().unwrap().as_str(), "3");
    assert_eq!(payment.collected_by.as_ref().unwrap().known(), Some(KnownCollectedBy::Bap));
    assert_eq!(payment.settlement_basis.as_deref(), Some("delivery"));
    assert_eq!(payment.settlement_window.as_ref().unwrap().seconds(), Some(86_400));
    assert_eq!(payment.withholding_amount.as_ref().unwrap().as_str(), "10.00");
    assert_eq!(payment.r#type.as_ref().unwrap().known(), Some(KnownPaymentType::OnOrder));
    assert_eq!(payment.status.as_ref().unwrap().known(), Some(KnownPaymentStatus::Paid));
    let params = payment.params.as_ref().unwrap();
    assert_eq!(params.amount.as_ref().unwrap().as_str(), "830.00");
    assert_eq!(params.currency.as_deref(), Some("INR"));
    assert_eq!(params.transaction_id.as_deref(), Some("b98e21ba-27d6-4f36-9a64-7d4ecc32813f"));
    let [detail] = &payment.settlement_details[..] else { panic!() };
    assert_eq!(detail.settlement_counterparty.as_deref(), Some("seller-app"));
    assert_eq!(detail.settlement_phase.as_deref(), Some("sale-amount"));
    assert_eq!(detail.settlement_type.as_deref(), Some("neft"));
    let status = detail.settlement_status.as_ref().unwrap();
    assert_eq!(status.known(), Some(KnownPaymentStatus::NotPaid));
    assert_eq!(detail.upi_address, None);
    assert_eq!(detail.bank_name.as_deref(), Some("AXIS BANK LTD "));
    assert_eq!(detail.settlement_bank_account_no.as_deref(), Some("9876543210012"));
    assert_eq!(detail.settlement_ifsc_code.as_deref(), Some("AXIS123456"));
    assert_eq!(detail.branch_name.as_deref(), Some("NAVI MUMBAI"));
}
