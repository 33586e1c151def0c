//! Who is let in at the operations listener, and who is not.

use crate::harness::{Answer, Child, Recorder, TestReceiver, on_status, request, wait_until};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const READER: &str = "reader-reader-reader-reader-reader";

fn settings(more: &str) -> String {
    format!(
        "[operations]\ntokens = [\"oncall|read,bodies,act|{TOKEN}\", \"board|read|{READER}\"]\n{more}"
    )
}

async fn started(settings: &str) -> TestReceiver {
    TestReceiver::start(settings, Recorder::new()).await
}

/// Asks with these header lines, each with its line end.
async fn ask(receiver: &TestReceiver, line: &str, headers: &str) -> Answer {
    request(receiver.operations, &format!("{line} HTTP/1.1\r\n{headers}"), b"").await
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("a JSON answer");
    assert_eq!((answer.status, body["error"]["code"].as_str()), (status, Some(code)), "{answer}");
}

/// Returns the token that the first start has made.
fn made(receiver: &TestReceiver) -> String {
    let file = receiver.inbox().join("inbox/operations-tokens");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().last().unwrap().rsplit('|').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tokens_are_set_nobody_comes_in_without_one() {
    let receiver = started(&settings("")).await;
    let none = ask(&receiver, "GET /v1/status", "").await;
    refused(&none, 401, "no_token");
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    refused(&ask(&receiver, "GET /v1/status", &bearer(&TOKEN[1..])).await, 401, "wrong_token");
    refused(&ask(&receiver, "GET /v1/nothing", "").await, 401, "no_token");
    assert_eq!(ask(&receiver, "GET /v1/status", &bearer(TOKEN)).await.status, 200);
    let lower = format!("authorization: bearer {TOKEN}\r\n");
    assert_eq!(ask(&receiver, "GET /v1/status", &lower).await.status, 200);
    for probe in ["GET /livez", "GET /readyz"] {
        assert_eq!(ask(&receiver, probe, "host: any.example\r\n").await.status, 200);
    }
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_it_permits_and_no_more() {
    let receiver = started(&settings("")).await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    receiver.settle().await;
    let events = ask(&receiver, "GET /v1/events", &bearer(READER)).await;
    let events: serde_json::Value = serde_json::from_str(&events.body).unwrap();
    let id = events["events"][0]["id"].as_str().unwrap();
    let body = format!("GET /v1/events/{id}/body");
    refused(&ask(&receiver, &body, &bearer(READER)).await, 403, "permission");
    refused(&ask(&receiver, "GET /v1/feed", &bearer(READER)).await, 403, "permission");
    let pause = "POST /v1/handlers/app/pause";
    refused(&ask(&receiver, pause, &bearer(READER)).await, 403, "permission");
    let whole = ask(&receiver, &body, &bearer(TOKEN)).await;
    assert_eq!((whole.status, whole.body), (200, on_status("t", "m", "Accepted")));
    assert_eq!(ask(&receiver, pause, &bearer(TOKEN)).await.status, 200);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_bodies_need_the_token_that_the_first_start_made() {
    let receiver = started("").await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    assert_eq!(ask(&receiver, "GET /v1/status", "").await.status, 200);
    assert_eq!(ask(&receiver, "POST /v1/handlers/app/resume", "").await.status, 200);
    refused(&ask(&receiver, "GET /v1/feed", "").await, 403, "permission");
    let token = made(&receiver);
    assert_eq!(ask(&receiver, "GET /v1/feed", &bearer(&token)).await.status, 200);
    refused(&ask(&receiver, "GET /v1/status", &bearer("wrong")).await, 401, "wrong_token");
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let file = receiver.inbox().join("inbox/operations-tokens");
        assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
    let directory = receiver.stop().await;
    let again = TestReceiver::start_in(directory, "", Recorder::new()).await;
    assert_eq!(made(&again), token);
    assert_eq!(ask(&again, "GET /v1/feed", &bearer(&token)).await.status, 200);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_somebody_else_changes_nothing_and_sees_nothing() {
    let receiver = started("").await;
    let (pause, status) = ("POST /v1/handlers/app/pause", "GET /v1/status");
    for headers in [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "origin: http://127.0.0.1:1\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
    ] {
        refused(&ask(&receiver, pause, headers).await, 403, "origin");
        refused(&ask(&receiver, status, headers).await, 403, "origin");
        let with_token = format!("{headers}{}", bearer(&made(&receiver)));
        refused(&ask(&receiver, pause, &with_token).await, 403, "origin");
        refused(&ask(&receiver, "POST /console/login", headers).await, 403, "origin");
    }
    // A link that a person follows changes nothing, and the page with the link sees nothing.
    let visit =
        "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    assert_eq!(ask(&receiver, status, visit).await.status, 200);
    refused(&ask(&receiver, pause, visit).await, 403, "origin");
    let own = format!("origin: http://{}\r\nsec-fetch-site: same-origin\r\n", receiver.operations);
    assert_eq!(ask(&receiver, status, &own).await.status, 200);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_made_to_lead_here_is_refused() {
    let receiver = started("").await;
    let port = receiver.operations.port();
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1"] {
        let headers = format!("host: {host}:{port}\r\n");
        refused(&ask(&receiver, "GET /v1/status", &headers).await, 403, "host");
        refused(&ask(&receiver, "GET /console/login", &headers).await, 403, "host");
        let with_token = format!("{headers}{}", bearer(&made(&receiver)));
        refused(&ask(&receiver, "GET /v1/status", &with_token).await, 403, "host");
    }
    for host in ["localhost", "[::1]", "127.0.0.1"] {
        let headers = format!("host: {host}:{port}\r\n");
        assert_eq!(ask(&receiver, "GET /v1/status", &headers).await.status, 200, "{host}");
    }
    receiver.stop().await;
}

/// Posts the login form, and returns the answer.
async fn log_in(receiver: &TestReceiver, headers: &str, form: &str) -> Answer {
    let head = format!("POST /console/login HTTP/1.1\r\n{headers}");
    request(receiver.operations, &head, form.as_bytes()).await
}

fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    format!("cookie: other=1; {}\r\n", set.split(';').next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_and_out() {
    let receiver = started(&settings("")).await;
    let page = "accept: text/html,*/*;q=0.8\r\n";
    let sent = ask(&receiver, "GET /console/orders/O%2F1?after=2", page).await;
    assert_eq!(sent.status, 303);
    let login = "/console/login?next=%2Fconsole%2Forders%2FO%252F1%3Fafter%3D2";
    assert_eq!(sent.header("location"), Some(login));
    let form = ask(&receiver, &format!("GET {login}"), page).await;
    let body = form.body.replace("&#x2f;", "/");
    assert!(form.status == 200 && body.contains("value=\"/console/orders/O%2F1?after=2\""));
    assert_eq!(form.header("referrer-policy"), Some("same-origin"), "forms need their origin");
    let wrong = log_in(&receiver, "", "token=nonsense&next=/v1/status").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("set-cookie").is_none() && wrong.body.contains("nobody has this token"));
    let right = log_in(&receiver, "", &format!("token={TOKEN}&next=%2Fv1%2Fstatus")).await;
    assert_eq!((right.status, right.header("location")), (303, Some("/v1/status")));
    let flags = right.header("set-cookie").unwrap();
    assert!(flags.starts_with("beckn_session=") && !flags.contains(TOKEN), "{flags}");
    assert!(flags.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"), "{flags}");
    let cookie = cookie(&right);
    assert_eq!(ask(&receiver, "GET /v1/status", &cookie).await.status, 200);
    let foreign = format!("{cookie}origin: https://evil.example\r\n");
    refused(&ask(&receiver, "GET /v1/status", &foreign).await, 403, "origin");
    let led = log_in(&receiver, "", &format!("token={TOKEN}&next=//evil.example")).await;
    assert_eq!(led.header("location"), Some("/console/events"));
    let out = ask(&receiver, "POST /console/logout", &cookie).await;
    assert_eq!((out.status, out.header("location")), (303, Some("/console/login")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    refused(&ask(&receiver, "GET /v1/status", &cookie).await, 401, "no_token");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_the_names_are_listed_and_the_cookie_is_secure() {
    let receiver = started(&settings("hosts = [\"ops.example\"]\n")).await;
    let proxied = "host: ops.example\r\norigin: https://ops.example\r\n";
    let right = log_in(&receiver, proxied, &format!("token={TOKEN}")).await;
    assert!(right.header("set-cookie").unwrap().ends_with("; Secure"));
    let headers = format!("{proxied}{}", cookie(&right));
    assert_eq!(ask(&receiver, "POST /v1/handlers/app/resume", &headers).await.status, 200);
    refused(&ask(&receiver, "GET /v1/status", "host: evil.example\r\n").await, 403, "host");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_slowed_down_and_right_ones_are_not() {
    let receiver = started(&settings("")).await;
    for _ in 0..10 {
        refused(&ask(&receiver, "GET /v1/status", &bearer("no")).await, 401, "wrong_token");
    }
    let slowed = ask(&receiver, "GET /v1/status", &bearer("no")).await;
    refused(&slowed, 429, "rate");
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(log_in(&receiver, "", "token=no").await.status, 429);
    assert_eq!(ask(&receiver, "GET /v1/status", &bearer(TOKEN)).await.status, 200);
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_so_many_requests_a_second() {
    let receiver = started(&settings("requests_per_s = 1\n")).await;
    wait_until("two requests fall into one second", async || {
        let answer = ask(&receiver, "GET /v1/status", &bearer(TOKEN)).await;
        answer.status == 429 && answer.header("retry-after") == Some("1")
    })
    .await;
    wait_until("the next second begins", async || {
        ask(&receiver, "GET /v1/status", &bearer(TOKEN)).await.status == 200
    })
    .await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_not_to_do() {
    let receiver = started("").await;
    for line in
        ["GET /v1/status", "GET /nowhere", "GET /console/login", "GET /livez", "PUT /v1/status"]
    {
        for headers in ["", "host: evil.example\r\n"] {
            let answer = ask(&receiver, line, headers).await;
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{line}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{line}");
            assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{line}");
        }
    }
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_in_any_log() {
    let line = format!("[\"oncall|read|{TOKEN}\"]");
    let set = [("BECKN_RECEIVER_OPERATIONS__TOKENS", line.as_str())];
    for variables in [&[][..], &set] {
        let level = ("BECKN_RECEIVER_LOG__LEVEL", "trace");
        let child = Child::start(&[variables, &[level]].concat()).await;
        let file = child.directory().join("inbox/operations-tokens");
        assert_eq!(file.exists(), variables.is_empty());
        let text = std::fs::read_to_string(file).unwrap_or_else(|_| line.replace("\"]", ""));
        let token = text.trim().rsplit('|').next().unwrap().to_owned();
        let wrong = format!("{}x", &token[1..]);
        for (given, status) in [(&token, 200), (&wrong, 401)] {
            let head = format!("GET /v1/status HTTP/1.1\r\n{}", bearer(given));
            let answer = request(child.operations, &head, b"").await;
            assert_eq!(answer.status, status, "{answer}");
            assert!(!answer.body.contains(given) && !answer.head.contains(given));
            let form = format!("token={given}");
            request(child.operations, "POST /console/login HTTP/1.1\r\n", form.as_bytes()).await;
        }
        let (printed, log) = child.end().await;
        assert!(log.contains("wrong_token"), "{log}");
        for secret in [&token, &wrong] {
            assert!(!log.contains(secret) && !printed.concat().contains(secret), "{log}");
        }
    }
}
