//! Reads the file of a shield again.

use std::path::{Path, PathBuf};

use tidegate_proxy::Sites;
use tidegate_proxy::config::check::Problem;
use tidegate_proxy::reload::{Change, Reread, Source, reread};
use tidegate_proxy::site::OriginPools;

use crate::{Config, origins};

/// The file of a shield.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    /// The configuration in use.
    config: Config,
    origins: OriginPools,
}

impl File {
    pub(crate) fn new(path: &Path, config: Config, origins: OriginPools) -> Self {
        Self { path: path.to_owned(), config, origins }
    }
}

impl Source for File {
    fn read(&mut self, current: &Sites) -> Result<Change, Problem> {
        let Reread { config, changed, needs_restart } =
            reread(&self.path, &self.config, Config::parse, Config::reloaded, Config::check)?;
        let sites = origins::sites(&config, &mut self.origins, Some(current));
        self.config = config;
        Ok(Change { sites, changed, needs_restart })
    }
}
