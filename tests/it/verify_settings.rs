//! `verify` without `--public-key`: with the keys that a receiver of these settings would use.

use std::path::Path;

use beckn_receiver::mock::{MockRecord, MockRegistry};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Seller, binary, on_status};

/// Settings in a directory of their own, and a body.
struct Place(TempDir);

/// What `verify` said.
struct Verdict {
    code: Option<i32>,
    report: Value,
    told: String,
}

impl Verdict {
    /// Returns the causes of a signature that does not verify.
    #[track_caller]
    fn causes(&self) -> Vec<&str> {
        let failures = self.report["failures"].as_array();
        let failures = failures.unwrap_or_else(|| panic!("no report: {}", self.told));
        failures.iter().map(|failure| failure["cause"].as_str().unwrap()).collect()
    }
}

impl Place {
    fn new(settings: &str) -> Self {
        let place = Self(TempDir::new().unwrap());
        std::fs::write(place.path().join("config.toml"), settings).unwrap();
        place
    }

    fn at(registry: &MockRegistry) -> Self {
        Self::new(&format!("registry.url = \"{}\"", registry.url()))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Verifies a callback of `seller.example` that was signed now.
    async fn verify(&self, signer: &Seller) -> Verdict {
        let body = on_status("t", "m", "Packed");
        std::fs::write(self.path().join("body.json"), &body).unwrap();
        let header = signer.authorization(body.as_bytes());
        let mut command = binary();
        command.current_dir(self.path());
        command.args(["verify", "body.json", "--json", "--authorization", &header]);
        // The registry is served by this thread's runtime.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Verdict {
            code: output.status.code(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            told: text(output.stderr),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_key_verifies_without_a_registry() {
    let seller = Seller::new("seller.example");
    let place = Place::new(&format!("signature.pinned_keys = [\"{}\"]", seller.pinned()));
    let verdict = place.verify(&seller).await;
    assert_eq!((verdict.code, verdict.causes()), (Some(0), vec![]), "{}", verdict.report);
    assert_eq!(verdict.report["signed"]["unique_key"], "key-1");
    let verdict = place.verify(&Seller::new("other.example")).await;
    assert_eq!((verdict.code, verdict.causes()), (Some(1), vec!["signature.unknown_subscriber"]));
    let message = verdict.report["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("other.example"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_pinned_keys_and_the_registry_are_both_asked() {
    let (pinned, listed) = (Seller::new("seller.example"), Seller::new("listed.example"));
    let registry = MockRegistry::start().await.unwrap();
    registry.add(listed.record());
    let place = Place::new(&format!(
        "signature.pinned_keys_file = \"pinned\"\nregistry.url = \"{}\"",
        registry.url()
    ));
    std::fs::write(place.path().join("pinned"), format!("# ours\n{}\n", pinned.pinned())).unwrap();
    assert_eq!(place.verify(&pinned).await.code, Some(0));
    assert_eq!(registry.lookups(), 0, "who is pinned is not looked up");
    // By a key that is found, and not by the seller that the body names.
    let verdict = place.verify(&listed).await;
    assert_eq!((verdict.code, verdict.causes()), (Some(1), vec!["signature.signer_is_not_bpp_id"]));
    assert_eq!(verdict.report["signed"]["matches"], json!(true));
    assert_eq!(registry.lookups(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_says_of_the_key_decides() {
    type Change = fn(&mut MockRecord);
    let seller = Seller::new("seller.example");
    let none: Change = |_record| {};
    let expired: Change = |record| record.valid_until = Some(Utc::now() - TimeDelta::hours(1));
    let future: Change = |record| record.valid_from = Some(Utc::now() + TimeDelta::hours(1));
    let unsubscribed: Change = |record| record.status = "UNSUBSCRIBED".to_owned();
    for (signer, change, causes, matches) in [
        (Seller::new("seller.example"), none, &[][..], Some(true)),
        (Seller::new("seller.example"), expired, &["signature.key_no_longer_valid"], Some(true)),
        (
            Seller::new("seller.example"),
            unsubscribed,
            &["signature.key_no_longer_valid"],
            Some(true),
        ),
        (Seller::new("seller.example"), future, &["signature.key_not_yet_valid"], Some(true)),
        (seller.rekeyed("key-2"), none, &["signature.unknown_key"], None),
        (seller.rekeyed("key-1"), none, &["signature.does_not_match"], Some(false)),
        (Seller::new("nobody.example"), none, &["signature.unknown_subscriber"], None),
    ] {
        let registry = MockRegistry::start().await.unwrap();
        registry.add(seller.record());
        registry.change("seller.example", change);
        let verdict = Place::at(&registry).verify(&signer).await;
        assert_eq!(verdict.causes(), causes, "{}", verdict.report);
        assert_eq!(verdict.code, Some(i32::from(!causes.is_empty())), "{}", verdict.report);
        assert_eq!(verdict.report["signed"]["matches"], json!(matches), "{}", verdict.report);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_cannot_be_asked_is_told_with_the_reason() {
    let (seller, ours) = (Seller::new("seller.example"), Seller::new("buyer.example"));
    let registry = MockRegistry::start().await.unwrap();
    registry.add(seller.record());
    let check = async |settings: &str, code: i32, says: &[&str]| {
        let verdict = Place::new(settings).verify(&seller).await;
        assert_eq!((verdict.code, &verdict.report), (Some(code), &Value::Null), "{settings}");
        for says in says {
            assert!(verdict.told.contains(says), "{says}: {}", verdict.told);
        }
        assert!(!verdict.told.contains(&ours.private()[..10]), "{}", verdict.told);
    };
    let (url, url_v2) = (registry.url(), registry.url_v2());
    let signing = format!(
        "registry.api = \"ondc_v2\"\nregistry.url = \"{url_v2}\"\n\
         registry.key_id = \"buyer.example|key-1\"\nregistry.private_key = \"{}\"",
        ours.private()
    );
    // We are not listed there.
    check(&signing, 1, &["registry.url", "our own signature", "401"]).await;
    check(&format!("registry.url = \"{url}/nowhere\""), 1, &["registry.url", "404"]).await;
    registry.go_down();
    check(&format!("registry.url = \"{url}\""), 1, &["registry.url", "503"]).await;
    registry.hang();
    let impatient = format!("registry.url = \"{url}\"\nregistry.timeout_ms = 100");
    check(&impatient, 1, &["registry.url", "100ms"]).await;
    check("signature.pinned_keys_file = \"none\"", 2, &["signature.pinned_keys_file"]).await;
}
