//! The client addresses that a token grants.

use std::net::IpAddr;
use std::str::FromStr;

use super::Refusal;

/// An address, or all addresses with the same leading bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    /// Leading bits that count, out of 128.
    len: u8,
    is_v4: bool,
}

impl Network {
    /// All addresses whose first `len` bits are those of `address`; `None` if the address has fewer bits.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let (bits, width) = bits_of(address);
        if len > width {
            return None;
        }
        let len = len + (128 - width);
        Some(Self { bits: bits & mask(len), len, is_v4: width == 32 })
    }

    /// One address.
    pub fn exact(address: IpAddr) -> Self {
        let (bits, width) = bits_of(address);
        Self { bits, len: 128, is_v4: width == 32 }
    }

    /// Whether the address is in the network. An IPv4 address in an IPv6 one (`::ffff:192.0.2.1`) counts as
    /// itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, width) = bits_of(address.to_canonical());
        self.is_v4 == (width == 32) && bits & mask(self.len) == self.bits
    }
}

impl FromStr for Network {
    type Err = Refusal;

    /// Reads `192.0.2.1`, `192.0.2.0/24` or the same of IPv6.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_error| Refusal::Malformed);
        match text.split_once('/') {
            None => Ok(Self::exact(address(text)?.to_canonical())),
            Some((start, len)) => {
                let digits = len.bytes().all(|byte| byte.is_ascii_digit());
                let len = len.parse().ok().filter(|_| digits).ok_or(Refusal::Malformed)?;
                Self::new(address(start)?, len).ok_or(Refusal::Malformed)
            }
        }
    }
}

/// The bits of an address, IPv4 in the last 32, and their number.
fn bits_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The first `len` of 128 bits.
fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), contains, "{network} {address}");
        }
        for text in
            ["", "192.0.2", "192.0.2.0/33", "192.0.2.0/+1", "192.0.2.0/", "::/129", "a", "1.2.3.4/1/1"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
