//! The `rabbitmq` handler.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use amqprs::channel::{
    BasicGetArguments, Channel, ExchangeDeclareArguments, ExchangeDeleteArguments,
    QueueBindArguments, QueueDeclareArguments, QueueDeleteArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{FieldName, FieldValue};
use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::time::Instant;

use super::{
    Broker, Message, Mortal, a_password_comes_from_a_file, a_replay_has_an_id_of_its_own,
    an_outage_is_told_once, nothing_that_was_acked_is_lost, unsettled, write_settings,
};
use crate::commands::output;
use crate::harness::{Child, on_status, post, wait_until};
use crate::servers::rabbitmq::{Broker as Server, Own, PATIENCE};
use crate::servers::skip;

/// An exchange and a durable queue of the test's own, by the same name.
struct Scene {
    address: SocketAddr,
    name: String,
}

impl Scene {
    fn at(address: SocketAddr) -> Self {
        let name = format!("beckn-receiver-test-{}", uuid::Uuid::new_v4());
        Self { address, name }
    }

    /// Returns the settings of a handler, without a password.
    fn nameless(&self) -> String {
        format!(
            "kind = \"rabbitmq\"\nurl = \"amqp://{}\"\nexchange = \"{}\"\ndeclare = true\n",
            self.address, self.name
        )
    }

    /// Connects, as soon as the broker takes connections.
    async fn connect(&self) -> (Connection, Channel) {
        let host = self.address.ip().to_string();
        let arguments = OpenConnectionArguments::new(&host, self.address.port(), "guest", "guest");
        let end = Instant::now() + PATIENCE;
        let connection = loop {
            match Connection::open(&arguments).await {
                Ok(connection) => break connection,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        let channel = connection.open_channel(None).await.unwrap();
        (connection, channel)
    }

    /// Declares the exchange as the handler does, and binds the queue to it.
    async fn bind(&self) {
        let (_connection, channel) = self.connect().await;
        let exchange = ExchangeDeclareArguments::new(&self.name, "topic").durable(true).finish();
        channel.exchange_declare(exchange).await.unwrap();
        let queue = QueueDeclareArguments::durable_client_named(&self.name);
        channel.queue_declare(queue).await.unwrap();
        let binding = QueueBindArguments::new(&self.name, &self.name, "on_status.*");
        channel.queue_bind(binding).await.unwrap();
    }

    async fn delete(&self) {
        let (_connection, channel) = self.connect().await;
        channel.queue_delete(QueueDeleteArguments::new(&self.name)).await.unwrap();
        channel.exchange_delete(ExchangeDeleteArguments::new(&self.name)).await.unwrap();
    }

    async fn arrived(&self) -> Vec<Message> {
        let (_connection, channel) = self.connect().await;
        let get = || BasicGetArguments::new(&self.name).no_ack(true).finish();
        let seq: FieldName = "beckn-seq".try_into().unwrap();
        let mut messages = Vec::new();
        while let Some((_, properties, body)) = channel.basic_get(get()).await.unwrap() {
            let headers = properties.headers().unwrap();
            let Some(FieldValue::S(seq)) = headers.get(&seq) else { panic!("{headers}") };
            let id = properties.message_id().unwrap();
            messages.push(Message::new(id, &seq.to_string(), &body));
        }
        messages
    }
}

impl Broker for Scene {
    fn settings(&self) -> String {
        format!("password = \"guest\"\n{}", self.nameless())
    }

    async fn arrived(&mut self) -> Vec<Message> {
        Scene::arrived(self).await
    }
}

/// As a scene, for who says the password elsewhere.
struct Guarded<'a>(&'a Scene);

impl Broker for Guarded<'_> {
    fn settings(&self) -> String {
        self.0.nameless()
    }

    async fn arrived(&mut self) -> Vec<Message> {
        self.0.arrived().await
    }
}

/// A broker that runs for the test alone.
struct Alone {
    scene: Scene,
    own: Own,
}

impl Alone {
    /// Returns one that has the queue, and was killed: an event that comes before there is a queue
    /// is a dead letter.
    async fn killed() -> Option<Self> {
        let Some(mut own) = Own::start("").await else {
            skip("rabbitmq-server");
            return None;
        };
        let scene = Scene::at(own.address());
        scene.bind().await;
        own.kill();
        Some(Self { scene, own })
    }
}

impl Broker for Alone {
    fn settings(&self) -> String {
        self.scene.settings()
    }

    async fn arrived(&mut self) -> Vec<Message> {
        self.scene.arrived().await
    }
}

impl Mortal for Alone {
    fn kill(&mut self) {
        self.own.kill();
    }

    async fn start(&mut self) {
        self.own.run().await;
    }
}

/// Runs a test against any broker, or skips it; what it made there is deleted after it.
async fn play(test: impl AsyncFnOnce(&mut Scene)) {
    let Some(server) = Server::any().await else { return skip("RabbitMQ") };
    let mut scene = Scene::at(server.address());
    let outcome = AssertUnwindSafe(test(&mut scene)).catch_unwind().await;
    scene.delete().await;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acked_is_lost_when_rabbitmq_and_the_receiver_die() {
    let Some(mut broker) = Alone::killed().await else { return };
    nothing_that_was_acked_is_lost(&mut broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_rabbitmq_is_told_once() {
    let Some(mut broker) = Alone::killed().await else { return };
    an_outage_is_told_once(&mut broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_gets_a_replay() {
    play(async |scene: &mut Scene| {
        scene.bind().await;
        a_replay_has_an_id_of_its_own(scene).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_rabbitmq_comes_from_a_file_and_shows_nowhere() {
    play(async |scene: &mut Scene| {
        scene.bind().await;
        a_password_comes_from_a_file(&mut Guarded(scene), "guest", "could not log in").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_queue_takes_is_a_dead_letter_until_one_is_bound() {
    play(async |scene: &mut Scene| {
        let directory = Arc::new(TempDir::new().unwrap());
        write_settings(directory.path(), &scene.settings());
        let child = Child::start_in(Arc::clone(&directory), &[], &[]).await;
        let body = on_status("t", "m", "Accepted");
        assert!(post(child.address, "/on_status", body.as_bytes()).await.is_ack());
        wait_until("it is settled", async || unsettled(&child).await == 0).await;
        let dead = output(directory.path(), &["dead-letters", "--json"]);
        assert!(dead.contains("no queue is bound") && dead.contains("NO_ROUTE"), "{dead}");
        let dead: serde_json::Value = serde_json::from_str(&dead).unwrap();
        scene.bind().await;
        output(directory.path(), &["replay", "--dead"]);
        let mut arrived = Vec::new();
        wait_until("the replay comes", async || {
            arrived = Scene::arrived(scene).await;
            !arrived.is_empty()
        })
        .await;
        assert_eq!(arrived[0].id, format!("{}-r1", dead["id"].as_str().unwrap()));
        child.end_quietly().await;
    })
    .await;
}
