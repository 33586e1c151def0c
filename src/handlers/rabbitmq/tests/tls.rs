//! `amqps://` with a certificate authority of the test's own.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::super::{OpenError, Options, RabbitMq};
use super::scene::{Scene, event, fails};
use crate::handler::OrderEventHandler as _;
use crate::registry::tls::TlsError;
use crate::servers::rabbitmq::{Own, free_port};
use crate::servers::{pem, skip};

/// Writes an authority's certificate, and a server's for `localhost` with its key.
fn write_certificates(directory: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &ca).unwrap();
    fs::write(directory.join("ca.pem"), pem("CERTIFICATE", ca.der())).unwrap();
    fs::write(directory.join("server.pem"), pem("CERTIFICATE", server.der())).unwrap();
    fs::write(directory.join("server.key"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
}

#[tokio::test]
async fn tls_takes_the_authority_that_is_named_and_no_other() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    write_certificates(path);
    let port = free_port();
    let at = |name: &str| path.join(name).display().to_string();
    let settings = format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\n\
         ssl_options.certfile = {}\nssl_options.keyfile = {}\n",
        at("ca.pem"),
        at("server.pem"),
        at("server.key")
    );
    let Some(broker) = Own::start(&settings).await else { return skip("rabbitmq-server") };
    let scene = Scene::at(broker.address()).await;
    let options = |host: &str, ca_file: Option<&str>| Options {
        url: format!("amqps://{host}:{port}"),
        ca_file: ca_file.map(|name| path.join(name)),
        ..scene.options()
    };
    let trusting = RabbitMq::open(options("localhost", Some("ca.pem"))).unwrap();
    assert!(fails(&trusting, &event("x", "t")).await.0, "connected, and nothing is bound");
    scene.bind("#").await;
    trusting.handle(&event("x", "t")).await.unwrap();
    assert_eq!(scene.arrived().await.len(), 1);
    // The system does not know this authority, and the certificate is not for an address.
    for wrong in [options("localhost", None), options("127.0.0.1", Some("ca.pem"))] {
        let handler = RabbitMq::open(wrong).unwrap();
        let (is_permanent, text) = fails(&handler, &event("x", "t")).await;
        assert!(!is_permanent && text.contains("invalid peer certificate"), "{text}");
    }
    let opened = |name| RabbitMq::open(options("localhost", Some(name))).unwrap_err();
    assert!(matches!(opened("none.pem"), OpenError::Tls(TlsError::Read { .. })));
    assert!(matches!(opened("server.key"), OpenError::Tls(TlsError::Empty(_))));
}
