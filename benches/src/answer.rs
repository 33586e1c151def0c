//! HTTP answers, read as cheaply as a load generator needs: one at a time, on a kept connection.

/// The body that says that a callback was accepted, as the receiver and the floor send it.
pub const ACK: &str = r#"{"message":{"ack":{"status":"ACK"}}}"#;

/// What one answer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 200 and exactly the ACK.
    Ack,
    /// A NACK, whatever the status.
    Nack,
    /// Anything else.
    Other,
}

/// Where one answer ends in what was read so far, and what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// The length of head and body.
    pub length: usize,
    /// What it said.
    pub verdict: Verdict,
}

/// Why bytes are not an answer that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// Returns the first answer in `bytes`, or `None` while it is not complete.
///
/// # Errors
/// When the head has no `content-length`, without which its end is unknown.
pub fn parse(bytes: &[u8]) -> Result<Option<Parsed>, Unreadable> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let body_at = head + 4;
    let length = body_at + content_length(&bytes[..head]).ok_or(Unreadable)?;
    let Some(body) = bytes.get(body_at..length) else {
        return Ok(None);
    };
    let verdict = if bytes.starts_with(b"HTTP/1.1 200 ") && body == ACK.as_bytes() {
        Verdict::Ack
    } else if body.windows(6).any(|six| six == b"\"NACK\"") {
        Verdict::Nack
    } else {
        Verdict::Other
    };
    Ok(Some(Parsed { length, verdict }))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{ACK, Parsed, Unreadable, Verdict, parse};

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[track_caller]
    fn check(status: &str, body: &str, verdict: Verdict) {
        let text = answer(status, body);
        let expected = Parsed { length: text.len(), verdict };
        assert_eq!(parse(format!("{text}HTTP/1.1 200").as_bytes()), Ok(Some(expected)));
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn only_a_200_with_the_exact_body_is_an_ack() {
        check("200 OK", ACK, Verdict::Ack);
        check("503 Service Unavailable", ACK, Verdict::Other);
        check("200 OK", r#"{"message":{"ack":{"status":"NACK"}},"error":{}}"#, Verdict::Nack);
        check("200 OK", "hello", Verdict::Other);
        check("200 OK", "", Verdict::Other);
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Unreadable));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"), Err(Unreadable));
    }
}
