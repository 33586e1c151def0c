//! Connections: kept, cut, lost and never made.

use std::time::Duration;

use tokio::net::TcpListener;

use super::super::RESTS;
use super::target::{Does, Target, status};
use super::{authority, event, forward, opened, options};
use crate::handler::OrderEventHandler as _;
use crate::handlers::forward::{Forward, Options};

/// Waits until every answer was read to its end, or given up: its connection can be used by then.
async fn rested(forward: &Forward) {
    let places = u32::try_from(RESTS).unwrap();
    drop(forward.rests.acquire_many(places).await.unwrap());
}

#[tokio::test]
async fn one_connection_serves_one_event_after_the_other() {
    let target = Target::start(|number| status(if number % 5 == 0 { 503 } else { 200 }, "")).await;
    let forward = opened(target.url());
    for number in 1..=50 {
        let outcome = forward.handle(&event(&number.to_string())).await;
        assert_eq!(outcome.is_err(), number % 5 == 0, "{number}");
        rested(&forward).await;
    }
    assert_eq!((target.seen().len(), target.connections()), (50, 1));
}

#[tokio::test]
async fn an_answer_up_to_the_limit_keeps_the_connection_and_a_longer_one_costs_it() {
    const LIMIT: usize = 100_000;
    // Far more than is read at once, and the longer one far more than the limit.
    let answer = |bytes: usize| {
        let body = " ".repeat(bytes);
        Does::Answers(format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{body}"))
    };
    for (bytes, connections) in [(LIMIT, 1), (LIMIT * 100, 3)] {
        let target = Target::start(move |_| answer(bytes)).await;
        let options = Options { response_limit: LIMIT, ..options(target.url()) };
        let forward = Forward::open(options).unwrap();
        for number in 1..=3 {
            forward.handle(&event(&number.to_string())).await.unwrap();
            rested(&forward).await;
        }
        assert_eq!(target.connections(), connections, "{bytes}");
    }
}

#[tokio::test]
async fn a_long_or_a_slow_answer_costs_the_connection_and_not_the_outcome() {
    let head = |code: u16| format!("HTTP/1.1 {code} Said\r\ntransfer-encoding: chunked\r\n\r\n");
    let target = Target::start(move |number| match number {
        1 => Does::Floods(head(200)),
        2 => Does::Floods(head(503)),
        3 => Does::Stalls(head(200)),
        _ => Does::Ends(format!("{}400\r\ncut off", head(200))),
    })
    .await;
    let forward = opened(target.url());
    forward.handle(&event("1")).await.unwrap();
    let error = forward.handle(&event("2")).await.unwrap_err();
    assert_eq!(error.chain(), "the target answered 503");
    forward.handle(&event("3")).await.unwrap();
    forward.handle(&event("4")).await.unwrap();
    assert_eq!((target.seen().len(), target.connections()), (4, 4));
}

#[tokio::test]
async fn the_status_is_the_outcome_while_the_rest_is_still_awaited_and_few_rests_are() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab";
    let target = Target::start(move |_| Does::Stalls(head.to_owned())).await;
    let forward = opened(target.url());
    forward.handle(&event("1")).await.unwrap();
    // On one thread the task cannot have run before the outcome was here.
    assert_eq!(forward.rests.available_permits(), RESTS - 1);
    rested(&forward).await;
    let all = forward.rests.acquire_many(u32::try_from(RESTS).unwrap()).await.unwrap();
    forward.handle(&event("2")).await.unwrap();
    drop(all);
    assert_eq!(forward.rests.available_permits(), RESTS);
    assert_eq!(target.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_target_closes_is_made_again() {
    // The second request is read and not answered: nobody knows whether it was taken.
    let target = Target::start(|number| match number {
        2 => Does::Ends(String::new()),
        _ => status(200, ""),
    })
    .await;
    let forward = opened(target.url());
    forward.handle(&event("1")).await.unwrap();
    rested(&forward).await;
    let error = forward.handle(&event("2")).await.unwrap_err();
    assert!(!error.is_permanent());
    assert!(error.chain().starts_with("no answer came: "), "{}", error.chain());
    assert_eq!((target.seen().len(), target.connections()), (2, 1));
    forward.handle(&event("2")).await.unwrap();
    assert_eq!((target.seen().len(), target.connections()), (3, 2));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_made_again() {
    let taken = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let target = Target::start(|number| match number {
        1 => Does::Ends(taken.to_owned()),
        _ => status(200, ""),
    })
    .await;
    let forward = opened(target.url());
    forward.handle(&event("1")).await.unwrap();
    rested(&forward).await;
    // Until the closing is seen here, an event may go into the old connection, and comes again.
    while let Err(error) = forward.handle(&event("2")).await {
        assert!(!error.is_permanent(), "{}", error.chain());
    }
    assert_eq!(target.connections(), 2);
}

#[tokio::test]
async fn a_target_that_says_nothing_to_tls_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (_acceptor, ca_file) = authority(&directory);
    // The system connects, and nobody accepts.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        ca_file: Some(ca_file),
        connect_timeout: Duration::from_millis(50),
        ..options(format!("https://{}/", listener.local_addr().unwrap()))
    };
    let error = Forward::open(options).unwrap().handle(&event("t")).await.unwrap_err();
    assert!(!error.is_permanent());
    assert!(error.chain().starts_with("could not connect: "), "{}", error.chain());
    assert!(error.chain().contains("time"), "{}", error.chain());
}

#[tokio::test]
async fn a_target_that_is_not_there_is_named_without_its_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = forward(format!("http://127.0.0.1:{port}/?token=hush")).await.unwrap_err();
    let text = error.chain();
    assert!(!error.is_permanent());
    assert!(text.starts_with("could not connect: ") && text.contains("refused"), "{text}");
    assert!(!text.contains("hush") && !text.contains(&port.to_string()), "{text}");
}

#[tokio::test]
async fn an_event_that_is_dropped_while_it_waits_comes_again_under_its_id() {
    let target = Target::start(|number| match number {
        1 => Does::Stalls(String::new()),
        _ => status(200, ""),
    })
    .await;
    let forward = opened(target.url());
    let event = event("t");
    tokio::select! {
        outcome = forward.handle(&event) => panic!("{outcome:?}"),
        () = async { while target.seen().is_empty() { tokio::task::yield_now().await } } => {}
    }
    forward.handle(&event).await.unwrap();
    let ids = target
        .seen()
        .iter()
        .map(|request| request.header("webhook-id").map(str::to_owned))
        .collect::<Vec<_>>();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(target.connections(), 2);
}
