//! The console as a browser asks for it: what each page answers, and what it refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use beckn_receiver::HandlerError;
use tempfile::TempDir;

use crate::harness::{Answer, Recorder, TestReceiver, on_status, request, sample, wait_until};

async fn page(receiver: &TestReceiver, path: &str) -> Answer {
    request(receiver.operations, &format!("GET {path} HTTP/1.1\r\n"), b"").await
}

/// Gets a page that has to be there, whole and sheltered.
#[track_caller]
fn shown(receiver: &TestReceiver, path: &str) -> impl Future<Output = String> {
    let place = std::panic::Location::caller();
    async move {
        let answer = page(receiver, path).await;
        assert_eq!(answer.status, 200, "{place}: {path}: {answer}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{place}");
        assert!(answer.body.contains("</html>"), "{place}: {path}");
        for forbidden in ["<script>", " style=", " onclick=", "javascript:"] {
            assert!(!answer.body.contains(forbidden), "{place}: {path} has {forbidden}");
        }
        answer.body
    }
}

async fn act(receiver: &TestReceiver, path: &str, form: &str) -> Answer {
    let head =
        format!("POST {path} HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\n");
    request(receiver.operations, &head, form.as_bytes()).await
}

/// Returns the id of the first event on a page.
#[track_caller]
fn first_event(page: &str) -> String {
    let (_, rest) = page.split_once("/console/events/0").expect("a link to an event");
    format!("0{}", &rest[..35])
}

#[tokio::test]
async fn an_order_is_found_by_its_id_and_read() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let body = std::fs::read(sample("on_status_ondc_1_2_5.json")).unwrap();
    receiver.accept("/on_status", &body).await;
    receiver.settle().await;
    let list = shown(&receiver, "/console/events").await;
    assert!(list.contains("In-progress") && list.contains("O-2041"), "{list}");
    let found = page(&receiver, "/console/find?id=O-2041").await;
    assert_eq!((found.status, found.header("location")), (303, Some("/console/orders/O-2041")));
    let order = shown(&receiver, "/console/orders/O-2041").await;
    assert!(order.contains("Order-picked-up") && order.contains("Dosa Corner"), "{order}");
    let event = shown(&receiver, &format!("/console/events/{}", first_event(&list))).await;
    for told in ["Masala Dosa", "330.00", "taken", r#"class="key""#] {
        assert!(event.contains(told), "{told} is not in {event}");
    }
    assert!(!event.contains("Asha Example"), "without a token nobody sees who it is for: {event}");
    let id = "4d1f3c1e-8a56-4f0b-9c1d-2b7e6a90f001";
    let transaction = shown(&receiver, &format!("/console/transactions/{id}")).await;
    assert!(transaction.contains("<svg") && transaction.contains("Delivery f-2041"));
    let seller = shown(&receiver, "/console/sellers/unverified%3Aseller.example").await;
    assert!(seller.contains("O-2041"), "{seller}");
    receiver.stop().await;
}

