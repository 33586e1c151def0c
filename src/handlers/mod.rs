//! Ready-made order-event handlers.

pub(crate) mod envelope;
pub(crate) mod print;
