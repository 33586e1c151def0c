//! Texts with a meaning: amounts, times, durations, positions.
//!
//! Each keeps what was sent, trimmed, and gives its meaning when asked: nothing is parsed before,
//! so that an odd value never costs the rest of the order. Money is text, never a float.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::Serialize;

use super::lax::{Lax, Shapes};
use super::text::Text;

/// Declares a text with a meaning: a newtype that reads as text and shows as text.
macro_rules! text {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        impl $name {
            /// Keeps this text, trimmed.
            pub fn new(text: &str) -> $name {
                $name(text.trim_ascii().into())
            }

            /// Returns the text as sent, trimmed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Lax for $name {
            const PUBLISHED: Shapes = Shapes::STRING;

            fn from_text(text: &str) -> Option<$name> {
                Some($name::new(text))
            }
        }
    };
}

text! {
    /// A decimal number as text: an amount of money, a quantity.
    Decimal
}
text! {
    /// A point in time as text.
    Timestamp
}
text! {
    /// An ISO 8601 duration as text.
    IsoDuration
}
text! {
    /// A position as text: latitude, comma, longitude.
    Gps
}

impl Decimal {
    /// Returns whether the text is a decimal number: digits, at most one point, maybe a sign.
    pub fn is_number(&self) -> bool {
        let digits = self.0.strip_prefix(['+', '-']).unwrap_or(&self.0);
        let points = digits.bytes().filter(|byte| *byte == b'.').count();
        points <= 1
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.ends_with(|last: char| last.is_ascii_digit())
    }

    /// Returns the number when it is an integer; `2.0` is one.
    pub fn integer(&self) -> Option<i64> {
        let whole = match self.0.split_once('.') {
            Some((whole, rest)) if rest.bytes().all(|byte| byte == b'0') => whole,
            Some(_) => return None,
            None => &self.0,
        };
        whole.parse().ok()
    }
}

impl Timestamp {
    /// Returns the time: RFC 3339, else without a zone (taken as UTC), else a date (its midnight).
    ///
    /// `None` when the text is none of these; sellers do send such texts.
    pub fn utc(&self) -> Option<DateTime<Utc>> {
        if let Some(time) = plain_utc(&self.0) {
            return Some(time);
        }
        // A year of four digits: chrono would read `22024-05-01` as a year far from now.
        if self.0.as_bytes().get(4) != Some(&b'-') {
            return None;
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(&self.0) {
            return Some(time.to_utc());
        }
        let without_zone = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        for format in without_zone {
            if let Ok(time) = NaiveDateTime::parse_from_str(&self.0, format) {
                return Some(time.and_utc());
            }
        }
        let date = NaiveDate::parse_from_str(&self.0, "%Y-%m-%d").ok()?;
        Some(date.and_hms_opt(0, 0, 0)?.and_utc())
    }

    /// Returns whether the text is a date and time with its zone, as the protocol asks.
    pub fn is_rfc3339(&self) -> bool {
        plain_utc(&self.0).is_some() || DateTime::parse_from_rfc3339(&self.0).is_ok()
    }
}

/// Reads a time as most sellers write it, `2026-03-14T09:12:30.412Z` with up to nine decimals or
/// none. Of another form it says nothing: chrono reads all of them, and takes several times as
/// long, which the five to ten times of every callback add up.
pub(crate) fn plain_utc(text: &str) -> Option<DateTime<Utc>> {
    let (date, rest) = text.as_bytes().split_at_checked(10)?;
    let (time, rest) = rest.split_at_checked(9)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
    let [b'T', h1, h2, b':', i1, i2, b':', s1, s2] = *time else { return None };
    let decimals = match rest.strip_suffix(b"Z")? {
        [] => [].as_slice(),
        [b'.', decimals @ ..] if (1..=9).contains(&decimals.len()) => decimals,
        _ => return None,
    };
    let nanoseconds = number(decimals)? * 10_u32.pow(9 - u32::try_from(decimals.len()).ok()?);
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)?;
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[i1, i2])?, number(&[s1, s2])?);
    Some(date.and_hms_nano_opt(hour, minute, second, nanoseconds)?.and_utc())
}

