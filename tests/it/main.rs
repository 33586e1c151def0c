//! The real receiver over a socket: one binary for all of it.

mod bounds;
mod callbacks;
mod commands;
mod crash;
mod delivery;
mod examples;
mod faults;
mod harness;
mod readme;
