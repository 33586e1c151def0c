//! The forwarder against servers on loopback.

mod connections;
mod libraries;
mod target;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio_rustls::TlsAcceptor;

use self::target::{Does, Target, status};
use super::addresses::System;
use super::secrets::LOOK_EVERY;
use super::{Forward, OpenError, Options};
use crate::beckn::action::Action;
use crate::config::Content;
use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler as _};
use crate::registry::tls::TlsError;
use crate::words::Chain;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_bm90IHRoZSBzYW1lIHNlY3JldCBhdCBhbGw=";

fn options(url: impl Into<String>) -> Options {
    Options {
        url: url.into(),
        content: Content::Envelope,
        secrets: vec![SECRET.to_owned()],
        secrets_file: None,
        ca_file: None,
        connect_timeout: Duration::from_secs(10),
        response_limit: 4_096,
        sampling: crate::trace::Sampling::share(1.0),
    }
}

/// Returns an event that is another one for each name.
fn event(name: &str) -> OrderEvent {
    let body = format!(
        r#"{{"context":{{"transaction_id":"{name}"}},"message":{{"order":{{"id":"hushed"}}}}}}"#
    );
    OrderEvent::parse(Action::OnStatus, body).unwrap()
}

fn opened(url: impl Into<String>) -> Forward {
    Forward::open(options(url)).unwrap()
}

async fn forward(url: impl Into<String>) -> Result<(), HandlerError> {
    opened(url).handle(&event("t")).await
}

#[tokio::test]
async fn what_is_sent_says_what_it_is_and_is_signed_by_each_secret() {
    let target = Target::taking().await;
    let mut options = options(target.url());
    options.secrets.push(OTHER.to_owned());
    let forward = Forward::open(options).unwrap();
    let mut event = event("t");
    event.replay = 2;
    forward.handle(&event).await.unwrap();
    let [request] = &target.seen()[..] else { panic!("{:?}", target.seen()) };
    assert!(request.head.starts_with("POST /events?token=hush HTTP/1.1\r\n"), "{}", request.head);
    let header = |name: &str| request.header(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), concat!("beckn-receiver/", env!("CARGO_PKG_VERSION")));
    assert_eq!(header("beckn-action"), "on_status");
    assert_eq!(header("webhook-id"), format!("{}-r2", event.id));
    let timestamp: i64 = header("webhook-timestamp").parse().unwrap();
    assert!((chrono::Utc::now().timestamp() - timestamp).abs() < 60, "{timestamp}");
    let expected = forward.secrets.signatures(&event.delivery_id(), timestamp, &request.body);
    assert_eq!(Some(header("webhook-signature")), expected.as_deref());
    assert_eq!(header("webhook-signature").split(' ').count(), 2);
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["delivery_id"], header("webhook-id"));
    assert_eq!(body["callback"]["context"]["transaction_id"], "t");
}

#[tokio::test]
async fn without_a_secret_there_is_no_signature_and_a_bare_callback_is_what_came() {
    let target = Target::taking().await;
    let options =
        Options { secrets: Vec::new(), content: Content::Callback, ..options(target.url()) };
    let event = event("t");
    Forward::open(options).unwrap().handle(&event).await.unwrap();
    let [request] = &target.seen()[..] else { panic!("{:?}", target.seen()) };
    assert_eq!(request.header("webhook-signature"), None);
    assert_eq!(request.header("webhook-id"), Some(event.id.to_string().as_str()));
    assert_eq!(request.body, event.body);
}

#[tokio::test]
async fn a_new_secret_in_the_file_signs_the_next_event() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secrets");
    std::fs::write(&path, SECRET).unwrap();
    let target = Target::taking().await;
    let options =
        Options { secrets: Vec::new(), secrets_file: Some(path.clone()), ..options(target.url()) };
    let names = Arc::new(System);
    let forward = Forward::resolving(options, names, Duration::ZERO).unwrap();
    forward.handle(&event("1")).await.unwrap();
    std::fs::write(&path, format!("{OTHER}\n{SECRET}\n")).unwrap();
    forward.handle(&event("2")).await.unwrap();
    let signatures =
        |request: &target::Request| request.header("webhook-signature").unwrap().split(' ').count();
    assert_eq!(target.seen().iter().map(signatures).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn the_status_and_retry_after_decide_and_the_text_names_only_the_status() {
    let check = async |code: u16, headers: &'static str, permanent: bool, delay: Option<u64>| {
        let target = Target::start(move |_| status(code, headers)).await;
        let error = forward(target.url()).await.unwrap_err();
        assert_eq!(error.chain(), format!("the target answered {code}"));
        assert_eq!(error.is_permanent(), permanent, "{code}");
        assert_eq!(error.delay(), delay.map(Duration::from_secs), "{code}");
    };
    check(503, "retry-after: 7\r\n", false, Some(7)).await;
    check(429, "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false, Some(0)).await;
    check(401, "", false, None).await;
    check(500, "retry-after: soon\r\n", false, None).await;
    check(410, "", true, None).await;
    check(422, "", true, None).await;
    let target = Target::start(|_| Does::Answers("HTTP/1.1 204 Taken\r\n\r\n".to_owned())).await;
    forward(target.url()).await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let there = Target::taking().await;
    let location = format!("location: {}\r\n", there.url());
    for code in [301, 303, 307, 308] {
        let location = location.clone();
        let here = Target::start(move |_| status(code, &location)).await;
        let error = forward(here.url()).await.unwrap_err();
        assert!(!error.is_permanent(), "{code}");
        assert!(error.chain().contains("redirects are not followed"), "{}", error.chain());
    }
    assert_eq!(there.connections(), 0);
    forward(there.url()).await.unwrap();
}

/// Resolves every name to the same addresses.
struct To(&'static [&'static str]);

