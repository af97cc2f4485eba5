//! A tier: the state that all requests of one node share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;
use tidegate_cache::{Cache, Limits};
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::acme::storage::Storage;
use crate::audience::registry::Audience;
use crate::clock;
use crate::config;
use crate::config::access::Expose;
use crate::limits::Limits as AddressLimits;
use crate::live::streams::Streams;
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::purge::recent::Recent;
use crate::signal::Signal;
use crate::site::Sites;
use crate::viewer::fast_path::copies::Copies;

/// The side that a node faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Faces viewers.
    Edge,
    /// Faces origins.
    Shield,
}

impl Role {
    /// The word for the role in logs, metrics and the status page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Shield => "shield",
        }
    }
}

/// The sections of a configuration that both tiers share.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The node's name.
    pub node: config::NodeName,
    /// The addresses on which it listens.
    pub listen: config::Listen,
    /// The size of the cache.
    pub cache: config::Cache,
    /// The limits and timeouts for viewers.
    pub viewers: config::Viewers,
    /// The node's location.
    pub location: config::Location,
    /// The limits for one address, and for waiting requests.
    pub limits: config::Limits,
    /// The database of countries.
    pub geoip: config::Geoip,
    /// The counts of viewers.
    pub audience: config::Audience,
    /// The requests to upstreams.
    pub upstream: config::Upstream,
    /// The access log.
    pub log: config::Log,
    /// The drain at shutdown.
    pub drain: config::Drain,
}

/// The state that all requests of one node share.
pub struct Tier {
    role: Role,
    settings: Settings,
    sites: ArcSwap<Sites>,
    /// The identifier of the sites, which the fast path compares.
    sites_id: AtomicU64,
    access: Access,
    limits: AddressLimits,
    cache: Cache,
    copies: Copies,
    streams: Streams,
    audience: Audience,
    metrics: Metrics,
    log: AccessLog,
    /// A permit for each fill that may continue without readers.
    finishing: Arc<Semaphore>,
    /// Fills, connections, followers and probes. The drain waits for them; followers and probes end when it
    /// begins.
    tasks: TaskTracker,
    /// Where challenges of ACME are published.
    acme: Option<Storage>,
    /// `Strict-Transport-Security` for responses over TLS.
    hsts: Option<HeaderValue>,
    /// Notified when [`Tier::request_reread`] is called.
    reread: watch::Sender<()>,
    /// The latest purges.
    purges: Recent,
    /// Set when the node starts to drain.
    draining: Signal,
    /// Set at the drain timeout.
    cutting_off: Signal,
    /// Requests in progress. The shutdown waits for the accounts of those that it cuts off.
    requests: TaskTracker,
    /// The number of requests that were cut off.
    requests_cut_off: AtomicUsize,
}

impl Tier {
    /// Assembles a tier with an empty cache. It does not listen yet.
    pub fn new(role: Role, settings: Settings, sites: Sites, metrics: Metrics, log: AccessLog) -> Self {
        let copies = Copies::new(settings.cache.sendfile_max(), settings.cache.sendfile_min.bytes());
        let limits = Limits {
            bytes: settings.cache.memory.bytes(),
            object_max: settings.cache.object_max.bytes(),
            variants_max: settings.cache.variants_max,
        };
        let finishing = Arc::new(Semaphore::new(settings.cache.finish_max.min(Semaphore::MAX_PERMITS)));
        Self {
            role,
            streams: Streams::new(&settings.cache),
            audience: Audience::new(&settings.audience, clock::now()),
            acme: settings.listen.tls.as_ref().and_then(|tls| tls.acme.as_ref()).map(Storage::of),
            hsts: hsts(&settings.listen),
            access: Access::new(&settings.listen, &settings.geoip),
            limits: AddressLimits::new(&settings.limits),
            settings,
            sites_id: AtomicU64::new(sites.id()),
            sites: ArcSwap::from_pointee(sites),
            cache: Cache::new(limits),
            copies,
            finishing,
            metrics,
            log,
            tasks: TaskTracker::new(),
            reread: watch::Sender::new(()),
            purges: Recent::new(),
            draining: Signal::default(),
            cutting_off: Signal::default(),
            requests: TaskTracker::new(),
            requests_cut_off: AtomicUsize::new(0),
        }
    }

