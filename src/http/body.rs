//! Reads a request's body within bounds.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

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
    Broken(#[source] axum::Error),
}

/// Reads `body` to its end: at most `limit` bytes, each counted in `room` while the permit lives.
///
/// Room is taken as bytes come, not by what the header announces: who announces much and sends
/// little holds little.
///
/// # Cancel safety
/// Dropped, it gives the room back; the body is lost.
pub(crate) async fn read(
    mut body: Body,
    limit: usize,
    room: &Semaphore,
) -> Result<(Bytes, SemaphorePermit<'_>), Error> {
    let mut held = take(room, 0)?;
    // Copied, although most bodies come in one frame: a frame is a part of the connection's
    // buffer of up to 64 KiB, which an event that waits would keep in memory.
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Error::TooLong { limit });
        }
        held.merge(take(room, data.len())?);
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), held))
}

fn take(room: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Error> {
    let bytes = u32::try_from(bytes).map_err(|_too_many| Error::NoRoom)?;
    room.try_acquire_many(bytes).map_err(|_full| Error::NoRoom)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use futures_util::stream;
    use tokio::sync::Semaphore;

    use super::{Error, read};

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
        let (bytes, held) = read(frames(&["ab", "", "cd", "e"]), 5, &room).await.unwrap();
        assert_eq!((&bytes[..], room.available_permits()), (&b"abcde"[..], 3));
        drop(held);
        assert_eq!(room.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_or_the_room_is_not_read_on() {
        let room = Semaphore::new(4);
        assert!(matches!(
            read(frames(&["abc", "d"]), 3, &room).await,
            Err(Error::TooLong { limit: 3 })
        ));
        assert!(matches!(read(frames(&["abc", "de"]), 9, &room).await, Err(Error::NoRoom)));
        assert_eq!(room.available_permits(), 4);
    }
}
