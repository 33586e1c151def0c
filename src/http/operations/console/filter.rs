//! What a person asks a list for, as the address of the page says it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::render::segment;
use crate::beckn::scalar::Timestamp;
use crate::event::Flag;
use crate::inbox::reader::Progress;
use crate::inbox::reader::selection::Filter;

/// The fields of the filter; an empty one asks for nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) action: String,
    pub(super) seller: String,
    pub(super) transaction_id: String,
    pub(super) message_id: String,
    pub(super) order_id: String,
    pub(super) state: String,
    pub(super) progress: String,
    pub(super) flag: String,
    pub(super) since: String,
    pub(super) until: String,
    /// Where the page begins.
    pub(super) after: String,
}

impl Asked {
    fn fields(&self) -> [(&'static str, &str); 10] {
        [
            ("action", &self.action),
            ("seller", &self.seller),
            ("transaction_id", &self.transaction_id),
            ("message_id", &self.message_id),
            ("order_id", &self.order_id),
            ("state", &self.state),
            ("progress", &self.progress),
            ("flag", &self.flag),
            ("since", &self.since),
            ("until", &self.until),
        ]
        .map(|(name, value)| (name, value.trim()))
    }

    /// Returns what it asks for as the query of an address, without the place of the page.
    pub(super) fn query(&self) -> String {
        let asked = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        let parts = asked.map(|(name, value)| format!("{name}={}", segment(value)));
        parts.collect::<Vec<_>>().join("&")
    }

    /// Returns the filter that it means.
    ///
    /// # Errors
    /// What cannot be meant, for the person who asked.
    pub(super) fn filter(&self, now: DateTime<Utc>) -> Result<Filter, Vec<&'static str>> {
        let mut mistakes = Vec::new();
        let said =
            |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        let progress = said(&self.progress).and_then(|word| {
            let found = Progress::ALL.into_iter().find(|known| known.as_str() == word);
            found.or_else(|| {
                mistakes.push("Progress is pending, done, dead or rejected.");
                None
            })
        });
        let flag = said(&self.flag).and_then(|word| {
            let found = Flag::ALL.into_iter().find(|known| known.as_str() == word);
            found.or_else(|| {
                mistakes.push("There is no such flag.");
                None
            })
        });
        let mut moment = |text: &str, mistake| {
            said(text).and_then(|text| {
                let found = moment(&text, now);
                if found.is_none() {
                    mistakes.push(mistake);
                }
                found
            })
        };
        let filter = Filter {
            received_since: moment(
                &self.since,
                "Since is a time as 2026-03-14 09:12, or 15m, 2h, 1d.",
            ),
            received_until: moment(
                &self.until,
                "Until is a time as 2026-03-14 09:12, or 15m, 2h, 1d.",
            ),
            action: said(&self.action),
            seller: said(&self.seller),
            transaction_id: said(&self.transaction_id),
            message_id: said(&self.message_id),
            order_id: said(&self.order_id),
            any_id: None,
            state: said(&self.state),
            flag,
            progress,
        };
        if mistakes.is_empty() { Ok(filter) } else { Err(mistakes) }
    }
}

/// Reads a time (UTC when it has no zone), or how long ago it was.
fn moment(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Some(unit) = text.chars().last().filter(|_| text.is_ascii())
        && let Ok(number) = text[..text.len() - 1].parse::<u32>()
    {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        return now.checked_sub_signed(TimeDelta::seconds(i64::from(number) * seconds));
    }
    let read = |text: &str| Timestamp::new(text).utc();
    // Browsers leave the seconds out.
    read(text).or_else(|| read(&format!("{text}:00")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: DateTime<Utc> = "2026-03-14T09:12:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<&str>| {
            let found =
                moment(text, now).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
            let found = found.map(|at| at.trim_end_matches('Z').to_owned());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("12m", Some("2026-03-14T09:00:00"));
        check("1d", Some("2026-03-13T09:12:00"));
        check("2026-03-14", Some("2026-03-14T00:00:00"));
        check("2026-03-14 08:00", Some("2026-03-14T08:00:00"));
        check("2026-03-14T08:00", Some("2026-03-14T08:00:00"));
        check("2026-03-14T08:00:00+05:30", Some("2026-03-14T02:30:00"));
        check("yesterday", None);
        check("4294967295d", None);
        check("५m", None);
    }

    #[test]
    fn a_filter_survives_its_address() {
        let asked = Asked { seller: "a b&c=d".to_owned(), ..Asked::default() };
        assert_eq!(asked.query(), "seller=a%20b%26c%3Dd");
        let mistaken = Asked { flag: "x".to_owned(), since: "y".to_owned(), ..Asked::default() };
        assert_eq!(mistaken.filter(Utc::now()).unwrap_err().len(), 2);
    }
}
