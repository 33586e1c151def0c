//! Receives the callbacks that Beckn / ONDC seller apps send to a buyer app.

pub mod beckn;
pub mod config;
pub mod words;
