//! What the callbacks' listener serves: the desk as a service, and the answer to a panic.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Body;
use tower_http::catch_panic::{CatchPanic, ResponseForPanic};
use tower_service::Service;

use super::callbacks::{Desk, acknowledgement, answered, core};
use crate::beckn::answer::INTERNAL_ERROR;
use crate::intake::{Accept, Intake};
use crate::metrics::{Answer, Metrics};

/// Takes callbacks at any path that ends in an action.
///
/// There is one route, so no router: it would look the path up again, and clone and box what it
/// hands the request to, for each request.
#[derive(Debug)]
pub(crate) struct Callbacks<I = Intake>(Arc<Desk<I>>);

impl<I> Clone for Callbacks<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Callbacks, and an answer to a panic of ours.
pub(crate) type Guarded<I = Intake> = CatchPanic<Callbacks<I>, Bug>;

/// Returns what takes callbacks.
pub(crate) fn of<I: Accept>(desk: Arc<Desk<I>>) -> Guarded<I> {
    let (retry_after, metrics) = (desk.options.retry_after, Arc::clone(desk.metrics()));
    CatchPanic::custom(Callbacks(desk), Bug { retry_after, metrics })
}

impl<I, B> Service<Request<B>> for Callbacks<I>
where
    I: Accept,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Who finds no room is told so.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let desk = Arc::clone(&self.0);
        Box::pin(async { Ok(answered(desk, request).await) })
    }
}

/// Answers a panic of ours as the bug that it is, instead of closing the connection.
#[derive(Debug, Clone)]
pub(crate) struct Bug {
    retry_after: u64,
    metrics: Arc<Metrics>,
}

impl ResponseForPanic for Bug {
    type ResponseBody = Full<Bytes>;

    /// The panic's text may hold what a seller sent, so it is not logged.
    fn response_for_panic(&mut self, _panic: Box<dyn Any + Send>) -> Response<Full<Bytes>> {
        // The action is lost with the request.
        self.metrics.answered(None, Answer::Error);
        tracing::error!("answered 500: a panic while a callback was served");
        let nack = core(INTERNAL_ERROR, "internal error, please retry");
        let mut response = acknowledgement(StatusCode::INTERNAL_SERVER_ERROR, nack.body().into());
        let retry_after = HeaderValue::from(self.retry_after);
        response.headers_mut().insert(header::RETRY_AFTER, retry_after);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Request, Response, StatusCode, header};
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use tower::{ServiceExt as _, service_fn};
    use tower_http::catch_panic::CatchPanic;

    use super::Bug;

    async fn panics(_request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
        panic!("this text may hold what a seller sent")
    }

    #[tokio::test]
    async fn a_bug_of_ours_is_a_nack_with_500_and_tells_nothing() {
        let bug = Bug { retry_after: 7, metrics: Arc::default() };
        let guarded = CatchPanic::custom(service_fn(panics), bug);
        let response = guarded.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            &body[..],
            br#"{"message":{"ack":{"status":"NACK"}},"error":{"type":"CORE-ERROR","code":"23001","path":"","message":"internal error, please retry"}}"#
        );
    }
}
