//! Reads the file of an edge again.

use std::path::{Path, PathBuf};

use tidegate_proxy::Sites;
use tidegate_proxy::config::check::{self, Problem};
use tidegate_proxy::reload::{Change, Source, differences};

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
        let read = check::read_file(&self.path, Config::parse)?;
        let next = self.config.reloaded(&read);
        // The fields that wait for a restart may not fit the others.
        next.check().map_err(|breach| check::without_restart(&self.path, &breach))?;
        let (changed, needs_restart) = (differences(&self.config, &next), differences(&next, &read));
        if !self.config.has_shields_of(&next) {
            self.shields.replace(&next);
        }
        let sites = self.shields.sites(&next, Some(current));
        self.config = next;
        Ok(Change { sites, changed, needs_restart })
    }
}
