use std::collections::HashSet;

use super::super::JetStream;
use super::{Nats, event, header, ids, refusal, take};
use crate::beckn::action::Action;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::words::{Sender, SubscriberId, Template};

#[tokio::test]
async fn an_event_is_stored_with_its_headers() {
    let Some(nats) = Nats::start().await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    let mut event = event("seller.example", "t");
    (event.seq, event.attempt, event.replay) = (7, 2, 1);
    event.sender = Some(Sender::new(SubscriberId::written("seller.example")));
    take(&handler, &event).await;
    let [message] = &nats.stored().await[..] else { panic!("expected one message") };
    assert_eq!(message.subject.as_str(), "beckn.on_status.seller%2Eexample");
    assert_eq!(header(message, "Nats-Msg-Id"), format!("{}-r1", event.id));
    assert_eq!(header(message, "Nats-Expected-Stream"), "EVENTS");
    assert_eq!(header(message, "Content-Type"), "application/json");
    for (name, value) in [
        ("beckn-event-id", event.id.to_string().as_str()),
        ("beckn-seq", "7"),
        ("beckn-action", "on_status"),
        ("beckn-attempt", "2"),
        ("beckn-replay", "1"),
        ("beckn-sender", "seller.example"),
    ] {
        assert_eq!(header(message, name), value, "{name}");
    }
    let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(body["delivery_id"], event.delivery_id());
    assert_eq!(body["callback"]["message"]["order"]["id"], "O-1");
}

#[tokio::test]
async fn a_bare_callback_is_the_body_itself() {
    let Some(nats) = Nats::start().await else { return };
    let mut options = nats.options();
    options.content = Content::Callback;
    let event = event("seller.example", "t");
    take(&JetStream::open(options).unwrap(), &event).await;
    assert_eq!(nats.stored().await[0].payload, event.body);
}

#[tokio::test]
async fn no_id_of_a_sellers_leaves_its_token() {
    let Some(nats) = Nats::start().await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    let long = "é.".repeat(300);
    let sellers =
        ["a/b:c", "a.b.c", "*", ">", "a b\r\nPUB x 0", "é", "%2A", "$JS.API.>", "_", &long];
    for seller in sellers {
        take(&handler, &event(seller, "t")).await;
    }
    // No seller at all.
    take(&handler, &OrderEvent::parse(Action::OnTrack, "{}").unwrap()).await;
    let stored = nats.stored().await;
    let subjects: HashSet<&str> = stored.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects.len(), sellers.len() + 1, "{subjects:?}");
    for subject in &subjects {
        let tokens: Vec<&str> = subject.split('.').collect();
        assert_eq!(tokens.len(), 3, "{subject}");
        assert!(tokens[2].len() <= 200 && tokens[2].bytes().all(|byte| byte.is_ascii_graphic()));
    }
    assert!(subjects.contains("beckn.on_status.a%20b%0D%0APUB%20x%200"), "{subjects:?}");
    assert!(subjects.contains("beckn.on_track._"), "{subjects:?}");
}

#[tokio::test]
async fn a_repeated_id_is_taken_and_stored_once_and_a_replay_again() {
    let Some(nats) = Nats::start().await else { return };
    let mut event = event("seller.example", "t");
    take(&JetStream::open(nats.options()).unwrap(), &event).await;
    // Another process, as after a crash of ours.
    let handler = JetStream::open(nats.options()).unwrap();
    event.attempt = 2;
    take(&handler, &event).await;
    event.replay = 1;
    take(&handler, &event).await;
    assert_eq!(ids(&nats.stored().await), [event.id.to_string(), format!("{}-r1", event.id)]);
}

#[tokio::test]
async fn what_is_larger_than_the_server_takes_is_dead_at_once() {
    let Some(nats) = Nats::start_with("max_payload: 2048").await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    let large = event("seller.example", &"x".repeat(2_048));
    let error = refusal(&handler, &large).await;
    let text = error.chain();
    assert!(error.is_permanent(), "{text}");
    assert!(text.contains("at most 2048 bytes (the server's max_payload)"), "{text}");
    take(&handler, &event("seller.example", "t")).await;
}

/// Ours and the server's count of a message's bytes are one: what we let through is taken, and a
/// byte more is not.
#[tokio::test]
async fn the_limit_is_the_servers_to_the_byte() {
    let Some(nats) = Nats::start().await else { return };
    nats.create(|stream| stream.max_message_size = 1_500).await;
    let mut options = nats.options();
    options.content = Content::Callback;
    let handler = JetStream::open(options).unwrap();
    let mut largest = 0;
    for padding in 0..1_500 {
        let event = event("seller.example", &"x".repeat(padding));
        match crate::handler::OrderEventHandler::handle(&handler, &event).await {
            Ok(()) => largest = padding,
            Err(error) => {
                assert!(error.is_permanent(), "{}", error.chain());
                assert!(error.chain().contains("found 1501 with"), "{}", error.chain());
                break;
            }
        }
    }
    assert!(largest > 0);
    assert_eq!(nats.stored().await.len(), largest + 1);
}

#[tokio::test]
async fn a_subject_without_places_is_one_for_all() {
    let Some(nats) = Nats::start().await else { return };
    let mut options = nats.options();
    options.subject = Template::parse("beckn/orders:all").unwrap();
    take(&JetStream::open(options).unwrap(), &event("a", "t")).await;
    assert_eq!(nats.stored().await[0].subject.as_str(), "beckn/orders:all");
}
