//! The header fields by which proxies name the client: `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address of the peer that it saw. What stands before the entry of the first trusted
//! proxy is what the client itself wrote, so the chain is read from its end, and only as far as the proxies
//! in it are trusted.

use std::net::{IpAddr, SocketAddr};

use crate::address::ClientAddress;
use crate::cidr::CidrSet;

/// The address of the client, by the entries of `X-Forwarded-For`. `values` are the values of the field, in
/// the order in which they arrived, and `peer` is the trusted proxy that sent the request.
///
/// An entry that is no address ends the chain: the client is the last proxy that is known.
pub fn by_x_forwarded_for<'a>(
    peer: ClientAddress,
    values: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &CidrSet,
) -> ClientAddress {
    client(peer, values.rev().flat_map(|value| value.rsplit(',')).map(address), trusted)
}

/// The same by the `for` parameters of `Forwarded` (RFC 7239 section 5.2).
pub fn by_forwarded<'a>(
    peer: ClientAddress,
    values: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &CidrSet,
) -> ClientAddress {
    client(peer, values.rev().flat_map(|value| value.rsplit(',')).map(node_address), trusted)
}

/// The first address from the end that is not of a trusted proxy. If all are, it is the first of the chain.
fn client(
    peer: ClientAddress,
    from_the_end: impl Iterator<Item = Option<ClientAddress>>,
    trusted: &CidrSet,
) -> ClientAddress {
    let mut last = peer;
    for entry in from_the_end.take(ENTRIES_MAX) {
        let Some(entry) = entry else { return last };
        last = entry;
        if !trusted.contains(entry) {
            return entry;
        }
    }
    last
}

/// The address in the `for` parameter of one element of `Forwarded`. A quoted value may not hold a comma or a
/// semicolon: an address has none.
fn node_address(element: &str) -> Option<ClientAddress> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`.
fn address(entry: &str) -> Option<ClientAddress> {
    let entry = entry.trim();
    let without_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse::<IpAddr>().ok().or_else(without_port).map(ClientAddress::from)
}

/// Entries that are read. A longer chain is not one of real proxies.
const ENTRIES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cidr::Cidr;

    fn ip(address: &str) -> ClientAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn trusted() -> CidrSet {
        ["10.0.0.0/8", "2001:db8:f::/48"].map(|text| text.parse::<Cidr>().unwrap()).iter().collect()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxys() {
        for (values, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (&["203.0.113.9", "192.0.2.1,10.0.0.2"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711 , 10.0.0.2"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["192.0.2.1, unknown"], "10.0.0.1"),
            (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            let client = by_x_forwarded_for(ip("10.0.0.1"), values.iter().copied(), &trusted());
            assert_eq!(client, ip(expected), "{values:?}");
        }
    }

    #[test]
    fn the_client_is_named_by_forwarded() {
        for (values, expected) in [
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"][..], "192.0.2.60"),
            (&["for=203.0.113.9, proto=https;For=\"192.0.2.1:4711\""], "192.0.2.1"),
            (&["for=\"[2001:db8:cafe::17]:4711\"", "for=10.0.0.2"], "2001:db8:cafe::17"),
            (&["for=192.0.2.1, for=_hidden"], "10.0.0.1"),
            (&["for=192.0.2.1, proto=https"], "10.0.0.1"),
        ] {
            let client = by_forwarded(ip("10.0.0.1"), values.iter().copied(), &trusted());
            assert_eq!(client, ip(expected), "{values:?}");
        }
    }

    #[test]
    fn a_long_chain_is_read_to_a_limit() {
        let chain = "10.0.0.2, ".repeat(10_000) + "10.0.0.9";
        let client = by_x_forwarded_for(ip("10.0.0.1"), [chain.as_str()].into_iter(), &trusted());
        assert_eq!(client, ip("10.0.0.2"));
    }
}
