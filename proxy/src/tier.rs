//! A tier: what all requests of one node share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tidegate_cache::{Cache, Limits};
use tidegate_upstream::Pool;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::live::streams::Streams;
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::signal::Signal;
use crate::site::Sites;
use crate::viewer::fast_path::copies::Copies;

/// Which way a node faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Towards viewers.
    Edge,
    /// Towards origins.
    Shield,
}

/// The sections of a configuration that both tiers share.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The node's name.
    pub node: config::NodeName,
    /// Where it listens.
    pub listen: config::Listen,
    /// What it holds.
    pub cache: config::Cache,
    /// What a viewer may do.
    pub viewers: config::Viewers,
    /// Where it is.
    pub location: config::Location,
    /// How upstreams are asked.
    pub upstream: config::Upstream,
    /// The access log.
    pub log: config::Log,
    /// How it ends.
    pub drain: config::Drain,
}

/// What all requests of one node share.
pub struct Tier {
    /// No other tier of this process has or had it.
    number: u64,
    role: Role,
    settings: Settings,
    sites: Sites,
    /// The pools of all sites, each once.
    pools: Vec<Arc<Pool>>,
    cache: Cache,
    copies: Copies,
    streams: Streams,
    metrics: Metrics,
    log: AccessLog,
    /// Fills, connections, followers and probes; drain waits for them, and the last two end when it begins.
    tasks: TaskTracker,
    /// Set when the node is to end.
    draining: Signal,
    /// Set when the time to drain is over.
    cutting_off: Signal,
    /// Requests that are being answered; the end waits for the accounts of those that it cuts off.
    requests: TaskTracker,
    /// How many were cut off.
    requests_cut_off: AtomicUsize,
}

impl Tier {
    /// Assembles a tier. It holds nothing and listens nowhere yet.
    pub fn new(role: Role, settings: Settings, sites: Sites, metrics: Metrics, log: AccessLog) -> Self {
        let copies = Copies::new(settings.cache.sendfile_max(), settings.cache.sendfile_min.bytes());
        let limits =
            Limits { bytes: settings.cache.memory.bytes(), object_max: settings.cache.object_max.bytes() };
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            role,
            streams: Streams::new(&settings.cache),
            settings,
            pools: pools(&sites),
            sites,
            cache: Cache::new(limits),
            copies,
            metrics,
            log,
            tasks: TaskTracker::new(),
            draining: Signal::default(),
            cutting_off: Signal::default(),
            requests: TaskTracker::new(),
            requests_cut_off: AtomicUsize::new(0),
        }
    }

    /// What tells it from all other tiers of this process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Which way it faces.
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

    /// Its sites.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// Those whom it asks, all sites together.
    pub(crate) fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    /// What it holds.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Copies of what it holds, for the system to send.
    pub(crate) fn copies(&self) -> &Copies {
        &self.copies
    }

    /// What it knows of live streams.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn log(&self) -> &AccessLog {
        &self.log
    }

    /// Where tasks live that outlast a request.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Given when the node is to end.
    pub(crate) fn draining(&self) -> &Signal {
        &self.draining
    }

    /// Given when the time to drain is over: what is still open is cut off.
    pub(crate) fn cutting_off(&self) -> &Signal {
        &self.cutting_off
    }

    /// Requests that are being answered: each holds a token until its account is closed.
    pub(crate) fn requests(&self) -> &TaskTracker {
        &self.requests
    }

    pub(crate) fn requests_cut_off(&self) -> &AtomicUsize {
        &self.requests_cut_off
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Sites may share a pool.
fn pools(sites: &Sites) -> Vec<Arc<Pool>> {
    let mut pools: Vec<Arc<Pool>> = Vec::new();
    for pool in sites.all().iter().flat_map(|site| site.candidates.pools()) {
        if !pools.iter().any(|known| Arc::ptr_eq(known, pool)) {
            pools.push(Arc::clone(pool));
        }
    }
    pools
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("role", &self.role).field("node", &self.node()).finish_non_exhaustive()
    }
}

/// A tier is shared by all its connections.
pub(crate) type Shared = Arc<Tier>;
