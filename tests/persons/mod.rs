//! What the corpus beside the checkout tells of persons, gathered from the bodies themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the corpus.
pub(crate) struct Body {
    /// The folder, which is the action.
    pub(crate) action: String,
    pub(crate) bytes: Vec<u8>,
}

/// Returns the corpus; `None`, and a word on it, where it is not beside the checkout.
pub(crate) fn corpus() -> Option<Vec<Body>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let Ok(index) = std::fs::read_to_string(folder.join("index.csv")) else {
        println!("skipped: there is no corpus beside the checkout");
        return None;
    };
    let files = index.lines().skip(1).map(|line| PathBuf::from(line.split(',').next().unwrap()));
    let body = |file: PathBuf| Body {
        action: file.iter().next().unwrap().to_str().unwrap().to_owned(),
        bytes: std::fs::read(folder.join(file)).unwrap(),
    };
    Some(files.map(body).collect())
}

/// What is said of persons in these bodies, and what of it cannot be told from harmless text.
#[derive(Debug, Default)]
pub(crate) struct Persons {
    pub(crate) texts: BTreeSet<String>,
    pub(crate) excluded: BTreeSet<String>,
}

impl Persons {
    pub(crate) fn of<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut texts, mut harmless) = (BTreeSet::new(), BTreeSet::new());
        for body in bodies {
            if let Ok(body) = serde_json::from_slice::<Value>(body) {
                walk(&body, &mut Vec::new(), &mut texts, &mut harmless);
            }
        }
        let (excluded, texts) = texts
            .into_iter()
            .partition(|text| harmless.iter().any(|harmless| harmless.contains(text.as_str())));
        Self { texts, excluded }
    }

    /// Fails when something is said of a person.
    #[track_caller]
    pub(crate) fn assert_absent(&self, what: &str, output: &str) {
        let found: Vec<&String> =
            self.texts.iter().filter(|text| output.contains(text.as_str())).collect();
        assert!(found.is_empty(), "{what}: {found:?}");
    }
}

/// Where persons are told of.
const OF_PERSONS: [&str; 8] =
    ["billing", "customer", "agent", "person", "contact", "address", "passengers", "beckn:buyer"];

/// Parts of an address.
const OF_ADDRESS: [&str; 8] =
    ["name", "building", "door", "street", "locality", "ward", "full", "schema:streetAddress"];

/// Keys of ids and codes, which a log may name.
const HARMLESS: [&str; 14] = [
    "id",
    "code",
    "state",
    "status",
    "type",
    "domain",
    "bap_id",
    "bpp_id",
    "transaction_id",
    "message_id",
    "action",
    "city",
    "country",
    "currency",
];

fn walk<'a>(
    value: &'a Value,
    keys: &mut Vec<&'a str>,
    texts: &mut BTreeSet<String>,
    harmless: &mut BTreeSet<String>,
) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                keys.push(key);
                walk(value, keys, texts, harmless);
                keys.pop();
            }
        }
        Value::Array(elements) => {
            for value in elements {
                walk(value, keys, texts, harmless);
            }
        }
        Value::String(text) => {
            let is_of_person = keys.iter().any(|key| OF_PERSONS.contains(key));
            if tells_of_a_person(text, keys, is_of_person) {
                texts.insert(text.trim().to_owned());
            } else if !is_of_person && keys.last().is_some_and(|key| HARMLESS.contains(key)) {
                harmless.insert(text.clone());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Short texts, as a house's number, are part of many a word.
fn tells_of_a_person(text: &str, keys: &[&str], is_of_person: bool) -> bool {
    let Some(key) = keys.last() else { return false };
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_long = text.trim().chars().count() >= 6;
    let is_phone = (key.contains("phone") || key.contains("mobile")) && digits >= 7;
    let is_email = key.contains("email") && text.contains('@') && text.contains('.');
    let is_address = *key == "address" || (keys.contains(&"address") && OF_ADDRESS.contains(key));
    let is_name = is_of_person && key.contains("name");
    let is_place = is_of_person && *key == "gps" && text.contains(',');
    is_long && (is_phone || is_email || is_address || is_name || is_place)
}
