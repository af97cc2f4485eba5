//! Whom an edge asks: the shields, by hash; without shields, the site's own origins.

use std::sync::Arc;

use tidegate_proxy::site;
use tidegate_upstream::{ByHash, ByPriority, Candidates, Source};

use crate::Config;

/// The shields that all sites share, and how other sources are spoken to.
#[derive(Debug)]
pub(crate) struct Shields<'a> {
    config: &'a Config,
    shields: Option<Arc<dyn Candidates>>,
}

/// The shields of a configuration.
pub(crate) fn of(config: &Config) -> Shields<'_> {
    let sources = config.shields.iter().map(|address| {
        // A shield finds the site by the viewer's own Host.
        Arc::new(Source::new(address.clone(), None, config.upstream.options()))
    });
    let sources: Vec<_> = sources.collect();
    let shields = (!sources.is_empty()).then(|| Arc::new(ByHash::new(sources)) as Arc<dyn Candidates>);
    Shields { config, shields }
}

impl Shields<'_> {
    pub(crate) fn for_site(&self, site: &site::Config) -> Arc<dyn Candidates> {
        match &self.shields {
            Some(shields) => Arc::clone(shields),
            None => Arc::new(ByPriority::new(site.sources(&self.config.upstream))),
        }
    }
}
