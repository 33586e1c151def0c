//! What the benchmark binaries share: request templates, signatures, answers, CPU time of a process,
//! a receiver without sockets, what is made of measurements.
//!
//! `benches/run` is the entry point: it compares the receiver with the floor, side by side.

pub mod accept;
pub mod answer;
pub mod page;
pub mod process;
pub mod results;
pub mod sign;
pub mod template;
