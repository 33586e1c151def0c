use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::super::JetStream;
use super::{Nats, event, refusal, take};

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// An authority of our own and a server's certificate by it, for `localhost`.
struct Authority {
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = params.signed_by(&key, &issuer).unwrap();
        let directory = TempDir::new().unwrap();
        let write = |name: &str, text: String| {
            fs::write(directory.path().join(name), text).unwrap();
        };
        write("ca.pem", pem("CERTIFICATE", issuer.der()));
        write("server.pem", pem("CERTIFICATE", server.der()));
        write("server.key", pem("PRIVATE KEY", &key.serialize_der()));
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns a server's settings.
    fn settings(&self) -> String {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
            certificate.display(),
            key.display()
        )
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named_and_only_then() {
    let authority = Authority::new();
    let Some(nats) = Nats::start_with(&authority.settings()).await else { return };
    let with = |server: &str, ca_file: Option<PathBuf>| {
        let mut options = nats.options();
        options.servers = vec![format!("{server}:{}", nats.port)];
        options.ca_file = ca_file;
        JetStream::open(options).unwrap()
    };
    let event = event("a", "t");
    for server in ["tls://localhost", "nats://localhost"] {
        take(&with(server, Some(authority.path("ca.pem"))), &event).await;
        let text = refusal(&with(server, None), &event).await.chain();
        assert!(
            text.starts_with("not connected to NATS") && text.contains("certificate"),
            "{text}"
        );
    }
    let elsewhere = with("tls://127.0.0.1", Some(authority.path("ca.pem")));
    let text = refusal(&elsewhere, &event).await.chain();
    assert!(text.contains("certificate"), "another name than the certificate's: {text}");
}

#[tokio::test]
async fn a_plain_server_is_not_spoken_to_where_tls_was_asked_for() {
    let authority = Authority::new();
    let Some(nats) = Nats::start().await else { return };
    let mut options = nats.options();
    options.ca_file = Some(authority.path("ca.pem"));
    let text = refusal(&JetStream::open(options).unwrap(), &event("a", "t")).await.chain();
    assert!(text.starts_with("not connected to NATS"), "{text}");
}
