//! Reads a request's body within bounds.

use std::time::Duration;

use axum::BoxError;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long the rest of a refused body may take to come.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is longer than the limit.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The bodies in flight fill their bound.
    #[error("too many bytes are in flight")]
    NoRoom,
    /// The sender broke off, or broke HTTP.
    #[error("the body did not come")]
    Broken(#[source] BoxError),
}

/// Reads `body` to its end: at most `limit` bytes, each counted in `room` while the permit lives.
///
/// Room is taken as bytes come, not by what the header announces: who announces much and sends
/// little holds little.
///
/// # Cancel safety
/// Dropped, it gives the room back; the body is lost.
pub(crate) async fn read<'a, B>(
    body: &mut B,
    limit: usize,
    room: &'a Semaphore,
) -> Result<(Bytes, SemaphorePermit<'a>), Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let mut held = take(room, 0)?;
    // Copied, although most bodies come in one frame: a frame is a part of the connection's
    // buffer of up to 64 KiB, which an event that waits would keep in memory.
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| Error::Broken(error.into()))?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Err(Error::TooLong { limit });
        }
        held.merge(take(room, data.len())?);
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), held))
}

/// Reads what is left of a refused body and throws it away, unless it is longer than `limit` bytes
/// or takes too long: a proxy that still sends would find the connection closed, and answer for us.
///
/// # Cancel safety
/// Dropped, it has thrown some of the body away.
pub(crate) async fn discard(body: &mut (impl Body<Data = Bytes> + Unpin), limit: usize) {
    // What is announced to be longer need not be begun with.
    if body.size_hint().lower() > limit as u64 {
        return;
    }
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > limit {
                return;
            }
        }
    };
    // Who is slower than this may not see the answer.
    let _elapsed = tokio::time::timeout(DISCARD_TIME, reading).await;
}

fn take(room: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Error> {
    let bytes = u32::try_from(bytes).map_err(|_too_many| Error::NoRoom)?;
    room.try_acquire_many(bytes).map_err(|_full| Error::NoRoom)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, HttpBody as _};
    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use tokio::sync::Semaphore;

    use super::{Error, discard, read};

    fn frames(frames: &[&'static str]) -> Body {
        let frames: Vec<_> = frames
            .iter()
            .map(|text| Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(frames))
    }

    #[tokio::test]
    async fn frames_are_joined_and_their_room_is_given_back() {
        let room = Semaphore::new(8);
        let (bytes, held) = read(&mut frames(&["ab", "", "cd", "e"]), 5, &room).await.unwrap();
        assert_eq!((&bytes[..], room.available_permits()), (&b"abcde"[..], 3));
        drop(held);
        assert_eq!(room.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_or_the_room_is_not_read_on() {
        let room = Semaphore::new(4);
        assert!(matches!(
            read(&mut frames(&["abc", "d"]), 3, &room).await,
            Err(Error::TooLong { limit: 3 })
        ));
        assert!(matches!(read(&mut frames(&["abc", "de"]), 9, &room).await, Err(Error::NoRoom)));
        assert_eq!(room.available_permits(), 4);
    }

    #[tokio::test]
    async fn a_refused_body_is_thrown_away_up_to_a_limit() {
        let mut body = frames(&["abc", "d"]);
        discard(&mut body, 4).await;
        assert!(body.frame().await.is_none());
        let mut body = frames(&["abc", "de", "f"]);
        discard(&mut body, 4).await;
        assert!(body.frame().await.is_some());
        let mut announced = Body::from("abcde");
        discard(&mut announced, 4).await;
        assert_eq!(announced.size_hint().exact(), Some(5), "it was not begun with");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_body_that_does_not_come_is_not_waited_for() {
        discard(&mut Body::from_stream(stream::pending::<std::io::Result<Bytes>>()), 4).await;
    }
}