/// Returns the number that these digits write, up to nine of them; none is zero.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

impl IsoDuration {
    /// Returns the duration: upper or lower case, fractions, `P24H` as 24 hours.
    ///
    /// A month counts 30 days and a year 365. `None` when the text is not a duration.
    pub fn duration(&self) -> Option<Duration> {
        let mut rest = self.0.strip_prefix(['P', 'p'])?;
        let mut after_t = false;
        let mut seconds = 0.0;
        let mut parts = 0;
        while !rest.is_empty() {
            if let Some(time) = rest.strip_prefix(['T', 't']) {
                if after_t || time.is_empty() {
                    return None;
                }
                (after_t, rest) = (true, time);
                continue;
            }
            let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, unit) = rest.split_at(unit_at);
            if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                return None;
            }
            seconds += number.parse::<f64>().ok()? * unit_seconds(unit.as_bytes()[0], after_t)?;
            parts += 1;
            rest = &unit[1..];
        }
        if parts == 0 {
            return None;
        }
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Returns the whole seconds of [`duration`](Self::duration).
    pub fn seconds(&self) -> Option<u64> {
        self.duration().map(|duration| duration.as_secs())
    }
}

fn unit_seconds(unit: u8, after_t: bool) -> Option<f64> {
    let seconds = match (unit.to_ascii_uppercase(), after_t) {
        (b'Y', false) => 365.0 * 86_400.0,
        (b'M', false) => 30.0 * 86_400.0,
        (b'W', false) => 7.0 * 86_400.0,
        (b'D', false) => 86_400.0,
        (b'H', _) => 3_600.0,
        (b'M', true) => 60.0,
        (b'S', _) => 1.0,
        _ => return None,
    };
    Some(seconds)
}

impl Gps {
    /// Returns latitude and longitude in degrees; `None` when the text is not a position.
    pub fn coordinates(&self) -> Option<(f64, f64)> {
        let (latitude, longitude) = self.0.split_once(',')?;
        let latitude: f64 = latitude.trim_ascii().parse().ok()?;
        let longitude: f64 = longitude.trim_ascii().parse().ok()?;
        let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        on_earth.then_some((latitude, longitude))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::plain_utc;

    fn of_chrono(text: &str) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
    }

    #[test]
    fn a_time_as_sellers_write_it_is_read_at_once() {
        for text in
            ["2026-03-14T09:12:30.412Z", "2024-02-29T23:59:59Z", "0001-01-01T00:00:00.000000001Z"]
        {
            assert!(plain_utc(text).is_some(), "{text}");
            assert_eq!(plain_utc(text), of_chrono(text), "{text}");
        }
    }

    #[test]
    fn another_form_is_left_to_chrono() {
        for text in [
            "",
            "Z",
            "2026-03-14",
            "2026-03-14T09:12:30",
            "2026-03-14t09:12:30Z",
            "2026-03-14T09:12:30z",
            "2026-03-14T09:12:30+05:30",
            "2026-03-14T09:12:30.Z",
            "2026-03-14T09:12:30.1234567890Z",
            "2026-02-30T09:12:30Z",
            "2026-13-01T09:12:30Z",
            "2026-03-14T24:00:00Z",
            "2026-03-14T09:12:60Z",
            "2026-03-14T09:12:3ZZ",
            "+026-03-14T09:12:30Z",
            "2026-03-14T09:12:30.412ZZ",
            "2026-03-14T09:12:30.\u{664}Z",
        ] {
            assert_eq!(plain_utc(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_at_once_is_what_chrono_reads(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?Z",
        ) {
            if let Some(time) = plain_utc(&text) {
                prop_assert_eq!(Some(time), of_chrono(&text));
            }
        }
    }
}
