//! What only a clock that the test drives can show: the end of a session.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tower::ServiceExt as _;

use super::sessions::LASTS;
use super::{Access, Tokens, guard};
use crate::config::{Operations, Secret};
use crate::inbox::contract::ManualClock;
use crate::metrics::{Metrics, Now};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_session_that_has_ended_lets_nobody_in() {
    let clock = ManualClock::new();
    let tokens = vec![Secret::new(format!("oncall|read|{TOKEN}"))];
    let settings = Operations { tokens, ..Operations::default() };
    let tokens = Tokens::open(&settings, std::path::Path::new("/nowhere")).unwrap();
    let metrics = Arc::<Metrics>::default();
    let access = Access::new(&settings, tokens, Arc::clone(&clock) as _, Arc::clone(&metrics));
    let router = guard(Router::new().route("/", get(|| async { "in" })), &access);
    let ask = |request: axum::http::request::Builder, body: &'static str| {
        let request = request.header(header::HOST, "localhost").body(Body::from(body)).unwrap();
        let router = router.clone();
        async move { router.oneshot(request).await.unwrap() }
    };
    let form = Request::post("/console/login");
    let answer = ask(form, "token=0123456789abcdef0123456789abcdef").await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let visit = || Request::get("/").header(header::COOKIE, &cookie);
    clock.advance(LASTS.num_seconds() - 1);
    assert_eq!(ask(visit(), "").await.status(), StatusCode::OK);
    clock.advance(1);
    assert_eq!(ask(visit(), "").await.status(), StatusCode::UNAUTHORIZED);
    let as_page = ask(visit().header(header::ACCEPT, "text/html"), "").await;
    assert_eq!(as_page.headers()[header::LOCATION], "/console/login?next=%2F");
    let counted = "operations_refused_total{reason=\"no_token\"} 2";
    assert!(metrics.text(Now::default()).contains(counted));
}
