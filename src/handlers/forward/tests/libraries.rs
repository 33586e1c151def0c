//! The official libraries verify what is sent: `.ci/webhooks` starts the apps that use them.

use std::sync::Arc;

use chrono::Utc;

use super::{OTHER, Options, SECRET, event, options};
use crate::handler::OrderEventHandler as _;
use crate::handlers::forward::addresses::System;
use crate::handlers::forward::secrets::Secrets;
use crate::handlers::forward::{Forward, client};
use crate::registry::url;

/// The apps of `examples/receivers`, as `.ci/webhooks` starts them; they know [`super::SECRET`].
const APPS: [&str; 2] = ["BECKN_RECEIVER_TEST_PYTHON_URL", "BECKN_RECEIVER_TEST_NODE_URL"];

#[tokio::test]
async fn the_official_libraries_verify_it() {
    for variable in APPS {
        match std::env::var(variable) {
            Ok(url) => verify(&url).await,
            Err(error) => println!("skipped: {variable}: {error}; .ci/webhooks sets it"),
        }
    }
}

async fn verify(url: &str) {
    let with = |secrets: &[&str]| {
        let secrets = secrets.iter().map(|&secret| secret.to_owned()).collect();
        Forward::open(Options { secrets, ..options(url) }).unwrap()
    };
    let refused = "the target answered 400";
    with(&[SECRET]).handle(&event("आदेश 1")).await.unwrap();
    // A second attempt is taken, and not done again.
    with(&[SECRET]).handle(&event("आदेश 1")).await.unwrap();
    // While a secret changes, either of them will do.
    with(&[OTHER, SECRET]).handle(&event("2")).await.unwrap();
    let error = with(&[OTHER]).handle(&event("3")).await.unwrap_err();
    assert_eq!(error.chain(), refused, "{url}");
    let error = with(&[]).handle(&event("4")).await.unwrap_err();
    assert_eq!(error.chain(), refused, "{url}");
    let now = Utc::now().timestamp();
    assert_eq!(post(url, now, b"{\"a\": 1}", b"{\"a\": 1}").await, 200, "{url}");
    assert_eq!(post(url, now, b"{\"a\": 1}", b"{\"a\":1}").await, 400, "{url}");
    assert_eq!(post(url, now - 600, b"{\"a\": 1}", b"{\"a\": 1}").await, 400, "{url}");
}

/// Signs one body and sends another.
async fn post(url: &str, timestamp: i64, signed: &[u8], sent: &'static [u8]) -> u16 {
    let secrets = Secrets::of_settings(vec![SECRET.to_owned()]).unwrap();
    let target = url::parse(url).unwrap();
    let request = client(&target, &options(url), Arc::new(System))
        .unwrap()
        .post(target)
        .header("webhook-id", "changed")
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", secrets.signatures("changed", timestamp, signed).unwrap());
    request.body(sent).send().await.unwrap().status().as_u16()
}
