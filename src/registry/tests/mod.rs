//! Keys looked up over real sockets, at a mock registry; the time is the tests'.

#![cfg(feature = "mock")]

mod cost;
mod outage;
mod rotation;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

#[cfg(test)]
use crate::mock::{MockRecord, MockRegistry};
use crate::signature::{Key, PrivateKey};
use crate::words::KeyId;

use super::{Api, Keys, Missing, Options, RegistryOptions};

const SELLER: &str = "seller.example";

/// Keys with a registry behind them.
struct Net {
    registry: MockRegistry,
    keys: Arc<Keys>,
}

fn options(url: String) -> RegistryOptions {
    RegistryOptions {
        url,
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
        metrics: Arc::default(),
    }
}

async fn net() -> Net {
    net_of(|_options| {}).await
}

async fn net_of(change: impl FnOnce(&mut RegistryOptions)) -> Net {
    let registry = MockRegistry::start().await.unwrap();
    let mut options = options(registry.url());
    change(&mut options);
    let keys = Keys::open(Options { pinned: Vec::new(), registry: Some(options) }).unwrap();
    registry.add(record(SELLER, "k1", 1));
    Net { registry, keys: Arc::new(keys) }
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn record(subscriber: &str, unique_key: &str, seed: u8) -> MockRecord {
    MockRecord::new(subscriber, unique_key, private(seed).public().to_string())
}

fn id(subscriber: &str, unique_key: &str) -> KeyId {
    KeyId::new(subscriber, Some(unique_key.to_owned()))
}

/// This many milliseconds after the tests' beginning of time.
fn ms(milliseconds: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::milliseconds(milliseconds)
}

fn at(seconds: i64) -> DateTime<Utc> {
    ms(seconds * 1_000)
}

/// What came of asking for a key: the seed of the key, or why there is none.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Seed(u8),
    UnknownSubscriber,
    UnknownKey,
    Unavailable(Duration),
}

fn seed(key: &Key) -> u8 {
    (0..=u8::MAX).find(|seed| private(*seed).public() == key.public).unwrap()
}

impl Net {
    async fn ask(&self, subscriber: &str, unique_key: &str, now: DateTime<Utc>) -> Came {
        ask(&self.keys, &id(subscriber, unique_key), now).await
    }

    async fn seller(&self, now: DateTime<Utc>) -> Came {
        self.ask(SELLER, "k1", now).await
    }
}

async fn ask(keys: &Keys, id: &KeyId, now: DateTime<Utc>) -> Came {
    match keys.key(id, now).await {
        Ok(key) => Came::Seed(seed(&key)),
        Err(Missing::UnknownSubscriber { .. }) => Came::UnknownSubscriber,
        Err(Missing::UnknownKey { .. }) => Came::UnknownKey,
        Err(Missing::Unavailable { retry_after, .. }) => Came::Unavailable(retry_after),
    }
}

const fn unavailable(seconds: u64) -> Came {
    Came::Unavailable(Duration::from_secs(seconds))
}

/// Begins this, and returns whether it has to wait.
async fn waits(future: Pin<&mut impl Future>) -> bool {
    let mut future = Some(future);
    poll_fn(|context| {
        let future = future.take().expect("it is polled once");
        Poll::Ready(future.poll(context).is_pending())
    })
    .await
}

/// Waits until something that goes on beside the test has happened.
async fn until(what: &'static str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
