//! Limits for one address, and for the requests that wait; `limits/tokens.rs` has that for one token,
//! `limits/traffic.rs` that for the bytes of one site.
//!
//! A connection finds the use of its address once (`limits/table.rs`) and keeps it; what a request then
//! counts is one number in it.

mod table;
mod tokens;
mod traffic;
mod usage;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_access::{CidrSet, ClientAddress, Rate};
use tokio::time::Instant;

use crate::config;
use crate::observe::label::label;

use table::Table;

pub(crate) use tokens::TokenLimit;
pub use traffic::Traffic;
pub(crate) use usage::Usage;

label! {
    /// A limit that refuses requests.
    Limit {
        /// `limits.requests_per_second`.
        Requests = "requests_per_address",
        /// `limits.fills_per_second`.
        Fills = "fills_per_address",
        /// `limits.waiters_max`.
        Waiters = "waiters",
        /// `limits.waiters_per_object_max`.
        WaitersPerObject = "waiters_per_object",
        /// `site.token.requests_per_second`.
        RequestsPerToken = "requests_per_token",
        /// `site.rate_max`.
        BytesPerSite = "bytes_per_site",
    }
}

/// A request beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// The limit.
    pub limit: Limit,
    /// Whole seconds after which a request may conform to it, at least 1.
    pub retry_after: u64,
}

/// The limits of a tier, and their use.
#[derive(Debug)]
pub(crate) struct Limits {
    connections: Option<u32>,
    requests: Option<Rate>,
    fills: Option<Rate>,
    waiters_max: usize,
    waiters_per_object_max: u32,
    exempt: CidrSet,
    started: Instant,
    table: Table<IpAddr>,
    waiters: AtomicUsize,
    /// Waiters by the hash of their object. Two objects may share a count.
    waiters_per_object: Box<[AtomicU32]>,
    hasher: ahash::RandomState,
}

/// An open connection of an address.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Usage>);

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    waiters: &'a AtomicUsize,
    of_object: Option<&'a AtomicU32>,
}

impl Limits {
    pub(crate) fn new(config: &config::Limits) -> Self {
        Self {
            connections: Some(config.connections_per_address).filter(|max| *max > 0),
            requests: Rate::new(config.requests_per_second, config.requests_burst),
            fills: Rate::new(config.fills_per_second, config.fills_burst),
            waiters_max: Some(config.waiters_max).filter(|max| *max > 0).unwrap_or(usize::MAX),
            waiters_per_object_max: u32::try_from(config.waiters_per_object_max)
                .ok()
                .filter(|max| *max > 0)
                .unwrap_or(u32::MAX),
            exempt: config.exempt.iter().collect(),
            started: Instant::now(),
            table: Table::new(config.addresses_max),
            waiters: AtomicUsize::new(0),
            waiters_per_object: std::iter::repeat_with(AtomicU32::default).take(OBJECT_COUNTS).collect(),
            hasher: ahash::RandomState::new(),
        }
    }

    /// The use by an address; `None` if no limit applies to it.
    pub(crate) fn usage(&self, address: ClientAddress) -> Option<Arc<Usage>> {
        let has_limit = self.connections.is_some() || self.requests.is_some() || self.fills.is_some();
        if !has_limit || self.exempt.contains(address) {
            return None;
        }
        Some(self.table.usage(address.limited_as(), self.now()))
    }

    /// Counts a connection of an address; `None` if it has too many.
    pub(crate) fn open(&self, usage: &Arc<Usage>) -> Option<OpenConnection> {
        let max = self.connections.unwrap_or(u32::MAX);
        // The count of this one comes back with the drop.
        let open = OpenConnection(Arc::clone(usage));
        let before = usage.connections.fetch_add(1, Ordering::Relaxed);
        (before < max).then_some(open)
    }

