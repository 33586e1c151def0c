//! The `beckn-receiver` binary.

fn main() {}
