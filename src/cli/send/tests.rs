//! What is sent of captured files: the project's samples, and the documents' own where they lie.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use clap::Parser as _;
use serde_json::Value;

use super::{Arguments, Ready, Seller, prepared};
use crate::beckn::callback::Callback;
use crate::beckn::tests::seeds::seed;
use crate::mock::Signer;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn now() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn ready(body: &str, options: &[&str]) -> Result<Ready, String> {
    let line = ["send", "file.json"].iter().chain(options);
    let arguments = Line::try_parse_from(line).unwrap().arguments;
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let seller = Seller {
        to: "http://127.0.0.1:1".to_owned(),
        signer: Some(Signer::new("mock-bpp.local|key-1", key).unwrap()),
        bap_id: arguments.seller.bap_id.clone().or(Some("buyer.local".to_owned())),
        bpp_id: arguments.seller.bpp_id.clone(),
    };
    prepared(&arguments, &seller, body.as_bytes(), now())
}

fn text(ready: &Ready) -> &str {
    str::from_utf8(&ready.body).unwrap()
}

#[test]
fn only_the_message_id_and_the_time_of_a_whole_callback_change() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/payloads");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        count += 1;
        let body = fs::read_to_string(&path).unwrap();
        let sent = ready(&body, &[]).unwrap();
        let changed: Vec<_> = body
            .lines()
            .zip(text(&sent).lines())
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before.trim().split(':').next().unwrap().replace("_id", "Id"))
            .collect();
        assert_eq!(body.lines().count(), text(&sent).lines().count(), "{}", path.display());
        let mut sorted = changed.clone();
        sorted.sort();
        assert_eq!(sorted, ["\"messageId\"", "\"timestamp\""], "{}", path.display());
        let callback = Callback::parse(&sent.body).unwrap();
        assert_eq!(callback.context.timestamp.unwrap().utc(), Some(now()));
    }
    assert!(count > 20, "the samples were found: {count}");
}

#[test]
fn what_a_context_lacks_is_put_in_and_told() {
    let sent = ready(r#"{"context":{"bpp_id":"","transaction_id":null},"message":{}}"#, &[]);
    let sent = sent.unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(body["context"]["bpp_id"], "mock-bpp.local");
    assert_eq!(body["context"]["transaction_id"].as_str().unwrap().len(), 36);
    assert_eq!(body["context"]["message_id"].as_str().unwrap().len(), 36);
    assert_eq!(sent.notices.len(), 2, "{:?}", sent.notices);
}

#[test]
fn what_is_asked_for_replaces_what_is_there_and_strangers_ids_are_warned_of() {
    let body = r#"{"context":{"bpp_id":"a.example","bap_id":"b.example","transaction_id":"t"}}"#;
    let kept = ready(body, &[]).unwrap();
    assert!(text(&kept).contains("a.example") && text(&kept).contains("b.example"));
    assert!(kept.notices[0].contains("--bpp-id mock-bpp.local"), "{:?}", kept.notices);
    assert!(kept.notices[1].contains("--bap-id buyer.local"), "{:?}", kept.notices);
    // Of a receiver that is somewhere else, the seller file says nothing.
    let elsewhere = ready(body, &["--to", "http://127.0.0.1:1"]).unwrap();
    assert_eq!(elsewhere.notices.len(), 1, "{:?}", elsewhere.notices);
    let asked = ready(body, &["--bpp-id", "c.example", "--bap-id", "d.example"]).unwrap();
    assert!(text(&asked).contains("c.example") && text(&asked).contains("d.example"));
    assert!(!text(&asked).contains("a.example") && !text(&asked).contains("b.example"));
    assert_eq!(asked.notices, Vec::<String>::new());
    let own = body.replace("a.example", "https://mock-bpp.local/").replace("b.", "buyer.");
    let own = ready(&own.replace("buyer.example", "buyer.local"), &[]).unwrap();
    assert_eq!(own.notices, Vec::<String>::new());
}

#[test]
fn a_mark_and_commas_are_taken_out_with_a_notice() {
    let body = "\u{feff}{\"context\":{\"bpp_id\":\"mock-bpp.local\",\"transaction_id\":\"t\",},\n\"message\":[1e400,1,],}";
    let sent = ready(body, &[]).unwrap();
    // A number that only our models cannot hold is not ours to change.
    assert!(text(&sent).ends_with("\"transaction_id\":\"t\" },\n\"message\":[1e400,1 ] }"));
    assert_eq!(sent.notices.len(), 2, "{:?}", sent.notices);
    assert!(sent.notices[1].contains("the first in line 1"), "{:?}", sent.notices);
}

#[test]
fn what_cannot_be_mended_is_refused_with_its_place() {
    let check = |body: &str, expected: &str| {
        let error = ready(body, &[]).unwrap_err();
        assert!(error.contains(expected) && error.contains("--as-is"), "{error}");
    };
    check("{\n\"context\": {", "line 2");
    check("[]", "context");
    check("{\"context\": 1}", "context");
    check("{}", "context");
    check("", "line 1");
}

#[test]
fn the_documents_samples_can_be_sent() {
    for number in ["000", "001", "002", "003", "004"] {
        let Some(body) = seed(number) else { return };
        let sent = ready(&body, &[]).unwrap();
        let callback = Callback::parse(&sent.body).unwrap();
        assert!(!text(&sent).contains("{{"), "{number}");
        // Everything but the ids and the time reads as it did.
        let before = Callback::parse(body.as_bytes()).unwrap();
        assert_eq!(callback.payload, before.payload, "{number}");
        assert_eq!(callback.context.action(), before.context.action(), "{number}");
        let mended = sent.notices.iter().any(|notice| notice.contains("commas"));
        assert_eq!(mended, ["001", "002", "003"].contains(&number), "{number}");
        if number == "004" {
            let context = &callback.context;
            assert_eq!(context.bap_id.as_deref(), Some("buyer.local"));
            assert_eq!(context.bpp_id.as_deref(), Some("mock-bpp.local"));
            assert_eq!(context.bap_uri.as_deref(), Some("https://buyer.local/beckn"));
        }
    }
}
