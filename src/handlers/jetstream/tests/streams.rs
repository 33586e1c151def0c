use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Source, StorageType};

use super::super::JetStream;
use super::super::stream::{Warning, check};
use super::{Nats, event, refusal, take, take_in_the_end};

#[tokio::test]
async fn a_missing_stream_is_created_in_files_with_a_long_window() {
    let Some(nats) = Nats::start().await else { return };
    take(&JetStream::open(nats.options()).unwrap(), &event("a", "t")).await;
    let mut stream = nats.context().await.get_stream("EVENTS").await.unwrap();
    let config = &stream.info().await.unwrap().config;
    assert_eq!(config.subjects, ["beckn.*.*"]);
    assert_eq!(config.storage, StorageType::File);
    assert_eq!(config.discard, DiscardPolicy::New);
    assert_eq!(config.duplicate_window, Duration::from_hours(24));
    assert_eq!((config.max_messages, config.max_bytes, config.max_age), (-1, -1, Duration::ZERO));
}

#[tokio::test]
async fn a_missing_stream_that_may_not_be_created_is_named_and_taken_when_it_comes() {
    let Some(nats) = Nats::start().await else { return };
    let mut options = nats.options();
    options.create_stream = false;
    let handler = JetStream::open(options).unwrap();
    let error = refusal(&handler, &event("a", "t")).await;
    let text = error.chain();
    assert!(!error.is_permanent() && text.contains("no stream `EVENTS`"), "{text}");
    assert!(text.contains("nats stream add") && text.contains("setting"), "{text}");
    nats.create(|_| ()).await;
    take_in_the_end(&handler, &event("a", "t")).await;
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_of() {
    let Some(nats) = Nats::start_with("accounts { A { users = [{user: u, password: p}] } }").await
    else {
        return;
    };
    let mut options = nats.options();
    (options.user, options.password) = ("u".to_owned(), "p".to_owned());
    let error = refusal(&JetStream::open(options).unwrap(), &event("a", "t")).await;
    assert!(error.chain().contains("JetStream"), "{}", error.chain());
    assert!(!error.is_permanent());
}

/// What `check` says of a stream that is as it should be but for one setting.
fn wrong(change: impl FnOnce(&mut Config)) -> String {
    let template = crate::words::Template::parse("beckn.{action}").unwrap();
    let mut config = super::super::stream::settings("EVENTS", &template);
    change(&mut config);
    check(config).unwrap_err().to_string()
}

#[test]
fn each_setting_that_could_lose_an_event_is_named() {
    let says = |text: String, parts: &[&str]| {
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    let stream = "stream `EVENTS`";
    says(
        wrong(|config| config.storage = StorageType::Memory),
        &[stream, "storage: expected file, found memory"],
    );
    says(wrong(|config| config.no_ack = true), &[stream, "no_ack: expected false, found true"]);
    says(wrong(|config| config.sealed = true), &[stream, "sealed: expected false, found true"]);
    says(wrong(|config| config.mirror = Some(Source::default())), &[stream, "mirror"]);
    let two = wrong(|config| (config.storage, config.no_ack) = (StorageType::Memory, true));
    says(two, &["storage", "; no_ack"]);
}

#[test]
fn what_an_owner_may_want_is_only_warned_of() {
    let warnings = |change: fn(&mut Config)| {
        let template = crate::words::Template::parse("beckn.{action}").unwrap();
        let mut config = super::super::stream::settings("EVENTS", &template);
        change(&mut config);
        check(config).unwrap().warnings
    };
    assert_eq!(warnings(|_| ()), []);
    let short = Duration::from_mins(2);
    assert_eq!(
        warnings(|config| config.duplicate_window = Duration::from_mins(2)),
        [Warning::ShortWindow(short)]
    );
    assert_eq!(warnings(|config| config.max_bytes = 9), []);
    assert_eq!(
        warnings(|config| (config.discard, config.max_bytes) = (DiscardPolicy::Old, 9)),
        [Warning::DropsOldest]
    );
    assert!(Warning::ShortWindow(short).text().contains("stored twice"));
}

#[tokio::test]
async fn a_stream_in_memory_is_refused_by_the_real_server_too() {
    let Some(nats) = Nats::start().await else { return };
    nats.create(|stream| stream.storage = StorageType::Memory).await;
    let error = refusal(&JetStream::open(nats.options()).unwrap(), &event("a", "t")).await;
    let text = error.chain();
    assert!(!error.is_permanent() && text.contains("storage: expected file"), "{text}");
    assert_eq!(nats.stored().await.len(), 0);
}

#[tokio::test]
async fn a_sealed_stream_is_refused_by_the_real_server_too() {
    let Some(nats) = Nats::start().await else { return };
    nats.create(|_| ()).await;
    let context = nats.context().await;
    let mut stream = context.get_stream("EVENTS").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.sealed = true;
    context.update_stream(config).await.unwrap();
    let error = refusal(&JetStream::open(nats.options()).unwrap(), &event("a", "t")).await;
    assert!(error.chain().contains("sealed: expected false"), "{}", error.chain());
}

#[tokio::test]
async fn a_stream_without_the_subject_is_refused_until_it_has_it() {
    let Some(nats) = Nats::start().await else { return };
    nats.create(|stream| stream.subjects = vec!["beckn.on_track.*".to_owned()]).await;
    let handler = JetStream::open(nats.options()).unwrap();
    let error = refusal(&handler, &event("a", "t")).await;
    let text = error.chain();
    assert!(!error.is_permanent(), "{text}");
    assert!(
        text.contains("one that covers `beckn.on_status.a`, found `beckn.on_track.*`"),
        "{text}"
    );
    let context = nats.context().await;
    let mut stream = context.get_stream("EVENTS").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.subjects = vec!["beckn.>".to_owned()];
    context.update_stream(config).await.unwrap();
    take_in_the_end(&handler, &event("a", "t")).await;
}

#[tokio::test]
async fn a_stream_that_was_deleted_under_us_is_created_again() {
    let Some(nats) = Nats::start().await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    take(&handler, &event("a", "1")).await;
    nats.context().await.delete_stream("EVENTS").await.unwrap();
    let error = refusal(&handler, &event("a", "2")).await;
    assert!(
        error.chain().contains("no stream listens on `beckn.on_status.a`"),
        "{}",
        error.chain()
    );
    take_in_the_end(&handler, &event("a", "2")).await;
    assert_eq!(nats.stored().await.len(), 1);
}

#[tokio::test]
async fn a_stream_of_another_name_that_takes_the_subject_settles_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let handler = JetStream::open(nats.options()).unwrap();
    take(&handler, &event("a", "1")).await;
    let context = nats.context().await;
    context.delete_stream("EVENTS").await.unwrap();
    nats.create(|stream| stream.name = "OTHERS".to_owned()).await;
    let error = refusal(&handler, &event("a", "2")).await;
    assert!(error.chain().contains("expected stream"), "{}", error.chain());
    let mut others = context.get_stream("OTHERS").await.unwrap();
    assert_eq!(others.info().await.unwrap().state.messages, 0);
}

#[tokio::test]
async fn a_full_stream_keeps_its_messages_and_the_event_waits() {
    let Some(nats) = Nats::start().await else { return };
    nats.create(|stream| stream.max_messages = 1).await;
    let handler = JetStream::open(nats.options()).unwrap();
    take(&handler, &event("a", "1")).await;
    let error = refusal(&handler, &event("a", "2")).await;
    let text = error.chain();
    assert!(!error.is_permanent() && text.contains("maximum messages"), "{text}");
    assert_eq!(nats.stored().await.len(), 1);
}
