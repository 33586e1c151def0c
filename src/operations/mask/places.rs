//! Which places of a body hold nothing of a person.

use super::shapes::Shape;

/// What tells of a person, or of where one is: nothing in it is shown, whatever its key.
const PERSONAL: &[&str] = &[
    "address",
    "agent",
    "agents",
    "authorization",
    "billing",
    "buyer",
    "buyer_attributes",
    "complainant",
    "complainant_info",
    "consumer",
    "contact",
    "contacts",
    "cred",
    "creds",
    "customer",
    "customers",
    "delivery_address",
    "delivery_agent",
    "delivery_contact",
    "delivery_location",
    "driver",
    "email",
    "gps",
    "guest",
    "guests",
    "instructions",
    "location",
    "name",
    "organization",
    "passenger",
    "passengers",
    "patient",
    "payee",
    "payer",
    "person",
    "persons",
    "phone",
    "pickup_location",
    "respondent",
    "rider",
    "traveler",
    "travelers",
    "travellers",
    "user",
    "vehicle",
    "xinput",
];

/// Places right in the context, which tells of participants.
const OF_CONTEXT: &[(&str, Shape)] = &[
    ("action", Shape::Code),
    ("bap_id", Shape::Id),
    ("bap_uri", Shape::Address),
    ("bpp_id", Shape::Id),
    ("bpp_uri", Shape::Address),
    ("city", Shape::Code),
    ("core_version", Shape::Code),
    ("country", Shape::Code),
    ("domain", Shape::Id),
    ("message_id", Shape::Id),
    ("timestamp", Shape::Time),
    ("transaction_id", Shape::Id),
    ("ttl", Shape::Duration),
    ("version", Shape::Code),
];

/// Keys whose values are harmless wherever nothing above them is personal.
const ANYWHERE: &[(&str, Shape)] = &[
    ("amount", Shape::Number),
    ("buyer_app_finder_fee_amount", Shape::Number),
    ("buyer_app_finder_fee_type", Shape::Code),
    ("cancellation_reason_id", Shape::Code),
    ("category_id", Shape::Id),
    ("category_ids", Shape::Id),
    ("code", Shape::Code),
    ("collected_by", Shape::Code),
    ("computed_value", Shape::Number),
    ("count", Shape::Number),
    ("created_at", Shape::Time),
    ("currency", Shape::Code),
    ("duration", Shape::Duration),
    ("end", Shape::Time),
    ("fulfillment_id", Shape::Id),
    ("fulfillment_ids", Shape::Id),
    ("fulfillment_status", Shape::Code),
    ("id", Shape::Id),
    ("item_id", Shape::Id),
    ("item_ids", Shape::Id),
    ("location_id", Shape::Id),
    ("location_ids", Shape::Id),
    ("message_id", Shape::Id),
    ("order_id", Shape::Id),
    ("order_status", Shape::Code),
    ("parent_item_id", Shape::Id),
    ("parent_stop_id", Shape::Id),
    ("payment_status", Shape::Code),
    ("percentage", Shape::Number),
    ("quantity", Shape::Number),
    ("reason_id", Shape::Code),
    ("settlement_amount", Shape::Number),
    ("settlement_basis", Shape::Code),
    ("settlement_counterparty", Shape::Code),
    ("settlement_phase", Shape::Code),
    ("settlement_status", Shape::Code),
    ("settlement_type", Shape::Code),
    ("settlement_window", Shape::Duration),
    ("start", Shape::Time),
    ("state", Shape::Code),
    ("status", Shape::Code),
    ("tat", Shape::Duration),
    ("time_to_ship", Shape::Duration),
    ("timestamp", Shape::Time),
    ("title_type", Shape::Code),
    ("tl_method", Shape::Code),
    ("transaction_id", Shape::Id),
    ("ttl", Shape::Duration),
    ("type", Shape::Code),
    ("unit", Shape::Code),
    ("unit_code", Shape::Code),
    ("updated_at", Shape::Time),
    ("valid_from", Shape::Time),
    ("valid_to", Shape::Time),
    ("valid_until", Shape::Time),
];

/// What a `value` right below is an amount of; that of a tag may be anything.
const OF_VALUE: &[&str] =
    &["price", "measure", "maximum", "minimum", "offered_value", "listed_value", "item_price"];

/// Where in a body a pass is.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The keys from the top, in one spelling.
    keys: Vec<String>,
    /// How many of the first keys there are down to the one that is personal.
    personal_from: Option<usize>,
}

impl Place {
    pub(super) fn enter(&mut self, key: &str) {
        let key = spelled(key);
        let is_of_context = self.keys.first().is_some_and(|first| first == "context");
        let is_personal = PERSONAL.contains(&key.as_str()) || looks_personal(&key);
        self.keys.push(key);
        if is_personal && !is_of_context && self.personal_from.is_none() {
            self.personal_from = Some(self.keys.len());
        }
    }

    pub(super) fn leave(&mut self) {
        self.keys.pop();
        self.personal_from = self.personal_from.filter(|from| *from <= self.keys.len());
    }

    /// Returns whether this is, or is in, the name of something.
    pub(super) fn is_name(&self) -> bool {
        self.keys.last().is_some_and(|key| key.contains("name")) || self.personal_from.is_some()
    }

    /// Returns whether a value here may be shown.
    pub(super) fn shows(&self, text: &str) -> bool {
        self.shape().is_some_and(|shape| shape.fits(text))
    }

    fn shape(&self) -> Option<Shape> {
        if self.personal_from.is_some() {
            return None;
        }
        let of = |table: &[(&str, Shape)], key: &str| {
            table.iter().find(|(known, _)| *known == key).map(|(_, shape)| *shape)
        };
        match self.keys.as_slice() {
            [context, key] if context == "context" => of(OF_CONTEXT, key),
            // As `location.city.code`.
            [context, .., key] if context == "context" => (key == "code").then_some(Shape::Code),
            [.., above, key] if key == "value" => {
                OF_VALUE.contains(&above.as_str()).then_some(Shape::Number)
            }
            [.., key] => of(ANYWHERE, key),
            [] => None,
        }
    }
}

/// Returns whether a key names a person in a way of its own, as `receiver_name` does.
fn looks_personal(key: &str) -> bool {
    ["phone", "email", "contact", "person", "address", "passenger", "customer"]
        .iter()
        .any(|part| key.contains(part))
}

/// Returns a key in the one spelling that the tables have: without a namespace, in snake case.
fn spelled(key: &str) -> String {
    let bare = key.trim().trim_start_matches('@');
    let bare = bare.rsplit(['/', ':']).next().unwrap_or(bare);
    let mut spelled = String::with_capacity(bare.len() + 4);
    let mut before_is_lower = false;
    for character in bare.chars() {
        if character.is_ascii_uppercase() && before_is_lower {
            spelled.push('_');
        }
        before_is_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        spelled.push(character.to_ascii_lowercase());
    }
    spelled
}
