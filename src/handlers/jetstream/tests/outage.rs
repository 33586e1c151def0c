use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::JetStream;
use super::{Nats, PATIENCE, event, ids, options, refusal, take, take_in_the_end};

#[tokio::test]
async fn without_a_server_an_attempt_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let handler = JetStream::open(options(&format!("nats://{address}"))).unwrap();
    for _ in 0..100 {
        let error = refusal(&handler, &event("a", "t")).await;
        let text = error.chain();
        assert!(!error.is_permanent(), "{text}");
        assert!(text.starts_with(&format!("not connected to NATS: {address}: ")), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_no_longer_than_allowed() {
    // It accepts, by its backlog, and never speaks.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(&format!("nats://{}", listener.local_addr().unwrap()));
    options.ack_timeout = Duration::from_millis(200);
    let handler = JetStream::open(options).unwrap();
    let error = refusal(&handler, &event("a", "t")).await;
    assert!(error.chain().starts_with("not connected to NATS: "), "{}", error.chain());
}

#[tokio::test]
async fn the_first_event_after_the_server_came_back_is_taken() {
    let Some(mut nats) = Nats::start().await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    take(&handler, &event("a", "1")).await;
    nats.kill();
    let error = refusal(&handler, &event("a", "2")).await;
    assert!(error.chain().contains("NATS"), "{}", error.chain());
    nats.restart().await;
    take_in_the_end(&handler, &event("a", "2")).await;
    assert_eq!(nats.stored().await.len(), 2);
}

#[tokio::test]
async fn a_second_server_is_tried_when_the_first_is_away() {
    let Some(nats) = Nats::start().await else { return };
    let mut options = nats.options();
    options.servers.insert(0, "nats://127.0.0.1:1".to_owned());
    take(&JetStream::open(options).unwrap(), &event("a", "1")).await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let settings = "accounts { A { jetstream: enabled, users = [{user: u, password: right}] } }";
    let Some(nats) = Nats::start_with(settings).await else { return };
    let with = |password: &str| {
        let mut options = nats.options();
        (options.user, options.password) = ("u".to_owned(), password.to_owned());
        JetStream::open(options).unwrap()
    };
    let error = refusal(&with("hush"), &event("a", "t")).await;
    let text = error.chain();
    assert!(!error.is_permanent() && text.contains("does not let us in"), "{text}");
    assert!(!format!("{text} {error:?}").contains("hush"), "{error:?}");
    take(&with("right"), &event("a", "t")).await;
}

#[tokio::test]
async fn a_token_lets_in() {
    let Some(nats) = Nats::start_with("authorization { token: \"open\" }").await else { return };
    let mut options = nats.options();
    options.token = "open".to_owned();
    take(&JetStream::open(options).unwrap(), &event("a", "t")).await;
}

#[tokio::test]
async fn a_permission_that_is_missing_is_told_with_the_servers_words() {
    let settings = "accounts { A { jetstream: enabled, users = [{user: u, password: p, \
        permissions: { publish: [\"$JS.API.>\"] } }] } }";
    let Some(nats) = Nats::start_with(settings).await else { return };
    let mut options = nats.options();
    (options.user, options.password) = ("u".to_owned(), "p".to_owned());
    options.ack_timeout = Duration::from_secs(1);
    let error = refusal(&JetStream::open(options).unwrap(), &event("a", "t")).await;
    let text = error.chain();
    assert!(text.contains("did not answer") && text.contains("Permissions Violation"), "{text}");
}

#[tokio::test]
async fn the_leave_that_the_document_names_is_enough() {
    let settings = "accounts { A { jetstream: enabled, users = [{user: u, password: p, \
        permissions: { publish: [\"beckn.>\", \"$JS.API.STREAM.INFO.EVENTS\", \
        \"$JS.API.STREAM.CREATE.EVENTS\"], subscribe: [\"_INBOX.>\"] } }] } }";
    let Some(nats) = Nats::start_with(settings).await else { return };
    let mut options = nats.options();
    (options.user, options.password) = ("u".to_owned(), "p".to_owned());
    take(&JetStream::open(options).unwrap(), &event("a", "t")).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_found_again() {
    let Some(nats) = Nats::start().await else { return };
    let mut options = nats.options();
    options.ack_timeout = Duration::from_millis(200);
    let handler = Arc::new(JetStream::open(options).unwrap());
    take_in_the_end(&handler, &event("a", "first")).await;
    nats.signal("STOP");
    let mut attempts = JoinSet::new();
    for number in 0..40 {
        let handler = Arc::clone(&handler);
        attempts.spawn(async move { refusal(&handler, &event("a", &number.to_string())).await });
    }
    while let Some(error) = attempts.join_next().await {
        let text = error.unwrap().chain();
        assert!(text.contains("did not answer on `beckn.on_status.a`"), "{text}");
    }
    // The connection with all that waited in it is gone.
    let text = refusal(&handler, &event("a", "0")).await.chain();
    assert!(text.starts_with("not connected to NATS"), "{text}");
    nats.signal("CONT");
    for number in 0..40 {
        take_in_the_end(&handler, &event("a", &number.to_string())).await;
    }
    let stored = ids(&nats.stored().await);
    assert_eq!(stored.iter().collect::<HashSet<_>>().len(), 41);
    assert_eq!(stored.len(), 41, "what was sent before it hung is stored once");
}

#[tokio::test]
async fn nothing_is_left_running_of_connections_that_broke() {
    let Some(mut nats) = Nats::start().await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for number in 0..3 {
        take_in_the_end(&handler, &event("a", &number.to_string())).await;
        nats.kill();
        for _ in 0..20 {
            refusal(&handler, &event("a", "lost")).await;
        }
        wait_until("the broken connection's tasks have ended", || tasks() == before).await;
        nats.restart().await;
    }
    take_in_the_end(&handler, &event("a", "last")).await;
    drop(handler);
    wait_until("the last connection's tasks have ended", || tasks() == before).await;
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Kills the server again and again while many hand over: whatever was taken is stored, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_taken_is_in_the_stream_however_often_the_server_dies() {
    const WORKERS: usize = 16;
    const EACH: usize = 100;
    let Some(mut nats) = Nats::start().await else { return };
    let handler = Arc::new(JetStream::open(nats.options()).unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (handler, taken) = (Arc::clone(&handler), Arc::clone(&taken));
        workers.spawn(async move {
            for number in 0..EACH {
                let event = event("seller.example", &format!("{worker}-{number}"));
                take_in_the_end(&handler, &event).await;
                taken.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for part in 1..=4 {
        let enough = part * WORKERS * EACH / 5;
        wait_until("enough is taken", || taken.load(Ordering::SeqCst) >= enough).await;
        nats.kill();
        nats.restart().await;
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let stored = ids(&nats.stored().await);
    let once: HashSet<&String> = stored.iter().collect();
    assert_eq!(once.len(), stored.len(), "an id was stored twice");
    let expected = (0..WORKERS).flat_map(|worker| (0..EACH).map(move |number| (worker, number)));
    for (worker, number) in expected {
        let id = event("seller.example", &format!("{worker}-{number}")).delivery_id();
        assert!(once.contains(&id), "{worker}-{number} was taken and is not stored");
    }
    assert_eq!(stored.len(), WORKERS * EACH);
}
