//! TLS of every client of ours: one provider, passed explicitly.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::url::address;

/// Returns settings that trust the certificates that the system trusts. Reads files.
pub(crate) fn trusting_the_system() -> Result<ClientConfig, rustls::Error> {
    Ok(with_ring()?.with_platform_verifier()?.with_no_client_auth())
}

/// Why TLS settings could not be made of a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("`{}` could not be read as certificates in PEM", path.display())]
    Read { path: PathBuf, source: pem::Error },
    #[error("`{}` holds no certificate in PEM", .0.display())]
    Empty(PathBuf),
    #[error("`{}` holds a certificate that cannot be trusted", path.display())]
    Unfit { path: PathBuf, source: rustls::Error },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Returns settings that trust the certificates of a file, in PEM, and no others. Reads the file.
pub(crate) fn trusting(ca_file: &Path) -> Result<ClientConfig, TlsError> {
    let path = || ca_file.to_owned();
    let read = |source| TlsError::Read { path: path(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(read)? {
        let unfit = |source| TlsError::Unfit { path: path(), source };
        roots.add(certificate.map_err(read)?).map_err(unfit)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Empty(path()));
    }
    Ok(with_ring()?.with_root_certificates(roots).with_no_client_auth())
}

/// Returns settings for plain HTTP, where a client has to have some and nothing is verified.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    Ok(with_ring()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The process has no default provider, and an app that embeds us may have another one.
pub(super) fn with_ring() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// Returns whether a host is this machine: a proxy that the environment names is for what is far.
pub(crate) fn is_loopback(host: &str) -> bool {
    let is_near = address(host).is_some_and(|address| address.is_loopback());
    host.eq_ignore_ascii_case("localhost") || is_near
}
