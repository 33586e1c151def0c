//! Which key a seller has: pinned, listed, changed, taken away.

use std::sync::Arc;

use chrono::Utc;

use super::{
    Came, MockRegistry, SELLER, ask, at, id, net, options, private, record, seed, unavailable,
};
use crate::registry::{Again, Api, Keys, Missing, Options, Signer};
use crate::words::{KeyId, PinnedKey};

#[tokio::test]
async fn a_new_key_is_found_at_its_first_callback() {
    let net = net().await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    net.registry.replace(SELLER, [record(SELLER, "k2", 2)]);
    assert_eq!(net.ask(SELLER, "k2", at(1)).await, Came::Seed(2));
    assert_eq!(net.registry.lookups(), 2);
    // What the registry lists replaces what was known: the old key is gone, and the seller's one
    // refetch of this minute with it.
    assert_eq!(net.seller(at(2)).await, unavailable(59));
    assert_eq!(net.keys.known(&id(SELLER, "k1")).len(), 1);
}

#[tokio::test]
async fn a_key_that_changed_under_its_id_is_found_when_a_signature_does_not_match() {
    let net = net().await;
    let seller = id(SELLER, "k1");
    let old = net.keys.key(&seller, at(0)).await.unwrap();
    assert!(net.keys.changed(&seller, &old, at(1)).await == Again::Same, "it has not changed");
    assert_eq!(net.registry.lookups(), 2);
    net.registry.replace(SELLER, [record(SELLER, "k1", 2)]);
    assert!(net.keys.changed(&seller, &old, at(2)).await == Again::Same, "one refetch a minute");
    assert_eq!(net.registry.lookups(), 2);
    let Again::Changed(new) = net.keys.changed(&seller, &old, at(61)).await else {
        panic!("it has changed")
    };
    assert_eq!((seed(&new), net.registry.lookups()), (2, 3));
    let again = net.keys.changed(&seller, &old, at(62)).await;
    assert_eq!(again, Again::Changed(Arc::clone(&new)), "known by now, without asking");
    assert_eq!(net.keys.changed(&seller, &new, at(62)).await, Again::Same);
    assert_eq!(net.registry.lookups(), 3);
}

#[tokio::test]
async fn a_seller_that_is_taken_off_the_registry_is_refused_once_its_keys_are_old() {
    let net = net().await;
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    net.registry.remove(SELLER);
    assert_eq!(net.seller(at(200)).await, Came::Seed(1));
    assert_eq!(net.seller(at(300)).await, Came::UnknownSubscriber);
    assert!(net.keys.known(&id(SELLER, "k1")).is_empty());
    net.registry.go_down();
    assert_eq!(net.seller(at(301)).await, Came::UnknownSubscriber, "no stale key comes back");
    assert_eq!(net.seller(at(330)).await, unavailable(10));
}

#[tokio::test]
async fn a_key_is_refused_when_its_validity_or_its_standing_ends() {
    let net = net().await;
    let seller = id(SELLER, "k1");
    net.registry.change(SELLER, |record| record.valid_until = Some(at(60)));
    let key = net.keys.key(&seller, at(0)).await.unwrap();
    assert!(key.check(&seller, at(60)).is_ok());
    assert!(net.keys.key(&seller, at(61)).await.unwrap().check(&seller, at(61)).is_err());
    assert_eq!(net.registry.lookups(), 1, "no lookup is needed to know that");
    net.registry.change(SELLER, |record| {
        (record.valid_until, record.status) = (None, "UNSUBSCRIBED".to_owned());
    });
    let key = net.keys.key(&seller, at(300)).await.unwrap();
    assert!(key.check(&seller, at(300)).is_err());
    assert_eq!(key.refused_status.as_deref(), Some("UNSUBSCRIBED"));
}

#[tokio::test]
async fn one_spelling_of_a_subscriber_decides_nothing_over_another() {
    let net = net().await;
    let other = "HTTPS://Seller.Example/";
    assert_eq!(net.ask(other, "k1", at(0)).await, Came::UnknownSubscriber);
    assert_eq!(net.seller(at(0)).await, Came::Seed(1));
    assert_eq!(net.ask(other, "k1", at(60)).await, Came::UnknownSubscriber);
    assert_eq!(net.seller(at(61)).await, Came::Seed(1));
    assert_eq!(net.registry.lookups(), 3);
}

#[tokio::test]
async fn in_a_network_of_single_keys_any_key_id_will_do() {
    let net = net().await;
    net.registry.add(record("single.example", "", 5).without_key_id());
    assert_eq!(net.ask("single.example", "any", at(0)).await, Came::Seed(5));
    let two_parts = KeyId::new(SELLER, None);
    assert_eq!(ask(&net.keys, &two_parts, at(0)).await, Came::Seed(1));
    net.registry.add(record(SELLER, "k2", 2));
    assert_eq!(ask(&net.keys, &two_parts, at(300)).await, Came::UnknownKey);
}

#[tokio::test]
async fn a_pinned_seller_is_never_looked_up() {
    let registry = MockRegistry::start().await.unwrap();
    registry.add(record(SELLER, "k2", 2));
    let pin = PinnedKey::parse(&format!("https://Seller.example|k1|{}", private(1).public()));
    let pinned = vec![pin.unwrap()];
    let registry_options = Some(options(registry.url()));
    let keys = Keys::open(Options { pinned, registry: registry_options }).unwrap();
    let (own, other) = (id(SELLER, "k1"), id(SELLER, "k2"));
    assert_eq!(ask(&keys, &own, at(0)).await, Came::Seed(1));
    assert_eq!(ask(&keys, &other, at(0)).await, Came::UnknownKey);
    let key = keys.known(&own).remove(0);
    assert_eq!(keys.changed(&own, &key, at(0)).await, Again::Same);
    assert_eq!(registry.lookups(), 0);
}

#[tokio::test]
async fn without_a_registry_an_unpinned_seller_is_unknown_and_learns_no_settings_of_ours() {
    let keys = Keys::open(Options { pinned: Vec::new(), registry: None }).unwrap();
    let Err(Missing::UnknownSubscriber { message }) = keys.key(&id(SELLER, "k1"), at(0)).await
    else {
        panic!("there is nobody to ask");
    };
    assert!(message.contains(SELLER) && !message.contains("registry.url"), "{message}");
}

#[tokio::test]
async fn ondcs_second_lookup_is_signed_with_our_registered_key() {
    let signed_by = async |seed: u8| {
        let registry = MockRegistry::start().await.unwrap();
        registry.add(record(SELLER, "k1", 1));
        registry.add(record("buyer.example", "b1", 9));
        let mut options = options(registry.url_v2());
        options.api = Api::OndcV2;
        options.signer = Some(Signer { id: id("buyer.example", "b1"), key: private(seed) });
        let keys = Keys::open(Options { pinned: Vec::new(), registry: Some(options) }).unwrap();
        // The mock registry has a clock of its own.
        ask(&keys, &id(SELLER, "k1"), Utc::now()).await
    };
    assert_eq!(signed_by(9).await, Came::Seed(1));
    assert_eq!(signed_by(8).await, unavailable(10));
}
