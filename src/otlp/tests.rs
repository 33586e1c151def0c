//! Spans against a small collector over a socket.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use super::{OpenError, Spans};
use crate::beckn::action::Action;
use crate::config::Config;
use crate::event::OrderEvent;
use crate::trace::{self, Arriving, Sampling, SpanId, TraceId};

/// Takes requests, answers 200 and hands their bodies over.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(body) = take(stream.unwrap()) else { continue };
            if sender.send(body).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}/v1/traces"), bodies)
}

fn take(mut stream: TcpStream) -> Option<Vec<u8>> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut chunk).unwrap();
        all.extend_from_slice(&chunk[..read]);
        let head_end = all.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = head_end {
            let head = String::from_utf8(all[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?.trim();
            let begin = end + 4;
            if all.len() >= begin + length.parse::<usize>().unwrap() {
                assert!(head.starts_with("post /v1/traces"), "{head}");
                assert!(head.contains("content-type: application/x-protobuf"), "{head}");
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
                return Some(all.split_off(begin));
            }
        }
        if read == 0 {
            return None;
        }
    }
}

fn open(endpoint: &str) -> Result<Option<Spans>, OpenError> {
    let mut config = Config::default();
    endpoint.clone_into(&mut config.trace.endpoint);
    Spans::open(&config.trace)
}

/// Serves a callback of a transaction and delivers its event, when so many traces are sampled.
fn live(transaction: &str, sample_ratio: f64) -> OrderEvent {
    let sampling = Sampling::share(sample_ratio);
    let body = format!(r#"{{"context":{{"transaction_id":"{transaction}"}}}}"#);
    let event = OrderEvent::parse(Action::OnStatus, body).unwrap();
    let link = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let arriving = Arriving::new(sampling, Instant::now(), Some("on_status"), link);
    drop(arriving.belongs_to(Some(transaction)));
    arriving.note_answer("ack");
    arriving.note_event(event.id);
    let delivery = trace::delivery("app", &event, sampling);
    delivery.record("outcome", "retry");
    event
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

fn times(body: &[u8], part: &[u8]) -> usize {
    body.windows(part.len()).filter(|window| *window == part).count()
}

#[test]
fn a_callback_and_its_delivery_are_spans_of_the_transactions_trace() {
    let (endpoint, bodies) = collector();
    let spans = open(&endpoint).unwrap().unwrap();
    let log = Registry::default().with(
        spans.clone().with_filter(
            tracing_subscriber::filter::Targets::new()
                .with_target(trace::TARGET, tracing::Level::DEBUG),
        ),
    );
    let event = tracing::subscriber::with_default(log, || live("T-1", 1.0));
    spans.flush();
    let body = bodies.recv_timeout(Duration::from_secs(30)).unwrap();
    let trace = TraceId::of(&event).0.to_be_bytes();
    assert_eq!(times(&body, &trace), 2, "each of the two spans has it");
    let callback = SpanId::of_callback(&event.id.to_string()).0.to_be_bytes();
    assert_eq!(times(&body, &callback), 2, "one is it, the other has it as its parent");
    assert!(has(&body, &SpanId::of_delivery(&event).0.to_be_bytes()));
    let texts = ["callback", "delivery", "beckn-receiver", "on_status", "T-1", "retry", "app"];
    for text in texts {
        assert!(has(&body, text.as_bytes()), "{text}");
    }
    assert!(has(&body, &0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()), "the link");
}

#[test]
fn a_trace_that_is_not_sampled_is_not_exported() {
    let (endpoint, bodies) = collector();
    let spans = open(&endpoint).unwrap().unwrap();
    let log = Registry::default().with(spans.clone());
    tracing::subscriber::with_default(log, || live("T-1", 0.0));
    spans.flush();
    assert!(bodies.try_recv().is_err());
}

#[test]
fn an_endpoint_is_looked_at_when_it_is_opened_and_never_shown() {
    assert!(open("").unwrap().is_none());
    let error = open("http://user:hush@collector/").unwrap_err();
    let text = crate::words::Chain(&error).to_string();
    assert!(!text.contains("hush"), "{text}");
    assert!(matches!(open("nowhere"), Err(OpenError::Url(_))));
}

#[test]
fn a_collector_that_is_away_holds_nothing_up() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spans = open(&format!("http://{free}/")).unwrap().unwrap();
    let log = Registry::default().with(spans);
    tracing::subscriber::with_default(log, || {
        for number in 0..10_000 {
            live(&format!("T-{number}"), 1.0);
        }
    });
}
