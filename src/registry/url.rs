//! The URL of a server that a client of ours asks.

use std::net::IpAddr;

use reqwest::Url;

/// Why a text is no URL that can be asked. It does not show the text, which may hold a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadUrl(String);

/// Reads an `http` or `https` URL with a host and without a user or a password, which would not be
/// sent.
pub(crate) fn parse(text: &str) -> Result<Url, BadUrl> {
    let url = Url::parse(text.trim()).map_err(|source| BadUrl(source.to_string()))?;
    let wrong = |what: &str| Err(BadUrl(what.to_owned()));
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("it is neither http nor https");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return wrong("it has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it holds a user or a password");
    }
    Ok(url)
}

/// Returns the address that a URL's host is; `None` for a name.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
