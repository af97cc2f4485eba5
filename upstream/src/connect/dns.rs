//! DNS: the addresses behind a name, and their lifetime.
//!
//! [`Dns::find`] makes one lookup. [`Watch`] repeats it, and returns a set of members only when it has
//! changed. `resolution.rs` decides, without a network, when the next lookup is due and which members stay
//! when it fails.
//!
//! Nothing is cached here but the connections to the resolvers: callers keep the result for its lifetime.

mod answers;
mod client;
mod members;
mod resolution;
mod watch;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::UpstreamError;
use answers::{Addresses, Service};
use client::Client;
use members::in_order;
pub use members::{Discover, Family, Found, Member, Unanswered};
pub(crate) use resolution::Resolution;
pub use watch::Watch;

/// A lookup that takes longer has failed. Longer than any request waits: later requests join it.
pub(crate) const LOOKUP: Duration = Duration::from_secs(5);

/// A record without a lifetime would turn every request into a query.
const VALID_MIN: Duration = Duration::from_secs(1);

/// Administrators write records with lifetimes of days, mean to lower them before a move, and forget.
const VALID_MAX: Duration = Duration::from_mins(5);

/// Names in one set of SRV records; each costs two queries.
const TARGETS_MAX: usize = 100;

/// The resolvers. Cheap to clone.
#[derive(Clone)]
pub struct Dns(Arc<Client>);

impl Dns {
    /// The system's resolvers, as `resolv.conf` names them. It is read for the first lookup, and again when
    /// it has changed.
    pub fn system() -> Self {
        Self(Arc::new(Client::system()))
    }

    /// The resolvers at these addresses; the system's if there are none.
    pub fn at(servers: &[SocketAddr]) -> Self {
        if servers.is_empty() { Self::system() } else { Self(Arc::new(Client::at(servers))) }
    }

    /// Makes one lookup. The hosts file comes first.
    ///
    /// # Errors
    /// [`UpstreamError::DnsTimeout`] when no resolver responds in time, [`UpstreamError::DnsError`] when the
    /// name does not exist or the resolver fails.
    pub async fn find(&self, what: &Discover, deadline: Duration) -> Result<Found, UpstreamError> {
        #[cfg(test)]
        if let Some(script) = self.0.script() {
            return script.answer(what).await;
        }
        let finding = async {
            match what {
                Discover::Addresses { host, port } => self.addresses(host, *port).await,
                Discover::Services { name } => self.services(name).await,
            }
        };
        timeout(deadline, finding).await.unwrap_or(Err(UpstreamError::DnsTimeout))
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Found, UpstreamError> {
        let found = self.0.addresses(host).await?;
        let mut gathered = Gathered::default();
        gathered.add(&Service { host: host.to_owned(), port, priority: 0, weight: 1 }, &found);
        gathered.finish()
    }

    async fn services(&self, name: &str) -> Result<Found, UpstreamError> {
        let (mut services, lifetime) = self.0.services(name).await?;
        let mut targets: Vec<_> = services.iter().map(|service| service.host.clone()).collect();
        targets.sort();
        targets.dedup();
        targets.truncate(TARGETS_MAX);
        services.retain(|service| targets.binary_search(&service.host).is_ok());
        let mut in_flight = JoinSet::new();
        for target in targets {
            let client = Arc::clone(&self.0);
            // The name in a record is absolute: no search list applies to it (RFC 2782, "Target").
            in_flight.spawn(async move { (client.addresses(&format!("{target}.")).await, target) });
        }
        let mut gathered = Gathered { lifetime: Some(lifetime), ..Gathered::default() };
        while let Some(answered) = in_flight.join_next().await {
            let Ok((addresses, target)) = answered else { return Err(UpstreamError::DnsError) };
            let addresses = addresses.unwrap_or_else(|error| {
                gathered.error = error;
                Addresses::from(error)
            });
            for service in services.iter().filter(|service| service.host == target) {
                gathered.add(service, &addresses);
            }
        }
        gathered.finish()
    }
}

/// A set of members under construction.
struct Gathered {
    members: Vec<Member>,
    unanswered: Vec<Unanswered>,
    lifetime: Option<Duration>,
    /// The error if there is no member.
    error: UpstreamError,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { members: Vec::new(), unanswered: Vec::new(), lifetime: None, error: UpstreamError::DnsError }
    }
}

impl Gathered {
    fn add(&mut self, service: &Service, addresses: &Addresses) {
        self.members.extend(addresses.ips.iter().map(|ip| Member {
            priority: service.priority,
            address: SocketAddr::new(*ip, service.port),
            host: service.host.clone(),
            weight: service.weight,
        }));
        let unanswered = addresses.unanswered.iter();
        self.unanswered
            .extend(unanswered.map(|family| Unanswered { host: service.host.clone(), family: *family }));
        if let Some(lifetime) = addresses.lifetime {
            self.lifetime = Some(self.lifetime.map_or(lifetime, |least| least.min(lifetime)));
        }
    }

    fn finish(self) -> Result<Found, UpstreamError> {
        let members = in_order(self.members);
        if members.is_empty() {
            return Err(self.error);
        }
        let valid_for = self.lifetime.unwrap_or(VALID_MIN).clamp(VALID_MIN, VALID_MAX);
        Ok(Found { members, valid_for, unanswered: self.unanswered })
    }
}

/// An unpredictable number in `0.0..1.0`, for delays and for the choice among equals.
pub(crate) fn random_fraction() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Two values are equal if they have the same resolvers.
impl PartialEq for Dns {
    fn eq(&self, other: &Self) -> bool {
        self.0.servers() == other.0.servers()
    }
}

impl Eq for Dns {}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dns").field(&self.0.servers()).finish()
    }
}

#[cfg(test)]
pub(crate) mod script;

#[cfg(test)]
mod tests;
