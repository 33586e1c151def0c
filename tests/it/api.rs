//! The API of the operations listener: what each path says, and what it says of a bad request.

use serde_json::Value;

use beckn_receiver::HandlerError;

use crate::harness::{Answer, Recorder, TestReceiver, on_status, request, stamped};

/// A receiver whose handler gives up what is in the state `Broken`.
async fn started() -> (TestReceiver, String) {
    let recorder = Recorder::behaving(|event| {
        if String::from_utf8_lossy(&event.body).contains("Broken") {
            Err(HandlerError::permanent("no stock"))
        } else {
            Ok(())
        }
    });
    let receiver = TestReceiver::start("", recorder).await;
    let file = receiver.inbox().join("inbox/operations-tokens");
    let text = std::fs::read_to_string(file).unwrap();
    let token = text.lines().last().unwrap().rsplit('|').next().unwrap().to_owned();
    (receiver, format!("authorization: Bearer {token}\r\n"))
}

struct Bench {
    receiver: TestReceiver,
    token: String,
}

impl Bench {
    /// Starts a receiver with two events of one transaction, a dead letter, and a refusal.
    async fn new() -> Self {
        let (receiver, token) = started().await;
        receiver.accept("/on_status", on_status("t/1", "m1", "Accepted")).await;
        receiver.accept("/on_status", on_status("t/1", "m2", "In-progress")).await;
        receiver.accept("/on_status", on_status("t2", "m3", "Broken")).await;
        assert_eq!(receiver.post("/on_status", "[]").await.error("code"), "20006");
        receiver.settle().await;
        let bench = Self { receiver, token };
        crate::harness::wait_until("all of it is written", async || {
            let status = bench.get("/v1/status").await;
            status["refused"] == 1 && status["done"] == 2 && status["dead"] == 1
        })
        .await;
        bench
    }

    async fn ask(&self, line: &str, body: &str) -> Answer {
        let head = format!("{line} HTTP/1.1\r\n{}", self.token);
        request(self.receiver.operations, &head, body.as_bytes()).await
    }

