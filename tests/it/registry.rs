//! Sellers whose keys are at a registry: what look-ups cost, and what a change there does, counted
//! at the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beckn_receiver::mock::{MockRecord, MockRegistry};
use chrono::{TimeDelta, Utc};

use crate::flood::{Post, flood};
use crate::harness::{
    Answer, Child, PATIENCE, Recorder, Seller, TestReceiver, on_status, post_signed, wait_until,
};

/// How often a seller of these tests comes again.
const AGAIN: Duration = Duration::from_secs(1);

/// A receiver that finds sellers' keys at a registry.
struct Net {
    registry: MockRegistry,
    receiver: TestReceiver,
    recorder: Recorder,
    seller: Seller,
}

impl Net {
    /// Starts both with one seller, under these settings of `[registry]`.
    async fn start(settings: &str) -> Self {
        Self::start_at(MockRegistry::url, settings).await
    }

    /// As [`Net::start`], at one of the registry's look-ups.
    async fn start_at(url: fn(&MockRegistry) -> String, settings: &str) -> Self {
        let (seller, recorder) = (Seller::new("seller.example"), Recorder::new());
        let registry = MockRegistry::start().await.unwrap();
        registry.add(seller.record());
        let settings = format!(
            "subscriber_ids = [\"buyer.example\", \"second.example\"]\n\
             signature.mode = \"required\"\n[registry]\nurl = \"{}\"\n{settings}",
            url(&registry)
        );
        let receiver = TestReceiver::start(&settings, recorder.clone()).await;
        Self { registry, receiver, recorder, seller }
    }

    /// Posts a callback that this seller signs now.
    async fn post(&self, seller: &Seller, message: &str) -> Answer {
        seller.post(&self.receiver, "/on_status", &on_status("t", message, "Packed")).await
    }

    /// Posts one that has to be ACKed.
    async fn accept(&self, seller: &Seller, message: &str) {
        let answer = self.post(seller, message).await;
        assert!(answer.is_ack(), "{message}: {answer}");
    }

