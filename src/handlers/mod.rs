//! Ready-made order-event handlers.

pub(crate) mod print;
