//! By which names the listener may be called, and from which pages.
//!
//! A page of a stranger can make a browser call any address, also one on loopback, and a name that
//! the stranger owns can be made to lead here. The browser says both: the name in `Host`, the page
//! in `Origin` and `Sec-Fetch-Site`.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};

use crate::words::HostName;

/// Who can reach the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine only.
    Loopback,
    /// Others, too.
    Network,
}

impl Reach {
    /// Returns who reaches a listener at this address.
    pub(crate) fn of(listen: IpAddr) -> Self {
        if listen.to_canonical().is_loopback() { Self::Loopback } else { Self::Network }
    }
}

/// Returns whether a request may call the listener by this `Host`.
pub(super) fn is_ours(host: &str, reach: Reach, names: &[HostName]) -> bool {
    let Some((name, _)) = split(host) else { return false };
    if names.iter().any(|known| known.as_str().eq_ignore_ascii_case(name)) {
        return true;
    }
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    match reach {
        Reach::Loopback => {
            name.eq_ignore_ascii_case("localhost")
                || address.is_some_and(|address| address.to_canonical().is_loopback())
        }
        Reach::Network => names.is_empty() || address.is_some(),
    }
}

/// Takes `name:port` apart; a name in brackets keeps them.
fn split(host: &str) -> Option<(&str, Option<u16>)> {
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, rest) = host.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

/// Returns whether the request comes from a page of this host, or from no page at all.
pub(super) fn is_from_us(headers: &HeaderMap, host: &str) -> bool {
    let site = headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(axum::http::HeaderValue::to_str);
    let is_near = matches!(site, None | Some(b"same-origin" | b"none"));
    let is_same = match origin {
        None => true,
        Some(Ok(origin)) => is_same_host(origin, host),
        Some(Err(_not_ascii)) => false,
    };
    is_near && is_same
}

/// The scheme is not compared: a proxy in front speaks TLS, and this listener does not.
fn is_same_host(origin: &str, host: &str) -> bool {
    let (rest, usual) = match origin.split_once("://") {
        Some(("http", rest)) => (rest, 80),
        Some(("https", rest)) => (rest, 443),
        // `null`, and pages that no network has.
        Some(_) | None => return false,
    };
    let (Some((from, from_port)), Some((to, to_port))) = (split(rest), split(host)) else {
        return false;
    };
    from.eq_ignore_ascii_case(to) && from_port.unwrap_or(usual) == to_port.unwrap_or(usual)
}

/// Returns whether it is a link that a person has followed: the page that it came from sees
/// nothing of the answer, and nothing is changed.
pub(super) fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    method.is_safe()
        && !headers.contains_key(header::ORIGIN)
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_called_by_its_own_names_only() {
        let check = |host: &str, reach: Reach, names: &[&str], expected: bool| {
            let names: Vec<_> = names.iter().map(|name| HostName::parse(name).unwrap()).collect();
            assert_eq!(is_ours(host, reach, &names), expected, "{host} {reach:?} {names:?}");
        };
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "[::1]:1", "[::1]"] {
            check(host, Reach::Loopback, &[], true);
        }
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.7",
            "",
            ":9090",
            "[::1",
            "localhost:x",
            "[::1]x",
            "localhost.",
        ] {
            check(host, Reach::Loopback, &[], false);
            check(host, Reach::Loopback, &["ops.example"], false);
        }
        check("Ops.example:8443", Reach::Loopback, &["ops.example"], true);
        check("any.example", Reach::Network, &[], true);
        check("any.example", Reach::Network, &["ops.example"], false);
        check("10.0.0.7:9090", Reach::Network, &["ops.example"], true);
    }

    #[test]
    fn a_page_of_another_host_port_or_none_at_all_is_not_ours() {
        let check = |origin: Option<&str>, site: Option<&str>, expected: bool| {
            let mut headers = HeaderMap::new();
            let given = [("origin", origin), ("sec-fetch-site", site)];
            for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?)))
            {
                headers.insert(name, value.parse().unwrap());
            }
            assert_eq!(is_from_us(&headers, "127.0.0.1:9090"), expected, "{origin:?} {site:?}");
        };
        check(None, None, true);
        check(Some("http://127.0.0.1:9090"), Some("same-origin"), true);
        check(None, Some("none"), true);
        check(None, Some("cross-site"), false);
        check(None, Some("same-site"), false);
        for origin in [
            "http://127.0.0.1",
            "http://127.0.0.1:3000",
            "https://evil.example",
            "null",
            "http://evil.example:9090",
            "file://127.0.0.1:9090",
            "",
        ] {
            check(Some(origin), None, false);
        }
        assert!(is_same_host("https://ops.example", "ops.example"));
        assert!(is_same_host("https://ops.example", "Ops.example:443"));
    }
}
