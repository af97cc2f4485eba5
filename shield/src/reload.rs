//! Reads the file of a shield again.

use std::path::{Path, PathBuf};

use tidegate_proxy::Sites;
use tidegate_proxy::config::check::{self, Problem};
use tidegate_proxy::reload::{Change, Source, differences};
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
        let read = check::read_file(&self.path, Config::parse)?;
        let next = self.config.reloaded(&read);
        // The fields that wait for a restart may not fit the others.
        next.check().map_err(|breach| check::without_restart(&self.path, &breach))?;
        let (changed, needs_restart) = (differences(&self.config, &next), differences(&next, &read));
        let sites = origins::sites(&next, &mut self.origins, Some(current));
        self.config = next;
        Ok(Change { sites, changed, needs_restart })
    }
}
