//! Many posts over few connections, each kept from post to post as a seller's software keeps it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{Answer, PATIENCE};

/// A signed callback to `/on_status`.
pub(crate) struct Post {
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// Posts what `next` makes of 0, 1, 2, … over this many connections, until it makes no more; the
/// answers come in no order.
pub(crate) async fn flood(
    address: SocketAddr,
    connections: usize,
    next: impl Fn(usize) -> Option<Post> + Send + Sync + 'static,
) -> Vec<Answer> {
    let (next, begun) = (Arc::new(next), Arc::new(AtomicUsize::new(0)));
    let mut posting = JoinSet::new();
    for _connection in 0..connections {
        let (next, begun) = (Arc::clone(&next), Arc::clone(&begun));
        posting.spawn(async move {
            let mut line = Line::connect(address).await;
            let mut answers = Vec::new();
            while let Some(post) = next(begun.fetch_add(1, Ordering::Relaxed)) {
                let answer = tokio::time::timeout(PATIENCE, line.post(&post)).await;
                answers.push(answer.expect("an answer in time"));
            }
            answers
        });
    }
    posting.join_all().await.concat()
}

/// A connection that stays open.
struct Line(BufReader<TcpStream>);

impl Line {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    async fn post(&mut self, Post { authorization, body }: &Post) -> Answer {
        let length = body.len();
        let request = format!(
            "POST /on_status HTTP/1.1\r\nhost: test\r\nauthorization: {authorization}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).await.unwrap(), 0, "it hung up: {head}");
        }
        let mut answer = Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: String::new(),
        };
        let length = answer.header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }
}
