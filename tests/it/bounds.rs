//! Everything that grows by input has a bound.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{
    Answer, Child, PATIENCE, Recorder, TestReceiver, on_status, post, request, wait_until,
};

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let receiver = TestReceiver::start("[http]\nbody_limit_bytes = 1024", Recorder::new()).await;
    let announced = receiver.post("/on_status", vec![b' '; 1025]).await;
    assert_eq!((announced.status, announced.error("code")), (413, "20006".to_owned()));
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    let head = "POST /on_status HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        let chunk = format!("200\r\n{}\r\n", " ".repeat(512));
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 413"));
    let mut body = on_status("t", "m", "Accepted");
    body.push_str(&" ".repeat(1024 - body.len()));
    receiver.accept("/on_status", body).await;
    receiver.stop().await;
}

#[tokio::test]
async fn who_sends_a_refused_body_to_its_end_sees_the_answer() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    // As nginx does: all of it is written before the answer is read.
    let body = vec![b' '; 3 << 19];
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    for (start, status) in [
        ("POST /on_status HTTP/1.1\r\n", "413"),
        ("POST /elsewhere HTTP/1.1\r\n", "404"),
        ("PUT /on_status HTTP/1.1\r\n", "405"),
        ("POST /on_status HTTP/1.1\r\ncontent-encoding: gzip\r\n", "415"),
    ] {
        let head = format!("{start}host: x\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = vec![0; 2048];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer[..read.unwrap().unwrap()]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
        assert!(answer.contains("NACK"), "{answer}");
    }
    receiver.stop().await;
}

#[tokio::test]
async fn a_body_that_is_announced_as_much_too_long_is_not_waited_for() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    let head = "POST /on_status HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    receiver.stop().await;
}

#[tokio::test]
async fn bodies_in_flight_share_one_bound() {
    let settings = "[http]\nbody_limit_bytes = 4096\nin_flight_bytes = 4096";
    let receiver = TestReceiver::start(settings, Recorder::new()).await;
    // Another seller's body is half here and keeps its room.
    let mut slow = TcpStream::connect(receiver.address).await.unwrap();
    let head = "POST /on_status HTTP/1.1\r\nhost: x\r\ncontent-length: 4096\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&[b' '; 4000]).await.unwrap();
    let body = on_status("t", "m", "Accepted");
    wait_until("the room is taken", async || {
        let answer = receiver.post("/on_status", &body).await;
        answer.status == 503 && answer.header("retry-after") == Some("1")
    })
    .await;
    drop(slow);
    wait_until("the room is given back", async || {
        receiver.post("/on_status", &body).await.is_ack()
    })
    .await;
    receiver.stop().await;
}

#[tokio::test]
async fn requests_in_flight_have_a_bound() {
    let receiver = TestReceiver::start("[http]\nin_flight_requests = 1", Recorder::new()).await;
    let mut slow = TcpStream::connect(receiver.address).await.unwrap();
    let head = "POST /on_status HTTP/1.1\r\nhost: x\r\ncontent-length: 4096\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let body = on_status("t", "m", "Accepted");
    wait_until("the place is taken", async || {
        receiver.post("/on_status", &body).await.status == 503
    })
    .await;
    drop(slow);
    wait_until("the place is free", async || receiver.post("/on_status", &body).await.is_ack())
        .await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_header_that_does_not_come_closes_the_connection() {
    let receiver = TestReceiver::start("[http]\nheader_timeout_ms = 100", Recorder::new()).await;
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    stream.write_all(b"POST /on_status HTTP/1.1\r\nhos").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    receiver.stop().await;
}

#[tokio::test]
async fn a_header_that_does_not_end_is_refused() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n", "y".repeat(200_000));
    let mut stream = TcpStream::connect(receiver.address).await.unwrap();
    // The receiver may close while this is still being written.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = vec![0; 64];
    if let Ok(length) = stream.read(&mut answer).await {
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    receiver.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let receiver = TestReceiver::start("[http]\nconnections = 1", Recorder::new()).await;
    let idle = TcpStream::connect(receiver.address).await.unwrap();
    let body = on_status("t", "m", "Accepted");
    let mut waits = Box::pin(post(receiver.address, "/on_status", body.as_bytes()));
    // Which of the two was taken first is the kernel's affair: the idle one was there before.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waits).await;
    assert!(early.is_err(), "it did not wait");
    drop(idle);
    assert!(waits.await.is_ack());
    receiver.stop().await;
}

#[tokio::test]
async fn what_nobody_takes_is_bounded_by_the_limit_of_unsettled_events() {
    let never = Recorder::behaving(|_| Err(beckn_receiver::HandlerError::transient("down")));
    let receiver =
        TestReceiver::start("[inbox]\nunsettled_limit = 5", never).await.leaves_unsettled();
    let mut answers: Vec<Answer> = Vec::new();
    for number in 0..6 {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        answers.push(receiver.post("/on_status", body).await);
    }
    assert!(answers[..5].iter().all(Answer::is_ack));
    assert_eq!((answers[5].status, answers[5].error("code")), (503, "23001".to_owned()));
    let ready = request(receiver.operations, "GET /readyz HTTP/1.1\r\n", b"").await;
    assert_eq!(ready.status, 503, "{ready}");
    receiver.stop().await;
}

/// 1 MiB of a shape that is cheap to send and dear to read.
fn hostile(shape: usize) -> String {
    const SIZE: usize = 1 << 20;
    let good = on_status("t", &format!("m{shape}"), "Accepted");
    let (head, _) = good.split_at(good.find("{\"order\"").unwrap());
    let fill = |open: &str, unit: &str, close: &str| {
        let room = SIZE - head.len() - open.len() - close.len() - 1;
        let units = unit.repeat(room / unit.len());
        format!("{head}{open}{}{close}}}", units.trim_end_matches(','))
    };
    match shape % 6 {
        0 => fill(r#"{"order":{"id":"x","items":["#, "{},", "]}}"),
        1 => fill(
            r#"{"order":{"id":"x","fulfillments":["#,
            r#"{"stops":[{},{},{},{},{},{},{},{}]},"#,
            "]}}",
        ),
        2 => fill(
            r#"{"order":{"id":"x","quote":{"breakup":["#,
            r#"{"title":[],"item":{"tags":[{"list":[{},{},{}]}]}},"#,
            "]}}}",
        ),
        3 => fill(r#"{"order":{"id":"x","deep":"#, "[", ""),
        4 => fill(r#"{"order":{"id":"x",""#, "k", r#"":1}}"#),
        _ => fill(
            r#"{"order":{"id":"x","tags":["#,
            r#"{"code":"a","list":[{"code":"b","value":"c"}]},"#,
            "]}}",
        ),
    }
}

/// The bound that docs/ARCHITECTURE.md states for 64 hostile bodies of 1 MiB at once.
const RESIDENT_LIMIT: u64 = 384 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_stay_within_the_stated_memory() {
    let child = Child::start(&[]).await;
    for _ in 0..3 {
        let address = child.address;
        let posts = (0..64).map(|shape| async move {
            post(address, "/on_status", hostile(shape).as_bytes()).await
        });
        let answers = futures_util::future::join_all(posts).await;
        for answer in &answers {
            assert!([200, 503].contains(&answer.status), "{answer}");
        }
        assert!(answers.iter().any(Answer::is_ack));
    }
    let peak = child.peak_resident_bytes();
    println!("at most {} MiB were resident", peak >> 20);
    assert!(peak < RESIDENT_LIMIT, "expected less than {RESIDENT_LIMIT} bytes, found {peak}");
    child.end().await;
}
