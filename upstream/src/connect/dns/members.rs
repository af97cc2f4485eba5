//! What is looked for, and what is found: the servers behind a name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// More members than this are no pool but a mistake; those with the lowest addresses are taken.
const MEMBERS_MAX: usize = 1000;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Discover {
    /// Every address of a host (A, AAAA), on one port.
    Addresses {
        /// The host name.
        host: String,
        /// The port of all of them.
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
    /// The lower, the sooner it is asked; 0 where records do not say.
    pub priority: u16,
    /// Where it is.
    pub address: SocketAddr,
    /// Its name, for `Host` and TLS: the one that was asked for, or the target of its SRV record.
    pub host: String,
    /// Its share among members of one priority; 1 where records do not say.
    pub weight: u16,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The members: by priority, then by address, each once, at least one.
    pub members: Vec<Member>,
    /// For how long they hold: the shortest lifetime of the records, from 1 s to 5 min.
    pub valid_for: Duration,
    /// What was asked for and not answered. Members of that kind may exist all the same.
    pub unanswered: Vec<Unanswered>,
}

/// One kind of address that nobody told of, neither that there are any nor that there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The host.
    pub host: String,
    /// Which of its addresses.
    pub family: Family,
}

/// The two kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A.
    V4,
    /// AAAA.
    V6,
}

impl Found {
    /// Whether this kind of address of this host went unanswered.
    pub(super) fn is_unanswered(&self, member: &Member) -> bool {
        let family = Family::of(member.address.ip());
        self.unanswered.iter().any(|unanswered| unanswered.family == family && unanswered.host == member.host)
    }
}

/// As it is written in a configuration, without the path.
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

/// By priority, then by address; each place once, with the best priority that it has.
pub(super) fn in_order(mut members: Vec<Member>) -> Vec<Member> {
    members.sort();
    let mut seen = std::collections::HashSet::new();
    members.retain(|member| seen.insert((member.address, member.host.clone())));
    members.truncate(MEMBERS_MAX);
    members
}
