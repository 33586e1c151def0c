//! A handler of your own in ten lines: `cargo run --example custom_handler [SETTINGS]`.

use beckn_receiver::{Config, HandlerError, OrderEvent, OrderEventHandler, Payload, Receiver};

struct PrintOrders;

impl OrderEventHandler for PrintOrders {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        match &event.payload {
            Payload::Order(order) => {
                let state = order.state().map_or("without a state", |state| state.as_str());
                let id = order.id.as_deref().unwrap_or("without an id");
                println!("{}: order {id} is {state}", event.action);
            }
            Payload::Tracking(tracking) => println!("on its way: {:?}", tracking.url),
            _ => println!("{}: {:?}", event.action, event.error),
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = std::env::args().nth(1).unwrap_or_else(|| "config.toml".to_owned());
    let receiver = Receiver::builder(Config::load(settings)?).start(PrintOrders).await?;
    let server = receiver.bind().await?;
    eprintln!("callbacks at http://{}", server.callbacks_address()?);
    server.run(beckn_receiver::shutdown_signal()).await?;
    Ok(())
}
