//! The callbacks' router inside an app of yours: `cargo run --example embed_in_axum [SETTINGS]`.
//!
//! The app listens on `http.listen` itself, so the receiver's bounds on connections and header
//! time do not apply, and whether unsigned callbacks may come from outside is up to the app.

use axum::{Router, routing::get};
use beckn_receiver::{Config, HandlerError, OrderEvent, OrderEventHandler, Receiver};

struct PrintIds;

impl OrderEventHandler for PrintIds {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        println!("{} of order {:?}: {}", event.action, event.order_id(), event.delivery_id());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = std::env::args().nth(1).unwrap_or_else(|| "config.toml".to_owned());
    let config = Config::load(settings)?;
    let listener = tokio::net::TcpListener::bind(config.http.listen).await?;
    eprintln!("the app at http://{}", listener.local_addr()?);
    let receiver = Receiver::builder(config).start(PrintIds).await?;
    let app = Router::new()
        .route("/", get(|| async { "my buyer app\n" }))
        .nest("/beckn", receiver.router());
    axum::serve(listener, app).with_graceful_shutdown(beckn_receiver::shutdown_signal()).await?;
    receiver.shutdown().await; // stops claiming, waits for the handler's work, closes the inbox
    Ok(())
}
