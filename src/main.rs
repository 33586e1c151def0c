//! The `beckn-receiver` binary: the arguments go to the library's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    beckn_receiver::cli::run(std::env::args_os())
}
