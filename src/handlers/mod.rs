//! Ready-made order-event handlers.

pub(crate) mod envelope;
#[cfg(feature = "jetstream")]
pub(crate) mod jetstream;
pub(crate) mod print;
