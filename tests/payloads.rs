//! The sample callbacks in `examples/payloads` are JSON, documented, and complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use beckn_receiver::{Action, OrderEvent};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/payloads")
}

/// Returns the samples, as paths relative to their folder.
fn samples() -> BTreeSet<String> {
    let names = |inner: &str| {
        let entries = fs::read_dir(folder().join(inner)).expect("the folder is in the checkout");
        let names = entries.map(|entry| {
            let name = entry.expect("an entry that can be read").file_name();
            format!("{inner}{}", name.to_str().expect("a name in UTF-8"))
        });
        names.filter(|name| name != "README.md" && name != "mistakes").collect::<Vec<_>>()
    };
    names("").into_iter().chain(names("mistakes/")).collect()
}

fn parsed(name: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&fs::read_to_string(folder().join(name)).expect("a text file"))
}

/// Returns the context's action without the prefix that Beckn 2.0 allows.
fn action_of(body: &Value) -> Option<Action> {
    Action::from_context(body["context"]["action"].as_str()?)
}

#[test]
fn every_json_file_parses_and_no_other_does() {
    for name in samples() {
        let is_json = Path::new(&name).extension().is_some_and(|extension| extension == "json");
        assert_eq!(parsed(&name).is_ok(), is_json, "{name}");
    }
}

#[test]
fn the_readme_lists_the_files_that_exist_and_only_those() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), samples());
}

#[test]
fn every_action_has_a_sample_whose_name_starts_with_its_route() {
    let mut shown = BTreeSet::new();
    for name in samples().iter().filter(|name| name.starts_with("on_")) {
        let action = action_of(&parsed(name).unwrap()).expect("an action of the protocol");
        let rest = name.strip_prefix(action.as_str()).unwrap_or_else(|| panic!("{name}"));
        assert!(rest.starts_with('.') || rest.starts_with("_beckn") || rest.starts_with("_ondc"));
        shown.insert(action);
    }
    assert_eq!(shown, BTreeSet::from(Action::ALL));
}

#[test]
fn the_pair_of_a_reused_id_shares_its_ids_and_not_its_state() {
    let [first, second] = ["first", "second"]
        .map(|which| parsed(&format!("mistakes/id_reused_{which}.json")).expect("JSON"));
    for id in ["transaction_id", "message_id", "bpp_id", "bap_id", "action"] {
        assert_eq!(first["context"][id], second["context"][id]);
    }
    assert_ne!(first["message"], second["message"]);
}

#[test]
fn a_sample_without_a_mistake_is_read_without_an_oddity() {
    for name in samples().iter().filter(|name| !name.starts_with("mistakes/")) {
        let action = action_of(&parsed(name).unwrap()).unwrap();
        let event = OrderEvent::parse(action, fs::read(folder().join(name)).unwrap()).unwrap();
        assert_eq!(event.oddities.as_slice(), [], "{name}");
    }
}
