//! What DNS is to find, and what it found: the servers behind a name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// More members than this are a mistake; the lowest addresses are taken.
const MEMBERS_MAX: usize = 1000;

/// What to find.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Discover {
    /// Every address of a host (A, AAAA), on one port.
    Addresses {
        /// The host name.
        host: String,
        /// The port of all addresses.
        port: u16,
    },
    /// Every server of a service (SRV, RFC 2782), each with its own port.
    Services {
        /// `_service._proto.name`.
        name: String,
    },
}

/// One server that was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// The lower, the earlier it is tried; 0 without SRV records.
    pub priority: u16,
    /// Its address.
    pub address: SocketAddr,
    /// Its name, for `Host` and TLS: the name of the lookup, or the target of its SRV record.
    pub host: String,
    /// Its share among members of one priority; 1 without SRV records.
    pub weight: u16,
}

/// The result of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The members, by priority, then by address: at least one, and no duplicates.
    pub members: Vec<Member>,
    /// The lifetime: the shortest of the records, from 1 s to 5 min.
    pub valid_for: Duration,
    /// Queries without a response. Members of that family may exist all the same.
    pub unanswered: Vec<Unanswered>,
}

/// One address family of a host for which no resolver responded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The host.
    pub host: String,
    /// The address family.
    pub family: Family,
}

/// The two address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A.
    V4,
    /// AAAA.
    V6,
}

impl Found {
    /// Whether the query for this host and address family had no response.
    pub(super) fn is_unanswered(&self, member: &Member) -> bool {
        let family = Family::of(member.address.ip());
        self.unanswered.iter().any(|unanswered| unanswered.family == family && unanswered.host == member.host)
    }
}

/// As a configuration writes it, without the path.
impl fmt::Display for Discover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses { host, port } => write!(f, "{host}:{port}"),
            Self::Services { name } => f.write_str(name),
        }
    }
}

impl Family {
    fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// By priority, then by address, without duplicates; the best priority counts.
pub(super) fn in_order(mut members: Vec<Member>) -> Vec<Member> {
    members.sort();
    let mut seen = std::collections::HashSet::new();
    members.retain(|member| seen.insert((member.address, member.host.clone())));
    members.truncate(MEMBERS_MAX);
    members
}
