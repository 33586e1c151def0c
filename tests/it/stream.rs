//! Events as they come: none is missed and none comes twice, however often the reader is cut off.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Recorder, TestReceiver, on_status, request};

/// A reader of server-sent events, after the specification of HTML and not with code of ours.
pub(crate) struct Reader {
    lines: Lines<BufReader<TcpStream>>,
    status: u16,
}

/// What a reader is given.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) kind: String,
    data: Value,
}

impl Reader {
    pub(crate) async fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        Self { lines, status }
    }

    /// Waits for the next event; `None`: the stream is over. The lines of chunked encoding, which
    /// are no field of an event, are passed over.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let (mut id, mut kind, mut data) = (None, String::new(), None);
        loop {
            let line =
                tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("in time");
            let line = line.ok()??;
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.parse().unwrap());
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(text).unwrap());
            } else if line.is_empty()
                && let Some(data) = data.take()
            {
                return Some(Event { id, kind, data });
            }
        }
    }
}

async fn fill(receiver: &TestReceiver, from: usize, count: usize) {
    // A few at a time share a commit.
    let numbers: Vec<usize> = (from..from + count).collect();
    for group in numbers.chunks(64) {
        let posts = group.iter().map(|number| {
            receiver.accept("/on_status", on_status(&format!("t{number}"), "m", "Accepted"))
        });
        futures_join(posts).await;
    }
}

async fn futures_join(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_come_once_each_over_fifty_cuts() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let (events, cuts) = (10_000, 50);
    let posting = fill(&receiver, 0, events);
    let reading = async {
        let (mut seen, mut opened, mut left, mut random) = (Vec::new(), 0, 0_u64, 7_u64);
        let mut reader = None;
        while seen.len() < events {
            if left == 0 || reader.is_none() {
                // Where it is cut is anywhere within the first few hundred.
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                left = if opened < cuts { 1 + (random >> 33) % 300 } else { u64::MAX };
                let resumed = match seen.last() {
                    None => String::new(),
                    Some(id) => format!("last-event-id: {id}\r\n"),
                };
                // Goes before `after`, which a browser repeats with its URL.
                reader =
                    Some(Reader::open(receiver.operations, "/v1/stream?after=0", &resumed).await);
                opened += 1;
            }
            let open = reader.as_mut().unwrap();
            assert_eq!(open.status, 200);
            let Some(event) = open.next().await else {
                reader = None;
                continue;
            };
            assert_eq!((event.kind.as_str(), event.data["seq"].as_u64()), ("callback", event.id));
            seen.push(event.id.unwrap());
            left -= 1;
        }
        (seen, opened)
    };
    let ((), (seen, opened)) = tokio::join!(posting, reading);
    assert_eq!(opened, cuts + 1);
    assert_eq!(seen, (1..=events as u64).collect::<Vec<_>>());
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_says_where_the_newest_event_is_and_nothing_else() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    for number in 0..3 {
        fill(&receiver, number, 1).await;
    }
    let mut all = Reader::open(receiver.operations, "/v1/stream?only=ids&after=0", "").await;
    let filtered = "/v1/stream?only=ids&after=0&transaction_id=t1";
    let mut one = Reader::open(receiver.operations, filtered, "").await;
    for (bell, newest) in [(&mut all, 3), (&mut one, 2)] {
        let told = bell.next().await.unwrap();
        assert_eq!((told.kind.as_str(), told.id), ("arrived", Some(newest)));
        assert_eq!(told.data, serde_json::json!({ "seq": newest }));
    }
    // What does not match rings nobody, and is passed.
    fill(&receiver, 3, 1).await;
    assert_eq!(all.next().await.unwrap().id, Some(4));
    let again = on_status("t1", "m2", "Packed");
    receiver.accept("/on_status", again).await;
    assert_eq!(one.next().await.unwrap().id, Some(5));
    let refused = Reader::open(receiver.operations, "/v1/stream?only=bodies", "").await;
    assert_eq!(refused.status, 400);
    drop((all, one, refused));
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_what_comes_next_and_gives_what_is_asked_for() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    fill(&receiver, 0, 3).await;
    let mut all = Reader::open(receiver.operations, "/v1/stream", "").await;
    let mut one = Reader::open(receiver.operations, "/v1/stream?transaction_id=t4", "").await;
    fill(&receiver, 3, 1).await;
    fill(&receiver, 4, 1).await;
    let event = all.next().await.unwrap();
    assert_eq!((event.id, &event.data["transaction_id"]), (Some(4), &"t3".into()));
    assert_eq!(one.next().await.unwrap().id, Some(5));
    let mut lost = Reader::open(receiver.operations, "/v1/stream?after=1000", "").await;
    let gap = lost.next().await.unwrap();
    assert_eq!((gap.kind.as_str(), gap.id, &gap.data["after"]), ("gap", Some(5), &1000.into()));
    drop((all, one, lost));
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_told_what_has_left_the_log() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    fill(&receiver, 0, 5).await;
    let directory = receiver.stop().await;
    // As retention does it.
    let file = directory.path().join("inbox/inbox.sqlite3");
    let connection = rusqlite::Connection::open(file).unwrap();
    for table in ["delivery", "body", "event"] {
        connection.execute(&format!("DELETE FROM {table} WHERE seq IN (2, 3)"), []).unwrap();
    }
    drop(connection);
    let receiver = TestReceiver::start_in(directory, "", Recorder::new()).await;
    let mut reader = Reader::open(receiver.operations, "/v1/stream?after=1", "").await;
    let gap = reader.next().await.unwrap();
    let expected = serde_json::json!({"after": 1, "goes_on_after": 1, "missing": 2});
    assert_eq!((gap.kind.as_str(), gap.data), ("gap", expected));
    assert_eq!(reader.next().await.unwrap().id, Some(4));
    let mut whole = Reader::open(receiver.operations, "/v1/stream?after=3", "").await;
    assert_eq!(whole.next().await.unwrap().id, Some(4));
    drop((reader, whole));
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_receiver_stops_and_holds_nothing_up() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    fill(&receiver, 0, 1).await;
    let mut reader = Reader::open(receiver.operations, "/v1/stream?after=0", "").await;
    assert_eq!(reader.next().await.unwrap().id, Some(1));
    let begun = Instant::now();
    let end = tokio::spawn(async move { reader.next().await.is_none() });
    receiver.stop().await;
    assert!(end.await.unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_so_many_places_and_a_cut_one_gives_its_place_back() {
    let receiver = TestReceiver::start("operations.streams = 1\n", Recorder::new()).await;
    let first = Reader::open(receiver.operations, "/v1/stream", "").await;
    assert_eq!(first.status, 200);
    let full = request(receiver.operations, "GET /v1/stream HTTP/1.1\r\n", b"").await;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("1")));
    drop(first);
    crate::harness::wait_until("the place is free again", async || {
        Reader::open(receiver.operations, "/v1/stream", "").await.status == 200
    })
    .await;
    for (path, headers) in [("/v1/stream", "last-event-id: x\r\n"), ("/v1/stream?after=x", "")] {
        let head = format!("GET {path} HTTP/1.1\r\n{headers}");
        assert_eq!(request(receiver.operations, &head, b"").await.status, 400);
    }
    receiver.stop().await;
}
