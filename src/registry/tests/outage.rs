//! What holds while the registry fails, and after the clock was set back.

use std::time::Duration;

use super::{Came, SELLER, at, net, net_of, record, unavailable};

#[tokio::test]
async fn keys_serve_until_they_are_stale_while_the_registry_is_down() {
    let net = net().await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    net.registry.go_down();
    assert_eq!(net.seller(at(300)).await, Came::Seed(1));
    assert_eq!(net.seller(at(309)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 2, "left alone for ten seconds");
    assert_eq!(net.seller(at(310)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 3);
    assert_eq!(net.seller(at(3_599)).await, Came::Seed(1));
    assert_eq!(net.seller(at(3_600)).await, unavailable(9));
    assert_eq!(net.seller(at(3_609)).await, unavailable(10));
    net.registry.come_up();
    assert_eq!(net.seller(at(3_619)).await, Came::Seed(1));
    assert_eq!(net.seller(at(3_620)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 6);
}

#[tokio::test]
async fn a_new_seller_is_told_to_come_again_while_the_registry_is_down() {
    let net = net().await;
    net.registry.go_down();
    assert_eq!(net.seller(at(0)).await, unavailable(10));
    assert_eq!(net.seller(at(4)).await, unavailable(6));
    assert_eq!(net.registry.lookups(), 1);
    net.registry.come_up();
    assert_eq!(net.seller(at(10)).await, Came::Seed(1));
}

#[tokio::test]
async fn an_unknown_key_id_is_not_refused_for_good_while_the_registry_is_down() {
    let net = net().await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    net.registry.replace(SELLER, [record(SELLER, "k2", 2)]);
    net.registry.go_down();
    assert_eq!(net.ask(SELLER, "k2", at(1)).await, unavailable(10));
    assert_eq!(net.ask(SELLER, "k2", at(2)).await, unavailable(9));
    net.registry.come_up();
    assert_eq!(net.ask(SELLER, "k2", at(11)).await, Came::Seed(2));
    assert_eq!(net.registry.lookups(), 3);
}

#[tokio::test]
async fn only_the_registrys_word_refuses_a_seller_for_good() {
    let check = async |status: u16, body: &str, expected: Came| {
        let net = net().await;
        net.registry.say(status, body);
        assert_eq!(net.seller(at(0)).await, expected, "{status} {body:.60}");
    };
    check(200, "[]", Came::UnknownSubscriber).await;
    check(404, "[]", Came::UnknownSubscriber).await;
    let nack = r#"{"message":{"ack":{"status":"NACK"}},"error":{"code":"151"}}"#;
    check(404, nack, Came::UnknownSubscriber).await;
    check(200, nack, unavailable(10)).await;
    check(404, "404 page not found", unavailable(10)).await;
    check(404, r#"{"status":404,"error":"Not Found"}"#, unavailable(10)).await;
    check(200, "<html></html>", unavailable(10)).await;
    check(200, "", unavailable(10)).await;
    check(200, &format!("[{}]", " ".repeat(64 * 1_024)), unavailable(10)).await;
    for status in [204, 302, 400, 401, 403, 429, 500, 502, 503] {
        check(status, "", unavailable(10)).await;
    }
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up() {
    let net = net_of(|options| options.timeout = Duration::from_millis(100)).await;
    net.registry.hang();
    assert_eq!(net.seller(at(0)).await, unavailable(10));
    net.registry.come_up();
    assert_eq!(net.seller(at(10)).await, Came::Seed(1));
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_last_longer() {
    let net = net().await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    assert_eq!(net.ask("nobody.example", "k1", at(0)).await, Came::UnknownSubscriber);
    net.registry.replace(SELLER, [record(SELLER, "k1", 2)]);
    net.registry.add(record("nobody.example", "k1", 3));
    assert_eq!(net.seller(at(-86_400)).await, Came::Seed(2));
    assert_eq!(net.ask("nobody.example", "k1", at(-86_400)).await, Came::Seed(3));
}