    /// Whether requests of one address are limited.
    pub(crate) fn limits_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// Whether an address may send a request now. It is not counted.
    pub(crate) fn may_request(&self, usage: &Usage) -> bool {
        self.requests.is_none_or(|rate| usage.requests.check(rate, self.now()).is_ok())
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When its address has sent too many.
    pub(crate) fn request(&self, usage: &Usage) -> Result<(), Exceeded> {
        let Some(rate) = self.requests else { return Ok(()) };
        usage.requests.try_take(rate, self.now()).map_err(|after| Exceeded::of(Limit::Requests, after))
    }

    /// Whether an address may cause an upstream request now. It is not counted.
    ///
    /// # Errors
    /// When it has caused too many.
    pub(crate) fn may_fill(&self, usage: &Usage) -> Result<(), Exceeded> {
        let Some(rate) = self.fills else { return Ok(()) };
        usage.fills.check(rate, self.now()).map_err(|after| Exceeded::of(Limit::Fills, after))
    }

    /// Counts an upstream request that an address causes.
    pub(crate) fn fill(&self, usage: &Usage) {
        if let Some(rate) = self.fills {
            usage.fills.take(rate, self.now());
        }
    }

    /// Counts a request that waits for the object with this key, as long as the value lives.
    ///
    /// # Errors
    /// When too many wait, for this object or in all.
    pub(crate) fn wait(&self, key: &str) -> Result<Waiter<'_>, Exceeded> {
        let second = Duration::from_secs(1);
        let index = self.hasher.hash_one(key) % OBJECT_COUNTS as u64;
        let of_object = usize::try_from(index).ok().and_then(|index| self.waiters_per_object.get(index));
        // Its counts come back with the drop.
        let waiter = Waiter { waiters: &self.waiters, of_object };
        let others = self.waiters.fetch_add(1, Ordering::Relaxed);
        let of_this = of_object.map_or(0, |count| count.fetch_add(1, Ordering::Relaxed));
        if others >= self.waiters_max {
            return Err(Exceeded::of(Limit::Waiters, second));
        }
        if of_this >= self.waiters_per_object_max {
            return Err(Exceeded::of(Limit::WaitersPerObject, second));
        }
        Ok(waiter)
    }

    /// The number of addresses that are remembered.
    pub(crate) fn addresses(&self) -> usize {
        self.table.len()
    }

    /// Forgets the addresses that have used nothing lately.
    pub(crate) fn tidy(&self) {
        self.table.tidy(self.now());
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Exceeded {
    fn of(limit: Limit, after: Duration) -> Self {
        Self { limit, retry_after: after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1) }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.of_object {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts of waiters per object.
const OBJECT_COUNTS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(change: impl FnOnce(&mut config::Limits)) -> Limits {
        let mut config = config::Limits::default();
        change(&mut config);
        Limits::new(&config)
    }

    fn client(address: &str) -> ClientAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_open_a_number_of_connections() {
        let limits = limits(|config| config.connections_per_address = 2);
        let open = |address: &str| limits.open(&limits.usage(client(address)).unwrap());
        let (first, second) = (open("2001:db8::1"), open("2001:db8::2"));
        assert!(first.is_some() && second.is_some() && open("2001:db8::3").is_none(), "one network");
        assert!(open("2001:db8:0:1::1").is_some());
        drop(first);
        let _again = open("2001:db8::3").unwrap();
        assert!(open("2001:db8::4").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_cause_fills_at_a_rate() {
        let limits = limits(|config| {
            (config.fills_per_second, config.fills_burst) = (2, 3);
            config.exempt = vec!["192.0.2.0/24".parse().unwrap()];
        });
        let usage = limits.usage(client("198.51.100.1")).unwrap();
        for _ in 0..3 {
            assert_eq!(limits.may_fill(&usage), Ok(()));
            limits.fill(&usage);
        }
        assert_eq!(limits.may_fill(&usage), Err(Exceeded { limit: Limit::Fills, retry_after: 1 }));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(limits.may_fill(&usage), Ok(()));
        assert!(limits.usage(client("192.0.2.1")).is_none(), "it is exempt");
        assert_eq!(limits.addresses(), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        drop(usage);
        limits.tidy();
        assert_eq!(limits.addresses(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_are_limited_per_object_and_in_all() {
        let limits = limits(|config| (config.waiters_max, config.waiters_per_object_max) = (3, 2));
        let (one, two) = (limits.wait("a").unwrap(), limits.wait("a").unwrap());
        assert_eq!(limits.wait("a").unwrap_err().limit, Limit::WaitersPerObject);
        let _other = limits.wait("b").unwrap();
        assert_eq!(limits.wait("c").unwrap_err().limit, Limit::Waiters);
        drop((one, two));
        assert!(limits.wait("a").is_ok());
    }

    #[test]
    fn a_tier_without_limits_remembers_nothing() {
        let limits = Limits::new(&config::Limits::off());
        assert!(limits.usage(client("192.0.2.1")).is_none() && limits.wait("a").is_ok());
    }
}