#[tokio::test]
async fn a_filter_shows_what_it_names_and_says_what_it_cannot_mean() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    for number in 0..60 {
        let state = if number % 2 == 0 { "Accepted" } else { "Completed" };
        let body = on_status(&format!("t{number}"), &format!("m{number}"), state);
        receiver.accept("/on_status", body).await;
    }
    receiver.settle().await;
    let newest = shown(&receiver, "/console/events").await;
    assert_eq!(newest.matches("<tr data-seq=").count(), 50);
    let (_, older) = newest.split_once(r#"rel="next" href=""#).unwrap();
    let older = older.split('"').next().unwrap().replace("&amp;", "&");
    assert_eq!(shown(&receiver, &older).await.matches("<tr data-seq=").count(), 10);
    let completed = shown(&receiver, "/console/events?state=Completed&since=1h").await;
    assert_eq!(completed.matches("<tr data-seq=").count(), 30);
    let none = shown(&receiver, "/console/events?progress=dead").await;
    assert!(none.contains("No event matches."), "{none}");
    let mistaken = shown(&receiver, "/console/events?since=%3Cb%3Esoon").await;
    assert!(mistaken.contains("Since is a time") && mistaken.contains("&lt;b&gt;soon"));
    let rows = page(&receiver, "/console/events/rows?state=Completed").await;
    assert_eq!((rows.status, rows.body.matches("<tr data-seq=").count()), (200, 30));
    receiver.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_replayed_and_the_audit_says_by_whom() {
    let refuses = Arc::new(AtomicBool::new(true));
    let handler = Recorder::behaving({
        let refuses = Arc::clone(&refuses);
        move |_event| {
            let refuses = refuses.load(Ordering::SeqCst);
            if refuses { Err(HandlerError::permanent("no such <order>")) } else { Ok(()) }
        }
    });
    let receiver = TestReceiver::start("", handler.clone()).await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    receiver.accept("/on_status", on_status("u", "m", "Accepted")).await;
    receiver.settle().await;
    let dead = shown(&receiver, "/console/dead-letters").await;
    assert!(dead.contains("no such &lt;order&gt;") && dead.contains("Replay all 2 shown"));
    refuses.store(false, Ordering::SeqCst);
    let one = first_event(&dead);
    let done = act(&receiver, &format!("/console/events/{one}/replay"), "from=dead-letters").await;
    let back = "/console/dead-letters?said=replayed";
    assert_eq!((done.status, done.header("location")), (303, Some(back)));
    assert!(shown(&receiver, back).await.contains("Replay requested."));
    handler.wait_for(3).await;
    wait_until("it is settled", async || {
        !shown(&receiver, "/console/dead-letters").await.contains(&one)
    })
    .await;
    let other = first_event(&shown(&receiver, "/console/dead-letters").await);
    let all = act(&receiver, "/console/dead-letters/replay", &format!("id={other}")).await;
    assert_eq!(all.status, 303, "{all}");
    handler.wait_for(4).await;
    let audit = shown(&receiver, "/console/audit").await;
    assert_eq!(audit.matches("loopback</span></td><td><span class=\"outside\">replay").count(), 2);
    for form in ["", "id=x", &format!("id={other}&").repeat(51)] {
        assert_eq!(act(&receiver, "/console/dead-letters/replay", form).await.status, 400);
    }
    receiver.stop().await;
}

#[tokio::test]
async fn delivery_is_paused_and_resumed() {
    let handler = Recorder::new();
    let receiver = TestReceiver::start("", handler.clone()).await;
    let paused = act(&receiver, "/console/handlers/app/pause", "").await;
    assert_eq!(paused.header("location"), Some("/console/handlers?said=paused"), "{paused}");
    let handlers = shown(&receiver, "/console/handlers?said=paused").await;
    assert!(handlers.contains("Delivery is paused.") && handlers.contains("app/resume"));
    assert!(handlers.contains("paused: <b>"), "the strip of every page says it at once");
    assert_eq!(act(&receiver, "/console/handlers/app/resume", "").await.status, 303);
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    handler.wait_for(1).await;
    assert_eq!(act(&receiver, "/console/handlers/nobody/pause", "").await.status, 404);
    receiver.stop().await;
}

#[tokio::test]
async fn a_refusal_says_what_to_tell_the_seller() {
    let receiver =
        TestReceiver::start("subscriber_ids = [\"me.example\"]\n", Recorder::new()).await;
    for number in 0..3 {
        let body = on_status("t", &format!("m{number}"), "Accepted");
        assert!(!receiver.post("/on_status", body).await.is_ack());
    }
    wait_until("the refusals are kept", async || {
        page(&receiver, "/console/refusals").await.body.contains("<b>3</b></td>")
    })
    .await;
    let list = shown(&receiver, "/console/refusals").await;
    let (_, link) = list.split_once(r#"data-open href=""#).unwrap();
    let refusal = shown(&receiver, link.split('"').next().unwrap()).await;
    for told in
        ["context&#x2f;bap_id", "What to tell the seller", "Please change: ", "buyer.example"]
    {
        assert!(refusal.contains(told), "{told} is not in {refusal}");
    }
    receiver.stop().await;
}

#[tokio::test]
async fn hostile_callbacks_are_shown_as_text_on_every_page() {
    let hostile =
        "\\\"><script>alert(1)</script><img src=x onerror=alert(1)>\\u202e\\u001b[31m{{7*7}}";
    let body = on_status("TTT", "m", hostile)
        .replace("TTT", hostile)
        .replace("seller.example", hostile)
        .replace("ONDC:RET10", hostile)
        .replace("std:080", hostile);
    let receiver = TestReceiver::start("", Recorder::new()).await;
    receiver.accept("/on_status", &body).await;
    assert!(!receiver.post("/on_status%22%3E%3Cscript%3E", &body).await.is_ack());
    assert!(
        !receiver.post("/on_status", body.replace("on_status", "on_%s<script>")).await.is_ack()
    );
    receiver.settle().await;
    let list = shown(&receiver, "/console/events").await;
    let mut pages = vec![format!("/console/events/{}", first_event(&list))];
    for room in ["orders", "transactions", "sellers"] {
        let (_, rest) = list.split_once(&format!("/console/{room}/")).unwrap();
        pages.push(format!("/console/{room}/{}", rest.split('"').next().unwrap()));
    }
    wait_until("both refusals are kept", async || {
        page(&receiver, "/console/refusals").await.body.matches("data-open").count() == 2
    })
    .await;
    pages.push("/console/refusals".to_owned());
    let refusals = shown(&receiver, "/console/refusals").await;
    let (_, link) = refusals.split_once(r#"data-open href=""#).unwrap();
    pages.push(link.split('"').next().unwrap().to_owned());
    pages.push("/console/events?seller=%22%3E%3Cscript%3E&said=%3Cscript%3E".to_owned());
    for path in pages {
        let text = shown(&receiver, &path).await;
        assert!(text.contains("&lt;script&gt;"), "{path} does not show it: {text}");
        for raw in ["<script>", "<img src=x", "\u{202e}", "\u{1b}", "49"] {
            let frame = text.replace("<script src=", "").replace(":49", "").replace("-49", "");
            assert!(raw == "49" || !frame.contains(raw), "{path} has {raw:?}");
        }
        assert!(!text.contains("alert(1)>\""), "{path}");
    }
    receiver.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_same_frame() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let nothing = [
        "/console/nothing",
        "/console/events/nothing",
        "/console/events/00000000-0000-0000-0000-000000000000",
        "/console/orders/O-1",
        "/console/transactions/t",
        "/console/refusals/7",
        "/console/sellers/nobody",
    ];
    for path in nothing {
        let answer = page(&receiver, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("To the events"), "{path}: {answer}");
    }
    let home = page(&receiver, "/").await;
    assert_eq!((home.status, home.header("location")), (303, Some("/console/events")));
    let lost = page(&receiver, "/console/find?id=nobody-knows").await;
    assert_eq!(lost.header("location"), Some("/console/events?said=nothing_found"));
    for file in ["app.css", "app.js", "icon.svg"] {
        assert_eq!(page(&receiver, &format!("/console/assets/{file}")).await.status, 200, "{file}");
    }
    assert_eq!(page(&receiver, "/console/assets/..%2fmod.rs").await.status, 404);
    for empty in
        ["events", "dead-letters", "refusals", "sellers", "handlers", "expectations", "audit"]
    {
        shown(&receiver, &format!("/console/{empty}")).await;
    }
    receiver.stop().await;
}

#[tokio::test]
async fn the_pages_of_an_inbox_without_a_file_are_told_so_in_a_frame() {
    let directory = TempDir::new().unwrap();
    let receiver = TestReceiver::start_in(directory, "", Recorder::new()).await;
    std::fs::rename(receiver.inbox().join("inbox"), receiver.inbox().join("moved")).unwrap();
    let answer = page(&receiver, "/console/events").await;
    assert_eq!(answer.status, 503, "{answer}");
    assert!(answer.body.contains("The inbox could not be read."), "{answer}");
    std::fs::rename(receiver.inbox().join("moved"), receiver.inbox().join("inbox")).unwrap();
    assert_eq!(page(&receiver, "/console/events").await.status, 200);
    receiver.stop().await;
}

const OPERATOR: &str = "0123456789abcdef0123456789abcdef";
const READER: &str = "reader-reader-reader-reader-reader";

fn with_tokens() -> String {
    format!("[operations]\ntokens = [\"oncall|read,act|{OPERATOR}\", \"board|read|{READER}\"]\n")
}

/// Logs in as a browser does, and returns the line of its cookie.
async fn logged_in(receiver: &TestReceiver, token: &str) -> String {
    let answer = act(receiver, "/console/login", &format!("token={token}")).await;
    let set = answer.header("set-cookie").expect("a cookie");
    format!("cookie: {}\r\n", set.split(';').next().unwrap())
}

async fn page_as(receiver: &TestReceiver, cookie: &str, path: &str) -> Answer {
    request(receiver.operations, &format!("GET {path} HTTP/1.1\r\n{cookie}"), b"").await
}

#[tokio::test]
async fn who_has_logged_in_can_log_out_and_who_has_not_sees_the_consoles_own_form() {
    let receiver = TestReceiver::start(&with_tokens(), Recorder::new()).await;
    let form = page(&receiver, "/console/login").await;
    for told in ["/console/assets/app.css?v=", r#"name="token""#, "operations.tokens_file"] {
        assert!(form.body.contains(told), "{told} is not in {form}");
    }
    assert!(!form.body.contains("/console/logout"), "{form}");
    let wrong = act(&receiver, "/console/login", "token=wrong").await;
    assert!(wrong.status == 401 && wrong.body.contains(r#"role="alert""#), "{wrong}");
    let cookie = logged_in(&receiver, OPERATOR).await;
    let events = page_as(&receiver, &cookie, "/console/events").await;
    assert!(events.body.contains(r#"action="/console/logout""#), "{events}");
    let bearer = format!("authorization: Bearer {OPERATOR}\r\n");
    let events = page_as(&receiver, &bearer, "/console/events").await;
    assert!(events.status == 200 && !events.body.contains("/console/logout"), "{events}");
    receiver.stop().await;
}

#[tokio::test]
async fn sellers_are_counted_and_marks_say_what_they_mean() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    for state in ["Accepted", "In-progress"] {
        receiver.accept("/on_status", on_status("t", "m", state)).await;
    }
    receiver.settle().await;
    wait_until("the tally is written", async || {
        shown(&receiver, "/console/sellers").await.contains("2 accepted and 0 refused")
    })
    .await;
    let events = shown(&receiver, "/console/events").await;
    let mark = r#"data-flag="id_reused" title="same action, "#;
    assert_eq!(events.matches(mark).count(), 1, "{events}");
    receiver.stop().await;
}

#[tokio::test]
async fn an_expectation_is_listed_by_what_came_of_it() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    let expect = br#"{"action":"on_status","message_id":"m1","transaction_id":"t1","ttl_s":600}"#;
    let line = "POST /v1/expectations HTTP/1.1\r\n";
    assert_eq!(request(receiver.operations, line, expect).await.status, 201);
    let open = shown(&receiver, "/console/expectations?status=open").await;
    assert!(open.contains("m1") && !open.contains("None."), "{open}");
    assert!(shown(&receiver, "/console/expectations?status=met").await.contains("None."));
    receiver.accept("/on_status", on_status("t1", "m1", "Accepted")).await;
    receiver.settle().await;
    let met = shown(&receiver, "/console/expectations?status=met").await;
    assert!(met.contains("m1") && met.contains("/console/events/0"), "{met}");
    let event = shown(&receiver, &format!("/console/events/{}", first_event(&met))).await;
    assert!(event.contains(r#"data-flag="solicited""#), "{event}");
    receiver.stop().await;
}

#[tokio::test]
async fn a_transaction_is_erased_after_a_question_that_says_what_stays() {
    let receiver = TestReceiver::start("", Recorder::new()).await;
    receiver.accept("/on_status", on_status("t/1", "m", "Accepted")).await;
    receiver.settle().await;
    let erase = "/console/transactions/t%2F1/erase";
    assert!(shown(&receiver, "/console/transactions/t%2F1").await.contains(erase));
    let question = shown(&receiver, erase).await;
    for told in ["1 event</b>", "What stays", "Keep it", "cannot be undone"] {
        assert!(question.contains(told), "{told} is not in {question}");
    }
    assert_eq!(page(&receiver, "/console/transactions/other/erase").await.status, 404);
    let done = act(&receiver, erase, "").await;
    let back = "/console/events?said=erasing";
    assert_eq!((done.status, done.header("location")), (303, Some(back)), "{done}");
    assert!(shown(&receiver, back).await.contains("Erasure requested."));
    wait_until("it is emptied", async || {
        shown(&receiver, "/console/events").await.contains(r#"data-flag="erased""#)
    })
    .await;
    assert_eq!(page(&receiver, "/console/transactions/t%2F1").await.status, 404);
    let audit = shown(&receiver, "/console/audit").await;
    assert!(audit.contains("erase") && !audit.contains("t&#x2f;1"), "{audit}");
    receiver.stop().await;
}

#[tokio::test]
async fn who_may_only_look_is_offered_no_erasure() {
    let receiver = TestReceiver::start(&with_tokens(), Recorder::new()).await;
    receiver.accept("/on_status", on_status("t", "m", "Accepted")).await;
    receiver.settle().await;
    let cookie = logged_in(&receiver, READER).await;
    let transaction = page_as(&receiver, &cookie, "/console/transactions/t").await;
    assert!(transaction.status == 200 && !transaction.body.contains("/erase"), "{transaction}");
    assert_eq!(page_as(&receiver, &cookie, "/console/transactions/t/erase").await.status, 403);
    let head = format!("POST /console/transactions/t/erase HTTP/1.1\r\n{cookie}");
    assert_eq!(request(receiver.operations, &head, b"").await.status, 403);
    receiver.stop().await;
}
