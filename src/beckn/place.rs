//! Where and when: descriptors, addresses, places, locations, times.

use super::lax::model;
use super::scalar::{Gps, IsoDuration, Timestamp};
use super::tags::Tags;
use super::text::Text;

model! {
    /// What something is called and looks like.
    pub struct Descriptor [text = name] {
        /// Its code.
        code: Option<Text> = "code",
        /// Its name.
        name: Option<Text> = "name",
        /// In a few words.
        short_desc: Option<Text> = "short_desc",
        /// In more words.
        long_desc: Option<Text> = "long_desc",
        /// A picture of it.
        symbol: Option<Text> = "symbol",
        /// More pictures.
        images: Vec<Image> = "images",
    }
}

model! {
    /// A picture: a text in dialect A, an object in dialect B.
    pub struct Image [published = STRING_OR_OBJECT] [text = url] {
        /// Where it is.
        url: Option<Text> = "url",
        /// Which size it is, in the words of the protocol.
        size_type: Option<Text> = "size_type",
    }
}

model! {
    /// A city, state or country: a text in dialect A, an object in dialect B.
    pub struct Place [published = STRING_OR_OBJECT] [text = name] {
        /// Its code.
        code: Option<Text> = "code",
        /// Its name, or the text that was sent in place of an object.
        name: Option<Text> = "name",
    }
}

impl Place {
    /// Returns its code, else its name.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref().or(self.name.as_deref())
    }

    /// Returns its name, else its code.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().or(self.code.as_deref())
    }
}

model! {
    /// A postal address: an object in dialect A, one text in dialect B.
    pub struct Address [published = STRING_OR_OBJECT] [text = text] {
        /// The whole address, when it was sent as one text; some sellers put it under `full`.
        text: Option<Text> = "full",
        /// Door or flat.
        door: Option<Text> = "door",
        /// Who or what is there.
        name: Option<Text> = "name",
        /// Building.
        building: Option<Text> = "building",
        /// Street.
        street: Option<Text> = "street",
        /// Locality.
        locality: Option<Text> = "locality",
        /// Ward.
        ward: Option<Text> = "ward",
        /// City.
        city: Option<Text> = "city",
        /// State.
        state: Option<Text> = "state",
        /// Country.
        country: Option<Text> = "country",
        /// Postal code.
        area_code: Option<Text> = "area_code",
    }
}

model! {
    /// A place on the map.
    pub struct Location {
        /// Its id at the seller.
        id: Option<Text> = "id",
        /// What it is called.
        descriptor: Option<Box<Descriptor>> = "descriptor",
        /// Its position.
        gps: Option<Gps> = "gps",
        /// Its address.
        address: Option<Box<Address>> = "address",
        /// The code of a station.
        station_code: Option<Text> = "station_code",
        /// City (dialect B).
        city: Option<Box<Place>> = "city",
        /// State (dialect B).
        state: Option<Box<Place>> = "state",
        /// Country (dialect B).
        country: Option<Box<Place>> = "country",
        /// Postal code (dialect B).
        area_code: Option<Text> = "area_code",
        /// When it holds: for tracking, when the position was taken.
        time: Option<Box<Time>> = "time",
        /// When it was last updated (ONDC tracking).
        updated_at: Option<Timestamp> = "updated_at",
        /// Tags of the place.
        tags: Tags = "tags",
    }
}

model! {
    /// A time: a point, a range, or a duration.
    pub struct Time [text = timestamp] {
        /// What it stands for.
        label: Option<Text> = "label",
        /// A point in time.
        timestamp: Option<Timestamp> = "timestamp",
        /// A duration.
        duration: Option<IsoDuration> = "duration",
        /// From when to when.
        range: Option<TimeRange> = "range",
        /// Days of the week, `1,2,3`.
        days: Option<Text> = "days",
    }
}

model! {
    /// From when to when.
    pub struct TimeRange {
        /// From when.
        start: Option<Timestamp> = "start",
        /// To when.
        end: Option<Timestamp> = "end",
    }
}
