use std::fs;

use tempfile::TempDir;

use super::super::{JetStream, OpenError, Options};
use super::options;
use crate::words::{Chain, Template};

fn check(change: impl FnOnce(&mut Options)) -> Result<(), OpenError> {
    let mut options = options("nats://127.0.0.1:4222");
    change(&mut options);
    JetStream::open(options).map(drop)
}

#[test]
fn a_server_is_a_scheme_a_host_and_a_port() {
    for right in ["nats://a:4222", "tls://nats.example", "nats://[::1]:4222/"] {
        check(|options| options.servers = vec![right.to_owned()]).unwrap();
    }
    for wrong in
        ["a:4222", "http://a", "nats://", "nats://a:x", "ws://a", "nats://a/b", "nats://a?x", ""]
    {
        let opened = check(|options| options.servers = vec![wrong.to_owned()]);
        assert!(matches!(opened, Err(OpenError::Server(_))), "{wrong}: {opened:?}");
    }
    assert!(matches!(check(|options| options.servers.clear()), Err(OpenError::NoServer)));
}

#[test]
fn a_password_in_an_address_is_refused_and_not_shown() {
    for server in ["nats://u:hush@a:4222", "nats://hush@a", "hush@a"] {
        let error = check(|options| options.servers = vec![server.to_owned()]).unwrap_err();
        assert!(matches!(error, OpenError::UserInServer), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

#[test]
fn a_subject_has_whole_tokens_and_a_fixed_beginning() {
    let subject = |text: &str| {
        let template = Template::parse(text).unwrap();
        check(|options| options.subject = template)
    };
    for right in ["beckn", "beckn.{action}", "a/b:c.x-{action}.{order_id}"] {
        subject(right).unwrap();
    }
    for wrong in ["a..b", ".a", "a.", "{action}", "{bpp_id}.a", "x{bpp_id}.a"] {
        let opened = subject(wrong);
        assert!(matches!(opened, Err(OpenError::Subject { .. })), "{wrong}: {opened:?}");
    }
    let long = format!("a{}", ".{order_id}".repeat(11));
    assert!(matches!(subject(&long), Err(OpenError::Subject { .. })), "{long}");
}

#[test]
fn a_stream_has_a_name_that_nats_takes() {
    for wrong in ["", "a.b", "a b", "a*", "a>", "a/b", "é", "a\n", &"a".repeat(256)] {
        let opened = check(|options| options.stream = wrong.to_owned());
        assert!(matches!(opened, Err(OpenError::Stream(_))), "{wrong}: {opened:?}");
    }
}

#[test]
fn there_is_one_identity() {
    let both = check(|options| {
        (options.user, options.password) = ("u".to_owned(), "p".to_owned());
        options.token = "t".to_owned();
    });
    assert!(matches!(both, Err(OpenError::TwoIdentities)), "{both:?}");
    let half = check(|options| options.user = "u".to_owned());
    assert!(matches!(half, Err(OpenError::HalfAUser)), "{half:?}");
}

#[test]
fn files_that_cannot_be_used_are_named_and_not_shown() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("hello.creds");
    let credentials = || check(|options| options.credentials_file = Some(file.clone()));
    let authority = || check(|options| options.ca_file = Some(file.clone()));
    let said = |error: Result<(), OpenError>| Chain(&error.unwrap_err()).to_string();
    assert!(said(credentials()).contains("hello.creds"));
    assert!(said(authority()).contains("hello.creds"));
    fs::write(&file, "hush").unwrap();
    for text in [said(credentials()), said(authority())] {
        assert!(text.contains("hello.creds") && !text.contains("hush"), "{text}");
    }
}

#[test]
fn what_is_shown_of_it_holds_no_secret() {
    let mut options = options("nats://127.0.0.1:4222");
    (options.user, options.password) = ("u".to_owned(), "hush".to_owned());
    let shown = format!("{:?}", JetStream::open(options).unwrap());
    assert!(shown.contains("EVENTS") && !shown.contains("hush"), "{shown}");
}
