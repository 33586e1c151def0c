//! How often a wrong token may come from one address, and how much each token may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

/// How many wrong tokens an address may present in a [`SPAN`].
const WRONG: u32 = 10;

const SPAN: TimeDelta = TimeDelta::minutes(1);

/// How many addresses are known at a time.
const ADDRESSES: usize = 1_024;

/// Counts wrong tokens by the address that they came from.
#[derive(Debug, Default)]
pub(super) struct WrongTokens(HashMap<IpAddr, (DateTime<Utc>, u32)>);

impl WrongTokens {
    /// Counts one; returns how many seconds the address should keep still when it is one too many.
    pub(super) fn count(&mut self, peer: IpAddr, now: DateTime<Utc>) -> Option<u64> {
        let peer = network(peer);
        if !self.0.contains_key(&peer) && self.0.len() >= ADDRESSES {
            self.0.retain(|_, (since, _)| now - *since < SPAN);
            // Still too many: who is known longest is forgotten first.
            if self.0.len() >= ADDRESSES
                && let Some(oldest) =
                    self.0.iter().min_by_key(|(_, (since, _))| *since).map(|(peer, _)| *peer)
            {
                self.0.remove(&oldest);
            }
        }
        let (since, times) = self.0.entry(peer).or_insert((now, 0));
        if now - *since >= SPAN || now < *since {
            (*since, *times) = (now, 0);
        }
        *times = times.saturating_add(1);
        let left = (*since + SPAN - now).num_seconds().unsigned_abs().max(1);
        (*times > WRONG).then_some(left)
    }
}

/// A subscriber's network counts as one address: in IPv6 it has 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Counts requests by principal, in each second anew. There are as many as there are tokens.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<Arc<str>, (i64, u32)>);

impl Rates {
    /// Counts one; returns whether it is within `limit` a second.
    pub(super) fn count(&mut self, name: &Arc<str>, limit: u32, now: DateTime<Utc>) -> bool {
        let this = now.timestamp();
        let (second, times) = self.0.entry(Arc::clone(name)).or_insert((this, 0));
        if *second != this {
            (*second, *times) = (this, 0);
        }
        *times = times.saturating_add(1);
        *times <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_wrong_token_of_a_minute_is_too_many_for_its_network_only() {
        let at = |seconds| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut wrong = WrongTokens::default();
        let peer = |text: &str| text.parse::<IpAddr>().unwrap();
        for second in 0..10 {
            assert_eq!(wrong.count(peer("2001:db8::1"), at(second)), None);
        }
        assert_eq!(wrong.count(peer("2001:db8::2"), at(20)), Some(40));
        assert_eq!(wrong.count(peer("2001:db8:0:1::1"), at(20)), None);
        assert_eq!(wrong.count(peer("2001:db8::1"), at(60)), None);
        for number in 0..5_000_u32 {
            wrong.count(IpAddr::V4(number.into()), at(61));
        }
        assert_eq!(wrong.0.len(), ADDRESSES);
    }

    #[test]
    fn a_rate_is_counted_anew_each_second_for_each_principal() {
        let at = |millis| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::milliseconds(millis);
        let (mut rates, name, other) = (Rates::default(), Arc::from("a"), Arc::from("b"));
        let counted = [0, 1, 2, 999].map(|millis| rates.count(&name, 3, at(millis)));
        assert_eq!(counted, [true, true, true, false]);
        assert!(rates.count(&other, 3, at(999)) && rates.count(&name, 3, at(1_000)));
    }
}
