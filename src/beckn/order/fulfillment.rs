//! How an order reaches the buyer.

use crate::beckn::lax::model;
use crate::beckn::place::{Descriptor, Image, Location, Time};
use crate::beckn::scalar::{IsoDuration, Timestamp};
use crate::beckn::tags::Tags;
use crate::beckn::text::Text;
use crate::beckn::vocabulary::FulfillmentCode;

model! {
    /// A fulfilment: a delivery, a pick-up, a return, a ride.
    pub struct Fulfillment {
        /// Its id at the seller.
        id: Option<Text> = "id",
        /// What kind it is, such as `Delivery`.
        r#type: Option<Text> = "type",
        /// Its state; see [`Fulfillment::code`].
        state: Option<FulfillmentState> = "state",
        /// Whether it can be tracked.
        tracking: Option<bool> = "tracking",
        /// Who brings it (ONDC).
        provider_name: Option<Text> = "@ondc/org/provider_name",
        /// What kind of delivery it is (ONDC).
        category: Option<Text> = "@ondc/org/category",
        /// The time that it takes (ONDC).
        tat: Option<IsoDuration> = "@ondc/org/TAT",
        /// The air waybill (ONDC logistics).
        awb_no: Option<Text> = "@ondc/org/awb_no",
        /// The e-way bill (ONDC logistics).
        ewaybill_no: Option<Text> = "@ondc/org/ewaybillno",
        /// Until when the e-way bill holds (ONDC logistics).
        ewaybill_expiry: Option<Timestamp> = "@ondc/org/ebnexpirydate",
        /// The id of who brings it.
        provider_id: Option<Text> = "provider_id",
        /// Who receives it.
        customer: Option<Box<Customer>> = "customer",
        /// Who brings it.
        agent: Option<Box<Agent>> = "agent",
        /// The vehicle.
        vehicle: Option<Box<Vehicle>> = "vehicle",
        /// A person to ask.
        person: Option<Box<Person>> = "person",
        /// How to reach them.
        contact: Option<Contact> = "contact",
        /// Where it starts (dialect A); see [`Fulfillment::origin`].
        start: Option<Box<Stop>> = "start",
        /// Where it ends (dialect A); see [`Fulfillment::destination`].
        end: Option<Box<Stop>> = "end",
        /// Where it stops (dialect B).
        stops: Vec<Stop> = "stops",
        /// When.
        time: Option<Box<Time>> = "time",
        /// What to mind.
        instructions: Option<Box<Descriptor>> = "instructions",
        /// Whether it can be rated.
        rateable: Option<bool> = "rateable",
        /// Tags of the fulfilment.
        tags: Tags = "tags",
    }
}

impl Fulfillment {
    /// Returns the code of its state.
    pub fn code(&self) -> Option<&FulfillmentCode> {
        self.state.as_ref()?.descriptor.as_ref()?.code.as_ref()
    }

    /// Returns where it starts: `start`, else the stop of that type.
    pub fn origin(&self) -> Option<&Stop> {
        self.start.as_deref().or_else(|| self.stop(&["start", "pickup"]))
    }

    /// Returns where it ends: `end`, else the stop of that type.
    pub fn destination(&self) -> Option<&Stop> {
        self.end.as_deref().or_else(|| self.stop(&["end", "drop"]))
    }

