//! Reload of the configuration while the node runs.
//!
//! The sites of the new configuration take the place of those before, in one step; what else differs waits
//! for a restart. Connections and cached objects stay. A request keeps the site that it began with. A
//! configuration with an error changes nothing.

mod difference;
pub(crate) mod files;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::config::check::{self, Breach, Problem};
use crate::observe::metrics::Reload;
use crate::site::Sites;
use crate::tier::Tier;

use difference::differences;

/// Where a configuration is read again. It knows how its sites are built.
pub trait Source: Send + fmt::Debug {
    /// Reads the configuration and builds its sites, which will be used in any case. `current` are the sites
    /// in use: what a site has learned goes over to the site that has its name. May block the thread.
    ///
    /// # Errors
    /// The first error of the configuration.
    fn read(&mut self, current: &Sites) -> Result<Change, Problem>;
}

/// A configuration that was read again.
#[derive(Debug)]
pub struct Change {
    /// Its sites.
    pub sites: Sites,
    /// The fields that differ from the configuration in use, as `site.live.origins`.
    pub changed: Vec<String>,
    /// Those that differ and do not change before a restart.
    pub needs_restart: Vec<String>,
}

/// A configuration that was read again and may be used; its sites are not built yet.
#[derive(Debug)]
pub struct Reread<C> {
    /// The configuration in use from now on: the file's, without what needs a restart.
    pub config: C,
    /// The fields that differ from the configuration in use.
    pub changed: Vec<String>,
    /// Those of the file that differ from `config`.
    pub needs_restart: Vec<String>,
}

/// Reads a configuration file again. `current` is in use; `reloaded` takes from the file what can change
/// while the node runs.
///
/// # Errors
/// The first error of the file, or of the fields that do not fit those that need a restart.
pub fn reread<C: Serialize>(
    file: &Path,
    current: &C,
    parse: impl Fn(&str, &str) -> Result<C, Problem>,
    reloaded: impl Fn(&C, &C) -> C,
    check: impl Fn(&C) -> Result<(), Breach>,
) -> Result<Reread<C>, Problem> {
    let read = check::read_file(file, parse)?;
    let config = reloaded(current, &read);
    check(&config).map_err(|breach| check::without_restart(file, &breach))?;
    let (changed, needs_restart) = (differences(current, &config), differences(&config, &read));
    Ok(Reread { config, changed, needs_restart })
}

/// What a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The fields that have changed, as `site.live.origins`; for a new or a removed site its name, as
    /// `site.live`.
    pub changed: Vec<String>,
    /// The fields that differ and do not change before a restart.
    pub needs_restart: Vec<String>,
}

/// Reloads the configuration of one node.
#[derive(Debug)]
pub struct Reloader {
    tier: Arc<Tier>,
    /// `None` if the node was started without a file.
    source: Mutex<Option<Box<dyn Source>>>,
}

impl Reloader {
    pub(crate) fn new(tier: Arc<Tier>) -> Self {
        Self { tier, source: Mutex::new(None) }
    }

    pub(crate) fn set_source(&self, source: Box<dyn Source>) {
        *self.source.lock() = Some(source);
    }

    /// Reads the configuration and all files of the TLS listener again. Reloads run one after the other.
    /// Blocks the thread, which must be one for blocking work of a runtime.
    ///
    /// # Errors
    /// The first error of the configuration; then all stays as it is.
    pub fn reload(&self) -> Result<Report, Problem> {
        let mut source = self.source.lock();
        self.tier.request_reread();
        let read = match source.as_deref_mut() {
            Some(source) => source.read(&self.tier.sites()),
            None => Err(Problem {
                file: "configuration".to_owned(),
                line: None,
                column: None,
                message: "the node was started without a file".to_owned(),
            }),
        };
        let node = self.tier.node();
        match read {
            Ok(Change { sites, changed, needs_restart }) => {
                self.use_sites(sites);
                self.tier.metrics().reloads.record(Reload::Success);
                tracing::info!(node, ?changed, ?needs_restart, "configuration reloaded");
                Ok(Report { changed, needs_restart })
            }
            Err(problem) => {
                self.tier.metrics().reloads.record(Reload::Failure);
                tracing::error!(node, %problem, "configuration cannot be used, the previous one stays in use");
                Err(problem)
            }
        }
    }

    /// New pools have their members before a request asks them.
    fn use_sites(&self, sites: Sites) {
        self.tier.start_pools(&sites);
        let resolved = async {
            for pool in sites.pools() {
                pool.wait_for_members().await;
            }
        };
        let _late = Handle::current().block_on(async { timeout(RESOLVE_TIMEOUT, resolved).await });
        self.tier.replace_sites(sites);
    }
}

/// How long a start or a reload waits for the names of upstreams to resolve. One site of many may have a name
/// that does not.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
