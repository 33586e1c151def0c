//! The real receiver over a socket: one binary for all of it.

#![allow(clippy::unwrap_used, reason = "a test fails by it, with its place")]

mod access;
mod api;
mod backup;
mod bounds;
#[cfg(any(feature = "jetstream", feature = "rabbitmq"))]
mod brokers;
mod callbacks;
mod commands;
mod console;
mod crash;
mod delivery;
mod dev;
mod doctor;
mod escapes;
mod examples;
mod faults;
mod flood;
mod forward;
mod handlers;
mod harness;
mod life;
mod metrics;
mod misbehaved;
mod nack_codes;
#[path = "../persons/mod.rs"]
mod persons;
mod privacy;
mod readme;
mod registry;
mod remote;
#[cfg(feature = "postgres")]
mod replicas;
mod seller;
#[cfg(any(feature = "jetstream", feature = "postgres", feature = "rabbitmq"))]
#[path = "../servers/mod.rs"]
mod servers;
mod signing;
mod stream;
mod target;
mod trust;
mod verify_settings;
