//! Whom the first step believes, with a registry beside it.
#![cfg(feature = "mock")]

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::WINDOW;
use crate::intake::trust::{Demand, Distrust, Presented, Trust};
#[cfg(test)]
use crate::mock::{MockRecord, MockRegistry};
use crate::registry::{Api, Keys, Options, RegistryOptions};
use crate::signature::PrivateKey;
use crate::words::{Cause, KeyId, Sender, SubscriberId};

const SELLER: &str = "seller.example";

fn at(seconds: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn record(subscriber: &str, seed: u8) -> MockRecord {
    MockRecord::new(subscriber, "k1", private(seed).public().to_string())
}

async fn trusting() -> (MockRegistry, Trust) {
    let registry = MockRegistry::start().await.unwrap();
    registry.add(record(SELLER, 1));
    let options = RegistryOptions {
        url: registry.url(),
        api: Api::Ondc,
        country: "IND".to_owned(),
        signer: None,
        timeout: Duration::from_secs(10),
        response_limit: 64 * 1_024,
        fresh: Duration::from_mins(5),
        stale: Duration::from_hours(1),
        negative: Duration::from_secs(30),
        subscribers: 100,
        lookups_per_minute: 120,
        metrics: std::sync::Arc::default(),
    };
    let keys = Keys::open(Options { pinned: Vec::new(), registry: Some(options) }).unwrap();
    (registry, Trust::new(Demand::Required, WINDOW, keys))
}

async fn verify(
    trust: &Trust,
    subscriber: &str,
    seed: u8,
    now: DateTime<Utc>,
) -> Result<Option<Sender>, Distrust> {
    let body = Bytes::from_static(b"{}");
    let id = KeyId::new(subscriber, Some("k1".to_owned()));
    let created = now.timestamp();
    let header = private(seed).authorization(&id, &body, created, created + 300);
    trust.verify(Presented::Header(&header), &body, now).await
}

#[tokio::test]
async fn another_spelling_with_another_key_is_another_sender() {
    let (registry, trust) = trusting().await;
    let ours = verify(&trust, SELLER, 1, at(0)).await.unwrap().unwrap();
    assert_eq!(ours, Sender::new(SubscriberId::new(SELLER)));
    // To this registry, which compares texts, these are participants of their own.
    for forged in ["https://seller.example/", "SELLER.example", "http://seller.example"] {
        registry.add(record(forged, 66));
        let thief = verify(&trust, forged, 66, at(1)).await;
        assert_ne!(thief, Ok(Some(ours.clone())), "{forged}");
    }
}

fn is_told_to_come_again(outcome: &Result<Option<Sender>, Distrust>) -> bool {
    matches!(outcome, Err(Distrust::Unavailable { .. }))
}

#[tokio::test]
async fn a_key_that_changed_while_the_registry_is_down_is_answered_503() {
    let (registry, trust) = trusting().await;
    verify(&trust, SELLER, 1, at(0)).await.unwrap();
    registry.replace(SELLER, [record(SELLER, 2)]);
    registry.go_down();
    let outcome = verify(&trust, SELLER, 2, at(1)).await;
    assert!(is_told_to_come_again(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_mistake_that_is_found_is_told_also_while_the_registry_is_down() {
    let (registry, trust) = trusting().await;
    verify(&trust, SELLER, 1, at(0)).await.unwrap();
    registry.go_down();
    let (body, id) = (Bytes::from_static(b"{}"), KeyId::new(SELLER, Some("k1".to_owned())));
    let header = private(1).authorization(&id, b"{}\n", at(1).timestamp(), at(60).timestamp());
    let outcome = trust.verify(Presented::Header(&header), &body, at(1)).await;
    let Err(Distrust::Refused { why, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.cause, Cause::TrailingNewline);
}

#[tokio::test]
async fn every_key_under_one_id_is_the_sellers() {
    let (registry, trust) = trusting().await;
    registry.add(record(SELLER, 2));
    for seed in [1, 2] {
        assert!(verify(&trust, SELLER, seed, at(0)).await.is_ok(), "key {seed}");
    }
    assert!(verify(&trust, SELLER, 3, at(0)).await.is_err());
    assert_eq!(registry.lookups(), 1);
}
