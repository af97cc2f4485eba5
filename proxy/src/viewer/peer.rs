//! The other end of a viewer's connection: the client, or a proxy that names the client of each request.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_access::ClientAddress;
use tokio::net::TcpStream;

use crate::audience::recent::Recent;
use crate::limits::Usage;
use crate::tier::Tier;
use crate::viewer::cmsd::Estimates;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: ClientAddress,
    /// Whether its requests name other clients.
    is_proxy: bool,
    /// What its address uses of the limits; `None` if no limit applies, or if it is a proxy.
    usage: Option<Arc<Usage>>,
    /// What the connection was counted for as a viewer; `None` where viewers are not counted.
    recent: Option<Arc<Recent>>,
    /// What the kernel estimates of the connection; `None` where viewers do not get it.
    estimates: Option<Arc<Estimates>>,
}

impl Peer {
    /// A peer with this address. `is_direct` says that no PROXY header has named it.
    pub(super) fn new(tier: &Tier, address: ClientAddress, stream: &TcpStream, is_direct: bool) -> Self {
        let is_proxy = tier.access().names_clients(address);
        let usage = if is_proxy { None } else { tier.limits().usage(address) };
        let recent = tier.counts_viewers().then(Arc::default);
        // Behind a proxy, the connection is not the viewer's.
        let estimates =
            (tier.sends_cmsd() && is_direct && !is_proxy).then(|| Arc::new(Estimates::of(stream)));
        Self { address, is_proxy, usage, recent, estimates }
    }

    /// Its address: that of the client, unless it is a proxy.
    pub(crate) fn address(&self) -> ClientAddress {
        self.address
    }

    /// Whether each request names its client.
    pub(crate) fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// What the connection was counted for as a viewer; `None` where viewers are not counted.
    pub(crate) fn recent(&self) -> Option<&Recent> {
        self.recent.as_deref()
    }

    /// What the kernel estimates of the connection; `None` where viewers do not get it.
    pub(crate) fn estimates(&self) -> Option<&Estimates> {
        self.estimates.as_deref()
    }

    /// What the address of the connection uses of the limits.
    pub(super) fn usage(&self) -> Option<&Arc<Usage>> {
        self.usage.as_ref()
    }

    /// The client of a request.
    pub(crate) fn client(&self, tier: &Tier, headers: &HeaderMap) -> ClientAddress {
        if self.is_proxy { tier.access().client(self.address, headers) } else { self.address }
    }

    /// What the client of a request uses of the limits; `None` if no limit applies.
    pub(crate) fn usage_by(&self, tier: &Tier, client: ClientAddress) -> Option<Arc<Usage>> {
        if self.is_proxy { tier.limits().usage(client) } else { self.usage.clone() }
    }
}
