use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Api, Client, Error};
use crate::registry::record::Reading;
use crate::registry::{OpenError, RegistryOptions, Signer, tls};
use crate::signature::PrivateKey;
use crate::words::{Chain, KeyId};

fn options(url: impl Into<String>) -> RegistryOptions {
    RegistryOptions {
        url: url.into(),
        api: Api::Beckn,
        country: String::new(),
        signer: None,
        timeout: Duration::from_secs(10),
        response_limit: 1_024,
        fresh: Duration::from_mins(5),
        stale: Duration::from_hours(1),
        negative: Duration::from_secs(30),
        subscribers: 10,
        lookups_per_minute: 120,
        metrics: Arc::default(),
    }
}

/// Reads a request's header and says this whatever it was; ends when it is dropped.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, response: &str) {
    let mut read = Vec::new();
    while !read.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.flush().await;
    std::future::pending::<()>().await;
}

async fn server(response: &'static str) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _peer)) = listener.accept().await {
            connections.spawn(say(stream, response));
        }
    });
    (address, tasks)
}

async fn ask(options: &RegistryOptions) -> Result<Reading, Error> {
    Client::open(options).unwrap().look_up("a.example", Utc::now()).await
}

const NOBODY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (there, _there) = server(NOBODY).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{there}/\r\ncontent-length: 0\r\n\r\n"
    );
    let (address, _server) = server(redirect.leak()).await;
    let there = ask(&options(format!("http://{there}/"))).await;
    assert!(matches!(there, Ok(Reading::NotThere)), "{there:?}");
    let here = ask(&options(format!("http://{address}/lookup"))).await;
    assert!(matches!(here, Err(Error::Status(status)) if status == 307), "{here:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_given_up() {
    let (address, _server) = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[").await;
    let mut options = options(format!("http://{address}/"));
    options.timeout = Duration::from_millis(100);
    let answer = ask(&options).await;
    assert!(matches!(answer, Err(Error::TimedOut(_))), "{answer:?}");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_read_on() {
    let long = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1000\r\n{}",
        " ".repeat(2_000)
    );
    let (address, _server) = server(long.leak()).await;
    let answer = ask(&options(format!("http://{address}/"))).await;
    assert!(matches!(answer, Err(Error::TooLong { limit: 1_024 })), "{answer:?}");
}

#[tokio::test]
async fn an_error_does_not_show_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = ask(&options(format!("http://{address}/lookup?token=hush"))).await.unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.contains("refused") && !text.contains("hush"), "{text}");
}

/// A TLS server on loopback, and a client configuration that trusts its certificate.
async fn tls_server() -> (SocketAddr, JoinSet<()>, rustls::ClientConfig) {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let certificate = own.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _peer)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    say(stream, NOBODY).await;
                }
            });
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let trusting = tls::with_ring().unwrap().with_root_certificates(roots).with_no_client_auth();
    (address, tasks, trusting)
}

#[tokio::test]
async fn tls_works_with_a_certificate_that_is_trusted_and_with_no_other() {
    let (address, _server, trusting) = tls_server().await;
    let options = options(format!("https://localhost:{}/", address.port()));
    let look_up = async |tls| {
        let client = Client::new(&options, tls).unwrap();
        client.look_up("a.example", Utc::now()).await
    };
    let trusted = look_up(trusting).await;
    assert!(matches!(trusted, Ok(Reading::NotThere)), "{trusted:?}");
    let nobody = look_up(tls::trusting_nobody().unwrap()).await;
    assert!(matches!(nobody, Err(Error::Exchange(_))), "{nobody:?}");
    // A machine without any certificates cannot open the client at all.
    match Client::open(&options) {
        Ok(client) => {
            let system = client.look_up("a.example", Utc::now()).await;
            assert!(matches!(system, Err(Error::Exchange(_))), "{system:?}");
        }
        Err(error) => assert!(matches!(error, OpenError::Tls(_)), "{error}"),
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let check = |options: &RegistryOptions, expected: fn(&OpenError) -> bool| {
        let error = Client::open(options).unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(!error.to_string().contains("hush"), "{error}");
    };
    for url in ["", "registry.example/lookup", "ftp://registry.example/", "http://u:hush@x.y/"] {
        check(&options(url), |error| matches!(error, OpenError::Url(_)));
    }
    let mut options = options("http://127.0.0.1:1/");
    options.api = Api::OndcV2;
    options.country = "IND".to_owned();
    check(&options, |error| matches!(error, OpenError::NoSigner));
    let signer = |id: &str| {
        let id = KeyId::new(id, Some("k1".to_owned()));
        Some(Signer { id, key: PrivateKey::from_seed(&[1; 32]) })
    };
    options.signer = signer("buyer\n.example");
    check(&options, |error| matches!(error, OpenError::SignerId));
    options.signer = signer("buyer.example");
    options.country = " ".to_owned();
    check(&options, |error| matches!(error, OpenError::NoCountry));
}
