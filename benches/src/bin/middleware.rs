//! The receiver's HTTP side alone: its accept loop, router, bounds, counters and answers, with an
//! intake that accepts everything at once. What lies between it and the floor is what they cost.
//!
//! The settings are the defaults and the `BECKN_RECEIVER_…` variables.

use std::error::Error;

use beckn_receiver::Config;
use beckn_receiver::bench::serve_accepting_all;
use tokio::net::TcpListener;

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::from_environment()?;
    let listener = TcpListener::bind(config.http.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    serve_accepting_all(&config, listener).await;
    Ok(())
}
