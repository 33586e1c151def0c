//! The bodies of a mock BPP's callbacks, part by part, in each dialect.
//!
//! They carry every path that ONDC retail 1.2.5 makes mandatory, so that they pass strict rules.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Dialect, MockBpp};
use crate::beckn::action::Action;

/// An order at one moment of its life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    /// The state of its fulfilment.
    pub(super) fulfillment: &'a str,
    /// How many of the extra item are in it; an update takes one away.
    pub(super) extras: u32,
}

impl Moment<'_> {
    /// Returns the order's own state, as ONDC 1.x spells it: it follows from the fulfilment's.
    fn order(self) -> &'static str {
        match self.fulfillment {
            "Pending" => "Accepted",
            "Order-delivered" => "Completed",
            "Cancelled" => "Cancelled",
            // What lies between, and what the protocol does not list.
            _ => "In-progress",
        }
    }
}

/// Returns the whole body.
pub(super) fn callback(context: &Value, message: &Value) -> Bytes {
    // Written by hand so that the parts stand in the protocol's order, whatever serde_json sorts.
    Bytes::from(format!(r#"{{"context":{context},"message":{message}}}"#))
}

/// Returns `context`.
pub(super) fn context(
    seller: &MockBpp,
    action: Action,
    message_id: &str,
    timestamp: DateTime<Utc>,
) -> Value {
    let mut context = json!({
        "domain": "ONDC:RET11",
        "action": action.as_str(),
        "bap_id": seller.bap_id,
        "bap_uri": format!("https://{}/beckn", seller.bap_id),
        "bpp_id": seller.seller_id(),
        "bpp_uri": format!("https://{}/beckn", seller.seller_id()),
        "transaction_id": seller.transaction_id,
        "message_id": message_id,
        "timestamp": time(timestamp),
        "ttl": "PT30S",
    });
    match seller.dialect {
        Dialect::Ondc125 => {
            context["country"] = json!("IND");
            context["city"] = json!("std:080");
            context["core_version"] = json!("1.2.5");
        }
        Dialect::Ondc20 => {
            context["location"] = json!({"country": {"code": "IND"}, "city": {"code": "std:080"}});
            context["version"] = json!("2.0.2");
        }
    }
    context
}

/// The positions on the way, and whether it still moves there.
const POSITIONS: [(&str, &str); 4] = [
    ("12.971599,77.641151", "active"),
    ("12.975012,77.641003", "active"),
    ("12.978400,77.640800", "active"),
    ("12.978400,77.640800", "inactive"),
];

/// Returns the `message` of an `on_track` at this position on the way; it stays at the last.
pub(super) fn tracking(seller: &MockBpp, turn: usize, timestamp: DateTime<Utc>) -> Value {
    let (gps, status) = POSITIONS[turn.min(POSITIONS.len() - 1)];
    let mut tracking = json!({
        "id": "f-1",
        "url": format!("https://track.{}/f-1", seller.seller_id()),
        "status": status,
        "location": {
            "gps": gps,
            "time": {"timestamp": time(timestamp)},
            "updated_at": time(timestamp),
        },
    });
    if seller.dialect == Dialect::Ondc125 {
        tracking["tags"] = json!([
            tag("order", &[("id", &order_id(seller))]),
            tag("config", &[("attr", "tracking.location.gps"), ("type", "live_poll")]),
            tag("path", &[("lat_lng", gps), ("sequence", "1")]),
        ]);
    }
    json!({ "tracking": tracking })
}

/// Returns the `message` of an `on_status` or an `on_update`.
pub(super) fn order(seller: &MockBpp, moment: Moment<'_>, updated_at: DateTime<Utc>) -> Value {
    let mut order = json!({
        "id": order_id(seller),
        "provider": {"id": "dosa-corner", "locations": [{"id": "dosa-corner-l1"}]},
        "quote": quote(moment.extras),
        "created_at": time(seller.started),
        "updated_at": time(updated_at),
    });
    match seller.dialect {
        Dialect::Ondc125 => fill_1_2_5(&mut order, seller, moment),
        Dialect::Ondc20 => fill_2_0(&mut order, moment, updated_at),
    }
    json!({ "order": order })
}

fn fill_1_2_5(order: &mut Value, seller: &MockBpp, moment: Moment<'_>) {
    order["state"] = json!(moment.order());
    order["items"] = json!([
        {"id": "masala-dosa", "fulfillment_id": "f-1", "quantity": {"count": 2}},
        {"id": "extra-ghee", "fulfillment_id": "f-1", "quantity": {"count": moment.extras}},
    ]);
    order["billing"] = json!({
        "name": "Asha Example",
        "phone": "9000000001",
        "address": address(),
        "created_at": time(seller.started),
        "updated_at": time(seller.started),
    });
    order["fulfillments"] = json!([fulfillment_1_2_5(moment)]);
    order["payment"] = payment_1_2_5(moment.extras);
}

fn fill_2_0(order: &mut Value, moment: Moment<'_>, updated_at: DateTime<Utc>) {
    let item = |id: &str, count: u32| json!({"id": id, "fulfillment_ids": ["f-1"], "quantity": {"selected": {"count": count}}});
    order["status"] = json!(match moment.order() {
        "Completed" => "COMPLETE",
        "Cancelled" => "CANCELLED",
        _ => "ACTIVE",
    });
    order["items"] = json!([item("masala-dosa", 2), item("extra-ghee", moment.extras)]);
    order["billing"] = json!({
        "name": "Asha Example",
        "phone": "9000000001",
        "address": "12 Lake View, Indiranagar, Bengaluru 560038",
        "city": {"name": "Bengaluru"},
    });
    order["fulfillments"] = json!([fulfillment_2_0(moment, updated_at)]);
    order["payments"] = payments_2_0(moment.extras);
}

fn order_id(seller: &MockBpp) -> String {
    // ONDC allows 32 letters, digits and hyphens; a transaction id may hold anything.
    let part = seller.transaction_id.chars().filter(char::is_ascii_alphanumeric).take(8);
    format!("O-{}", part.collect::<String>())
}

fn total(extras: u32) -> String {
    format!("{}.00", 270 + 20 * extras)
}

fn quote(extras: u32) -> Value {
    json!({
        "price": rupees(&total(extras)),
        "breakup": [
            {
                "@ondc/org/item_id": "masala-dosa",
                "@ondc/org/title_type": "item",
                "@ondc/org/item_quantity": {"count": 2},
                "title": "Masala Dosa",
                "price": rupees("240.00"),
                "item": {"price": rupees("120.00")},
            },
            {
                "@ondc/org/item_id": "extra-ghee",
                "@ondc/org/title_type": "item",
                "@ondc/org/item_quantity": {"count": extras},
                "title": "Extra ghee",
                "price": rupees(&format!("{}.00", 20 * extras)),
                "item": {"price": rupees("20.00")},
            },
            {
                "@ondc/org/item_id": "f-1",
                "@ondc/org/title_type": "delivery",
                "title": "Delivery charges",
                "price": rupees("30.00"),
            },
        ],
        "ttl": "P1D",
    })
}

fn fulfillment_1_2_5(moment: Moment<'_>) -> Value {
    json!({
        "id": "f-1",
        "type": "Delivery",
        "tracking": true,
        "@ondc/org/TAT": "PT45M",
        "state": {"descriptor": {"code": moment.fulfillment}},
        "start": {
            "location": {"id": "dosa-corner-l1", "gps": "12.971599,77.641151"},
            "contact": {"phone": "9000000003"},
        },
        "end": {
            "location": {"gps": "12.978400,77.640800", "address": address()},
            "contact": {"phone": "9000000001"},
        },
    })
}

fn payment_1_2_5(extras: u32) -> Value {
    json!({
        "type": "ON-ORDER",
        "status": "PAID",
        "collected_by": "BAP",
        "params": {"currency": "INR", "amount": total(extras)},
        "@ondc/org/buyer_app_finder_fee_type": "percent",
        "@ondc/org/buyer_app_finder_fee_amount": "3",
        "@ondc/org/settlement_details": [{
            "settlement_counterparty": "seller-app",
            "settlement_phase": "sale-amount",
            "settlement_type": "neft",
        }],
    })
}

fn fulfillment_2_0(moment: Moment<'_>, updated_at: DateTime<Utc>) -> Value {
    json!({
        "id": "f-1",
        "type": "Delivery",
        "tracking": true,
        "state": {
            "descriptor": {"code": moment.fulfillment},
            "updated_at": time(updated_at),
        },
        "stops": [
            {"id": "1", "type": "start", "location": {"gps": "12.971599,77.641151"}},
            {"id": "2", "parent_stop_id": "1", "type": "end", "location": {"gps": "12.978400,77.640800"}},
        ],
    })
}

fn payments_2_0(extras: u32) -> Value {
    json!([{
        "id": "pay-1",
        "type": "PRE-ORDER",
        "status": "PAID",
        "collected_by": "BAP",
        "params": {"currency": "INR", "amount": total(extras)},
    }])
}

fn address() -> Value {
    json!({
        "name": "Asha Example",
        "building": "12 Lake View",
        "locality": "Indiranagar",
        "city": "Bengaluru",
        "state": "Karnataka",
        "country": "India",
        "area_code": "560038",
    })
}

fn rupees(value: &str) -> Value {
    json!({"currency": "INR", "value": value})
}

fn tag(code: &str, list: &[(&str, &str)]) -> Value {
    let list: Vec<Value> =
        list.iter().map(|(code, value)| json!({"code": code, "value": value})).collect();
    json!({"code": code, "list": list})
}

/// Returns a time as ONDC writes it: UTC, milliseconds, `Z`.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