    /// A permit for each fill that may continue without readers.
    pub(crate) fn finishing(&self) -> &Arc<Semaphore> {
        &self.finishing
    }

    /// The side that it faces.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        self.settings.node.as_str()
    }

    /// Its configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its sites, as they are now.
    pub fn sites(&self) -> Guard<Arc<Sites>> {
        self.sites.load()
    }

    /// Starts the pools of these sites that do not run yet.
    pub(crate) fn start_pools(&self, sites: &Sites) {
        for pool in sites.pools() {
            pool.start(&self.tasks, self.draining.token());
        }
    }

    /// Uses other sites, whose pools have started. Requests in progress keep the sites before. The probes of
    /// pools that are not used any more end.
    pub(crate) fn replace_sites(&self, sites: Sites) {
        self.log.redact(sites.token_parameters());
        let (id, pools) = (sites.id(), sites.pools().to_vec());
        let before = self.sites.swap(Arc::new(sites));
        // After the sites: what the fast path remembers for the identifier was resolved with them.
        self.sites_id.store(id, Ordering::Release);
        for pool in before.pools() {
            if !pools.iter().any(|used| Arc::ptr_eq(used, pool)) {
                pool.stop();
                self.metrics.upstreams.keep_totals(pool);
            }
        }
    }

    /// The identifier of its sites, without a look at them.
    pub(crate) fn sites_id(&self) -> u64 {
        self.sites_id.load(Ordering::Acquire)
    }

    /// Who its clients are, and who may watch.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// What one address may use.
    pub(crate) fn limits(&self) -> &AddressLimits {
        &self.limits
    }

    /// Whether viewers see the marks of the tier.
    pub(crate) fn is_exposed(&self) -> bool {
        self.settings.viewers.expose == Expose::All
    }

    /// Its cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// File copies of cached bodies, which the kernel sends.
    pub(crate) fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Its live streams.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Whether it counts viewers. The clients of a shield are edges.
    pub(crate) fn counts_viewers(&self) -> bool {
        self.role == Role::Edge && self.settings.audience.enabled
    }

    /// Whether players post reports to this path.
    pub(crate) fn receives_reports(&self, path: &str) -> bool {
        self.settings.audience.reports_path.as_deref() == Some(path) && self.counts_viewers()
    }

    /// Whether viewers get estimates of their connections (CMSD).
    pub(crate) fn sends_cmsd(&self) -> bool {
        self.role == Role::Edge && self.settings.audience.cmsd
    }

    /// How many are watching.
    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The latest purges.
    pub(crate) fn purges(&self) -> &Recent {
        &self.purges
    }

    pub(crate) fn log(&self) -> &AccessLog {
        &self.log
    }

    /// The tasks that outlive a request.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The storage with the challenges of ACME, if the node orders certificates.
    pub(crate) fn acme(&self) -> Option<&Storage> {
        self.acme.as_ref()
    }

    /// The field `Strict-Transport-Security` (RFC 6797) for responses over TLS, if they have one.
    pub(crate) fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }

    /// Requests that tasks read certificates, and what else may change on disk, again.
    pub fn request_reread(&self) {
        self.reread.send_replace(());
    }

    /// Notified when files are to be read again.
    pub(crate) fn reread_requests(&self) -> watch::Receiver<()> {
        self.reread.subscribe()
    }

    /// Set when the node starts to drain.
    pub(crate) fn draining(&self) -> &Signal {
        &self.draining
    }

    /// Set at the drain timeout: requests that are still in progress are cut off.
    pub(crate) fn cutting_off(&self) -> &Signal {
        &self.cutting_off
    }

    /// Requests in progress: each holds a guard until its account is closed.
    pub(crate) fn requests(&self) -> &TaskTracker {
        &self.requests
    }

    pub(crate) fn requests_cut_off(&self) -> &AtomicUsize {
        &self.requests_cut_off
    }
}

fn hsts(listen: &config::Listen) -> Option<HeaderValue> {
    let max_age = listen.tls.as_ref()?.hsts?.get().as_secs();
    HeaderValue::try_from(format!("max-age={max_age}")).ok()
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("role", &self.role).field("node", &self.node()).finish_non_exhaustive()
    }
}

/// All connections of a tier share it.
pub(crate) type Shared = Arc<Tier>;
