//! The numbers of viewers: keyed hashes, so that no address and no session id is remembered.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use aws_lc_rs::rand::SystemRandom;
use parking_lot::RwLock;
use tidegate_access::ClientAddress;

/// Makes the numbers of viewers. Their key is random, only in memory, and lives for a day: then numbers
/// cannot be compared with those of all addresses any more.
#[derive(Debug)]
pub(super) struct Identities {
    /// The number of the day since 1970, and its key; `None` if the system has no random bytes.
    key: RwLock<(u64, Option<Key>)>,
}

impl Identities {
    pub(super) fn new(now: SystemTime) -> Self {
        Self { key: RwLock::new((day(now), key())) }
    }

    /// Replaces the key of another day. Returns whether it did.
    pub(super) fn renew(&self, now: SystemTime) -> bool {
        let today = day(now);
        if self.key.read().0 == today {
            return false;
        }
        *self.key.write() = (today, key());
        true
    }

    /// The number of a session that its player names.
    pub(super) fn of_session(&self, id: &str) -> Option<u64> {
        self.hash(&[b"s", id.as_bytes()])
    }

    /// The number of a client without a session: of its address and user agent.
    pub(super) fn of_client(&self, address: ClientAddress, user_agent: &[u8]) -> Option<u64> {
        self.hash(&[b"c", address.to_string().as_bytes(), b"\n", user_agent])
    }

    fn hash(&self, parts: &[&[u8]]) -> Option<u64> {
        let key = self.key.read();
        let mut context = Context::with_key(key.1.as_ref()?);
        drop(key);
        for part in parts {
            context.update(part);
        }
        context.sign().as_ref().first_chunk().copied().map(u64::from_le_bytes)
    }
}

fn key() -> Option<Key> {
    Key::generate(HMAC_SHA256, &SystemRandom::new()).ok()
}

fn day(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / SECONDS_PER_DAY)
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_viewer_has_one_number_for_a_day() {
        let noon = UNIX_EPOCH + Duration::from_hours(36);
        let identities = Identities::new(noon);
        let client = |last: u8| ClientAddress::from(IpAddr::from([192, 0, 2, last]));
        let one = identities.of_client(client(1), b"player/1");
        assert!(one.is_some());
        assert_eq!(identities.of_client(client(1), b"player/1"), one);
        assert_ne!(identities.of_client(client(2), b"player/1"), one, "another address");
        assert_ne!(identities.of_client(client(1), b"player/2"), one, "another player");
        assert_ne!(identities.of_session("192.0.2.1"), one);
        assert!(!identities.renew(noon + Duration::from_hours(11)));
        assert!(identities.renew(noon + Duration::from_hours(12)));
        assert_ne!(identities.of_client(client(1), b"player/1"), one, "another day");
    }
}
