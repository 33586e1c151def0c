//! Everything that speaks HTTP to the outside: the callbacks' service, the operations' router, and
//! the accept loop of `serve`.
//!
//! # Constraints
//! - Only [`callbacks`] turns a rejection into an answer.
//! - What grows by input has a bound: the body, the bytes and requests in flight, the connections,
//!   the time for a header and for a request.

pub(crate) mod body;
pub(crate) mod callbacks;
#[cfg(test)]
mod nack_codes;
mod noted;
pub(crate) mod operations;
mod probes;
pub(crate) mod serve;
pub(crate) mod service;