impl Resolve for To {
    fn resolve(&self, _name: Name) -> Resolving {
        let parsed = |text: &&str| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0);
        let addresses: Vec<_> = self.0.iter().map(parsed).collect();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

#[tokio::test]
async fn a_name_leads_only_to_addresses_that_are_allowed() {
    let target = Target::taking().await;
    let named = format!("http://app.example:{}/", target.address.port());
    let forward = async |to: To| {
        let forward = Forward::resolving(options(&named), Arc::new(to), LOOK_EVERY).unwrap();
        forward.handle(&event("t")).await
    };
    // The first cannot be bound here; a connector that tried it would be at it for long.
    forward(To(&["169.254.169.254", "127.0.0.1"])).await.unwrap();
    assert_eq!(target.connections(), 1);
    let error = forward(To(&["169.254.169.254", "::ffff:169.254.169.254"])).await.unwrap_err();
    assert!(!error.is_permanent());
    let text = error.chain();
    assert!(text.contains("resolves to 169.254.169.254"), "{text}");
    // 0.0.0.0 would reach the target.
    forward(To(&["0.0.0.0"])).await.unwrap_err();
    assert_eq!(target.connections(), 1);
}

#[test]
fn an_address_that_is_not_allowed_is_refused_however_it_is_written() {
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "0251.0376.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[::]",
        "0",
        "[64:ff9b::a9fe:a9fe]",
    ] {
        let error = Forward::open(options(format!("http://{host}/"))).unwrap_err();
        assert!(matches!(error, OpenError::Address(_)), "{host}: {error}");
    }
    for url in ["", "app.example/events", "ftp://app.example/", "http://u:hush@app.example/"] {
        let error = Forward::open(options(url)).unwrap_err();
        assert!(matches!(error, OpenError::Url(_)), "{url}: {error}");
        assert!(!Chain(&error).to_string().contains("hush"), "{error}");
    }
}

/// Returns a server's side of TLS, for `localhost`, and the file of the authority behind it.
fn authority(directory: &tempfile::TempDir) -> (TlsAcceptor, PathBuf) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
    let ca_file = directory.path().join("ca.pem");
    let text = STANDARD.encode(authority.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(&ca_file, pem).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca_file)
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    let (acceptor, ca_file) = authority(&directory);
    let target = Target::start_tls(Some(acceptor), |_| status(200, "")).await;
    let url = format!("https://localhost:{}/", target.address.port());
    let trusting = Options { ca_file: Some(ca_file.clone()), ..options(&url) };
    Forward::open(trusting).unwrap().handle(&event("t")).await.unwrap();
    assert_eq!(target.seen().len(), 1);
    // Another name than the certificate's.
    let by_address = format!("https://{}/", target.address);
    let other_name = Options { ca_file: Some(ca_file.clone()), ..options(by_address) };
    let error = Forward::open(other_name).unwrap().handle(&event("t")).await.unwrap_err();
    assert!(error.chain().contains("certificate"), "{}", error.chain());
    // A machine without any certificates cannot open it at all.
    match Forward::open(options(&url)) {
        Ok(forward) => {
            let error = forward.handle(&event("t")).await.unwrap_err();
            assert!(!error.is_permanent());
            assert!(error.chain().contains("certificate"), "{}", error.chain());
        }
        Err(error) => assert!(matches!(error, OpenError::Trust(_)), "{error}"),
    }
    assert_eq!(target.seen().len(), 1);
    std::fs::write(&ca_file, "none").unwrap();
    let empty = Options { ca_file: Some(ca_file), ..options(&url) };
    let error = Forward::open(empty).unwrap_err();
    assert!(matches!(error, OpenError::Trust(TlsError::Empty(_))), "{error}");
}

#[test]
fn nothing_that_is_secret_is_shown() {
    let options = options("http://app.example/?token=hush");
    assert!(!format!("{options:?}").contains("hush"));
    let forward = Forward::open(options).unwrap();
    assert_eq!(format!("{forward:?}"), r#"Forward { host: Some("app.example"), .. }"#);
    let broken = Options { secrets: vec!["whsec_hush!".to_owned()], ..self::options("http://x/") };
    let error = Forward::open(broken).unwrap_err();
    let text = format!("{error:?} {}", Chain(&error));
    assert!(!text.contains("hush"), "{text}");
}
