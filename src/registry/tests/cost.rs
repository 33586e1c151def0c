//! What lookups cost: who waits for which, and what strangers can cause.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Came, SELLER, ask, at, id, ms, net, net_of, record, seed, unavailable, until, waits};
use crate::registry::Missing;
use crate::words::KeyId;

#[tokio::test]
async fn ten_thousand_callbacks_of_one_seller_cost_one_lookup() {
    let net = net().await;
    for n in 0..10_000 {
        assert_eq!(net.seller(ms(n * 20)).await, Came::Seed(1));
    }
    assert_eq!(net.registry.lookups(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_first_callers_wait_for_one_lookup() {
    let net = net().await;
    net.registry.delay(Duration::from_millis(50));
    let callers = (0..500).map(|_caller| {
        let keys = Arc::clone(&net.keys);
        tokio::spawn(async move { ask(&keys, &id(SELLER, "k1"), at(0)).await })
    });
    for came in join_all(callers).await {
        assert_eq!(came.unwrap(), Came::Seed(1));
    }
    assert_eq!(net.registry.lookups(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_nobodys_lookup() {
    let net = net().await;
    let seller = id(SELLER, "k1");
    {
        let mut first = std::pin::pin!(net.keys.key(&seller, at(0)));
        assert!(waits(first.as_mut()).await);
    }
    until("the lookup", || !net.keys.known(&seller).is_empty()).await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 1);
}

#[test]
fn a_lookup_that_dies_leaves_nobody_waiting() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (dying, living) = (runtime(), runtime());
    let net = living.block_on(net());
    net.registry.hang();
    let seller = id(SELLER, "k1");
    dying.block_on(async {
        let mut first = std::pin::pin!(net.keys.key(&seller, at(0)));
        assert!(waits(first.as_mut()).await);
        until("the lookup", || net.registry.lookups() == 1).await;
    });
    living.block_on(async {
        let mut waiting = std::pin::pin!(net.keys.key(&seller, at(0)));
        assert!(waits(waiting.as_mut()).await);
        dying.shutdown_background();
        assert!(matches!(waiting.await, Err(Missing::Unavailable { .. })));
        net.registry.come_up();
        assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    });
}

#[tokio::test]
async fn a_flood_of_invented_sellers_neither_floods_the_registry_nor_keeps_a_new_one_out() {
    let net = net().await;
    let (mut lookups, mut let_in) = (vec![0], None);
    for second in 0..120 {
        let invented = (0..100).map(|n| id(&format!("invented-{second}-{n}.example"), "k1"));
        let invented: Vec<KeyId> = invented.collect();
        let came = join_all(invented.iter().map(|id| ask(&net.keys, id, at(second)))).await;
        assert!(!came.iter().any(|came| matches!(came, Came::Seed(_) | Came::UnknownKey)));
        if net.seller(at(second)).await == Came::Seed(1) && let_in.is_none() {
            let_in = Some(second);
        }
        lookups.push(net.registry.lookups());
    }
    assert!(let_in.is_some_and(|second| second < 60), "{let_in:?}");
    for minute in lookups.windows(61) {
        assert!(minute[60] - minute[0] <= 60, "{lookups:?}");
    }
    assert!(lookups[120] > 30, "the registry was asked at all");
}

#[tokio::test]
async fn ten_thousand_invented_key_ids_of_a_known_seller_cost_one_lookup_a_minute() {
    let net = net().await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    assert_eq!(net.ask(SELLER, "invented", at(1)).await, Came::UnknownKey);
    assert_eq!(net.registry.lookups(), 2);
    for n in 0..10_000 {
        assert_eq!(net.ask(SELLER, &format!("invented-{n}"), at(11)).await, unavailable(50));
    }
    assert_eq!(net.ask(SELLER, "invented", at(60)).await, Came::UnknownKey, "this one was asked");
    assert_eq!(net.seller(at(60)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 2);
    assert_eq!(net.ask(SELLER, "invented-1", at(61)).await, Came::UnknownKey);
    assert_eq!(net.registry.lookups(), 3);
}

#[tokio::test]
async fn that_nobody_is_there_is_remembered_for_a_while() {
    let net = net().await;
    for second in [0, 1, 29] {
        assert_eq!(net.ask("nobody.example", "k1", at(second)).await, Came::UnknownSubscriber);
    }
    assert_eq!(net.registry.lookups(), 1);
    net.registry.add(record("nobody.example", "k1", 3));
    assert_eq!(net.ask("nobody.example", "k1", at(30)).await, Came::Seed(3));
}

#[tokio::test]
async fn the_seller_that_was_not_heard_of_for_longest_is_forgotten_first() {
    let net = net_of(|options| options.subscribers = 2).await;
    for name in ["a.example", "b.example", "c.example"] {
        net.registry.add(record(name, "k1", 1));
    }
    for (second, name) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
        let came = net.ask(&format!("{name}.example"), "k1", at(second)).await;
        assert_eq!(came, Came::Seed(1));
    }
    let known = |name: &str| !net.keys.known(&id(name, "k1")).is_empty();
    assert_eq!(["a.example", "b.example", "c.example"].map(known), [true, false, true]);
}

#[tokio::test]
async fn what_is_remembered_of_nobody_is_bounded_too() {
    let net = net_of(|options| {
        (options.subscribers, options.negative) = (2, Duration::from_hours(1));
    })
    .await;
    for (second, name) in [(0, "x"), (1, "y"), (2, "z"), (3, "y"), (4, "z")] {
        assert_eq!(net.ask(name, "k1", at(second)).await, Came::UnknownSubscriber);
    }
    assert_eq!(net.registry.lookups(), 3);
    assert_eq!(net.ask("x", "k1", at(5)).await, Came::UnknownSubscriber);
    assert_eq!(net.registry.lookups(), 4, "the oldest was let go of");
}

#[tokio::test]
async fn a_subscriber_id_of_any_length_is_bounded() {
    let net = net().await;
    let long = "s".repeat(1_025);
    assert_eq!(net.ask(&long, "k1", at(0)).await, Came::UnknownSubscriber);
    assert_eq!(net.registry.lookups(), 0);
}

#[tokio::test]
async fn keys_are_refreshed_beside_a_callback_before_they_are_old() {
    let net = net().await;
    let seller = id(SELLER, "k1");
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    net.registry.replace(SELLER, [record(SELLER, "k1", 2)]);
    assert_eq!(net.seller(at(239)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 1);
    assert_eq!(net.seller(at(240)).await, Came::Seed(1), "answered at once");
    until("the refresh", || seed(&net.keys.known(&seller)[0]) == 2).await;
    assert_eq!(net.seller(at(241)).await, Came::Seed(2));
    assert_eq!(net.registry.lookups(), 2);
}

#[tokio::test]
async fn a_revoked_key_ends_with_cache_s_also_while_strangers_spend_the_budget() {
    // fresh 300 s, stale 3,600 s
    let net = net_of(|options| options.lookups_per_minute = 4).await;
    for other in ["a.example", "b.example", "c.example", "d.example", "e.example"] {
        net.registry.add(record(other, "k1", 3));
    }
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    for (minute, other) in
        (1..).zip(["a.example", "b.example", "c.example", "d.example", "e.example"])
    {
        assert_eq!(net.ask(other, "k1", at(61 * minute)).await, Came::Seed(3));
    }
    net.registry.remove(SELLER); // revoked; the registry answers all the time
    let mut last = 0;
    for second in 400..3_600 {
        // What anyone can post: bad signatures in the names of known subscribers, unknown key ids,
        // invented names.
        for other in ["a.example", "b.example", "c.example", "d.example", "e.example"] {
            net.ask(other, "k1", at(second)).await;
            net.ask(other, "no such key", at(second)).await;
        }
        net.ask(&format!("invented-{second}.example"), "k1", at(second)).await;
        net.ask(&format!("invented-{}.example", second - 2), "k1", at(second)).await;
        if second % 20 == 0 && net.seller(at(second)).await == Came::Seed(1) {
            last = second;
        }
    }
    assert!(last <= 300, "the revoked key was still accepted at {last} s");
}
