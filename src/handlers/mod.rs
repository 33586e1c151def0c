//! Ready-made order-event handlers.

pub(crate) mod envelope;
pub(crate) mod forward;
#[cfg(feature = "jetstream")]
pub(crate) mod jetstream;
pub(crate) mod print;
#[cfg(feature = "rabbitmq")]
pub(crate) mod rabbitmq;
