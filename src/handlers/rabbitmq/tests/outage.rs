//! A broker that dies under load, one that takes nothing, and one that takes nothing large.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{Options, RabbitMq};
use super::scene::{Scene, event, fails};
use crate::event::OrderEvent;
use crate::handler::OrderEventHandler as _;
use crate::servers::{
    rabbitmq::{Own, PATIENCE},
    skip,
};

/// As many lanes as send at a time, and the events of each.
const LANES: usize = 16;
const EVENTS: usize = 150;

/// Hands an event over until it is taken, as dispatch does; notes every attempt that failed.
async fn hand_over(handler: &RabbitMq, event: &OrderEvent, failed: &AtomicUsize) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = handler.handle(event).await {
        assert!(!error.is_permanent(), "{}", error.chain());
        assert!(Instant::now() < end, "{}", error.chain());
        failed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_confirmed_event_outlives_a_broker_that_is_killed() {
    let Some(mut broker) = Own::start("").await else { return skip("rabbitmq-server") };
    let scene = Scene::at(broker.address()).await;
    let name = scene.name.clone();
    let options = Options { confirm_timeout: Duration::from_secs(2), ..scene.options() };
    let handler = Arc::new(RabbitMq::open(options).unwrap());
    fails(&handler, &event("x", "")).await;
    scene.bind("#").await;
    let (taken, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (handler, taken, failed) =
            (Arc::clone(&handler), Arc::clone(&taken), Arc::clone(&failed));
        lanes.spawn(async move {
            let mut ids = Vec::new();
            for n in 0..EVENTS {
                let event = event(&format!("seller-{lane}"), &n.to_string());
                hand_over(&handler, &event, &failed).await;
                taken.fetch_add(1, Ordering::Relaxed);
                ids.push(event.delivery_id());
            }
            ids
        });
    }
    for part in [LANES * EVENTS / 4, LANES * EVENTS / 2] {
        while taken.load(Ordering::Relaxed) < part {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        broker.kill();
        broker.run().await;
    }
    let lanes: Vec<Vec<String>> = lanes.join_all().await;
    let scene = Scene::named(broker.address(), name).await;
    let arrived: Vec<String> = scene
        .arrived()
        .await
        .iter()
        .map(|one| one.properties.message_id().cloned().unwrap())
        .collect();
    let failed = failed.load(Ordering::Relaxed);
    assert!(failed > 0, "the broker was away");
    let kept: BTreeSet<&String> = arrived.iter().collect();
    assert_eq!(kept, lanes.iter().flatten().collect::<BTreeSet<_>>());
    for lane in &lanes {
        let firsts = first_of_each(&arrived, lane);
        assert_eq!(&firsts, &lane.iter().collect::<Vec<_>>(), "order within a lane");
    }
    eprintln!("{} arrived of {}, {failed} attempts failed", arrived.len(), kept.len());
}

#[tokio::test]
async fn a_broker_that_takes_nothing_does_not_fill_this_process() {
    // More than this is in use as soon as it runs: an alarm from the start.
    let settings = "vm_memory_high_watermark.absolute = 1MB\n";
    let Some(broker) = Own::start(settings).await else { return skip("rabbitmq-server") };
    let scene = Scene::at(broker.address()).await;
    let options = Options { confirm_timeout: Duration::from_millis(500), ..scene.options() };
    let handler = RabbitMq::open(options).unwrap();
    let event = event("x", &"x".repeat(10 << 20));
    let mut texts = Vec::new();
    // The broker stops reading at the first message; before it the exchange is declared.
    for _attempt in 0..12 {
        let (_, text) = fails(&handler, &event).await;
        texts.push(text);
    }
    let with = |said: &str| texts.iter().filter(|text| text.contains(said)).count();
    assert!(with("did not confirm the message within 500 ms") > 0, "{texts:?}");
    assert!(with("has not confirmed the last 64 MiB") > 0, "{texts:?}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_a_dead_letter_and_the_others_only_come_again() {
    let settings = "max_message_size = 2000\n";
    let Some(broker) = Own::start(settings).await else { return skip("rabbitmq-server") };
    let scene = Scene::at(broker.address()).await;
    let handler = scene.handler();
    fails(&handler, &event("x", "")).await;
    scene.bind("#").await;
    let (large, failed) = (event("x", &"x".repeat(2_000)), AtomicUsize::new(0));
    let events: Vec<OrderEvent> = (0..EVENTS).map(|n| event("x", &n.to_string())).collect();
    let others = futures_util::future::join_all(
        events.iter().map(|event| hand_over(&handler, event, &failed)),
    );
    let ((is_permanent, text), _) = tokio::join!(fails(&handler, &large), others);
    assert!(is_permanent && text.contains("expected at most 2000 bytes"), "{text}");
    assert!(!text.contains("Asha"), "{text}");
    let arrived = scene.arrived().await;
    let ids: BTreeSet<_> = arrived.iter().filter_map(|one| one.properties.message_id()).collect();
    assert_eq!(ids.len(), EVENTS);
}

/// Returns a lane's ids in the order in which each first arrived.
fn first_of_each<'a>(arrived: &'a [String], lane: &[String]) -> Vec<&'a String> {
    let of_lane: BTreeSet<&String> = lane.iter().collect();
    let mut seen = BTreeSet::new();
    arrived.iter().filter(|id| of_lane.contains(id) && seen.insert(*id)).collect()
}
