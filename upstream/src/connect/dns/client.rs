//! The questions, as they are put to the hosts file and to the resolvers.

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

/// Time for one resolver to answer, UDP repeated within it; then the next one is asked.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Once one kind of address is there, the other is waited for no longer than this: there are networks that lose all
/// questions for AAAA.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// Asks the resolvers that it knows.
pub(super) struct Client {
    servers: Servers,
    /// The connections, and when the file was modified that they were made from.
    cached: Mutex<Option<(Option<SystemTime>, TokioResolver)>>,
}

/// Who is asked.
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

    /// The addresses of `host`, by the hosts file, or else by the resolvers.
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

    /// The SRV records of `name`, and for how long they hold.
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
            tracing::warn!(%error, "the resolvers cannot be asked");
            UpstreamError::DnsError
        })?;
        *cached = Some((modified, resolver.clone()));
        Ok(resolver)
    }

    /// A machine that moves to another network gets other resolvers, while it serves.
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
        // Whoever asks remembers the answer for as long as it holds; the file is read anew for each question.
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
        tracing::debug!(name = text, %error, "not a name");
        UpstreamError::DnsError
    })
}

/// A hosts file that cannot be read says nothing.
async fn hosts() -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(text) = tokio::fs::read(HOSTS).await
        && let Err(error) = hosts.read_hosts_conf(text.as_slice())
    {
        tracing::debug!(%error, "the hosts file cannot be read");
    }
    hosts
}

/// Both answers; the second one for a short while only where the first brought something.
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
