//! Networks in CIDR notation, and sets of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::ClientAddress;

/// A network: `192.0.2.0/24` or `2001:db8::/32`. An address alone is a network of one address. Bits behind
/// the prefix do not count: `192.0.2.7/24` is the network of this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write one such as \"192.0.2.0/24\" or \"2001:db8::/32\"")]
pub struct CidrError(String);

/// A set of networks. A look-up is a binary search, so that long lists cost little.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrSet {
    v4: Box<[Range]>,
    v6: Box<[Range]>,
}

/// The first and the last address of a range, as numbers.
type Range = (u128, u128);

impl Cidr {
    /// The network of `address` with a prefix of this many bits; `None` if the address has fewer.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix > bits {
            return None;
        }
        // A network of IPv4 addresses in IPv6 form is one of IPv4.
        let (address, prefix) = match address.to_canonical() {
            canonical if canonical == address => (address, prefix),
            canonical => match prefix.checked_sub(96) {
                Some(prefix) => (canonical, prefix),
                None => (address, prefix),
            },
        };
        let network = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        };
        Some(Self { network, prefix })
    }

    /// Whether the network has this address.
    pub fn contains(self, address: ClientAddress) -> bool {
        let number = number(address.ip());
        let (first, last) = self.range();
        self.network.is_ipv4() == address.ip().is_ipv4() && first <= number && number <= last
    }

    fn range(self) -> Range {
        let first = number(self.network);
        let bits = if self.network.is_ipv4() { 32 } else { 128 };
        let rest = bits - u32::from(self.prefix);
        (first, first | 1_u128.checked_shl(rest).map_or(u128::MAX, |size| size - 1))
    }
}

impl CidrSet {
    /// Whether one of the networks has this address.
    pub fn contains(&self, address: ClientAddress) -> bool {
        let number = number(address.ip());
        let ranges = if address.ip().is_ipv4() { &self.v4 } else { &self.v6 };
        let behind = ranges.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|(_, last)| number <= *last)
    }

    /// Whether it has no network.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl<'a> FromIterator<&'a Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = &'a Cidr>>(networks: I) -> Self {
        let (v4, v6): (Vec<&Cidr>, Vec<&Cidr>) =
            networks.into_iter().partition(|cidr| cidr.network.is_ipv4());
        Self { v4: merged(&v4), v6: merged(&v6) }
    }
}

/// The ranges in order, with those that overlap made one.
fn merged(networks: &[&Cidr]) -> Box<[Range]> {
    let mut ranges: Vec<Range> = networks.iter().map(|cidr| cidr.range()).collect();
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let error = || CidrError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let is_number = (1..=3).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_digit());
                let prefix = prefix.parse::<u8>().ok().filter(|_| is_number);
                (address, Some(prefix.ok_or_else(error)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok().ok_or_else(error)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self::new(address, prefix.unwrap_or(bits)).ok_or_else(error)
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
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
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
        for text in
            ["", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+8", "192.0.2/24", "::/129", "a/8", "::1/008x"]
        {
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
