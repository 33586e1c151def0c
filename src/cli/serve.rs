//! `serve`: the receiver with the handlers that the settings name, until a signal.

use std::process::ExitCode;

use super::Failure;
use crate::config::{Config, LogFormat, SignatureMode};
use crate::log::start_log;
use crate::receiver::handlers::names;
use crate::receiver::{Receiver, Server, shutdown_signal};
use crate::routes::Routes;

pub(super) fn run(config: Config) -> Result<ExitCode, Failure> {
    start_log(&config)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.server.worker_threads > 0 {
        runtime.worker_threads(config.server.worker_threads);
    }
    let runtime = runtime.enable_all().build()?;
    let known: Vec<&str> = names(&config).collect();
    let handlers = Routes::new(&config, &known)?.handlers().join(", ");
    let mode = config.signature.mode;
    runtime.block_on(serve(config, |server, data| greet(server, data, &handlers, mode)))
}

/// Serves until a signal. `open` does what has to be done before it is ready, and returns what the
/// person who started it is told; a log in JSON has no room for that.
pub(super) async fn serve(
    config: Config,
    open: impl FnOnce(&Server, &str) -> std::io::Result<String>,
) -> Result<ExitCode, Failure> {
    // Begun before the inbox is opened: a signal that comes early still ends it in order.
    let stop = shutdown_signal();
    config.check_exposure()?;
    let format = config.log.format;
    let receiver = Receiver::builder(config).start_configured().await?;
    let data = receiver.place().to_string();
    let server = receiver.bind().await?;
    let greeting = open(&server, &data)?;
    if format == LogFormat::Text {
        eprint!("{greeting}");
    }
    let (listen, operations) = (server.callbacks_address()?, server.operations_address()?);
    tracing::info!(%listen, %operations, inbox = data, "ready");
    server.run(stop).await?;
    tracing::info!("stopped: everything that was ACKed is kept");
    Ok(ExitCode::SUCCESS)
}

/// Says where it listens, where the data lies, and what to try; for the person who started it.
fn greet(
    server: &Server,
    data: &str,
    handlers: &str,
    mode: SignatureMode,
) -> std::io::Result<String> {
    let callbacks = server.callbacks_address()?;
    let operations = server.operations_address()?;
    // What there is to try is not signed.
    let unsigned = format!(
        "try         curl -sS --data-binary @examples/payloads/on_status_ondc_1_2_5.json \
         http://{callbacks}/on_status\n"
    );
    Ok(format!(
        "callbacks   http://{callbacks}/on_status, /on_update, /on_track, …\n\
         operations  http://{operations}/livez, /readyz, /metrics\n\
         inbox       {data}\n\
         handlers    {handlers}\n\
         signatures  {}\n{}",
        mode.as_str(),
        if mode == SignatureMode::Required { "" } else { &unsigned }
    ))
}
