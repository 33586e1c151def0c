//! The published formats, each a function from a text to whether it has the form.
//!
//! They are written by hand: they run before every ACK, and none of them needs more than one look
//! at each byte. What is judged is the text as the models keep it, trimmed.

use std::net::IpAddr;

use crate::beckn::scalar::plain_utc;

/// A format that a text must have.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) is: fn(&str) -> bool,
    pub(super) expected: &'static str,
    pub(super) found: FoundText,
}

/// Whether a message may show the text: ids, times and codes may, what could be personal may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundText {
    Shown,
    Hidden,
}

pub(super) const UUID: Form = Form { is: is_uuid, expected: "a UUID", found: FoundText::Shown };
pub(super) const TIME: Form =
    Form { is: is_rfc3339, expected: "an RFC 3339 time", found: FoundText::Shown };
pub(super) const DURATION: Form =
    Form { is: is_duration, expected: "an ISO 8601 duration", found: FoundText::Shown };
pub(super) const GPS: Form = Form {
    is: is_gps,
    expected: "latitude, comma, longitude in degrees",
    found: FoundText::Hidden,
};

/// The longest id of a transaction or a message, in characters.
pub(super) const ID_CHARACTERS: usize = 256;

/// Returns whether an id is short enough to be kept as a key.
pub(super) fn is_bounded_id(text: &str) -> bool {
    text.len() <= ID_CHARACTERS || text.chars().nth(ID_CHARACTERS).is_none()
}

/// Returns whether the text is a UUID in its hyphenated form, in either case.
pub(super) fn is_uuid(text: &str) -> bool {
    let is_form = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_form)
}

/// Returns whether the text is an order id of ONDC 1.2.5: `[a-zA-Z0-9-]{1,32}`, or a UUID.
pub(super) fn is_ondc_order_id(text: &str) -> bool {
    let is_short = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_short || is_uuid(text)
}

/// Returns whether the text is an RFC 3339 time: date, `T`, time, and a zone.
pub(super) fn is_rfc3339(text: &str) -> bool {
    if plain_utc(text).is_some() {
        return true;
    }
    let bytes = text.as_bytes();
    // chrono also reads a blank between date and time, and years of other lengths.
    bytes.get(4) == Some(&b'-')
        && matches!(bytes.get(10), Some(b'T' | b't'))
        && chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

/// Returns whether the text is a time as ONDC 1.2.5 writes it: milliseconds, and `Z`.
pub(super) fn is_ondc_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 24 && bytes[19] == b'.' && bytes[23] == b'Z' && is_rfc3339(text)
}

/// Returns whether the text is an ISO 8601 duration; the last number may have a fraction.
pub(super) fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    match time {
        Some(time) => {
            (date.is_empty() || are_parts(date, "YMWD", Fraction::Refused))
                && are_parts(time, "HMS", Fraction::Allowed)
        }
        None => are_parts(date, "YMWD", Fraction::Allowed),
    }
}

/// Whether the last number of a duration's half may have a fraction.
#[derive(Clone, Copy, PartialEq)]
enum Fraction {
    Allowed,
    Refused,
}

/// Returns whether the text is one number or more, each followed by its unit, in this order.
fn are_parts(text: &str, units: &str, fraction: Fraction) -> bool {
    let mut units = units;
    let mut rest = text;
    while !rest.is_empty() {
        let Some(unit_at) = rest.find(|c: char| c.is_ascii_alphabetic()) else { return false };
        let (number, after) = rest.split_at(unit_at);
        let Some(place) = units.find(&after[..1]) else { return false };
        (rest, units) = (&after[1..], &units[place + 1..]);
        let may_have_fraction = rest.is_empty() && fraction == Fraction::Allowed;
        let is_number = are_digits(number)
            || may_have_fraction
                && number
                    .split_once(['.', ','])
                    .is_some_and(|(whole, part)| are_digits(whole) && are_digits(part));
        if !is_number {
            return false;
        }
    }
    !text.is_empty()
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether the text is a latitude and a longitude in degrees; a blank may follow the comma.
pub(super) fn is_gps(text: &str) -> bool {
    let Some((latitude, longitude)) = text.split_once(',') else { return false };
    is_degrees(latitude, 90) && is_degrees(longitude.trim_ascii_start(), 180)
}

fn is_degrees(text: &str, limit: u32) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if !are_digits(whole) || !are_digits(part) || whole.len() > 3 {
        return false;
    }
    let whole: u32 = whole.parse().unwrap_or(u32::MAX);
    whole < limit || whole == limit && part.bytes().all(|byte| byte == b'0')
}

/// Returns whether the text is an ISO 3166-1 alpha-3 code: three capitals.
pub(super) fn is_country(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Returns whether the text is a city as ONDC 1.x writes it: `std:` and the dialling code.
pub(super) fn is_ondc_city(text: &str) -> bool {
    text.strip_prefix("std:").is_some_and(are_digits)
}

/// Returns whether the text is a web address: a scheme of the list, `://`, and a host.
pub(super) fn is_address(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, _)) = split_scheme(text) else { return false };
    schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && !host(text).is_empty()
        && (text.bytes().all(|byte| byte.is_ascii_graphic())
            || !text.contains(|c: char| c.is_whitespace() || c.is_control()))
}

