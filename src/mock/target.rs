//! Where a mock BPP posts: the host, and the path before the action.

use axum::http::Uri;

use super::{Cause, Error};
use crate::beckn::action::Action;
use crate::registry::tls;
use crate::words::Outside;

/// A receiver's base URL, checked once.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `host:port`, to connect to.
    pub(super) address: String,
    /// The value of the Host header.
    pub(super) host: String,
    /// Whether it is posted to over TLS.
    pub(super) encrypted: bool,
    /// The path before the action, without a slash at its end.
    prefix: String,
}

impl Target {
    /// Parses a base URL such as `http://127.0.0.1:8080/beckn`.
    pub(super) fn parse(url: &str) -> Result<Target, Error> {
        let error = |cause: Cause| Error::new(format!("post to `{}`", Outside(url)), cause);
        let uri: Uri = url.parse().map_err(|source| error(Cause::Uri(source)))?;
        let (encrypted, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(error(Cause::Url("expected http://host:port or https://host"))),
        };
        let Some(authority) = uri.authority() else {
            return Err(error(Cause::Url("there is no host in it")));
        };
        // A name and a password would become an Authorization header of another kind.
        if authority.as_str().contains('@') {
            return Err(error(Cause::Url("a base URL has no user name")));
        }
        if uri.query().is_some() {
            return Err(error(Cause::Url("a base URL has no query")));
        }
        Ok(Target {
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port)),
            host: authority.as_str().to_owned(),
            encrypted,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the path of an action's route.
    pub(super) fn path(&self, action: Action) -> String {
        format!("{}/{action}", self.prefix)
    }

    /// Returns the URL of an action's route.
    pub(super) fn url(&self, action: Action) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host, self.path(action))
    }

    /// Returns whether the receiver is on this machine, by its name or its address.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.address.rsplit_once(':').map_or(&*self.address, |(host, _port)| host);
        tls::is_loopback(host)
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Target};

    #[track_caller]
    fn check(url: &str, expected: Option<(&str, &str)>) {
        let target = Target::parse(url).ok();
        let found = target.as_ref().map(|target| (&*target.address, target.path(Action::OnTrack)));
        assert_eq!(found, expected.map(|(address, path)| (address, path.to_owned())));
    }

    #[test]
    fn a_base_url_gives_the_address_and_the_route() {
        check("http://127.0.0.1:8080", Some(("127.0.0.1:8080", "/on_track")));
        check("http://127.0.0.1:8080/", Some(("127.0.0.1:8080", "/on_track")));
        check("http://buyer.example/beckn/", Some(("buyer.example:80", "/beckn/on_track")));
        check("http://[::1]:8080", Some(("[::1]:8080", "/on_track")));
        check("https://buyer.example", Some(("buyer.example:443", "/on_track")));
    }

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for url in ["http://127.0.0.1:8080", "https://buyer.example/beckn", "http://[::1]:80"] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.url(Action::OnStatus), format!("{url}/on_status"));
            assert_eq!(target.is_loopback(), !url.contains("buyer"), "{url}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        check("ftp://buyer.example", None);
        check("http://me:secret@buyer.example", None);
        check("127.0.0.1:8080", None);
        check("/on_status", None);
        check("http://buyer.example/?a=b", None);
        check("not a url", None);
    }
}
