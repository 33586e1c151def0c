//! Which addresses are never connected to, whatever name leads there.
//!
//! A private or a loopback address is where the app usually is. What else a network keeps for itself
//! is refused: link-local addresses and those at which clouds give a machine its credentials. The
//! addresses are looked at after the name was resolved, each time a connection is made, so that a
//! name cannot change its mind between a check and its use.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Where clouds answer with credentials, beside the link-local 169.254.169.254: Alibaba's,
/// Azure's and Oracle's.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// A name has no address that may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to {0}, an address that is not allowed")]
pub(super) struct NotAllowed(IpAddr);

/// Returns whether an address is never connected to.
pub(super) fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_refused_v4(address),
        IpAddr::V6(address) => is_refused_v6(address),
    }
}

fn is_refused_v4(address: Ipv4Addr) -> bool {
    // The whole of 0/8 means this host, not only its first address.
    address.octets()[0] == 0
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA_V4.contains(&address)
}

fn is_refused_v6(address: Ipv6Addr) -> bool {
    if address.is_loopback() {
        return false;
    }
    let is_of_a_cloud = matches!(
        address.segments(),
        // Amazon's services on the machine, fd00:ec2::254 among them; Google's metadata.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
        // Oracle's metadata (its images and SDK ask there), Scaleway's and Akamai's (cloud-init
        // documents them).
        | [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
        | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]
        | [0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0x0001]
    );
    // Where the IPv4 address lies in these is the network's or the peer's choice, so the whole is
    // refused: a local NAT64 (RFC 8215) and Teredo (RFC 4380), which nothing serves any more.
    let is_tunnel = matches!(address.segments(), [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..]);
    address.is_unicast_link_local()
        || address.is_multicast()
        || is_tunnel
        || is_of_a_cloud
        || hidden_v4(address).is_some_and(is_refused_v4)
}

/// Returns the IPv4 address that a gateway, or the system itself, makes of an IPv6 one.
fn hidden_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    // Mapped and compatible (`::` among them), translated (SIIT), NAT64, 6to4.
    let ([0, 0, 0, 0, 0, 0xffff | 0, high, low]
    | [0, 0, 0, 0, 0xffff, 0, high, low]
    | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Resolves names and leaves out the addresses that are never connected to.
pub(super) struct Guarded(pub(super) Arc<dyn Resolve>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let resolving = self.0.resolve(name);
        Box::pin(async move { allowed(resolving.await?) })
    }
}

/// Returns the addresses that may be connected to.
///
/// # Errors
/// There are addresses, and none may be; for no addresses the connector has a word of its own.
fn allowed(addresses: Addrs) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let (refused, allowed): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.partition(|address| is_refused(address.ip()));
    match (allowed.is_empty(), refused.first()) {
        (true, Some(first)) => Err(NotAllowed(first.ip()).into()),
        _ => Ok(Box::new(allowed.into_iter())),
    }
}

/// Resolves names as the system does: its hosts file, then its name servers.
#[derive(Debug)]
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The connector puts the URL's port in the place of 0.
            let addresses: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_refused;

    #[track_caller]
    fn check(refused: bool, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(is_refused(address.parse().unwrap()), refused, "{address}");
        }
    }

    #[test]
    fn where_an_app_may_be_is_allowed() {
        check(
            false,
            &[
                "127.0.0.1",
                "127.8.8.8",
                "10.0.0.1",
                "172.17.0.2",
                "192.168.1.1",
                "100.64.0.1",
                "93.184.216.34",
                "192.0.0.191",
                "100.100.100.201",
                "::1",
                "fd00::1",
                "fd12:3456::1",
                "2001:db8::1",
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "64:ff9b::5db8:d822",
                "2002:0a00:0001::1",
                "64:ff9b:2::1",
                "2001:1::1",
                "fd00:c1::1",
                "fd00:42::1",
            ],
        );
    }

    #[test]
    fn what_a_network_keeps_for_itself_is_refused() {
        check(
            true,
            &[
                "169.254.169.254",
                "169.254.0.1",
                "169.254.170.2",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "239.255.255.255",
                "255.255.255.255",
                "::",
                "fe80::1",
                "febf::1",
                "ff02::1",
                "fd00:ec2::254",
                "fd00:ec2::23",
                "fd20:ce::254",
                "fd00:c1::a9fe:a9fe",
                "fd00:42::42",
                "fd00:a9fe:a9fe::1",
            ],
        );
    }

    #[test]
    fn an_ipv4_address_does_not_hide_in_an_ipv6_one() {
        check(
            true,
            &[
                "::ffff:169.254.169.254",
                "::169.254.169.254",
                "::ffff:0:169.254.169.254",
                "64:ff9b::169.254.169.254",
                "64:ff9b::a83f:8110",
                "2002:a9fe:a9fe::1",
                "2002:c000:c0::",
                "64:ff9b:1::a9fe:a9fe",
                "64:ff9b:1:fffe:a9:fea9:fe00:0",
                "2001:0:a9fe:a9fe::1",
                "2001::5601:5601",
                "::ffff:0.0.0.0",
                "::ffff:100.100.100.200",
                "::ffff:224.0.0.1",
            ],
        );
    }
}