    /// Posts again and again until the answer is another than a 503.
    async fn come_again(&self, seller: &Seller, message: &str) -> Answer {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.post(seller, message).await;
            if answer.status != 503 {
                return answer;
            }
            assert_comes_again(&answer);
            assert!(tokio::time::Instant::now() < end, "{message} is still told to come again");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn stop(self) {
        self.receiver.stop().await;
    }
}

/// A seller that is told this loses no callback.
#[track_caller]
fn assert_comes_again(answer: &Answer) {
    assert_eq!((answer.status, answer.error("code")), (503, "23001".to_owned()), "{answer}");
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_callbacks_of_one_seller_cost_one_lookup() {
    let net = Net::start("").await;
    let seller = Seller::new("seller.example");
    let answers = flood(net.receiver.address, 64, move |n| {
        let body = on_status(&format!("t{}", n % 500), &format!("m{n}"), "Packed");
        let authorization = seller.authorization(body.as_bytes());
        (n < 10_000).then_some(Post { authorization, body })
    })
    .await;
    assert_eq!(answers.len(), 10_000);
    assert!(answers.iter().all(Answer::is_ack));
    assert_eq!(net.registry.lookups(), 1);
    assert_eq!(net.recorder.wait_for(10_000).await.len(), 10_000);
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_first_callbacks_at_once_wait_for_one_lookup() {
    let net = Net::start("").await;
    // Long enough for most of them to come while it is under way.
    net.registry.delay(Duration::from_millis(500));
    let seller = Seller::new("seller.example");
    let answers = flood(net.receiver.address, 500, move |n| {
        let body = on_status(&format!("t{n}"), "m", "Packed");
        let authorization = seller.authorization(body.as_bytes());
        (n < 500).then_some(Post { authorization, body })
    })
    .await;
    assert_eq!(answers.len(), 500);
    assert!(answers.iter().all(Answer::is_ack));
    assert_eq!(net.registry.lookups(), 1);
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_senders_keeps_neither_known_nor_new_sellers_out() {
    let net = Net::start("").await;
    net.accept(&net.seller, "before").await;
    let newcomer = Seller::new("newcomer.example");
    net.registry.add(newcomer.record());
    let let_in = Arc::new(AtomicBool::new(false));
    let (began, ends) = (Utc::now(), Arc::clone(&let_in));
    let post = |n: usize| {
        let body = on_status("t", &format!("m{n}"), "Packed");
        let forger = Seller::new(&format!("invented-{n}.example"));
        let authorization = match n % 2 {
            0 => forger.authorization(body.as_bytes()),
            _ => Seller::new("seller.example")
                .rekeyed(&format!("invented-{n}"))
                .authorization(body.as_bytes()),
        };
        Post { authorization, body }
    };
    // At least so many, and until the new seller is in.
    let flooding = tokio::spawn(flood(net.receiver.address, 32, move |n| {
        (n < 10_000 || !ends.load(Ordering::Relaxed)).then(|| post(n))
    }));
    // The known seller, those who came first, and the known one's other keys.
    wait_until("the budget of strangers is spent", async || net.registry.lookups() >= 31).await;
    let body = on_status("t-new", "m", "Packed").replace("seller.example", "newcomer.example");
    let end = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        let answer = newcomer.post(&net.receiver, "/on_status", &body).await;
        if answer.is_ack() {
            break;
        }
        assert_comes_again(&answer);
        assert!(tokio::time::Instant::now() < end, "a new seller is kept out for a minute");
        tokio::time::sleep(AGAIN).await;
    }
    net.accept(&net.seller, "meanwhile").await;
    let_in.store(true, Ordering::Relaxed);
    let answers = flooding.await.unwrap();
    // On a machine on which this takes longer, as many may happen in each further minute.
    let minutes = (Utc::now() - began).num_minutes() + 1;
    let lookups = i64::try_from(net.registry.lookups()).unwrap();
    assert!(lookups <= 60 * minutes, "{lookups} look-ups in {minutes} min");
    assert!(answers.len() >= 10_000);
    for answer in &answers {
        match answer.status {
            401 => assert_eq!(answer.error("code"), "20001", "{answer}"),
            _ => assert_comes_again(answer),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 401), "the registry was asked at all");
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_callback_under_a_new_key_is_acked() {
    for unique_key in ["key-2", "key-1"] {
        let net = Net::start("").await;
        net.accept(&net.seller, "under the old key").await;
        let new = net.seller.rekeyed(unique_key);
        net.registry.replace("seller.example", [new.record()]);
        net.accept(&new, "under the new key").await;
        net.accept(&new, "again").await;
        assert_eq!(net.registry.lookups(), 2, "{unique_key}");
        // What the registry lists no more is out at once.
        let answer = net.post(&net.seller, "under the old key again").await;
        assert_ne!(answer.status, 200, "{unique_key}: {answer}");
        net.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_registry_stops_known_sellers_only_when_their_keys_are_stale() {
    let net = Net::start("cache_s = 1\nstale_s = 4").await;
    let began = Utc::now();
    net.accept(&net.seller, "before").await;
    net.registry.go_down();
    let (mut past_the_cache, mut n) = (0, 0);
    let answer = loop {
        n += 1;
        let answer = net.post(&net.seller, &format!("m{n}")).await;
        if !answer.is_ack() {
            break answer;
        }
        past_the_cache += u32::from(Utc::now() - began > TimeDelta::seconds(2));
        assert!(Utc::now() - began < TimeDelta::seconds(30), "it is never stale");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // The same clock as the receiver's: stale is what was looked up four seconds ago.
    assert!(Utc::now() - began >= TimeDelta::seconds(4), "{answer}");
    assert!(past_the_cache > 0, "the cache time was over and no callback came");
    assert_comes_again(&answer);
    let newcomer = Seller::new("newcomer.example");
    net.registry.add(newcomer.record());
    let body = on_status("t-new", "m", "Packed").replace("seller.example", "newcomer.example");
    let answer = newcomer.post(&net.receiver, "/on_status", &body).await;
    assert_comes_again(&answer);
    net.registry.come_up();
    let answer = net.come_again(&net.seller, "after").await;
    assert!(answer.is_ack(), "{answer}");
    net.stop().await;
}

/// Returns the causes of what was refused, as the command lists them beside the receiver.
async fn refused_for(receiver: &TestReceiver) -> String {
    let inbox = receiver.inbox().join("inbox");
    let listed = tokio::task::spawn_blocking(move || {
        let mut command = crate::harness::binary();
        command.env("BECKN_RECEIVER_INBOX__PATH", inbox).args(["refusals", "--json"]);
        command.current_dir(std::env::temp_dir()).output().unwrap().stdout
    });
    String::from_utf8(listed.await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_registry_takes_back_stops_within_the_cache_time() {
    type Change = fn(&MockRegistry);
    let hour = TimeDelta::hours(1);
    let removed: Change = |registry| registry.remove("seller.example");
    let unsubscribed: Change = |registry| {
        registry.change("seller.example", |record| record.status = "UNSUBSCRIBED".to_owned());
    };
    let expired: Change = |registry| {
        registry.change("seller.example", |record| {
            record.valid_until = Some(Utc::now() - TimeDelta::hours(1));
        });
    };
    let until = (Utc::now() - hour).format("until %Y-").to_string();
    for (change, says, cause) in [
        (removed, "the registry does not list", "signature.unknown_subscriber"),
        (unsubscribed, "UNSUBSCRIBED", "signature.key_no_longer_valid"),
        (expired, until.as_str(), "signature.key_no_longer_valid"),
    ] {
        let net = Net::start("cache_s = 1").await;
        net.accept(&net.seller, "before").await;
        change(&net.registry);
        let stops = Utc::now() + TimeDelta::seconds(1);
        let mut n = 0;
        let answer = loop {
            n += 1;
            let (sent, answer) = (Utc::now(), net.post(&net.seller, &format!("m{n}")).await);
            if !answer.is_ack() {
                break answer;
            }
            assert!(sent < stops, "{cause}: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!((answer.status, answer.error("code")), (401, "20001".to_owned()), "{answer}");
        assert!(answer.error("message").contains(says), "{says}: {answer}");
        wait_until("the refusal is kept", async || {
            refused_for(&net.receiver).await.contains(cause)
        })
        .await;
        net.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_our_subscriber_ids_is_posted_to_on_the_same_lookup() {
    let net = Net::start("").await;
    for ours in ["buyer.example", "second.example", "third.example"] {
        let body = on_status("t", ours, "Packed")
            .replace("\"bap_id\":\"buyer.example\"", &format!("\"bap_id\":\"{ours}\""));
        let answer = net.seller.post(&net.receiver, "/on_status", &body).await;
        if ours == "third.example" {
            assert_eq!(answer.error("path"), "/context/bap_id", "{answer}");
        } else {
            assert!(answer.is_ack(), "{ours}: {answer}");
        }
    }
    let mut to: Vec<_> =
        net.recorder.wait_for(2).await.iter().map(|event| event.context.bap_id.clone()).collect();
    to.sort_unstable();
    assert_eq!(to, ["buyer.example", "second.example"].map(|id| Some(id.into())));
    assert_eq!(net.registry.lookups(), 1);
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_renewed_or_subscribed_is_good_at_the_next_callback() {
    type Change = fn(&mut MockRecord);
    let expired: Change = |record| record.valid_until = Some(Utc::now() - TimeDelta::hours(1));
    let renewed: Change = |record| record.valid_until = Some(Utc::now() + TimeDelta::hours(1));
    let initiated: Change = |record| record.status = "INITIATED".to_owned();
    let subscribed: Change = |record| record.status = "SUBSCRIBED".to_owned();
    for (before, after) in [(expired, renewed), (initiated, subscribed)] {
        let net = Net::start("").await;
        net.registry.change("seller.example", before);
        let answer = net.post(&net.seller, "before").await;
        assert_eq!(answer.status, 401, "{answer}");
        assert_eq!(net.registry.lookups(), 1, "what was looked up for it is new enough");
        net.registry.change("seller.example", after);
        net.accept(&net.seller, "after").await;
        assert_eq!(net.registry.lookups(), 2);
        net.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_lookup_finds_the_key() {
    let ours = Seller::new("buyer.example");
    let signed = format!(
        "api = \"ondc_v2\"\nkey_id = \"buyer.example|key-1\"\nprivate_key = \"{}\"",
        ours.private()
    );
    for (url, settings) in [
        (MockRegistry::url as fn(&MockRegistry) -> String, "api = \"beckn\""),
        (MockRegistry::url, "api = \"beckn\"\ncountry = \"\""),
        (MockRegistry::url, "api = \"ondc\""),
        (MockRegistry::url_v2, &signed),
    ] {
        let net = Net::start_at(url, settings).await;
        net.registry.add(ours.record());
        net.accept(&net.seller, "m").await;
        assert_eq!(net.registry.lookups(), 1);
        net.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_is_signed_wrong_is_our_fault_and_not_the_sellers() {
    let (seller, ours) = (Seller::new("seller.example"), Seller::new("buyer.example"));
    let another = ours.rekeyed("key-1").private();
    for (api, level, says) in [
        ("ondc_v2", "ERROR", "does not accept our own signature"),
        ("ondc", "WARN", "wants a signature of ours"),
    ] {
        let registry = MockRegistry::start().await.unwrap();
        registry.add(seller.record());
        registry.add(ours.record());
        let child = Child::start(&[
            ("BECKN_RECEIVER_SIGNATURE__MODE", "required"),
            ("BECKN_RECEIVER_SUBSCRIBER_IDS", "[\"buyer.example\"]"),
            ("BECKN_RECEIVER_REGISTRY__URL", &registry.url_v2()),
            ("BECKN_RECEIVER_REGISTRY__API", api),
            ("BECKN_RECEIVER_REGISTRY__KEY_ID", "buyer.example|key-1"),
            ("BECKN_RECEIVER_REGISTRY__PRIVATE_KEY", &another),
        ])
        .await;
        let body = on_status("t", "m", "Packed");
        let header = seller.authorization(body.as_bytes());
        assert_comes_again(&post_signed(child.address, "/on_status", &header, &body).await);
        assert_eq!(registry.lookups(), 1);
        let (_, log) = child.end().await;
        let line = log.lines().find(|line| line.contains(says));
        assert!(line.is_some_and(|line| line.contains(level)), "{api}: {log}");
        assert!(!log.contains(&another[..10]), "{log}");
    }
}
