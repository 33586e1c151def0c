//! Reads the body of an operator's request: within a bound of length and of time, so that nobody who
//! sends it slowly, or without an end, keeps a connection or memory.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::answer::Error;

/// How long a body may take: a form or a few hundred ids.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body of at most `limit` bytes.
pub(super) async fn whole(body: Body, limit: usize) -> Result<Bytes, Error> {
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is longer than {limit} bytes");
            Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "body", message))
        }
        Ok(Err(error)) => {
            tracing::debug!(error = %error, "the body of an operator's request broke off");
            Err(Error::new(StatusCode::BAD_REQUEST, "body", "the body broke off"))
        }
        Err(_elapsed) => {
            let message = format!("the body took longer than {} s", PATIENCE.as_secs());
            Err(Error::new(StatusCode::REQUEST_TIMEOUT, "body", message))
        }
    }
}
