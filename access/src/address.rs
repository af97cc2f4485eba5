//! The address of a client.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The address of a client: of its socket, or as a trusted proxy reports it. An IPv4 address in IPv6 form
/// (`::ffff:192.0.2.1`) is an IPv4 address here, so that it matches lists of IPv4 networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// The address or network that limits count as one client: an IPv4 address, or an IPv6 network of 64
    /// bits, since one household has all addresses of it.
    pub fn limited_as(self) -> IpAddr {
        self.masked(32, 64)
    }

    /// The network of the address, for logs that name no single client: 24 bits of IPv4, 48 bits of IPv6.
    pub fn truncated(self) -> IpAddr {
        self.masked(24, 48)
    }

    fn masked(self, v4_bits: u8, v6_bits: u8) -> IpAddr {
        let bits = if self.0.is_ipv4() { v4_bits } else { v6_bits };
        IpNet::new(self.0, bits).map_or(self.0, |network| network.network())
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_limited_and_logged_by_its_network() {
        for (address, limited_as, truncated) in [
            ("192.0.2.129", "192.0.2.129", "192.0.2.0"),
            ("::ffff:192.0.2.129", "192.0.2.129", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
            ("::1", "::", "::"),
        ] {
            let client = ClientAddress::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(client.limited_as().to_string(), limited_as);
            assert_eq!(client.truncated().to_string(), truncated);
        }
    }
}
