//! Orders in words, from the sample payloads and from what real sellers sent.

use std::path::{Path, PathBuf};

use super::view::{Moment, SummaryView};
use super::{Tone, summary};
use crate::beckn::callback::Callback;
use crate::operations::Sight;

fn sample(name: &str, sight: Sight) -> SummaryView {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/payloads").join(name);
    summary(&Callback::parse(&std::fs::read(path).unwrap()).unwrap(), sight)
}

/// What of an order in the samples tells of a person.
const PRIVATE: &[&str] =
    &["Asha", "Ravi", "900000000", "Lake View", "12.978400", "KA01AA0001", "track.seller.example"];

#[test]
fn an_order_reads_as_its_seller_means_it() {
    let view = sample("on_status_ondc_1_2_5.json", Sight::Bodies);
    assert_eq!((view.about, view.id.as_deref()), ("order", Some("O-2041")));
    assert_eq!((view.state.as_deref(), view.tone), (Some("In-progress"), Tone::Going));
    let reached: Vec<_> = view.steps.iter().map(|step| step.reached).collect();
    assert_eq!(reached, ["past", "past", "now", "ahead"]);
    let fulfillment = &view.fulfillments.rows[0];
    assert_eq!(fulfillment.state.as_deref(), Some("Order-picked-up"));
    assert_eq!(fulfillment.agent.as_deref(), Some("Ravi Example, 9000000002"));
    assert!(fulfillment.to.as_ref().unwrap().place.as_ref().unwrap().contains("Lake View"));
    let picked = fulfillment.from.as_ref().unwrap().at.as_ref();
    assert_eq!(
        picked,
        Some(&Moment {
            text: "2026-03-14T09:07:41.000Z".into(),
            utc: Some("2026-03-14T09:07:41Z".into()),
        })
    );
    let item = &view.items.rows[0];
    assert_eq!((item.name.as_deref(), item.count.as_deref()), (Some("Masala Dosa"), Some("2")));
    assert_eq!(item.price.as_ref().unwrap().value, "120.00");
    let quote = view.quote.as_ref().unwrap();
    assert_eq!(quote.total.as_ref().unwrap().value, "330.00");
    assert!(!view.holds_back);
}

#[test]
fn what_tells_of_a_person_is_kept_back_from_who_may_not_see_bodies() {
    for name in ["on_status_ondc_1_2_5.json", "on_track_ondc_1_2_5.json"] {
        let whole = format!("{:?}", sample(name, Sight::Bodies));
        assert!(PRIVATE.iter().any(|private| whole.contains(private)), "{name}: {whole}");
        let view = sample(name, Sight::Masked);
        assert!(view.holds_back, "{name}");
        let masked = format!("{view:?}");
        for private in PRIVATE {
            assert!(!masked.contains(private), "{name} shows {private}: {masked}");
        }
    }
    let masked = sample("on_status_ondc_1_2_5.json", Sight::Masked);
    let to = masked.fulfillments.rows[0].to.as_ref().unwrap();
    assert_eq!(to.place.as_deref(), Some("Bengaluru, 560038"));
}

#[test]
fn a_tracking_a_contract_and_an_error_have_words_too() {
    let tracking = sample("on_track_ondc_1_2_5.json", Sight::Bodies);
    assert_eq!((tracking.about, tracking.id.as_deref()), ("tracking", Some("O-2041")));
    assert_eq!(tracking.tracking.unwrap().gps.as_deref(), Some("12.975012,77.641003"));
    let contract = sample("on_status_beckn_2_0.json", Sight::Bodies);
    assert_eq!(contract.about, "contract");
    assert!(contract.state.is_some());
    let error = sample("error_only.json", Sight::Bodies);
    assert!(error.error.unwrap().code.is_some());
}

#[test]
fn every_sample_and_every_real_body_has_a_summary_of_bounded_length() {
    let mut count = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [root.join("examples/payloads"), root.join("../shared/corpus")] {
        for file in files(&folder) {
            let Ok(body) = std::fs::read(&file) else { continue };
            let Ok(callback) = Callback::parse(&body) else { continue };
            let view = summary(&callback, Sight::Masked);
            let shown = [view.items.rows.len(), view.fulfillments.rows.len()];
            assert!(shown.iter().all(|rows| *rows <= super::ROWS), "{}", file.display());
            count += 1;
        }
    }
    assert!(count >= 20, "found {count}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    // The corpus is beside some checkouts only.
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect()
}
