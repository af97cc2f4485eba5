//! Host names to socket addresses, remembered for a while; the last good answer outlives a failing resolver.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::source::Trouble;

/// The system resolver tells no lifetime, so answers are asked for anew after this long.
const LIFETIME: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Resolver {
    host: String,
    port: u16,
    last: Mutex<Option<(SocketAddr, Instant)>>,
}

impl Resolver {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, last: Mutex::new(None) }
    }

    pub(crate) async fn address(&self, deadline: Duration) -> Result<SocketAddr, Trouble> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let known = *self.last.lock();
        if let Some((address, _)) = known.filter(|(_, asked)| asked.elapsed() < LIFETIME) {
            return Ok(address);
        }
        let found =
            tokio::time::timeout(deadline, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let first = match found {
            Ok(Ok(mut addresses)) => addresses.next().ok_or(Trouble::DnsError),
            Ok(Err(_)) => Err(Trouble::DnsError),
            Err(_) => Err(Trouble::DnsTimeout),
        };
        match (first, known) {
            (Ok(address), _) => {
                *self.last.lock() = Some((address, Instant::now()));
                Ok(address)
            }
            (Err(_), Some((address, _))) => Ok(address),
            (Err(trouble), None) => Err(trouble),
        }
    }
}
