//! The order-event handler: the one thing that a buyer's app writes.
//!
//! The trait is native `async fn`; it is erased once, here, so that no type of the crate carries
//! the handler's type.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::event::OrderEvent;
use crate::words::Chain;

/// Takes the events of accepted callbacks.
///
/// The event is handed over again until `handle` returns `Ok` or a permanent error, so the same
/// [`OrderEvent::delivery_id`] may come twice: after an error, a panic, a time-out, or a crash.
/// Within a transaction of a seller events come one at a time, in the order of arrival; different
/// transactions come side by side, up to `dispatch.concurrency`.
///
/// # Cancel safety
/// The future is dropped at an await when `dispatch.attempt_timeout_ms` is over, and at shutdown
/// when `dispatch.drain_timeout_ms` is over. Either way the event comes again.
///
/// # Panics
/// A panic is caught and counts as a transient error.
///
/// # Blocking
/// A handler that blocks its thread holds up its own transaction and one of the
/// `dispatch.concurrency` places; it stops neither the ACKs nor other transactions. The time-out
/// cannot end it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an order-event handler",
    note = "implement `async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError>` for it"
)]
pub trait OrderEventHandler: Send + Sync + 'static {
    /// Takes one event.
    ///
    /// # Errors
    /// A transient error makes the event come again later, behind it the other events of its
    /// transaction; a permanent one makes it a dead letter.
    fn handle(&self, event: &OrderEvent) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// Why a handler did not take an event.
///
/// `?` on anything that implements [`std::error::Error`] makes a transient one, the safe default:
/// what was not taken comes again. The text of the error and of its sources is kept with the
/// event, cut at 2,000 bytes, and shown to operators, so it should hold no personal data.
#[derive(Debug)]
pub struct HandlerError {
    source: Box<dyn Error + Send + Sync>,
    permanent: bool,
    /// Whether it says of what is behind the handler that it was not reached at all.
    unreached: bool,
    retry_after: Option<Duration>,
}

impl HandlerError {
    /// Makes an error after which the event comes again.
    pub fn transient(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), permanent: false, unreached: false, retry_after: None }
    }

    /// Makes an error after which the event is a dead letter at once.
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), permanent: true, unreached: false, retry_after: None }
    }

    /// Asks for the next attempt no earlier than after `delay`; at most `dispatch.retry_cap_ms`
    /// is waited. It holds for this event, and so for those behind it in its transaction; other
    /// transactions are handed over as before. It means nothing for a permanent error.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Makes an error of what is behind a handler and was not reached, whatever the event: then
    /// trying others soon does not help either.
    pub(crate) fn unreached(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { unreached: true, ..Self::transient(source) }
    }

    /// Returns whether what is behind the handler was not reached.
    pub(crate) fn is_unreached(&self) -> bool {
        self.unreached
    }

    /// Returns whether no further attempt can succeed.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// Returns the wait that was asked for.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the error and its causes in one line, outermost first.
    pub(crate) fn chain(&self) -> String {
        Chain(self.source.as_ref()).to_string()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::transient(error)
    }
}

/// A handler without its type.
pub(crate) trait ErasedHandler: Send + Sync {
    /// See [`OrderEventHandler::handle`].
    fn handle<'a>(&'a self, event: &'a OrderEvent) -> BoxFuture<'a, Result<(), HandlerError>>;
}

impl<H: OrderEventHandler> ErasedHandler for H {
    fn handle<'a>(&'a self, event: &'a OrderEvent) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(OrderEventHandler::handle(self, event))
    }
}

impl fmt::Debug for dyn ErasedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderEventHandler")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::HandlerError;

    fn fails() -> Result<(), HandlerError> {
        "x".parse::<u32>()?;
        Ok(())
    }

    #[test]
    fn a_question_mark_makes_a_transient_error_and_keeps_its_text() {
        let error = fails().unwrap_err();
        assert!(!error.is_permanent());
        assert_eq!(error.chain(), "invalid digit found in string");
    }

    #[test]
    fn the_chain_names_every_cause() {
        let cause = std::io::Error::other(std::fmt::Error);
        let error = HandlerError::permanent(std::io::Error::other(cause));
        assert!(error.is_permanent());
        assert!(error.chain().contains("an error occurred when formatting"), "{}", error.chain());
    }

    #[test]
    fn a_text_is_an_error_too() {
        let error = HandlerError::transient("no stock").retry_after(Duration::from_secs(3));
        assert_eq!(
            (error.chain().as_str(), error.delay()),
            ("no stock", Some(Duration::from_secs(3)))
        );
    }
}
