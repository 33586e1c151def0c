//! What is ordered and what it costs.

use crate::beckn::lax::model;
use crate::beckn::place::{Descriptor, Time};
use crate::beckn::scalar::{Decimal, IsoDuration};
use crate::beckn::tags::Tags;
use crate::beckn::text::Text;
use crate::beckn::vocabulary::TitleType;

model! {
    /// An ordered item.
    pub struct Item {
        /// Its id in the seller's catalogue.
        id: Option<Text> = "id",
        /// The item that it belongs to (ONDC: customisations).
        parent_item_id: Option<Text> = "parent_item_id",
        /// The fulfilments that bring it: always a list here.
        fulfillment_ids: Vec<Text> = "fulfillment_ids" | "fulfillment_id" as STRING,
        /// How many; see [`Item::count`].
        quantity: Option<Quantity> = "quantity",
        /// What one costs.
        price: Option<Box<Price>> = "price",
        /// What it is called.
        descriptor: Option<Box<Descriptor>> = "descriptor",
        /// Its categories: always a list here.
        category_ids: Vec<Text> = "category_ids" | "category_id" as STRING,
        /// From where: always a list here.
        location_ids: Vec<Text> = "location_ids" | "location_id" as STRING,
        /// The payments that it belongs to.
        payment_ids: Vec<Text> = "payment_ids",
        /// When it is available or due.
        time: Option<Box<Time>> = "time",
        /// Tags of the item.
        tags: Tags = "tags",
        /// Whether it can be returned (ONDC).
        returnable: Option<bool> = "@ondc/org/returnable",
        /// Whether it can be cancelled (ONDC).
        cancellable: Option<bool> = "@ondc/org/cancellable",
        /// Whether it can be rated.
        rateable: Option<bool> = "rateable",
    }
}

impl Item {
    /// Returns how many were ordered, whichever key holds it.
    pub fn count(&self) -> Option<&Decimal> {
        self.quantity.as_ref()?.count()
    }
}

model! {
    /// How many or how much.
    pub struct Quantity {
        /// How many (dialect A); see [`Quantity::count`].
        count: Option<Decimal> = "count" as NUMBER,
        /// How much of a unit.
        measure: Option<Box<Measure>> = "measure",
        /// What was ordered (dialect B).
        selected: Option<Box<Count>> = "selected",
        /// What was set aside.
        allocated: Option<Box<Count>> = "allocated",
        /// What there is.
        available: Option<Box<Count>> = "available",
        /// The most that can be ordered.
        maximum: Option<Box<Count>> = "maximum",
        /// The least that can be ordered.
        minimum: Option<Box<Count>> = "minimum",
        /// What one unit is.
        unitized: Option<Box<Count>> = "unitized",
    }
}

impl Quantity {
    /// Returns how many were ordered: `count`, else `selected.count`.
    pub fn count(&self) -> Option<&Decimal> {
        let selected = || self.selected.as_ref()?.count.as_ref();
        self.count.as_ref().or_else(selected)
    }
}

model! {
    /// A number of things, or a measure. ONDC publishes the number as text in quotes.
    pub struct Count {
        /// How many.
        count: Option<Decimal> = "count" as STRING_OR_NUMBER,
        /// How much of a unit.
        measure: Option<Box<Measure>> = "measure",
    }
}

model! {
    /// The quantity of a row of a quote (`@ondc/org/item_quantity`).
    pub struct ItemQuantity [text = count] {
        /// How many.
        count: Option<Decimal> = "count" as NUMBER,
        /// How much of a unit.
        measure: Option<Box<Measure>> = "measure",
    }
}

model! {
    /// So much of a unit.
    pub struct Measure {
        /// The unit.
        unit: Option<Text> = "unit",
        /// How much; a number in Beckn 0.9, text in 1.x.
        value: Option<Decimal> = "value" as STRING_OR_NUMBER,
    }
}

model! {
    /// An amount of money, as text: never rounded.
    pub struct Price [text = value] {
        /// The currency.
        currency: Option<Text> = "currency",
        /// The amount; negative for a discount.
        value: Option<Decimal> = "value",
        /// An estimate.
        estimated_value: Option<Decimal> = "estimated_value",
        /// As computed.
        computed_value: Option<Decimal> = "computed_value",
        /// As listed.
        listed_value: Option<Decimal> = "listed_value",
        /// As offered.
        offered_value: Option<Decimal> = "offered_value",
        /// The least.
        minimum_value: Option<Decimal> = "minimum_value",
        /// The most.
        maximum_value: Option<Decimal> = "maximum_value",
    }
}

model! {
    /// What an order costs.
    pub struct Quote {
        /// Its id (dialect B).
        id: Option<Text> = "id",
        /// The sum, the seller says.
        price: Option<Price> = "price",
        /// The rows.
        breakup: Vec<Breakup> = "breakup",
        /// How long it holds.
        ttl: Option<IsoDuration> = "ttl",
    }
}

model! {
    /// A row of a quote.
    pub struct Breakup {
        /// Its id.
        id: Option<Text> = "id",
        /// What it is for.
        title: Option<Text> = "title",
        /// What kind of row it is (ONDC).
        title_type: Option<TitleType> = "@ondc/org/title_type",
        /// The item or fulfilment that it is for (ONDC); see [`Breakup::item_id`].
        item_id: Option<Text> = "@ondc/org/item_id",
        /// How many (ONDC).
        item_quantity: Option<ItemQuantity> = "@ondc/org/item_quantity",
        /// How much.
        price: Option<Price> = "price",
        /// The item as it was at that time.
        item: Option<Box<BreakupItem>> = "item",
        /// Tags of the row.
        tags: Tags = "tags",
    }
}

impl Breakup {
    /// Returns the id of the item that the row is for, whichever key holds it.
    pub fn item_id(&self) -> Option<&str> {
        let inner = || self.item.as_ref()?.id.as_deref();
        self.item_id.as_deref().or_else(inner)
    }
}

model! {
    /// The item of a row of a quote.
    pub struct BreakupItem {
        /// Its id (dialect B).
        id: Option<Text> = "id",
        /// The item that it belongs to.
        parent_item_id: Option<Text> = "parent_item_id",
        /// What one costs.
        price: Option<Price> = "price",
        /// How many there are and may be ordered.
        quantity: Option<Quantity> = "quantity",
        /// Tags of the item.
        tags: Tags = "tags",
    }
}
