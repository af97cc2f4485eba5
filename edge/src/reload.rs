//! Reads the file of an edge again.

use std::path::{Path, PathBuf};

use tidegate_proxy::Sites;
use tidegate_proxy::config::check::Problem;
use tidegate_proxy::reload::{Change, Reread, Source, reread};

use crate::Config;
use crate::shields::Shields;

/// The file of an edge.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    /// The configuration in use.
    config: Config,
    shields: Shields,
}

impl File {
    pub(crate) fn new(path: &Path, config: Config, shields: Shields) -> Self {
        Self { path: path.to_owned(), config, shields }
    }
}

impl Source for File {
    fn read(&mut self, current: &Sites) -> Result<Change, Problem> {
        let Reread { config, changed, needs_restart } =
            reread(&self.path, &self.config, Config::parse, Config::reloaded, Config::check)?;
        if !self.config.has_shields_of(&config) {
            self.shields.replace(&config);
        }
        let sites = self.shields.sites(&config, Some(current));
        self.config = config;
        Ok(Change { sites, changed, needs_restart })
    }
}
