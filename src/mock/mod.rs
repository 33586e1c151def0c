//! A mock BPP: posts the callbacks of an order's life to a receiver, for tests and for a first try.
//!
//! Constraints: it speaks HTTP/1.1, and signs when it has a [`Signer`]; everything it sends is
//! invented; each wait has a time-out and an answer is read up to [`ANSWER_LIMIT_BYTES`]. It knows
//! the protocol and HTTP, not the receiver, so what it finds wrong is wrong on the wire.
//!
//! [`life`](MockBpp::life) gives the steps, [`play`](MockBpp::play) posts them;
//! [`report`](MockBpp::report) gives one callback of the caller's choice, and a [`Breakage`] makes of a callback the request of a sender that does it wrongly. There is no semver promise for
//! this module.

mod bodies;
mod breakage;
mod connection;
mod life;
mod registry;
mod report;
mod signer;
mod target;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::breakage::Breakage;
pub use self::connection::{
    ANSWER_LIMIT_BYTES, Acknowledgement, Answer, Connection, NackError, Request,
};
pub use self::life::{Expectation, Step};
pub use self::registry::{MockRecord, MockRegistry};
pub use self::report::Report;
pub use self::signer::Signer;
use self::target::Target;
use crate::beckn::action::Action;

/// The protocol version that a [`MockBpp`] speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// ONDC retail 1.2.5: `core_version`, `fulfillments` with a start and an end, `payment`.
    Ondc125,
    /// ONDC 2.x on Beckn 1.x: `version`, `fulfillments` with stops, `payments`.
    Ondc20,
}

/// A seller app that posts callbacks about one order to one receiver.
#[derive(Debug, Clone)]
pub struct MockBpp {
    target: Target,
    signer: Option<Signer>,
    bpp_id: Option<String>,
    bap_id: String,
    transaction_id: String,
    dialect: Dialect,
    timeout: Duration,
    started: DateTime<Utc>,
}

impl MockBpp {
    /// Returns a seller that posts below `base_url`, as in `http://127.0.0.1:8080/beckn`.
    ///
    /// It speaks ONDC 1.2.5 as `seller.example` to `buyer.example`, in a transaction of its own,
    /// and does not sign.
    ///
    /// # Errors
    /// When `base_url` is no `http` or `https` URL with a host and without a query.
    pub fn new(base_url: &str) -> Result<MockBpp, Error> {
        Ok(MockBpp {
            target: Target::parse(base_url)?,
            signer: None,
            bpp_id: None,
            bap_id: "buyer.example".to_owned(),
            transaction_id: Uuid::new_v4().to_string(),
            dialect: Dialect::Ondc125,
            timeout: Duration::from_secs(10),
            started: Utc::now(),
        })
    }

    /// Signs every post, each when it is sent.
    ///
    /// The callbacks then name the signer's subscriber as their seller, unless
    /// [`bpp_id`](MockBpp::bpp_id) names another.
    #[must_use]
    pub fn signer(mut self, signer: Signer) -> MockBpp {
        self.signer = Some(signer);
        self
    }

    /// Sets the subscriber that the callbacks name as their seller.
    #[must_use]
    pub fn bpp_id(mut self, bpp_id: impl Into<String>) -> MockBpp {
        self.bpp_id = Some(bpp_id.into());
        self
    }

    /// Sets the subscriber that the callbacks are for.
    #[must_use]
    pub fn bap_id(mut self, bap_id: impl Into<String>) -> MockBpp {
        self.bap_id = bap_id.into();
        self
    }

    /// Sets the transaction, and with it the order.
    #[must_use]
    pub fn transaction_id(mut self, transaction_id: impl Into<String>) -> MockBpp {
        self.transaction_id = transaction_id.into();
        self
    }

    /// Sets the protocol version of the callbacks.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> MockBpp {
        self.dialect = dialect;
        self
    }

    /// Sets how long the seller waits for a connection, and how long for an answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> MockBpp {
        self.timeout = timeout;
        self
    }

    /// Returns the subscriber that the callbacks name as their seller.
    fn seller_id(&self) -> &str {
        let signer = || self.signer.as_ref().map(Signer::subscriber);
        self.bpp_id.as_deref().or_else(signer).unwrap_or("seller.example")
    }

    /// Prepares to post; connections are opened by the first posts, and kept between posts.
    ///
    /// # Errors
    /// When an `https` receiver's certificate could not be checked, for the system has none to
    /// trust.
    pub async fn connect(&self) -> Result<Connection, Error> {
        Connection::open(self.target.clone(), self.timeout, self.signer.clone()).await
    }

    /// Posts one callback on a connection of its own.
    ///
    /// # Errors
    /// When there is no complete answer. A NACK is an answer.
    pub async fn post(&self, action: Action, body: Bytes) -> Result<Answer, Error> {
        self.connect().await?.post(action, body).await
    }

    /// Posts each step on one connection, each after the answer to the one before it.
    ///
    /// # Errors
    /// When a step has no complete answer; the steps after it are not sent.
    pub async fn play(&self, steps: &[Step]) -> Result<Vec<Answer>, Error> {
        let connection = self.connect().await?;
        let mut answers = Vec::with_capacity(steps.len());
        for step in steps {
            answers.push(connection.post(step.action, step.body.clone()).await?);
        }
        Ok(answers)
    }

    /// Sends one callback completely and closes the connection without reading the answer.
    ///
    /// # Errors
    /// When the callback cannot be sent; over `https` none can be.
    pub async fn post_and_hang_up(&self, action: Action, body: Bytes) -> Result<(), Error> {
        let request = connection::signed(self.signer.as_ref(), action, body);
        connection::send_and_hang_up(&self.target, self.timeout, &request).await
    }
}

/// Says what the mock BPP could not do; its source says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct Error {
    doing: String,
    source: Cause,
}

impl Error {
    fn new(doing: impl Into<String>, cause: impl Into<Cause>) -> Error {
        Error { doing: doing.into(), source: cause.into() }
    }
}

/// Why it could not; callers do not act on it, so it stays private.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("{0}")]
    Url(&'static str),
    #[error(transparent)]
    Uri(#[from] axum::http::uri::InvalidUri),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(
        "expected a key id as `subscriber id|unique key id`, without quotes, of at most 1,024 bytes"
    )]
    KeyId,
    #[error(transparent)]
    Key(#[from] crate::signature::KeyError),
    #[error(transparent)]
    Header(#[from] axum::http::header::InvalidHeaderValue),
    #[error("expected a body that is one JSON object with a context")]
    Body,
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Http(reqwest::Error),
    #[error("nothing came within {0:?}")]
    TimedOut(Duration),
    #[error("the answer is longer than {ANSWER_LIMIT_BYTES} bytes")]
    TooLong,
}

impl From<reqwest::Error> for Cause {
    fn from(source: reqwest::Error) -> Cause {
        // The URL is what the caller gave, and may be long.
        Cause::Http(source.without_url())
    }
}
