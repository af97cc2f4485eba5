//! Queries to the hosts file and to the resolvers.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::answers::{self, Addresses, Answer, Service};
use crate::error::UpstreamError;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// Time for one resolver to respond, UDP retries included; then the next one is tried.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Once one address family is there, the wait for the other is no longer than this: some networks lose all
/// AAAA queries.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// Sends queries to its resolvers.
pub(super) struct Client {
    servers: Servers,
    /// The connections, and the modification time of the file that names the resolvers.
    cached: Mutex<Option<(Option<SystemTime>, TokioResolver)>>,
}

/// The resolvers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Servers {
    System,
    At(Vec<SocketAddr>),
    #[cfg(test)]
    Script(super::script::Script),
}

impl Client {
    pub(super) fn system() -> Self {
        Self::of(Servers::System)
    }

    pub(super) fn at(servers: &[SocketAddr]) -> Self {
        Self::of(Servers::At(servers.to_vec()))
    }

    pub(super) fn of(servers: Servers) -> Self {
        Self { servers, cached: Mutex::new(None) }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    #[cfg(test)]
    pub(super) fn script(&self) -> Option<&super::script::Script> {
        if let Servers::Script(script) = &self.servers { Some(script) } else { None }
    }

    /// The addresses of `host`, from the hosts file, or else from the resolvers.
    pub(super) async fn addresses(&self, host: &str) -> Result<Addresses, UpstreamError> {
        let name = name(host)?;
        let hosts = hosts().await;
        let in_file = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let [v4, v6] = [RecordType::A, RecordType::AAAA]
            .map(|kind| in_file(kind).map_or(Answer::None, |lookup| Answer::of(Ok(lookup))));
        if v4.is_some() || v6.is_some() {
            return Addresses::together(v4, v6);
        }
        let resolver = self.resolver().await?;
        let ask = async |kind| Answer::of(resolver.lookup(name.clone(), kind).await);
        let (v4, v6) = first_then_other(ask(RecordType::A), ask(RecordType::AAAA)).await;
        Addresses::together(v4, v6)
    }

    /// The SRV records of `name`, and their lifetime.
    pub(super) async fn services(&self, service: &str) -> Result<(Vec<Service>, Duration), UpstreamError> {
        let found = self.resolver().await?.lookup(name(service)?, RecordType::SRV).await;
        found.map(|lookup| answers::services(&lookup)).map_err(|error| answers::classify(&error))
    }

    async fn resolver(&self) -> Result<TokioResolver, UpstreamError> {
        let modified = self.modified().await;
        let mut cached = self.cached.lock();
        if let Some((of, resolver)) = cached.as_ref()
            && *of == modified
        {
            return Ok(resolver.clone());
        }
        let resolver = self.build().map_err(|error| {
            tracing::warn!(%error, "the resolver configuration is unusable");
            UpstreamError::DnsError
        })?;
        *cached = Some((modified, resolver.clone()));
        Ok(resolver)
    }

    /// The modification time of the file: a machine that moves to another network has other resolvers.
    async fn modified(&self) -> Option<SystemTime> {
        if self.servers != Servers::System {
            return None;
        }
        tokio::fs::metadata(RESOLV_CONF).await.ok()?.modified().ok()
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let (config, options) = match &self.servers {
            Servers::System => hickory_resolver::system_conf::read_system_conf()?,
            Servers::At(servers) => (resolver_config(servers), ResolverOpts::default()),
            #[cfg(test)]
            Servers::Script(_) => (resolver_config(&[]), ResolverOpts::default()),
        };
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        let options = builder.options_mut();
        options.timeout = options.timeout.min(ATTEMPT);
        // The caller keeps the result for its lifetime; the hosts file is read for each lookup.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build()
    }
}

fn resolver_config(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    ResolverConfig::from_name_servers(servers.collect())
}

fn name(text: &str) -> Result<Name, UpstreamError> {
    Name::from_str_relaxed(text).map_err(|error| {
        tracing::debug!(name = text, %error, "invalid name");
        UpstreamError::DnsError
    })
}

/// An unreadable hosts file counts as empty.
async fn hosts() -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(text) = tokio::fs::read(HOSTS).await
        && let Err(error) = hosts.read_hosts_conf(text.as_slice())
    {
        tracing::debug!(%error, "the hosts file is unreadable");
    }
    hosts
}

/// Both results; the second one for a short while only if the first has addresses.
async fn first_then_other(
    v4: impl Future<Output = Answer>,
    v6: impl Future<Output = Answer>,
) -> (Answer, Answer) {
    tokio::pin!(v4, v6);
    tokio::select! {
        first = &mut v4 => {
            let second = other(&first, v6).await;
            (first, second)
        }
        first = &mut v6 => {
            let second = other(&first, v4).await;
            (second, first)
        }
    }
}

async fn other(first: &Answer, second: impl Future<Output = Answer>) -> Answer {
    if first.is_some() {
        timeout(OTHER_FAMILY, second).await.unwrap_or(Answer::Unanswered(UpstreamError::DnsTimeout))
    } else {
        second.await
    }
}
