//! Nothing that is said of a person reaches a log, a list or what `print` prints.

use std::fmt::Write as _;

use crate::harness::{Child, post, request, wait_until};
use crate::persons::{Persons, corpus};

async fn check(format: &str) {
    let Some(corpus) = corpus() else { return };
    let persons = Persons::of(corpus.iter().map(|body| &body.bytes[..]));
    println!("{} texts, excluded: {:?}", persons.texts.len(), persons.excluded);
    assert!(persons.texts.len() > 500, "they were found: {}", persons.texts.len());
    let child = Child::start(&[
        ("BECKN_RECEIVER_LOG__FORMAT", format),
        ("BECKN_RECEIVER_LOG__LEVEL", "debug"),
    ])
    .await;
    let (mut acks, mut answers) = (0, String::new());
    for body in &corpus {
        let answer = post(child.address, &format!("/{}", body.action), &body.bytes).await;
        acks += usize::from(answer.is_ack());
        writeln!(answers, "{answer}").unwrap();
    }
    assert!(acks > 850, "most are accepted: {acks}");
    child.settle().await;
    wait_until("the refusals are kept", async || {
        crate::commands::output(child.directory(), &["refusals"]).lines().count() >= 40
    })
    .await;
    let metrics = request(child.operations, "GET /metrics HTTP/1.1\r\n", b"").await;
    for command in [
        &["events", "--json", "--limit", "2000"][..],
        &["events", "--limit", "2000"],
        &["refusals", "--json", "--limit", "2000"],
        &["refusals", "--long", "--limit", "2000"],
        &["dead-letters"],
    ] {
        let listed = crate::commands::output(child.directory(), command);
        persons.assert_absent(&format!("{command:?}"), &listed);
    }
    let (printed, log) = child.end().await;
    assert!(printed.len() > 500, "{}", printed.len());
    persons.assert_absent("/metrics", &metrics.body);
    // What it prints is the buyer's own, and yet tells of no person.
    persons.assert_absent("print", &printed.join("\n"));
    persons.assert_absent("the log", &log);
    assert!(format == "text" || log.starts_with('{'), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_person_of_the_corpus_is_in_a_log_in_text() {
    check("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_person_of_the_corpus_is_in_a_log_in_json() {
    check("json").await;
}
