//! A request that has been read: its resource, and the site that serves it.

use std::sync::Arc;

use tidegate_cache::Key;
use tidegate_hls::{Directives, Resource};

use super::link::Link;
use super::slice::Slice;
use crate::site::Site;

/// A request for a resource of a site.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) site: Arc<Site>,
    /// The cached resource. All versions of a followed playlist are one object.
    pub(crate) resource: Resource,
    /// The requested version of it.
    pub(crate) directives: Directives,
    /// The requested slice of it.
    pub(crate) slice: Option<Slice>,
    pub(crate) key: Key,
    /// The Host header field as received, for upstreams that receive the same host.
    pub(crate) authority: String,
    /// The viewer's version of HTTP, for Via.
    pub(crate) version: http::Version,
    /// What the links of a playlist get, if the viewer has a token.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) is_authorized: bool,
    /// Whether a tier sends it as a backup request: other upstreams are its first choice.
    pub(crate) is_backup: bool,
}

impl Request {
    /// The key of the resource, also if a slice of it is requested.
    pub(crate) fn whole_key(&self) -> Key {
        Key::new(&self.site.name, &self.resource.path_and_query())
    }

    /// Requests the slice from the whole resource.
    pub(crate) fn read_from_whole(&mut self) {
        (self.key, self.slice) = (self.whole_key(), None);
    }

    /// The target of a request to an upstream, for this version of the resource.
    pub(crate) fn target(&self, directives: &Directives) -> String {
        if *directives == Directives::default() {
            self.resource.target().into_owned()
        } else {
            self.resource.with_directives(*directives).target().into_owned()
        }
    }
}
