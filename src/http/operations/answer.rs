//! The answers of the operations listener that are JSON, and the one shape of its errors.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::inbox::reader;
use crate::words::Chain;

/// Answers 200 with a view.
pub(super) fn json(view: &impl Serialize) -> Response {
    written(StatusCode::OK, view)
}

/// Answers with a view and a status.
pub(super) fn written(status: StatusCode, view: &impl Serialize) -> Response {
    let body = serde_json::to_vec(view).expect("views can be written as JSON");
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, kind, body).into_response()
}

/// Why a request is not served, as its sender is told.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    parameter: Option<String>,
    retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

impl Error {
    /// Makes an error of this status; `code` is for programs.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), parameter: None, retry_after: None }
    }

    /// Makes the error of a parameter, or a member of a body, that is not what it must be.
    pub(super) fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "parameter", message);
        Self { parameter: Some(name.into()), ..error }
    }

    /// Makes the error of a thing that there is not.
    pub(super) fn unknown(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    /// Makes the error of a permission that the principal does not have.
    pub(super) fn forbidden(permission: &str) -> Self {
        let message = format!("this needs a token with the permission `{permission}`");
        Self::new(StatusCode::FORBIDDEN, "permission", message)
    }

    /// Makes the error of a place that is taken by others now.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(1)
    }

    /// Says after how many seconds it may be tried again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<reader::Error> for Error {
    /// An inbox that cannot be read now: told in the log, since nobody who asks can mend it.
    fn from(error: reader::Error) -> Self {
        tracing::error!(error = %Chain(&error), "an operator's request could not be served");
        let message = "the inbox cannot be read now; the receiver's log says why";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "inbox", message).retry_after(1)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self { status, code, message, parameter, retry_after } = self;
        let told = Told { code, message: &message, parameter: parameter.as_deref() };
        let mut response = written(status, &Body { error: told });
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
