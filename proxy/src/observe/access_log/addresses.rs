//! What a line says of the client's address.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::rand::SystemRandom;
use parking_lot::Mutex;
use serde::Serialize;
use tidegate_access::ClientAddress;

use crate::config::access::LoggedAddresses;

/// The client's address as a line has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum LoggedAddress {
    /// The address, or its network, in the field `client.ip`.
    #[serde(rename = "ip")]
    Ip(IpAddr),
    /// A hash of the address in the field `client.address`, which takes any text.
    #[serde(rename = "address")]
    Hash(String),
    /// Nothing.
    #[serde(skip)]
    Hidden,
}

/// Turns addresses into what lines say of them.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    policy: LoggedAddresses,
    /// The key of a day, by the number of the day since 1970. It is only in memory: when the day is
    /// over, the hashes cannot be compared with those of all addresses.
    key: Mutex<Option<(u64, Key)>>,
}

impl Addresses {
    pub(super) fn new(policy: LoggedAddresses) -> Self {
        Self { policy, key: Mutex::default() }
    }

    pub(super) fn logged(&self, address: ClientAddress, now: SystemTime) -> LoggedAddress {
        match self.policy {
            LoggedAddresses::Full => LoggedAddress::Ip(address.ip()),
            LoggedAddresses::Truncated => LoggedAddress::Ip(address.truncated()),
            LoggedAddresses::Hashed => {
                self.hash(address, now).map_or(LoggedAddress::Hidden, LoggedAddress::Hash)
            }
            LoggedAddresses::Off => LoggedAddress::Hidden,
        }
    }

    /// The hash of an address; `None` if the system has no random bytes for a key.
    fn hash(&self, address: ClientAddress, now: SystemTime) -> Option<String> {
        let today = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / SECONDS_PER_DAY);
        let mut key = self.key.lock();
        if key.as_ref().is_none_or(|(day, _)| *day != today) {
            *key = Some((today, Key::generate(HMAC_SHA256, &SystemRandom::new()).ok()?));
        }
        let (_, key) = key.as_ref()?;
        let hash = sign(key, address.to_string().as_bytes());
        let mut text = String::with_capacity(2 * HASH_BYTES);
        for byte in hash.as_ref().iter().take(HASH_BYTES) {
            write!(text, "{byte:02x}").ok()?;
        }
        Some(text)
    }
}

impl fmt::Display for LoggedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Hash(hash) => f.write_str(hash),
            Self::Hidden => f.write_str("-"),
        }
    }
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// Bytes of a hash in a line.
const HASH_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_has_one_hash_for_a_day() {
        let client = |last: u8| ClientAddress::from(IpAddr::from([192, 0, 2, last]));
        let noon = UNIX_EPOCH + Duration::from_hours(36);
        let addresses = Addresses::new(LoggedAddresses::Hashed);
        let hash = addresses.logged(client(1), noon);
        assert_eq!(hash.to_string().len(), 24);
        assert_eq!(addresses.logged(client(1), noon + Duration::from_hours(11)), hash);
        assert_ne!(addresses.logged(client(2), noon), hash);
        assert_ne!(addresses.logged(client(1), noon + Duration::from_hours(12)), hash, "another day");
        assert_ne!(Addresses::new(LoggedAddresses::Hashed).logged(client(1), noon), hash, "another key");
    }

    #[test]
    fn an_address_is_whole_or_truncated_or_absent() {
        let client = ClientAddress::from(IpAddr::from([192, 0, 2, 129]));
        for (policy, text) in [
            (LoggedAddresses::Full, "192.0.2.129"),
            (LoggedAddresses::Truncated, "192.0.2.0"),
            (LoggedAddresses::Off, "-"),
        ] {
            assert_eq!(Addresses::new(policy).logged(client, UNIX_EPOCH).to_string(), text);
        }
    }
}
