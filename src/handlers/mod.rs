//! Ready-made order-event handlers.

pub mod print;
