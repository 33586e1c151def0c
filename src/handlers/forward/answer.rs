//! What an answer, or none, means for the event.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::handler::HandlerError;
use crate::words::Outside;

/// Why the target did not take an event. Nothing that it wrote goes into a text, nor does the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("could not connect: {0}")]
    Connect(Innermost),
    #[error("no answer came: {0}")]
    Exchange(Innermost),
    #[error("the target answered {0}")]
    Status(u16),
    #[error("the target answered {0}, and redirects are not followed")]
    Redirect(u16),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Failure::Connect(Innermost(error))
        } else {
            Failure::Exchange(Innermost(error))
        }
    }
}

/// Shows the innermost cause alone: what the client's layers say around it names the layers.
#[derive(Debug)]
pub(super) struct Innermost(reqwest::Error);

impl fmt::Display for Innermost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error: &dyn Error = &self.0;
        while let Some(source) = error.source() {
            error = source;
        }
        // A certificate's names, for one, are from outside.
        write!(f, "{}", Outside(&error.to_string()))
    }
}

/// Returns whether the target has taken the event, and when to come again if not.
///
/// # Errors
/// Permanent for 410 (nobody is there any more) and 422 (this event will never do), else transient.
pub(super) fn outcome(
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<(), HandlerError> {
    let failure = match status {
        status if status.is_success() => return Ok(()),
        status if status.is_redirection() => Failure::Redirect(status.as_u16()),
        status => Failure::Status(status.as_u16()),
    };
    if matches!(status, StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY) {
        return Err(HandlerError::permanent(failure));
    }
    // A proxy in front says so of what is behind it, and an app of itself: not now.
    let not_there = matches!(status.as_u16(), 429 | 502..=504);
    let error =
        if not_there { HandlerError::unreached(failure) } else { HandlerError::transient(failure) };
    Err(match retry_after(headers, now) {
        Some(delay) => error.retry_after(delay),
        None => error,
    })
}

/// Reads `Retry-After`: seconds, or a date, of which one that has passed means now.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, RETRY_AFTER};

    use super::{outcome, retry_after};

    #[test]
    fn only_two_statuses_are_for_good_and_only_200_to_299_take_the_event() {
        for status in 200..=599 {
            let code = StatusCode::from_u16(status).unwrap();
            let outcome = outcome(code, &HeaderMap::new(), SystemTime::UNIX_EPOCH);
            assert_eq!(outcome.is_ok(), status < 300, "{status}");
            if let Err(error) = outcome {
                assert_eq!(error.is_permanent(), [410, 422].contains(&status), "{status}");
                assert!(error.chain().contains(&status.to_string()), "{}", error.chain());
                assert_eq!(error.chain().contains("redirect"), status < 400, "{status}");
            }
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &str, seconds: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:50:07 GMT", Some(30));
        check("Sun, 06 Nov 1994 08:49:07 GMT", Some(0));
        for text in ["", "-1", "1.5", "soon", "99999999999999999999999"] {
            check(text, None);
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
