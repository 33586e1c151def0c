//! The `jetstream` handler.

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use futures_util::TryStreamExt as _;

use super::{
    Broker, Message, Mortal, a_password_comes_from_a_file, a_replay_has_an_id_of_its_own,
    an_outage_is_told_once, nothing_that_was_acked_is_lost,
};
use crate::servers::nats::Nats;

/// Lets in one user, who has to say a password.
const GUARDED: &str = "accounts { A { jetstream: enabled, users = [\
    { user: receiver, password: sesame }, { user: app, password: app }] } }";

impl Broker for Nats {
    fn settings(&self) -> String {
        format!(
            "kind = \"jetstream\"\nservers = [\"nats://127.0.0.1:{}\"]\ncreate_stream = true\n\
             ack_timeout_ms = 1000\n",
            self.port
        )
    }

    async fn arrived(&mut self) -> Vec<Message> {
        arrived(&self.context().await).await
    }
}

impl Mortal for Nats {
    fn kill(&mut self) {
        Nats::kill(self);
    }

    async fn start(&mut self) {
        self.restart().await;
    }
}

/// Takes what has come since the last time, by a durable consumer.
async fn arrived(context: &async_nats::jetstream::Context) -> Vec<Message> {
    let settings = Config {
        durable_name: Some("orders".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..Config::default()
    };
    let stream = context.get_stream("BECKN").await.unwrap();
    let consumer: PullConsumer = stream.get_or_create_consumer("orders", settings).await.unwrap();
    let mut messages = Vec::new();
    loop {
        let batch = consumer.fetch().max_messages(500).messages().await.unwrap();
        let batch: Vec<_> = batch.try_collect().await.unwrap();
        if batch.is_empty() {
            return messages;
        }
        for message in batch {
            let headers = message.headers.as_ref().unwrap();
            let header = |name: &str| headers.get(name).unwrap().as_str();
            let one = Message::new(header("Nats-Msg-Id"), header("beckn-seq"), &message.payload);
            messages.push(one);
            message.double_ack().await.unwrap();
        }
    }
}

/// A server that asks for a password.
struct Guarded(Nats);

impl Broker for Guarded {
    fn settings(&self) -> String {
        format!("user = \"receiver\"\n{}", self.0.settings())
    }

    async fn arrived(&mut self) -> Vec<Message> {
        let options =
            async_nats::ConnectOptions::with_user_and_password("app".into(), "app".into());
        let client = options.connect(format!("nats://127.0.0.1:{}", self.0.port)).await.unwrap();
        arrived(&async_nats::jetstream::new(client)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acked_is_lost_when_nats_and_the_receiver_die() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.kill();
    nothing_that_was_acked_is_lost(&mut nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_and_a_consumer_take_a_replay() {
    let Some(mut nats) = Nats::start().await else { return };
    a_replay_has_an_id_of_its_own(&mut nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_nats_comes_from_a_file_and_shows_nowhere() {
    let Some(nats) = Nats::start_with(GUARDED).await else { return };
    a_password_comes_from_a_file(&mut Guarded(nats), "sesame", "does not let us in").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_nats_is_told_once() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.kill();
    an_outage_is_told_once(&mut nats).await;
}
