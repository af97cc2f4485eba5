//! A request that has been read: what it asks for, and where.

use std::sync::Arc;

use tidegate_cache::Key;
use tidegate_hls::{Directives, Resource};

use super::slice::Slice;
use crate::site::Site;

/// What is asked for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) site: Arc<Site>,
    /// What is held. A playlist that is followed is one object, whichever version of it is asked for.
    pub(crate) resource: Resource,
    /// The version of it that is asked for.
    pub(crate) directives: Directives,
    /// The piece of it that is held by itself.
    pub(crate) slice: Option<Slice>,
    pub(crate) key: Key,
    /// The Host header field as sent, for upstreams that are asked for the same host.
    pub(crate) authority: String,
    /// The version in which the viewer speaks, for Via.
    pub(crate) version: http::Version,
    pub(crate) is_authorized: bool,
    /// Whether it comes from a tier that asks others first.
    pub(crate) is_backup: bool,
}

impl Request {
    /// What upstreams are asked for: the resource, in this version of it.
    pub(crate) fn target(&self, directives: &Directives) -> String {
        if *directives == Directives::default() {
            self.resource.path_and_query().into_owned()
        } else {
            self.resource.with_directives(*directives).path_and_query().into_owned()
        }
    }
}