/// Splits an address at its first `://`; the first colon is nearly always there.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let colon = text.bytes().position(|byte| byte == b':')?;
    match text[colon..].strip_prefix("://") {
        Some(rest) => Some((&text[..colon], rest)),
        None => text.split_once("://"),
    }
}

/// Returns the host of an address or of a subscriber id, without scheme, port and path.
pub(super) fn host(text: &str) -> &str {
    let rest = split_scheme(text).map_or(text, |(_, rest)| rest);
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = end.unwrap_or(rest.len());
    let authority = &rest[..end];
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.rsplit_once(':') {
        // An IPv6 address without brackets is all colons, and has no port.
        Some((host, port)) if are_digits(port) && authority.parse::<IpAddr>().is_err() => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(is_form: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(is_form(text), "refused: {text:?}");
        }
        for text in bad {
            assert!(!is_form(text), "accepted: {text:?}");
        }
    }

    #[test]
    fn an_id_is_bounded_in_characters_not_in_bytes() {
        assert!(is_bounded_id(&"x".repeat(256)));
        assert!(is_bounded_id(&"ü".repeat(256)));
        assert!(!is_bounded_id(&"x".repeat(257)));
        assert!(!is_bounded_id(&"ü".repeat(257)));
    }

    #[test]
    fn a_uuid_is_told_from_other_ids() {
        check(
            is_uuid,
            &["6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3f", "6F1C2F0E-93F2-4A86-9C8E-0A6B7C5D4E3F"],
            &[
                "",
                "6f1c2f0e93f24a869c8e0a6b7c5d4e3f",
                "6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3g",
                "6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3f0",
                "{6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3}",
            ],
        );
    }

    #[test]
    fn an_order_id_of_ondc_is_short_or_a_uuid() {
        check(
            is_ondc_order_id,
            &["A-1", "6f1c2f0e-93f2-4a86-9c8e-0a6b7c5d4e3f", "12345678901234567890123456789012"],
            &["", "a b", "order/1", "123456789012345678901234567890123"],
        );
    }

    #[test]
    fn a_time_has_a_date_and_a_zone() {
        check(
            is_rfc3339,
            &[
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:04:05.1234567890Z",
                "2026-01-02T03:04:05.678+05:30",
                "2026-01-02t03:04:05z",
            ],
            &[
                "",
                "2026-01-02",
                "2026-01-02T03:04:05",
                "2026-01-02 03:04:05Z",
                "2026-01-02T03:04:05:678Z",
                "026-01-02T03:04:05Z",
                "22026-01-02T03:04:05Z",
                "2026-13-02T03:04:05Z",
                "{{timestamp}}",
            ],
        );
        check(
            is_ondc_time,
            &["2026-01-02T03:04:05.678Z"],
            &["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.67Z", "2026-01-02T03:04:05+05:30", ""],
        );
    }

    #[test]
    fn a_duration_is_in_capitals_and_in_order() {
        check(
            is_duration,
            &["PT30S", "P1D", "P1Y2M3W4DT5H6M7S", "PT0.5S", "P2.5D", "PT1H", "P1W", "PT1,5H"],
            &[
                "", "P", "PT", "P1DT", "PT30s", "pt30s", "P24H", "PT1D", "30S", "PT5M1H",
                "P1.5DT1H", "PT.5S", "PT1.S", "PT1.2.3S", "PTS", "-PT1S", "PT1HÄ",
            ],
        );
    }

    #[test]
    fn a_position_lies_on_the_earth() {
        check(
            is_gps,
            &["12.9,77.6", "12.9, 77.6", "-90,180", "90.000,-180.0", "+1,+2", "0,0"],
            &[
                "",
                "12.9",
                "12.9 77.6",
                "90.1,0",
                "0,180.5",
                "12.,77",
                "a,b",
                "1,2,3",
                "1000,0",
                "12.9,77.6 N",
            ],
        );
    }

    #[test]
    fn codes_of_places_have_their_published_form() {
        check(is_country, &["IND", "USA"], &["", "IN", "ind", "India", "I1D"]);
        check(
            is_ondc_city,
            &["std:080", "std:0124"],
            &["", "*", "080", "std:", "STD:080", "std:*"],
        );
    }

    #[test]
    fn an_address_has_a_known_scheme_and_a_host() {
        let is_web = |text: &str| is_address(text, &["http", "https"]);
        check(
            is_web,
            &["https://buyer.example/beckn", "HTTP://buyer_app.example:8080", "http://[::1]:80/x"],
            &[
                "",
                "buyer.example",
                "https://",
                "https:///x",
                "ftp://buyer.example",
                "https://a b.c",
            ],
        );
    }

    #[test]
    fn the_host_is_what_is_left_without_scheme_user_port_and_path() {
        let check = |text: &str, expected: &str| assert_eq!(host(text), expected, "{text}");
        check("https://buyer.example:8080/beckn", "buyer.example");
        check("buyer.example/ondc", "buyer.example");
        check("https://track.example?id=1", "track.example");
        check("https://me:pw@buyer.example", "buyer.example");
        check("http://[::1]:80/x", "[::1]");
        check("", "");
    }
}
