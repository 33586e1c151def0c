//! Where RabbitMQ listens: `amqp://host:port/vhost`.

use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

/// The longest name that AMQP can carry, in bytes: a virtual host, an exchange, a routing key.
pub(super) const LONGEST_NAME: usize = 255;

/// A broker's address, without a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) is_tls: bool,
    /// Without the brackets of an IPv6 address: as a certificate names it.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) vhost: String,
}

/// Why a text is no address. It does not repeat the text, in which a password may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum AddressError {
    #[error("expected amqp:// or amqps:// at its start")]
    Scheme,
    #[error("expected no user in it: user and password are settings of their own")]
    User,
    #[error("expected nothing after the virtual host")]
    Query,
    #[error("expected a host after the scheme, an IPv6 address in brackets")]
    Host,
    #[error("expected a port from 1 to 65535 after the host")]
    Port,
    #[error(
        "expected one virtual host of at most 255 bytes after the host, with %2F for each slash in it"
    )]
    Vhost,
}

impl Address {
    /// Reads an address. Without a port it is 5672, or 5671 with TLS; without a virtual host `/`.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let (is_tls, rest) = match text.strip_prefix("amqps://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("amqp://").ok_or(AddressError::Scheme)?),
        };
        if rest.contains('@') {
            return Err(AddressError::User);
        }
        if rest.contains(['?', '#']) {
            return Err(AddressError::Query);
        }
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(authority)?;
        let default = if is_tls { 5671 } else { 5672 };
        let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port != 0));
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port: port.ok_or(AddressError::Port)?,
            vhost: if vhost.is_empty() { "/".to_owned() } else { unescaped(vhost)? },
        })
    }

    /// Returns the host as it goes before a colon and a port.
    pub(super) fn dialled(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<&str>), AddressError> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or(AddressError::Host)?;
        host.parse::<Ipv6Addr>().map(drop).or(Err(AddressError::Host))?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or(AddressError::Port)?),
        };
        return Ok((host, port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if host.is_empty() || !(is_name || host.parse::<IpAddr>().is_ok()) {
        return Err(AddressError::Host);
    }
    Ok((host, port))
}

/// Reads the percent escapes of a virtual host.
fn unescaped(vhost: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(vhost.len());
    let mut rest = vhost.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'/' => return Err(AddressError::Vhost),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let high = digit(rest.next()).ok_or(AddressError::Vhost)?;
                let low = digit(rest.next()).ok_or(AddressError::Vhost)?;
                u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte")
            }
            byte => byte,
        });
    }
    let vhost = String::from_utf8(bytes).ok().filter(|vhost| vhost.len() <= LONGEST_NAME);
    vhost.ok_or(AddressError::Vhost)
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError};

    #[track_caller]
    fn check(text: &str, is_tls: bool, host: &str, port: u16, vhost: &str) {
        let (host, vhost) = (host.to_owned(), vhost.to_owned());
        assert_eq!(Address::parse(text), Ok(Address { is_tls, host, port, vhost }), "{text}");
    }

    #[test]
    fn an_address_has_a_host_and_may_have_a_port_and_a_virtual_host() {
        check("amqp://rabbit", false, "rabbit", 5672, "/");
        check("amqps://rabbit.example/", true, "rabbit.example", 5671, "/");
        check("amqp://127.0.0.1:5673/orders", false, "127.0.0.1", 5673, "orders");
        check("amqps://[::1]:1/%2Fa%2fb%C3%A9", true, "::1", 1, "/a/bé");
        assert_eq!(Address::parse("amqp://[::1]").unwrap().dialled(), "[::1]");
        assert_eq!(Address::parse("amqp://a").unwrap().dialled(), "a");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let check = |text: &str, expected| {
            assert_eq!(Address::parse(text), Err(expected), "{text}");
        };
        for text in ["", "rabbit", "http://rabbit", "AMQP://rabbit"] {
            check(text, AddressError::Scheme);
        }
        check("amqp://guest:secret@rabbit", AddressError::User);
        check("amqp://rabbit/?heartbeat=1", AddressError::Query);
        for text in
            ["amqp://", "amqp:///", "amqp://:5672", "amqp://a b", "amqp://[a]", "amqp://[::1"]
        {
            check(text, AddressError::Host);
        }
        for text in ["amqp://a:", "amqp://a:0", "amqp://a:65536", "amqp://a:x", "amqp://[::1]5"] {
            check(text, AddressError::Port);
        }
        for text in ["amqp://a/b/c", "amqp://a/%2", "amqp://a/%zz", "amqp://a/%ff"] {
            check(text, AddressError::Vhost);
        }
        check(&format!("amqp://a/{}", "x".repeat(256)), AddressError::Vhost);
    }
}
