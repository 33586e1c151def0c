//! Real bodies, found in public: all are read, and the complete ones are typed.

use std::collections::BTreeMap;
use std::fs;

use crate::beckn::callback::{Callback, Malformed, Payload};

use super::shared;

/// A row of the corpus's index, as far as it matters here.
struct Row {
    file: String,
    action: String,
    is_json: bool,
    follows: bool,
}

fn rows(index: &str) -> Vec<Row> {
    let rows = index.lines().skip(1).map(|line| {
        let mut columns = line.split(',');
        let mut column = || columns.next().unwrap_or_default().to_owned();
        let (file, action) = (column(), column());
        let is_json = columns.nth(2) == Some("y");
        let follows = ["on_status", "on_update", "on_track"].contains(&&*action);
        Row { file, action, is_json, follows }
    });
    rows.collect()
}

#[test]
fn every_real_body_is_read_and_what_is_not_json_is_told_with_its_place() {
    let Some(corpus) = shared("corpus") else { return };
    let index = fs::read_to_string(corpus.join("index.csv")).unwrap();
    let mut complete = 0;
    let mut kinds = BTreeMap::<&str, usize>::new();
    for row in rows(&index) {
        let body = fs::read(corpus.join(&row.file)).unwrap();
        match Callback::parse(&body) {
            Ok(callback) => {
                for oddity in &callback.oddities {
                    *kinds.entry(oddity.name()).or_default() += 1;
                }
                let ids = callback.context.transaction_id.is_some()
                    && callback.context.message_id.is_some();
                let usable = match callback.payload {
                    Payload::None => callback.error.is_some(),
                    Payload::Tracking(_) => row.action == "on_track",
                    Payload::Order(_) | Payload::Contract(_) => row.action != "on_track",
                };
                let named = callback.context.action().is_some_and(|a| a.as_str() == row.action);
                complete += usize::from(row.is_json && row.follows && ids && usable && named);
            }
            Err(Malformed::Json { line, .. }) => assert!(line > 0, "{}", row.file),
            Err(other) => assert!(!row.follows, "{}: {other}", row.file),
        }
        if row.is_json {
            assert!(
                !matches!(Callback::parse(&body), Err(Malformed::Json { .. })),
                "{} is JSON",
                row.file
            );
        }
    }
    println!("{complete} complete; {kinds:?}");
    assert_eq!(complete, 833);
}
