//! A registry: lists subscribers and their keys, and fails when it is told to.
//!
//! It answers as real ones do: `/lookup` filters by what the body holds, to the letter;
//! `/v2.0/lookup` wants a country beside another filter, and a signature by a subscriber that is
//! listed. Who is not listed is an empty list.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Error;
use crate::signature::{Authorization, Key, PublicKey, Window, verify};
use crate::words::KeyId;

/// How a lookup's signature may be out of time.
const WINDOW: Window = Window { skew: 30, max_age: 86_400 };

/// A key of a subscriber, as a [`MockRegistry`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MockRecord {
    /// The subscriber id, as it is registered.
    pub subscriber: String,
    /// The id of the key; `None` in a network with one key a subscriber.
    pub unique_key: Option<String>,
    /// The 32 bytes of the Ed25519 public key in base64.
    pub public_key: String,
    /// From when on it is valid.
    pub valid_from: Option<DateTime<Utc>>,
    /// Until when it is valid.
    pub valid_until: Option<DateTime<Utc>>,
    /// Its standing.
    pub status: String,
}

impl MockRecord {
    /// Returns the record of a key that is subscribed and always valid.
    pub fn new(
        subscriber: impl Into<String>,
        unique_key: impl Into<String>,
        public_key: impl Into<String>,
    ) -> MockRecord {
        MockRecord {
            subscriber: subscriber.into(),
            unique_key: Some(unique_key.into()),
            public_key: public_key.into(),
            valid_from: None,
            valid_until: None,
            status: "SUBSCRIBED".to_owned(),
        }
    }

    /// Leaves the key's id out.
    #[must_use]
    pub fn without_key_id(mut self) -> MockRecord {
        self.unique_key = None;
        self
    }

    /// Sets from when on it is valid.
    #[must_use]
    pub fn valid_from(mut self, from: DateTime<Utc>) -> MockRecord {
        self.valid_from = Some(from);
        self
    }

    /// Sets until when it is valid.
    #[must_use]
    pub fn valid_until(mut self, until: DateTime<Utc>) -> MockRecord {
        self.valid_until = Some(until);
        self
    }

    /// Sets its standing, as in `UNSUBSCRIBED`.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> MockRecord {
        self.status = status.into();
        self
    }

    fn json(&self) -> Value {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        json!({
            "subscriber_id": self.subscriber,
            "ukId": self.unique_key,
            "signing_public_key": self.public_key,
            "valid_from": self.valid_from.map(time),
            "valid_until": self.valid_until.map(time),
            "status": self.status,
        })
    }

    /// Returns the key as a receiver would see it; `None` when it is none.
    fn key(&self) -> Option<Key> {
        let status = (self.status != "SUBSCRIBED").then(|| self.status.clone());
        Some(Key {
            unique_key: self.unique_key.clone(),
            public: PublicKey::parse(&self.public_key).ok()?,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            refused_status: status,
        })
    }
}

/// A registry on a socket of its own. Clones are the same registry; with the last it stops.
#[derive(Debug, Clone)]
pub struct MockRegistry {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Stops the server when the last clone is dropped.
    _stop: Arc<DropGuard>,
}

/// What the server answers from.
#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Book {
    records: Vec<MockRecord>,
    lookups: usize,
    mood: Mood,
    delay: Duration,
}