    fn stop(&self, types: &[&str]) -> Option<&Stop> {
        let is_one = |kind: &str| types.iter().any(|one| one.eq_ignore_ascii_case(kind));
        self.stops.iter().find(|stop| stop.r#type.as_deref().is_some_and(is_one))
    }
}

model! {
    /// The state of a fulfilment.
    pub struct FulfillmentState [text = descriptor] {
        /// Its code and name.
        descriptor: Option<StateDescriptor> = "descriptor",
        /// Since when.
        updated_at: Option<Timestamp> = "updated_at",
        /// Who says so.
        updated_by: Option<Text> = "updated_by",
    }
}

model! {
    /// The code and the name of a state.
    pub struct StateDescriptor [text = code] {
        /// The code.
        code: Option<FulfillmentCode> = "code",
        /// The name.
        name: Option<Text> = "name",
        /// In a few words.
        short_desc: Option<Text> = "short_desc",
        /// In more words.
        long_desc: Option<Text> = "long_desc",
    }
}

model! {
    /// A place where a fulfilment starts, stops or ends.
    pub struct Stop {
        /// Its id.
        id: Option<Text> = "id",
        /// The stop before it.
        parent_stop_id: Option<Text> = "parent_stop_id",
        /// What it is, such as `start` or `end` (dialect B).
        r#type: Option<Text> = "type",
        /// Where.
        location: Option<Box<Location>> = "location",
        /// When.
        time: Option<Box<Time>> = "time",
        /// What to mind.
        instructions: Option<Box<Descriptor>> = "instructions",
        /// Whom to call.
        contact: Option<Contact> = "contact",
        /// Who is there.
        person: Option<Box<Person>> = "person",
        /// What to show or tell.
        authorization: Option<Box<Authorization>> = "authorization",
    }
}

model! {
    /// How to reach someone.
    pub struct Contact {
        /// Phone.
        phone: Option<Text> = "phone",
        /// E-mail.
        email: Option<Text> = "email",
    }
}

model! {
    /// A person.
    pub struct Person [text = name] {
        /// Their id.
        id: Option<Text> = "id",
        /// Their name.
        name: Option<Text> = "name",
        /// Their gender, as sent.
        gender: Option<Text> = "gender",
        /// A picture.
        image: Option<Box<Image>> = "image",
        /// Tags of the person.
        tags: Tags = "tags",
    }
}

model! {
    /// Who receives a fulfilment.
    pub struct Customer {
        /// Their id.
        id: Option<Text> = "id",
        /// The person.
        person: Option<Person> = "person",
        /// How to reach them.
        contact: Option<Contact> = "contact",
    }
}

model! {
    /// Who brings a fulfilment.
    pub struct Agent {
        /// The name (dialect A); see [`Agent::name`].
        name: Option<Text> = "name",
        /// The phone (dialect A); see [`Agent::phone`].
        phone: Option<Text> = "phone",
        /// The e-mail.
        email: Option<Text> = "email",
        /// The person (dialect B).
        person: Option<Person> = "person",
        /// How to reach them (dialect B).
        contact: Option<Contact> = "contact",
        /// Tags of the agent.
        tags: Tags = "tags",
    }
}

impl Agent {
    /// Returns the name, whichever key holds it.
    pub fn name(&self) -> Option<&str> {
        let person = || self.person.as_ref()?.name.as_deref();
        self.name.as_deref().or_else(person)
    }

    /// Returns the phone, whichever key holds it.
    pub fn phone(&self) -> Option<&str> {
        let contact = || self.contact.as_ref()?.phone.as_deref();
        self.phone.as_deref().or_else(contact)
    }
}

model! {
    /// The vehicle of a fulfilment.
    pub struct Vehicle {
        /// Its category.
        category: Option<Text> = "category",
        /// Its number plate.
        registration: Option<Text> = "registration",
        /// Who made it.
        make: Option<Text> = "make",
        /// Which model.
        model: Option<Text> = "model",
        /// Its colour.
        color: Option<Text> = "color",
        /// Its size.
        size: Option<Text> = "size",
        /// Its variant.
        variant: Option<Text> = "variant",
        /// What it burns.
        energy_type: Option<Text> = "energy_type",
    }
}

model! {
    /// What must be shown or told at a stop, such as a one-time password.
    pub struct Authorization {
        /// What it is, such as `OTP`.
        r#type: Option<Text> = "type",
        /// The secret.
        token: Option<Text> = "token",
        /// From when it holds.
        valid_from: Option<Timestamp> = "valid_from",
        /// Until when it holds.
        valid_to: Option<Timestamp> = "valid_to",
        /// Whether it was used.
        status: Option<Text> = "status",
    }
}
