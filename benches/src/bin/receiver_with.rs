//! The receiver with a handler that misbehaves, for `benches/handlers`: whatever the handler does,
//! the ACKs must keep their pace. And with the handlers that the settings name, for
//! `benches/deliver`.
//!
//! The settings are the defaults and the `BECKN_RECEIVER_…` variables. Nothing is logged, so that
//! the handlers differ in what they do and not in how much is written about it.

use std::error::Error;
use std::time::Duration;

use beckn_receiver::{
    Config, HandlerError, OrderEvent, OrderEventHandler, Receiver, shutdown_signal,
};
use clap::{Parser, ValueEnum};

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Receives callbacks and hands them to a handler that does this.
#[derive(Debug, Parser)]
struct Arguments {
    /// What the handler does.
    handler: Handler,
}

/// How a handler may behave.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Handler {
    /// Takes every event at once: what the others are compared with.
    Noop,
    /// Awaits for 30 seconds.
    Sleep30,
    /// Blocks its thread for 30 seconds.
    Block30,
    /// Fails, so that every event is tried again.
    Fail,
    /// Panics, so that every event is tried again.
    Panic,
    /// None of its own: those that the settings name.
    Configured,
}

/// Longer than a round of the measurement takes.
const LONG: Duration = Duration::from_secs(30);

impl OrderEventHandler for Handler {
    async fn handle(&self, _event: &OrderEvent) -> Result<(), HandlerError> {
        match self {
            Handler::Noop | Handler::Configured => {}
            Handler::Sleep30 => tokio::time::sleep(LONG).await,
            Handler::Block30 => std::thread::sleep(LONG),
            Handler::Fail => return Err(HandlerError::transient("the handler fails")),
            Handler::Panic => panic!("the handler panics"),
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    // The default hook writes to stderr, which is not the receiver's cost.
    std::panic::set_hook(Box::new(|_| {}));
    let builder = Receiver::builder(Config::from_environment()?);
    let receiver = match arguments.handler {
        Handler::Configured => builder.start_configured().await?,
        handler => builder.start(handler).await?,
    };
    receiver.bind().await?.run(shutdown_signal()).await?;
    Ok(())
}