    #[track_caller]
    fn get<'a>(&'a self, path: &str) -> impl Future<Output = Value> + use<'a> {
        self.send(&format!("GET {path}"), "")
    }

    #[track_caller]
    fn send<'a>(&'a self, line: &str, body: &str) -> impl Future<Output = Value> + use<'a> {
        let (place, line, body) =
            (std::panic::Location::caller(), line.to_owned(), body.to_owned());
        async move {
            let answer = self.ask(&line, &body).await;
            assert_eq!(answer.status, 200, "{place}: {line}: {answer}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{place}");
            serde_json::from_str(&answer.body).unwrap()
        }
    }

    #[track_caller]
    fn refuses<'a>(
        &'a self,
        line: &str,
        body: &str,
        expected: (u16, &str),
    ) -> impl Future<Output = ()> + use<'a> {
        let (place, line, body) =
            (std::panic::Location::caller(), line.to_owned(), body.to_owned());
        let (status, says) = (expected.0, expected.1.to_owned());
        async move {
            let answer = self.ask(&line, &body).await;
            assert_eq!(answer.status, status, "{place}: {line}: {answer}");
            let json: Value = serde_json::from_str(&answer.body).expect("a JSON answer");
            assert!(json["error"]["message"].is_string(), "{place}: {answer}");
            assert!(answer.body.contains(&says), "{place}: expected {says}, found {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_filtered_and_shown() {
    let bench = Bench::new().await;
    let all = bench.get("/v1/events").await;
    assert_eq!(all["events"].as_array().unwrap().len(), 3);
    assert_eq!(all["events"][0]["transaction_id"], "t2");
    let first = bench.get("/v1/events?order=oldest&limit=1").await;
    assert_eq!((&first["events"][0]["seq"], &first["next"]), (&1.into(), &"1".into()));
    let second = bench.get("/v1/events?order=oldest&limit=1&after=1").await;
    assert_eq!(second["events"][0]["seq"], 2);
    let chosen = bench.get("/v1/events?transaction_id=t%2F1&state=Accepted&progress=done").await;
    assert_eq!(chosen["events"].as_array().unwrap().len(), 1);
    let id = chosen["events"][0]["id"].as_str().unwrap();
    let one = bench.get(&format!("/v1/events/{id}")).await;
    assert_eq!((&one["event"]["id"], &one["masked"]), (&id.into(), &false.into()));
    assert_eq!(one["body"], on_status("t/1", "m1", "Accepted"));
    let body = bench.ask(&format!("GET /v1/events/{id}/body"), "").await;
    assert_eq!(body.body, on_status("t/1", "m1", "Accepted"));
    let disposition = format!("attachment; filename=\"{id}.json\"");
    assert_eq!(body.header("content-disposition"), Some(disposition.as_str()));
    let dead = bench.get("/v1/dead-letters").await;
    assert_eq!((&dead["events"][0]["error"], &dead["next"]), (&"no stock".into(), &Value::Null));
    let nobody = "0199f000-0000-7000-8000-000000000001";
    bench.refuses(&format!("GET /v1/events/{nobody}"), "", (404, "not_found")).await;
    bench.refuses(&format!("GET /v1/events/{nobody}/body"), "", (404, "not_found")).await;
    bench.refuses("GET /v1/events/1", "", (400, "\"parameter\":\"id\"")).await;
    bench.refuses("GET /v1/events?sellr=a", "", (400, "`seller` is the nearest")).await;
    bench.refuses("GET /v1/events?limit=501", "", (400, "from 1 to 500")).await;
    bench.refuses("GET /v1/dead-letters?action=on_status", "", (400, "no such parameter")).await;
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_an_order_and_a_refusal_are_found_by_their_names() {
    let bench = Bench::new().await;
    let timeline = bench.get("/v1/transactions/t%2F1").await;
    assert_eq!(timeline["entries"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&timeline["state"], &timeline["transaction_id"]),
        (&"In-progress".into(), &"t/1".into())
    );
    let order = bench.get("/v1/orders/O-t%2F1").await;
    assert_eq!(
        (&order["state"], &order["changes"][0]["to"]),
        (&"In-progress".into(), &"Accepted".into())
    );
    let refusals = bench.get("/v1/refusals").await;
    let seq = &refusals["refusals"][0]["seq"];
    let refusal = bench.get(&format!("/v1/refusals/{seq}")).await;
    assert_eq!((&refusal["body"], &refusal["route"]), (&"[]".into(), &"on_status".into()));
    let of_nobody = bench.get("/v1/refusals?seller=nobody.example").await;
    assert_eq!(of_nobody["refusals"], Value::Array(Vec::new()));
    bench.refuses("GET /v1/refusals/99", "", (404, "not_found")).await;
    bench.refuses("GET /v1/refusals/x", "", (400, "\"parameter\":\"seq\"")).await;
    bench.refuses("GET /v1/refusals?after=x", "", (400, "\"parameter\":\"after\"")).await;
    bench.refuses("GET /v1/transactions/%FF", "", (400, "UTF-8")).await;
    bench.refuses("GET /v1/orders/O?limit=3", "", (400, "no such parameter")).await;
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_is_done_and_stands_in_the_audit() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/v1/handlers").await["handlers"][0]["name"], "app");
    assert!(bench.get("/v1/sellers").await["sellers"].is_array());
    let paused = bench.send("POST /v1/handlers/app/pause", "").await;
    assert!(paused["paused_at"].is_string());
    let resumed = bench.send("POST /v1/handlers/app/resume", "").await;
    assert_eq!(resumed["paused_at"], Value::Null);
    let dead = bench.get("/v1/dead-letters").await;
    let id = dead["events"][0]["id"].as_str().unwrap().to_owned();
    let nobody = "0199f000-0000-7000-8000-000000000001";
    let asked = format!("{{\"ids\":[\"{id}\",\"{nobody}\"]}}");
    let replay = bench.send("POST /v1/replays", &asked).await;
    assert_eq!((&replay["requested"], &replay["unknown"][0]), (&1.into(), &nobody.into()));
    let dry = "{\"filter\":{\"transaction_id\":\"t/1\"},\"dry_run\":true}";
    let dry = bench.send("POST /v1/replays", dry).await;
    assert_eq!((&dry["requested"], &dry["dry_run"]), (&2.into(), &true.into()));
    crate::harness::wait_until("the replay is given up, too", async || {
        let event = bench.get(&format!("/v1/events/{id}")).await;
        event["event"]["replay"] == 1 && event["event"]["progress"] == "dead"
    })
    .await;
    let audit = bench.get("/v1/audit?limit=2").await;
    let said: Vec<_> =
        audit["audit"].as_array().unwrap().iter().map(|line| &line["what"]).collect();
    assert_eq!(said, ["replay", "resume"]);
    assert_eq!(audit["audit"][0]["who"], "admin");
    let next = audit["next"].as_str().unwrap();
    let rest = bench.get(&format!("/v1/audit?after={next}")).await;
    assert_eq!((&rest["audit"][0]["what"], &rest["next"]), (&"pause".into(), &Value::Null));
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_change_is_refused_with_what_was_expected() {
    let bench = Bench::new().await;
    let replays = "POST /v1/replays";
    bench.refuses(replays, "", (400, "{\\\"ids\\\":[…]}")).await;
    bench.refuses(replays, "{}", (400, "either `ids` or `filter`")).await;
    bench.refuses(replays, "{\"ids\":[]}", (400, "1 to 500 ids")).await;
    bench.refuses(replays, "{\"ids\":[\"x\"]}", (400, "\"parameter\":\"id\"")).await;
    bench.refuses(replays, "{\"filter\":{}}", (400, "every event")).await;
    bench.refuses(replays, "{\"filter\":{\"sellr\":\"a\"}}", (400, "`seller`")).await;
    bench.refuses(replays, "{\"filter\":{\"state\":\"a\"},\"dry_run\":null}", (400, "null")).await;
    bench.refuses(replays, "{\"id\":[]}", (400, "unknown field `id`")).await;
    bench.refuses(replays, &" ".repeat(70_000), (413, "65536")).await;
    bench.refuses("POST /v1/handlers/nobody/pause", "", (404, "not_found")).await;
    bench.refuses("POST /v1/handlers/app/pause?now=1", "", (400, "no parameters")).await;
    bench.refuses("GET /v1/replays", "", (405, "method")).await;
    let answer = bench.ask("DELETE /v1/status", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")));
    bench.refuses("GET /v1/nothing", "", (404, "/v1/openapi.json")).await;
    let document = bench.get("/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(bench.get("/v1/audit").await["audit"].as_array().unwrap().is_empty());
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_hands_everything_out_in_order_and_waits_for_more() {
    let bench = Bench::new().await;
    let first = bench.get("/v1/feed?limit=2").await;
    let seqs = |page: &Value| -> Vec<u64> {
        let events = page["events"].as_array().unwrap().iter();
        events.map(|event| event["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!((seqs(&first), &first["next"]), (vec![1, 2], &"2".into()));
    assert_eq!(first["events"][0]["callback"]["message"]["order"]["state"], "Accepted");
    assert_eq!(first["events"][0]["delivery_id"], first["events"][0]["event_id"]);
    let second = bench.get("/v1/feed?after=2&limit=2").await;
    assert_eq!((seqs(&second), &second["next"]), (vec![3], &"3".into()));
    let empty = bench.get("/v1/feed?after=3").await;
    assert_eq!((seqs(&empty), &empty["next"]), (vec![], &"3".into()));
    assert_eq!(second["missing"], 0);
    bench.refuses("GET /v1/feed?after=1000000", "", (409, "cursor of another log")).await;
    let other = bench.get("/v1/feed?action=on_track&wait_ms=50").await;
    assert_eq!((seqs(&other), &other["next"]), (vec![], &"3".into()));
    let waiting = bench.get("/v1/feed?after=3&wait_ms=60000");
    let posting = bench
        .receiver
        .accept("/on_status", stamped("t3", "m4", "Packed", "2026-01-02T03:04:05.000Z"));
    let (waited, ()) = tokio::join!(waiting, posting);
    assert_eq!((seqs(&waited), &waited["next"]), (vec![4], &"4".into()));
    bench.refuses("GET /v1/feed?wait_ms=60001", "", (400, "from 0 to 60000")).await;
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_expected_waited_for_and_withdrawn() {
    let bench = Bench::new().await;
    let expect = r#"{"action":"on_status","message_id":"m 9","bpp_id":null,"ttl_s":30.0}"#;
    let made = bench.ask("POST /v1/expectations", expect).await;
    assert_eq!(made.status, 201, "{made}");
    let made: Value = serde_json::from_str(&made.body).unwrap();
    assert_eq!((&made["status"], &made["registered_by"]), (&"open".into(), &"admin".into()));
    let (waited, ()) = tokio::join!(
        bench.get("/v1/wait?message_id=m%209&action=on_status&timeout=60"),
        bench.receiver.accept("/on_status", on_status("t9", "m 9", "Accepted")),
    );
    assert_eq!(waited["event"]["message_id"], "m 9");
    assert_eq!(waited["event"]["flags"][0], "solicited");
    let path = format!("/v1/expectations/{}", made["id"].as_str().unwrap());
    assert_eq!(bench.get(&path).await["status"], "met");
    let met = bench.get("/v1/expectations?status=met&limit=5").await;
    assert_eq!(met["expectations"].as_array().unwrap().len(), 1);
    let metrics = bench.ask("GET /metrics", "").await.body;
    for line in ["registered_total 1", "met_total 1", "silent_total 0", "open 0"] {
        assert!(metrics.contains(&format!("\nbeckn_receiver_expectations_{line}\n")), "{line}");
    }
    assert_eq!(bench.ask(&format!("DELETE {path}"), "").await.status, 204);
    bench.refuses(&format!("GET {path}"), "", (404, "not_found")).await;
    let nothing = bench.ask("GET /v1/wait?message_id=nobody&timeout=0", "").await;
    assert_eq!(nothing.status, 204, "{nothing}");
    bench.receiver.settle().await;
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_expected_waited_for_or_erased_is_named() {
    let bench = Bench::new().await;
    let ttl = r#"{"action":"on_status","message_id":"m","ttl_s":0}"#;
    let action = r#"{"action":"on_statis","message_id":"m","ttl_s":1}"#;
    for (line, body, says) in [
        ("GET /v1/wait", "", "\"message_id\""),
        ("GET /v1/wait?message_id=m&action=no", "", "\"action\""),
        ("GET /v1/wait?message_id=m&timeout=61", "", "from 0 to 60"),
        ("GET /v1/expectations?status=no", "", "open, met, silent, late"),
        ("POST /v1/expectations", ttl, "\"ttl_s\""),
        ("POST /v1/expectations", action, "to which on_status is near"),
        ("POST /v1/expectations?a=b", ttl, "\"a\""),
        ("GET /v1/expectations/7", "", "the id of an expectation"),
        ("POST /v1/erasures", r#"{"transaction_id":""}"#, "\"transaction_id\""),
        ("POST /v1/erasures", "{}", "expected"),
    ] {
        bench.refuses(line, body, (400, says)).await;
    }
    bench.refuses("PUT /v1/expectations", "", (405, "method")).await;
    let erased = bench.ask("POST /v1/erasures", r#"{"transaction_id":"t/1"}"#).await;
    assert_eq!(erased.status, 202, "{erased}");
    let erased: Value = serde_json::from_str(&erased.body).unwrap();
    assert_eq!((&erased["events"], &erased["pending"]), (&2.into(), &0.into()));
    bench.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_when_the_receiver_stops() {
    let bench = Bench::new().await;
    let operations = bench.receiver.operations;
    let head = format!("GET /v1/wait?message_id=nobody HTTP/1.1\r\n{}", bench.token);
    let waiting = tokio::spawn(async move { request(operations, &head, b"").await });
    crate::harness::wait_until("somebody waits", async || {
        bench.ask("GET /metrics", "").await.body.contains("\nbeckn_receiver_waiters 1\n")
    })
    .await;
    bench.receiver.stop().await;
    let told = waiting.await.unwrap();
    assert_eq!((told.status, told.header("retry-after")), (503, Some("1")), "{told}");
}
