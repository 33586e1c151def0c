//! Benchmarks of beckn-receiver.
