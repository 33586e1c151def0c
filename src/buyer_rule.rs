//! A buyer's own rules: semantic refusals that need the buyer's data.
//!
//! They run before the ACK, so they have a deadline; what does not answer by then passes.

use std::fmt;
use std::future::Future;

use futures_util::future::BoxFuture;

use crate::beckn::action::Action;
use crate::beckn::answer::ErrorType;
use crate::beckn::callback::Callback;

/// A rule of the buyer's, looked at after the receiver's own rules have passed.
///
/// ONDC certification expects a NACK for defects that only the buyer's data shows: an order that
/// was never placed, a quote that differs from the accepted one. All rules of a callback share
/// one deadline, `rules.deadline_ms`. A rule that has not answered by then, or that panics, is
/// passed over and the event carries [`Flag::RuleSkipped`](crate::Flag::RuleSkipped).
///
/// # Cancel safety
/// The future is dropped at the deadline, and when the seller hangs up.
///
/// # Blocking
/// It runs where requests are served: a rule that blocks its thread holds up ACKs.
pub trait BuyerRule: Send + Sync + 'static {
    /// Returns the rule's name, as refusals and logs show it.
    fn name(&self) -> &'static str;

    /// Looks at a callback.
    ///
    /// # Errors
    /// The callback is refused with what the error says.
    fn check(
        &self,
        action: Action,
        callback: &Callback,
    ) -> impl Future<Output = Result<(), Refuse>> + Send;
}

/// What the seller is told when a buyer's rule refuses a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuse {
    /// The code, as `20007` (invalid order state) or one of the network's own.
    pub code: String,
    /// The type.
    pub error_type: ErrorType,
    /// A JSON Pointer to what is wrong; empty for the whole callback.
    pub path: String,
    /// What was expected and what was found; it goes to the seller.
    pub message: String,
}

/// A buyer's rule without its type.
pub(crate) trait ErasedRule: Send + Sync {
    /// See [`BuyerRule::name`].
    fn name(&self) -> &'static str;

    /// See [`BuyerRule::check`].
    fn check<'a>(
        &'a self,
        action: Action,
        callback: &'a Callback,
    ) -> BoxFuture<'a, Result<(), Refuse>>;
}

impl<R: BuyerRule> ErasedRule for R {
    fn name(&self) -> &'static str {
        BuyerRule::name(self)
    }

    fn check<'a>(
        &'a self,
        action: Action,
        callback: &'a Callback,
    ) -> BoxFuture<'a, Result<(), Refuse>> {
        Box::pin(BuyerRule::check(self, action, callback))
    }
}

impl fmt::Debug for dyn ErasedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
