//! Makes the queue that `benches/deliver` has RabbitMQ keep events in, and deletes it; says then how
//! many messages it held.

use std::error::Error;

use amqprs::channel::{
    ExchangeDeclareArguments, ExchangeDeleteArguments, QueueBindArguments, QueueDeclareArguments,
    QueueDeleteArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use clap::{Parser, ValueEnum};

/// Makes or deletes a durable queue, and the exchange of the same name that it is bound to.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to do.
    verb: Verb,
    /// The name of both.
    name: String,
    /// The broker's host; `guest` has to be let in.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The broker's port.
    #[arg(long, default_value_t = 5672)]
    port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verb {
    Make,
    Delete,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { verb, name, host, port } = Arguments::parse();
    let broker = OpenConnectionArguments::new(&host, port, "guest", "guest");
    let connection = Connection::open(&broker).await?;
    let channel = connection.open_channel(None).await?;
    match verb {
        Verb::Make => {
            let exchange = ExchangeDeclareArguments::new(&name, "topic").durable(true).finish();
            channel.exchange_declare(exchange).await?;
            channel.queue_declare(QueueDeclareArguments::durable_client_named(&name)).await?;
            channel.queue_bind(QueueBindArguments::new(&name, &name, "#")).await?;
        }
        Verb::Delete => {
            let held = channel.queue_delete(QueueDeleteArguments::new(&name)).await?;
            println!("{}", held.ok_or("the broker did not say how many messages it held")?);
            channel.exchange_delete(ExchangeDeleteArguments::new(&name)).await?;
        }
    }
    channel.close().await?;
    connection.close().await?;
    Ok(())
}
