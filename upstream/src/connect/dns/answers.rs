//! The result of one query, read from the records: addresses, services, or none.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RData};

use super::members::Family;
use crate::error::UpstreamError;

/// The addresses of a name.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) ips: Vec<IpAddr>,
    /// The shortest lifetime of the records, aliases included.
    pub(super) lifetime: Option<Duration>,
    pub(super) unanswered: Vec<Family>,
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u16,
}

/// The result for one address family.
#[derive(Debug)]
pub(super) enum Answer {
    /// Addresses, their lifetime and the full name.
    Some(Vec<IpAddr>, Duration, Name),
    /// No such name, or no such records.
    None,
    /// No resolver responded.
    Unanswered(UpstreamError),
}

impl Answer {
    pub(super) fn of(result: Result<Lookup, NetError>) -> Self {
        match result {
            Ok(lookup) => {
                let ips: Vec<_> =
                    lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
                if ips.is_empty() {
                    return Self::None;
                }
                Self::Some(ips, lifetime(&lookup), lookup.query().name().clone())
            }
            Err(error) if error.is_no_records_found() => Self::None,
            Err(error) => Self::Unanswered(classify(&error)),
        }
    }

    /// Whether there are addresses.
    pub(super) fn is_some(&self) -> bool {
        matches!(self, Self::Some(..))
    }
}

impl Addresses {
    /// Merges the results for both address families.
    pub(super) fn together(v4: Answer, v6: Answer) -> Result<Self, UpstreamError> {
        // A search list may lead the two queries to two names; they are not one host then.
        let v6 = match (&v4, v6) {
            (Answer::Some(_, _, one), Answer::Some(_, _, other)) if *one != other => Answer::None,
            (_, v6) => v6,
        };
        let mut all = Self::default();
        let mut last = UpstreamError::DnsError;
        for (family, answer) in [(Family::V4, v4), (Family::V6, v6)] {
            match answer {
                Answer::Some(ips, lifetime, _) => {
                    all.ips.extend(ips);
                    all.lifetime = Some(all.lifetime.map_or(lifetime, |least| least.min(lifetime)));
                }
                Answer::None => {}
                Answer::Unanswered(error) => {
                    last = error;
                    all.unanswered.push(family);
                }
            }
        }
        if all.ips.is_empty() { Err(last) } else { Ok(all) }
    }
}

/// The lookup of a target failed.
impl From<UpstreamError> for Addresses {
    fn from(_: UpstreamError) -> Self {
        Self { unanswered: vec![Family::V4, Family::V6], ..Self::default() }
    }
}

/// The services in the records, and their lifetime.
pub(super) fn services(lookup: &Lookup) -> (Vec<Service>, Duration) {
    let services = lookup.answers().iter().filter_map(|record| match &record.data {
        // A target of "." means that the service is not available (RFC 2782, "Target").
        RData::SRV(srv) if !srv.target.is_root() && srv.port != 0 => Some(Service {
            host: plain(&srv.target),
            port: srv.port,
            priority: srv.priority,
            weight: srv.weight,
        }),
        _ => None,
    });
    (services.collect(), lifetime(lookup))
}

/// The error of a failed query.
pub(super) fn classify(error: &NetError) -> UpstreamError {
    match error {
        NetError::Timeout => UpstreamError::DnsTimeout,
        _ => UpstreamError::DnsError,
    }
}

fn lifetime(lookup: &Lookup) -> Duration {
    let least = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    Duration::from_secs(u64::from(least))
}

/// A name for `Host` and TLS: without the dot at its end, in lower case.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
