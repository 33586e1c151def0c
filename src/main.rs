//! The `beckn-receiver` binary: the arguments go to the library's command line.

use std::process::ExitCode;

/// A callback's models are many small pieces that one thread makes and another drops, which costs
/// the system's allocator a lock and a search each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    beckn_receiver::cli::run(std::env::args_os())
}
