//! `{{placeholders}}` of samples and API collections, filled by what their names say.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// The longest name that is taken for one.
const LONGEST_NAME: usize = 64;

/// What is filled in where no name says better: it reads as a number and as a text.
const PLAIN: &str = "1";

/// What the placeholders stand for, one value for each name in all of a file.
#[derive(Debug)]
pub(super) struct Values<'a> {
    pub(super) bap_id: &'a str,
    pub(super) bpp_id: &'a str,
    pub(super) action: &'a str,
    pub(super) now: DateTime<Utc>,
}

/// A placeholder that was filled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) places: usize,
}

/// Fills every placeholder of a text that is JSON but for them and small slips.
///
/// In a text it becomes a part of the text; elsewhere it becomes a value.
pub(super) fn fill(json: &str, values: &Values<'_>) -> (String, Vec<Filled>) {
    let mut filled: Vec<Filled> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut text = String::with_capacity(json.len());
    let (mut in_text, mut is_escaped) = (false, false);
    let mut rest = json;
    while let Some(character) = rest.chars().next() {
        if let Some((name, after)) = placeholder(rest) {
            let at = *index.entry(name.to_owned()).or_insert_with(|| {
                let value = values.of(name);
                filled.push(Filled { name: name.to_owned(), value, places: 0 });
                filled.len() - 1
            });
            filled[at].places += 1;
            text.push_str(&written(&filled[at].value, in_text));
            (rest, is_escaped) = (after, false);
            continue;
        }
        in_text ^= character == '"' && !is_escaped;
        is_escaped = in_text && character == '\\' && !is_escaped;
        text.push(character);
        rest = &rest[character.len_utf8()..];
    }
    (text, filled)
}

/// Returns the name of the placeholder that the text begins with, and what follows it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix("{{")?.split_once("}}")?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | ' ');
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(is_name);
    fits.then_some((name, after))
}

fn written(value: &str, in_text: bool) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    if in_text {
        return quoted[1..quoted.len() - 1].to_owned();
    }
    if value == PLAIN { PLAIN.to_owned() } else { quoted }
}

impl Values<'_> {
    /// Returns what a placeholder of this name stands for.
    fn of(&self, name: &str) -> String {
        let name: String =
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if ends(&["transactionid", "messageid", "uuid", "guid"]) {
            Uuid::new_v4().to_string()
        } else if ends(&["timestamp", "createdat", "updatedat", "datetime"]) {
            time(self.now)
        } else if ends(&["bapid"]) {
            self.bap_id.to_owned()
        } else if ends(&["bppid"]) {
            self.bpp_id.to_owned()
        } else if ends(&["bapuri", "bapurl"]) {
            format!("https://{}/beckn", self.bap_id)
        } else if ends(&["bppuri", "bppurl"]) {
            format!("https://{}/beckn", self.bpp_id)
        } else if ends(&["action"]) {
            self.action.to_owned()
        } else {
            let known = [
                ("city", "std:080"),
                ("citycode", "std:080"),
                ("country", "IND"),
                ("countrycode", "IND"),
                ("domain", "ONDC:RET11"),
                ("version", "1.2.5"),
                ("ttl", "PT30S"),
            ];
            let known = known.into_iter().find(|(end, _)| name.ends_with(end));
            known.map_or(PLAIN, |(_, value)| value).to_owned()
        }
    }
}

/// Returns a time as ONDC writes it.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::{Values, fill};

    fn values() -> Values<'static> {
        Values {
            bap_id: "buyer.example",
            bpp_id: "a\"b",
            action: "on_status",
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_placeholder_becomes_what_its_name_says() {
        let check = |json: &str, expected: &str| {
            assert_eq!(fill(json, &values()).0, expected, "{json}");
        };
        check(r#"["{{bap_id}}", "{{ context.bapId }}"]"#, r#"["buyer.example", "buyer.example"]"#);
        check(r#"["{{bpp_id}}"]"#, r#"["a\"b"]"#);
        check("[{{bpp_id}}, {{count}}]", r#"["a\"b", 1]"#);
        check(r#"["{{timestamp}}"]"#, r#"["2026-01-02T03:04:05.000Z"]"#);
        check(r#"["{{bap_uri}}/x"]"#, r#"["https://buyer.example/beckn/x"]"#);
        check(r#"["{{city}}","{{core_version}}","{{price}}"]"#, r#"["std:080","1.2.5","1"]"#);
        check(r#"{"a":{{x}}}"#, r#"{"a":1}"#);
        check(r#"["\"{{x}}"]"#, r#"["\"1"]"#);
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        for json in [r#"{"a":{"b":{}}}"#, r#"["{{}}"]"#, r#"["{{a:b}}"]"#, r#"["{{open"]"#, "ä{"] {
            assert_eq!(fill(json, &values()), (json.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn one_name_has_one_value_in_all_of_a_file() {
        let json = r#"["{{transaction_id}}","{{message_id}}","{{transaction_id}}"]"#;
        let (text, filled) = fill(json, &values());
        let [first, second, third]: [String; 3] = serde_json::from_str(&text).unwrap();
        assert!(first == third && first != second);
        let places: Vec<_> = filled.iter().map(|one| (&*one.name, one.places)).collect();
        assert_eq!(places, [("transaction_id", 2), ("message_id", 1)]);
    }
}
