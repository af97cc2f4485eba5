//! Sources in the order in which they are to be tried.

use std::sync::Arc;

use crate::hash::rendezvous;
use crate::source::Source;

/// Whom to ask for a key, in order. Health, geography and load come in here.
pub trait Candidates: Send + Sync + std::fmt::Debug {
    /// The sources to try for `key`; empty where there is nobody.
    fn for_key(&self, key: &str) -> Vec<Arc<Source>>;

    /// All sources, for status and readiness.
    fn all(&self) -> &[Arc<Source>];
}

/// One owner for every key, then its successors: for an edge's shields.
#[derive(Debug)]
pub struct ByHash(Vec<Arc<Source>>);

/// In the order in which they are listed: for a shield's origins.
#[derive(Debug)]
pub struct ByPriority(Vec<Arc<Source>>);

impl ByHash {
    /// Hashes keys over `sources`.
    pub fn new(sources: Vec<Arc<Source>>) -> Self {
        Self(sources)
    }
}

impl ByPriority {
    /// The first of `sources` is the primary.
    pub fn new(sources: Vec<Arc<Source>>) -> Self {
        Self(sources)
    }
}

impl Candidates for ByHash {
    fn for_key(&self, key: &str) -> Vec<Arc<Source>> {
        let order = rendezvous(key, self.0.iter().map(|source| &**source.name()));
        up_first(order.into_iter().filter_map(|index| self.0.get(index)).map(Arc::clone))
    }

    fn all(&self) -> &[Arc<Source>] {
        &self.0
    }
}

impl Candidates for ByPriority {
    fn for_key(&self, _key: &str) -> Vec<Arc<Source>> {
        up_first(self.0.iter().map(Arc::clone))
    }

    fn all(&self) -> &[Arc<Source>] {
        &self.0
    }
}

/// Those that are believed to be down stay in the list, at its end: a wrong belief must not cost an answer.
fn up_first(sources: impl Iterator<Item = Arc<Source>>) -> Vec<Arc<Source>> {
    let (mut up, down): (Vec<_>, Vec<_>) = sources.partition(|source| source.is_up());
    up.extend(down);
    up
}
