//! What benches/ measures of the inside: the HTTP side without the intake, the rules alone, and
//! the inbox without HTTP, each with the receiver's own settings. No semver promise.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::beckn::action::Action;
use crate::beckn::callback::{Callback, Malformed};
use crate::config::Config;
use crate::event::{EventId, OrderEvent};
use crate::http::callbacks::Desk;
use crate::http::{serve, service};
use crate::inbox::sqlite::open_error::OpenError;
use crate::inbox::sqlite::{self, SqliteInbox};
use crate::inbox::{self, Inbox as _, Outlet, Outlets, Receipt, Record, Refusal, Seq, Standing};
use crate::intake::{Accept, Posted, Rejection};
use crate::metrics::Metrics;
use crate::receiver::{SystemClock, options};
use crate::rules::Rules;
use crate::trace::Arriving;

/// Serves the callbacks' listener as a receiver does, but accepts every callback at once: nothing
/// verifies, parses, checks or keeps it.
///
/// # Cancel safety
/// Dropped, it closes the listener and every connection at once.
pub async fn serve_accepting_all(config: &Config, listener: TcpListener) {
    let intake = All(options::metrics(config));
    let desk = Desk::new(intake, Arc::new(SystemClock), options::callback_options(config));
    let service = service::of(Arc::new(desk));
    let bounds = options::callback_bounds(config);
    serve::serve(listener, move |_seller| service.clone(), bounds, std::future::pending()).await;
}

/// Accepts everything and keeps nothing.
#[derive(Debug)]
struct All(Arc<Metrics>);

impl Accept for All {
    async fn accept(
        &self,
        _posted: Posted<'_>,
        _arriving: &Arriving<'_>,
    ) -> Result<Receipt, Rejection> {
        Ok(Receipt::New { id: EventId::new(Uuid::nil()), seq: Seq(0) })
    }

    fn refuse(&self, _refusal: Refusal) {}

    fn metrics(&self) -> &Arc<Metrics> {
        &self.0
    }
}

/// An inbox from which nobody claims.
#[derive(Debug)]
pub struct Log(Arc<SqliteInbox>);

/// A callback that was read, ready to be appended.
#[derive(Debug)]
pub struct Entry {
    record: Record,
    event: Box<OrderEvent>,
}

/// A callback that was read, and the rules that it is checked by.
#[derive(Debug)]
pub struct Checked {
    action: Action,
    callback: Callback,
    rules: Rules,
    now: DateTime<Utc>,
}

impl Checked {
    /// Reads a callback that is checked by the rules of the settings.
    ///
    /// # Errors
    /// It is none, or the settings name unknown rules.
    pub fn parse(
        action: Action,
        body: &Bytes,
        config: &Config,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let set = &config.rules;
        let rules = Rules::new(set.profile, &set.levels, &config.subscriber_ids)?;
        Ok(Self { action, callback: Callback::parse(body)?, rules, now: Utc::now() })
    }

    /// Checks the callback; returns whether nothing was found.
    pub fn check(&self) -> bool {
        let findings = self.rules.check(self.action, &self.callback, self.now);
        findings.enforced.is_empty() && findings.warnings.is_empty()
    }
}

/// Says that a callback was not kept.
#[derive(Debug, thiserror::Error)]
#[error("the callback was not kept")]
pub struct NotKept(#[source] inbox::Error);

impl Entry {
    /// Reads a callback as the intake does, without its checks.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(action: Action, body: Bytes) -> Result<Self, Malformed> {
        let callback = Callback::parse(&body)?;
        let record = Record {
            message: callback.content.message.clone(),
            error: callback.content.error.clone(),
            standing: Standing::Pending,
        };
        let event = Box::new(OrderEvent::new(action, callback, body, Utc::now()));
        Ok(Self { record, event })
    }

    /// Computes what duplicates and lanes are found by, and returns one of these fingerprints.
    pub fn fingerprint(&self) -> u64 {
        sqlite::fingerprint(&self.record, &self.event)
    }
}

impl Log {
    /// Opens the inbox of `inbox.path`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let outlets = Outlets::new(vec!["app".to_owned()], |_address| Outlet(0));
        let options = options::inbox_options(config, outlets, &options::metrics(config));
        SqliteInbox::open(options, Arc::new(SystemClock)).map(Self)
    }

    /// Appends a callback and waits until it is durable.
    ///
    /// # Errors
    /// It was not kept.
    ///
    /// # Panics
    /// It repeats one that is kept.
    ///
    /// # Cancel safety
    /// Dropped, it has kept the callback or it has not.
    pub async fn append(&self, entry: Entry) -> Result<(), NotKept> {
        let receipt = self.0.append(entry.record, entry.event).await.map_err(NotKept)?;
        assert!(matches!(receipt, Receipt::New { .. }), "every entry has a message id of its own");
        Ok(())
    }

    /// Writes what waits and closes the files.
    ///
    /// # Cancel safety
    /// The closing goes on when the future is dropped.
    pub async fn close(&self) {
        self.0.close().await;
    }
}
