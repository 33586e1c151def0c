//! Against a real broker; skipped where there is none.

mod outage;
mod scene;
mod tls;

use std::time::Duration;

use amqprs::channel::{ExchangeDeclareArguments, QueueDeclareArguments};
use amqprs::{FieldTable, FieldValue};

use self::scene::{Scene, event, fails};
use super::{LONGEST_NAME, OpenError, Options, ROOM, RabbitMq, token_limit};
use crate::config::Content;
use crate::handler::OrderEventHandler as _;
use crate::servers::rabbitmq::free_port;
use crate::words::template::Template;

#[tokio::test]
async fn an_event_arrives_whole_persistent_and_named() {
    Scene::play(async |scene: &Scene| {
        let handler = scene.handler();
        let (mut event, unbound) = (event("seller.example", "t"), event("seller.example", "u"));
        event.received_at = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert!(fails(&handler, &unbound).await.0, "nothing is bound");
        scene.bind("beckn.on_status.#").await;
        handler.handle(&event).await.unwrap();
        let [message] = &scene.arrived().await[..] else { panic!("one message") };
        assert_eq!(message.routing_key, "beckn.on_status.seller%2Eexample");
        let properties = &message.properties;
        assert_eq!(properties.message_id(), Some(&event.delivery_id()));
        assert_eq!(properties.delivery_mode(), Some(2));
        assert_eq!(properties.timestamp(), Some(1_700_000_000));
        assert_eq!(properties.content_type().map(String::as_str), Some("application/json"));
        assert_eq!(properties.message_type().map(String::as_str), Some("on_status"));
        assert_eq!(properties.app_id().map(String::as_str), Some("beckn-receiver"));
        let headers = properties.headers().unwrap();
        let header = headers.get(&"beckn-event-id".try_into().unwrap());
        assert_eq!(header, Some(&FieldValue::from(event.id.to_string())));
        let envelope: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(envelope["callback"]["message"]["order"]["id"], "O-1");
    })
    .await;
}

#[tokio::test]
async fn a_bare_callback_of_many_frames_arrives_byte_for_byte() {
    Scene::play(async |scene: &Scene| {
        let handler =
            RabbitMq::open(Options { content: Content::Callback, ..scene.options() }).unwrap();
        let event = event("seller.example", &"x".repeat(700_000));
        fails(&handler, &event).await;
        scene.bind("#").await;
        handler.handle(&event).await.unwrap();
        let [message] = &scene.arrived().await[..] else { panic!("one message") };
        assert_eq!(message.body, event.body);
    })
    .await;
}

#[tokio::test]
async fn a_hostile_id_is_one_token_and_fits() {
    Scene::play(async |scene: &Scene| {
        let handler = scene.handler();
        let long = "é.*#".repeat(200);
        let hostile = ["a.b", "*", "#", "x\r\n\0y", "%2E", "é", " ", long.as_str()];
        fails(&handler, &event("x", "")).await;
        // `*` is exactly one token.
        scene.bind("beckn.on_status.*").await;
        for id in hostile {
            handler.handle(&event(id, "t")).await.unwrap();
        }
        let arrived = scene.arrived().await;
        let mut keys: Vec<&str> = arrived.iter().map(|one| one.routing_key.as_str()).collect();
        assert!(keys.iter().all(|key| key.len() <= LONGEST_NAME), "{keys:?}");
        assert!(keys.iter().all(|key| key.matches('.').count() == 2), "{keys:?}");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), hostile.len());
    })
    .await;
}

