//! Where a mock BPP posts: the host, and the path before the action.

use axum::http::Uri;

use super::{Cause, Error};
use crate::beckn::action::Action;

/// A receiver's base URL, checked once.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `host:port`, to connect to.
    pub(super) address: String,
    /// The value of the Host header.
    pub(super) host: String,
    /// The path before the action, without a slash at its end.
    prefix: String,
}

impl Target {
    /// Parses a base URL such as `http://127.0.0.1:8080/beckn`.
    pub(super) fn parse(url: &str) -> Result<Target, Error> {
        let error = |cause: Cause| Error::new(format!("post to `{}`", url.escape_debug()), cause);
        let uri: Uri = url.parse().map_err(|source| error(Cause::Uri(source)))?;
        if uri.scheme_str() != Some("http") {
            return Err(error(Cause::Url(
                "the mock BPP speaks plain HTTP: write http://host:port",
            )));
        }
        let Some(authority) = uri.authority() else {
            return Err(error(Cause::Url("there is no host in it")));
        };
        if uri.query().is_some() {
            return Err(error(Cause::Url("a base URL has no query")));
        }
        Ok(Target {
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            host: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the path of an action's route.
    pub(super) fn path(&self, action: Action) -> String {
        format!("{}/{action}", self.prefix)
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
    }

    #[test]
    fn what_is_no_plain_http_url_is_refused() {
        check("https://buyer.example", None);
        check("127.0.0.1:8080", None);
        check("/on_status", None);
        check("http://buyer.example/?a=b", None);
        check("not a url", None);
    }
}
