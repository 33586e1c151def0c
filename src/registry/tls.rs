//! TLS of every client of ours: one provider, passed explicitly.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Returns settings that trust the certificates that the system trusts. Reads files.
pub(crate) fn trusting_the_system() -> Result<ClientConfig, rustls::Error> {
    Ok(with_ring()?.with_platform_verifier()?.with_no_client_auth())
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
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