#[tokio::test]
async fn an_unroutable_event_is_a_dead_letter_that_says_what_to_do() {
    Scene::play(async |scene: &Scene| {
        let handler = scene.handler();
        let (is_permanent, text) = fails(&handler, &event("seller.example", "t")).await;
        assert!(is_permanent);
        let named = format!("exchange `{}`", scene.name);
        for said in [&named, "`beckn.on_status.seller%2Eexample`", "312", "no queue", "replay"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("Asha"), "{text}");
        scene.bind("#").await;
        handler.handle(&event("seller.example", "t")).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_among_many_confirms_hit_the_right_events() {
    Scene::play(async |scene: &Scene| {
        let handler = std::sync::Arc::new(scene.handler());
        fails(&handler, &event("x", "")).await;
        scene.bind("beckn.on_status.bound").await;
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..600 {
            let handler = std::sync::Arc::clone(&handler);
            calls.spawn(async move {
                let is_bound = n % 3 != 0;
                let event = event(if is_bound { "bound" } else { "loose" }, &n.to_string());
                let outcome = handler.handle(&event).await;
                assert_eq!(outcome.is_ok(), is_bound, "{n}: {outcome:?}");
                assert!(outcome.err().is_none_or(|error| error.is_permanent()));
            });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
        assert_eq!(scene.arrived().await.len(), 400);
    })
    .await;
}

#[tokio::test]
async fn an_exchange_of_another_type_is_named_with_both_types() {
    Scene::play(async |scene: &Scene| {
        let other = ExchangeDeclareArguments::new(&scene.name, "direct").durable(true).finish();
        scene.channel.exchange_declare(other).await.unwrap();
        let (is_permanent, text) = fails(&scene.handler(), &event("x", "t")).await;
        assert!(!is_permanent);
        let named = format!("could not declare the exchange `{}`", scene.name);
        for said in [&named, "406", "received 'topic' but current is 'direct'"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let looks = RabbitMq::open(Options { declare: false, ..scene.options() }).unwrap();
        assert!(fails(&looks, &event("x", "t")).await.1.contains("no queue"), "any type will do");
    })
    .await;
}

#[tokio::test]
async fn a_missing_exchange_is_waited_for() {
    Scene::play(async |scene: &Scene| {
        let handler = RabbitMq::open(Options { declare: false, ..scene.options() }).unwrap();
        let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
        assert!(!is_permanent);
        let named = format!("could not find the exchange `{}`: 404 NOT_FOUND", scene.name);
        assert!(text.contains(&named), "{text}");
        // In the pause after it nothing is tried, and the reason is still said.
        let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
        assert!(!is_permanent && text.contains("404 NOT_FOUND"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_refused_publish_ends_the_channel_and_says_why() {
    Scene::play(async |scene: &Scene| {
        let internal = ExchangeDeclareArguments::new(&scene.name, "topic").internal(true).finish();
        scene.channel.exchange_declare(internal).await.unwrap();
        let handler = RabbitMq::open(Options { declare: false, ..scene.options() }).unwrap();
        for _attempt in 0..2 {
            let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
            assert!(!is_permanent);
            assert!(text.contains("403 ACCESS_REFUSED"), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_event_comes_again() {
    Scene::play(async |scene: &Scene| {
        let handler = scene.handler();
        fails(&handler, &event("x", "")).await;
        let mut limits = FieldTable::new();
        limits.insert("x-max-length".try_into().unwrap(), FieldValue::I(1));
        limits.insert("x-overflow".try_into().unwrap(), "reject-publish".into());
        let queue = QueueDeclareArguments::new(&scene.name).arguments(limits).finish();
        scene.channel.queue_declare(queue).await.unwrap();
        let binding = amqprs::channel::QueueBindArguments::new(&scene.name, &scene.name, "#");
        scene.channel.queue_bind(binding).await.unwrap();
        handler.handle(&event("x", "1")).await.unwrap();
        let (is_permanent, text) = fails(&handler, &event("x", "2")).await;
        assert!(!is_permanent && text.contains("basic.nack"), "{text}");
        scene.arrived().await;
        handler.handle(&event("x", "2")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_guessed_and_not_shown() {
    Scene::play(async |scene: &Scene| {
        let password = "hunter2-hunter2".to_owned();
        let handler = RabbitMq::open(Options { password, ..scene.options() }).unwrap();
        let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
        assert!(!is_permanent);
        assert!(text.contains("could not log in as user `guest`"), "{text}");
        assert!(!text.contains("hunter2") && !format!("{handler:?}").contains("hunter2"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_named() {
    Scene::play(async |scene: &Scene| {
        let url = format!("{}/no%2Fsuch", scene.options().url);
        let handler = RabbitMq::open(Options { url, ..scene.options() }).unwrap();
        let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
        assert!(!is_permanent && text.contains("no/such"), "{text}");
    })
    .await;
}

fn options() -> Options {
    Options {
        url: format!("amqp://127.0.0.1:{}", free_port()),
        user: "guest".to_owned(),
        password: "hunter2-hunter2".to_owned(),
        exchange: "orders".to_owned(),
        routing_key: Template::parse("{action}").unwrap(),
        declare: true,
        content: Content::Envelope,
        ca_file: None,
        confirm_timeout: Duration::from_secs(10),
        sampling: crate::trace::Sampling::share(1.0),
    }
}

#[tokio::test]
async fn a_broker_that_is_away_fails_the_attempt_for_now() {
    let handler = RabbitMq::open(options()).unwrap();
    let event = event("x", "t");
    let (is_permanent, text) = fails(&handler, &event).await;
    assert!(!is_permanent && text.contains("Connection refused"), "{text}");
    // The pauses grow, so that one of them is longer than this machine takes for two calls.
    for _attempt in 0..20 {
        let (is_permanent, text) = fails(&handler, &event).await;
        assert!(!is_permanent && text.contains("Connection refused"), "{text}");
        if text.contains("the next try is in") {
            return;
        }
    }
    panic!("it connects without a pause");
}

#[tokio::test]
async fn a_runtime_that_ends_takes_the_connection_along_and_the_handler_goes_on_in_another() {
    Scene::play(async |scene: &Scene| {
        let handler = scene.handler();
        let work = std::thread::spawn(move || {
            for _runtime in 0..2 {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let (is_permanent, text) = runtime.block_on(fails(&handler, &event("x", "t")));
                assert!(is_permanent, "connected, and nothing is bound: {text}");
            }
            // Where there is no runtime any more.
            drop(handler);
        });
        tokio::task::spawn_blocking(|| work.join().unwrap()).await.unwrap();
    })
    .await;
}

/// Returns a broker that takes connections and says nothing, and a handler for it.
async fn silent(confirm_timeout: Duration) -> (tokio::net::TcpListener, RabbitMq) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let handler = RabbitMq::open(Options { url, confirm_timeout, ..options() }).unwrap();
    (listener, handler)
}

// The clock stands still in a pause, so nothing here hangs on how fast the machine is.
#[tokio::test(start_paused = true)]
async fn a_broker_that_says_nothing_is_waited_for_within_the_limits_and_then_left_alone() {
    // The default is as long as a connection may take; what ends first is what is said.
    for (confirm_ms, said_ms) in [(100, 100), (5_000, 5_000), (60_000, 5_000)] {
        let (_listener, handler) = silent(Duration::from_millis(confirm_ms)).await;
        let within = format!("within {said_ms} ms");
        for pause_ms in [250, 500, 1_000] {
            let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
            assert!(!is_permanent && text.contains(&within), "{text}");
            assert!(!text.contains("the next try"), "{text}");
            let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
            let next = format!("the next try is in {pause_ms} ms");
            assert!(!is_permanent && text.contains(&within) && text.contains(&next), "{text}");
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_while_it_connects_leaves_a_pause_behind() {
    let (_listener, handler) = silent(Duration::from_secs(5)).await;
    let event = event("x", "t");
    let attempt = tokio::time::timeout(Duration::from_millis(100), handler.handle(&event));
    assert!(attempt.await.is_err());
    let (is_permanent, text) = fails(&handler, &event).await;
    assert!(!is_permanent && text.contains("the next try is in 150 ms"), "{text}");
}

#[tokio::test]
async fn what_waits_for_a_confirm_is_bounded() {
    let handler = RabbitMq::open(options()).unwrap();
    let whole = handler.room_for(usize::MAX).unwrap();
    assert!(handler.room_for(0).is_err());
    drop(whole);
    let small: Vec<_> = std::iter::from_fn(|| handler.room_for(0).ok()).collect();
    assert_eq!(small.len(), ROOM as usize / (16 << 10));
}

#[test]
fn mistakes_are_found_without_a_network_and_shown_without_secrets() {
    let refused = |options: Options| {
        let error = RabbitMq::open(options).unwrap_err();
        let text = format!("{error:?} {}", crate::words::Chain(&error));
        assert!(!text.contains("hunter2") && !text.contains("guest"), "{text}");
        error
    };
    let url = "amqp://guest:hunter2@rabbit".to_owned();
    assert!(matches!(refused(Options { url, ..options() }), OpenError::Url(_)));
    for exchange in [String::new(), "x".repeat(256)] {
        assert!(matches!(refused(Options { exchange, ..options() }), OpenError::Exchange(_)));
    }
    let routing_key = Template::parse(&"{bpp_id}".repeat(8)).unwrap();
    let error = refused(Options { routing_key, ..options() });
    assert!(matches!(error, OpenError::RoutingKey(256)), "{error:?}");
    let ca_file = Some("ca.pem".into());
    assert!(matches!(refused(Options { ca_file, ..options() }), OpenError::CaWithoutTls));
}

#[test]
fn places_share_what_the_text_leaves() {
    let check = |template: &str, limit| {
        let template = Template::parse(template).unwrap();
        assert_eq!(token_limit(&template).unwrap(), limit, "{}", template.as_str());
        assert!(template.longest(limit) <= LONGEST_NAME);
    };
    check("{bpp_id}", 255);
    check("a.{bpp_id}.{order_id}", 126);
    check(&"{bpp_id}".repeat(7), 36);
    check("orders", 32);
}