/// How it answers.
#[derive(Debug, Clone, Default)]
enum Mood {
    #[default]
    Well,
    Hangs,
    Says(StatusCode, String),
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MockRegistry {
    /// Starts a registry without records on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> Result<MockRegistry, Error> {
        MockRegistry::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts a registry without records at this address.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start_at(address: SocketAddr) -> Result<MockRegistry, Error> {
        let failed = |source| Error::new(format!("listen on {address}"), source);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared { book: Mutex::default(), stop: stop.clone() });
        let router = Router::new()
            .route("/lookup", post(unsigned))
            .route("/v2.0/lookup", post(signed))
            .with_state(Arc::clone(&shared));
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        // Ends with the token that the last clone cancels.
        tokio::spawn(async move {
            // It fails only where accepting does, and then its clients see that.
            let _ = serving.await;
        });
        Ok(MockRegistry { shared, address, _stop: Arc::new(stop.drop_guard()) })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the lookup that is not signed, ONDC's older and Beckn's.
    pub fn url(&self) -> String {
        format!("http://{}/lookup", self.address)
    }

    /// Returns the URL of ONDC's lookup that is signed.
    pub fn url_v2(&self) -> String {
        format!("http://{}/v2.0/lookup", self.address)
    }

    /// Lists a key.
    pub fn add(&self, record: MockRecord) {
        self.shared.book().records.push(record);
    }

    /// Lists these keys in place of all that the subscriber has, as after a rotation.
    pub fn replace(&self, subscriber: &str, records: impl IntoIterator<Item = MockRecord>) {
        let mut book = self.shared.book();
        book.records.retain(|record| record.subscriber != subscriber);
        book.records.extend(records);
    }

    /// Lists the subscriber no more.
    pub fn remove(&self, subscriber: &str) {
        self.replace(subscriber, []);
    }

    /// Changes every record of the subscriber, as its status or validity.
    pub fn change(&self, subscriber: &str, change: impl Fn(&mut MockRecord)) {
        let mut book = self.shared.book();
        book.records.iter_mut().filter(|record| record.subscriber == subscriber).for_each(change);
    }

    /// Returns how many lookups have come, however they were answered.
    pub fn lookups(&self) -> usize {
        self.shared.book().lookups
    }

    /// Answers 503 from now on.
    pub fn go_down(&self) {
        self.say(503, "");
    }

    /// Answers every lookup with this status and body from now on.
    ///
    /// # Panics
    /// When the status is none that HTTP has.
    pub fn say(&self, status: u16, body: impl Into<String>) {
        let status = StatusCode::from_u16(status).expect("a status has three digits");
        self.shared.book().mood = Mood::Says(status, body.into());
    }

    /// Takes lookups from now on and answers none.
    pub fn hang(&self) {
        self.shared.book().mood = Mood::Hangs;
    }

    /// Answers as it should from now on.
    pub fn come_up(&self) {
        self.shared.book().mood = Mood::Well;
    }

    /// Waits this long before each answer.
    pub fn delay(&self, delay: Duration) {
        self.shared.book().delay = delay;
    }

    /// Stops the server although there are other clones.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

async fn unsigned(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    answer(&shared, |records| list(records, &body, 1)).await
}

async fn signed(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&shared, |records| match signer(records, &headers, &body) {
        Ok(()) => list(records, &body, 2),
        Err((code, message)) => nack(StatusCode::UNAUTHORIZED, code, message),
    })
    .await
}

async fn answer(shared: &Shared, well: impl FnOnce(&[MockRecord]) -> Response) -> Response {
    let (mood, delay) = {
        let mut book = shared.book();
        book.lookups += 1;
        (book.mood.clone(), book.delay)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match mood {
        Mood::Well => well(&shared.book().records),
        Mood::Hangs => {
            // Stopping must not wait for it.
            shared.stop.cancelled().await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Mood::Says(status, body) => (status, body).into_response(),
    }
}

/// Checks that a listed subscriber signed these bytes; the codes are the mock's own.
fn signer(
    records: &[MockRecord],
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), (&'static str, &'static str)> {
    let header = headers.get(AUTHORIZATION).ok_or(("1020", "The auth header not found"))?;
    let wrong = ("1015", "The signature is not valid");
    let text = header.to_str().map_err(|_not_ascii| wrong)?;
    let authorization = Authorization::parse(text).map_err(|_untrusted| wrong)?;
    let (id, now) = (authorization.key_id(), Utc::now());
    authorization.times().check(now, WINDOW).map_err(|_untrusted| wrong)?;
    let names =
        |record: &&MockRecord| KeyId::new(&record.subscriber, record.unique_key.clone()) == *id;
    let key = records.iter().find(names).and_then(MockRecord::key).ok_or(wrong)?;
    key.check(id, now).map_err(|_untrusted| wrong)?;
    if verify(&authorization, &key.public, body) { Ok(()) } else { Err(wrong) }
}

/// Lists the records that match the filter, which has at least so many parts.
fn list(records: &[MockRecord], filter: &[u8], parts: usize) -> Response {
    let filter: Value = serde_json::from_slice(filter).unwrap_or_default();
    if filter.as_object().is_none_or(|filter| filter.len() < parts) {
        return nack(StatusCode::BAD_REQUEST, "151", "Please provide valid schema");
    }
    let matches = |record: &&MockRecord| {
        filter["subscriber_id"].as_str().is_none_or(|asked| asked == record.subscriber)
    };
    let records: Vec<Value> = records.iter().filter(matches).map(MockRecord::json).collect();
    json_response(StatusCode::OK, &Value::Array(records))
}

fn nack(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "code": code, "message": message });
    json_response(status, &json!({ "message": { "ack": { "status": "NACK" } }, "error": error }))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
