//! Networks in CIDR notation, and sets of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::address::ClientAddress;

/// A network: `192.0.2.0/24` or `2001:db8::/32`. An address alone is a network of one address. Bits behind
/// the prefix do not count: `192.0.2.7/24` is the network of this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

/// Text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write one such as \"192.0.2.0/24\" or \"2001:db8::/32\"")]
pub struct CidrError(String);

/// A set of networks. A look-up is a binary search, so that long lists cost little.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrSet {
    /// In order, and without overlaps.
    v4: Box<[Ipv4Net]>,
    v6: Box<[Ipv6Net]>,
}

impl Cidr {
    /// The network of `address` with a prefix of this many bits; `None` if the address has fewer.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let network = IpNet::new(address, prefix).ok()?.trunc();
        // A network of IPv4 addresses in IPv6 form is one of IPv4.
        let canonical = match (address.to_canonical(), prefix.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => IpNet::new(v4, prefix).ok()?.trunc(),
            _ => network,
        };
        Some(Self(canonical))
    }

    /// Whether the network has this address.
    pub fn contains(self, address: ClientAddress) -> bool {
        self.0.contains(&address.ip())
    }
}

impl CidrSet {
    /// Whether one of the networks has this address.
    pub fn contains(&self, address: ClientAddress) -> bool {
        match address.ip() {
            IpAddr::V4(address) => {
                let behind = self.v4.partition_point(|network| network.network() <= address);
                behind.checked_sub(1).and_then(|at| self.v4.get(at)).is_some_and(|net| net.contains(&address))
            }
            IpAddr::V6(address) => {
                let behind = self.v6.partition_point(|network| network.network() <= address);
                behind.checked_sub(1).and_then(|at| self.v6.get(at)).is_some_and(|net| net.contains(&address))
            }
        }
    }

    /// Whether it has no network.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl<'a> FromIterator<&'a Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = &'a Cidr>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Cidr(network) in networks {
            match network {
                IpNet::V4(network) => v4.push(*network),
                IpNet::V6(network) => v6.push(*network),
            }
        }
        Self { v4: Ipv4Net::aggregate(&v4).into(), v6: Ipv6Net::aggregate(&v6).into() }
    }
}

/// The network of this address alone.
impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let cidr = match text.split_once('/') {
            Some((address, prefix)) => {
                let is_number = (1..=3).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_digit());
                let prefix = prefix.parse().ok().filter(|_| is_number);
                address.parse().ok().zip(prefix).and_then(|(address, prefix)| Self::new(address, prefix))
            }
            None => text.parse::<IpAddr>().ok().map(Self::from),
        };
        cidr.ok_or_else(|| CidrError(text.to_owned()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn client(address: &str) -> ClientAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_network_is_read_and_written() {
        for (text, written) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), written);
        }
        for text in [
            "",
            "/",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2/24",
            "::/129",
            "a/8",
            "::1/008x",
            "192.0.2",
            "a",
            "1.2.3.4/1/1",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_of_one_family_has_no_address_of_the_other() {
        let all: Cidr = "::/0".parse().unwrap();
        assert!(all.contains(client("2001:db8::1")) && !all.contains(client("192.0.2.1")));
        assert!(!all.contains(client("::ffff:192.0.2.1")), "it is an IPv4 address");
        let four: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(four.contains(client("::ffff:192.0.2.1")) && !four.contains(client("::1")));
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_bits() {
        for (network, address, contains) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("::/0", "::1", true),
        ] {
            let parsed: Cidr = network.parse().unwrap();
            assert_eq!(parsed.contains(client(address)), contains, "{network} {address}");
            let set: CidrSet = [&parsed].into_iter().collect();
            assert_eq!(set.contains(client(address)), contains, "a set of {network}, {address}");
        }
    }

    #[test]
    fn networks_that_overlap_are_one_range() {
        let networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/25", "192.0.2.64/26", "2001:db8::/32"];
        let networks = networks.map(|text| text.parse::<Cidr>().unwrap());
        let set: CidrSet = networks.iter().collect();
        assert_eq!((set.v4.len(), set.v6.len()), (2, 1));
        for (address, is_in) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.0.2.127", true),
            ("192.0.2.128", false),
            ("2001:db8:ffff::", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(set.contains(client(address)), is_in, "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_set_has_the_addresses_of_its_networks(
            networks in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..8),
            address: u32,
        ) {
            let networks: Vec<Cidr> = networks
                .into_iter()
                .filter_map(|(bits, prefix)| Cidr::new(Ipv4Addr::from_bits(bits).into(), prefix))
                .collect();
            let set: CidrSet = networks.iter().collect();
            let address = ClientAddress::from(IpAddr::from(Ipv4Addr::from_bits(address)));
            let expected = networks.iter().any(|network| network.contains(address));
            prop_assert_eq!(set.contains(address), expected);
        }
    }
}
