//! The tags by which an origin groups its responses, in what viewers get.

use http::HeaderMap;
use tidegate_headers::cache_tags;

use crate::tier::{Role, Tier};

/// Removes the tags for caches like this one from a response of an edge, which is the last of them.
pub(crate) fn hide(tier: &Tier, headers: &mut HeaderMap) {
    if tier.role() == Role::Edge {
        cache_tags::remove(headers);
    }
}
