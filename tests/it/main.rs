//! The real receiver over a socket: one binary for all of it.

#![allow(clippy::unwrap_used, reason = "a test fails by it, with its place")]

mod bounds;
#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
mod brokers;
mod callbacks;
mod commands;
mod crash;
mod delivery;
mod dev;
mod examples;
mod faults;
mod flood;
mod forward;
mod handlers;
mod harness;
mod life;
mod misbehaved;
mod nack_codes;
mod readme;
mod registry;
mod seller;
#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
#[path = "../servers/mod.rs"]
mod servers;
mod signing;
mod target;
mod trust;
mod verify_settings;
