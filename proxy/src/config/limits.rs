//! `[limits]`: what one address may use, and how many requests may wait.

use serde::{Deserialize, Serialize};
use tidegate_access::Cidr;

use super::units::Size;

/// Limits for one address (IPv6: one network of 64 bits), and for all that wait. 0 turns a limit off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections of one address.
    pub connections_per_address: u32,
    /// Requests per second of one address.
    pub requests_per_second: u32,
    /// Requests of one address that may come together.
    pub requests_burst: u32,
    /// Upstream requests per second that one address may cause. Hits and joins are free.
    pub fills_per_second: u32,
    /// Those of one address that may come together.
    pub fills_burst: u32,
    /// Requests that wait for a response, or block until a playlist advances.
    pub waiters_max: usize,
    /// Those of them that wait for one object.
    pub waiters_per_object_max: usize,
    /// Bytes per second that the kernel sends on one connection.
    pub connection_rate_max: Size,
    /// Addresses that are remembered.
    pub addresses_max: usize,
    /// Networks to which the limits for one address do not apply.
    pub exempt: Vec<Cidr>,
}

impl Limits {
    /// No limits: for a tier that faces other tiers.
    pub fn off() -> Self {
        Self {
            connections_per_address: 0,
            requests_per_second: 0,
            requests_burst: 0,
            fills_per_second: 0,
            fills_burst: 0,
            waiters_max: 0,
            waiters_per_object_max: 0,
            connection_rate_max: Size::kib(0),
            addresses_max: 0,
            exempt: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_address: 8192,
            requests_burst: 1000,
            fills_per_second: 100,
            fills_burst: 1000,
            waiters_max: 65_536,
            waiters_per_object_max: 32_768,
            addresses_max: 65_536,
            ..Self::off()
        }
    }
}
