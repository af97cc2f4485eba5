//! Slices that the whole resource serves: an origin may have sent it in place of one of them.

use tidegate_cache::{FillWriter, Key};

use super::parsed::Request;
use super::slice::Slice;
use crate::site::Site;
use crate::tier::Tier;

/// Whether the whole resource is in the cache or on its way, and has the slice. For a moment it can also say
/// that there are no such bytes.
pub(crate) fn covers(tier: &Tier, site: &Site, whole: &Key, slice: Slice) -> bool {
    tier.cache().covers(whole, slice.last(), site.hls.target_assumed)
}

/// Whether the whole resource can serve the slice, if one is requested.
pub(crate) fn serves(tier: &Tier, request: &Request) -> bool {
    request.slice.is_some_and(|slice| covers(tier, &request.site, &request.whole_key(), slice))
}

/// Keeps the writer of a fill, unless the whole resource serves its slice: it may have arrived between the
/// check before the look-up and the look-up. Requests that have joined the fill look up again.
pub(crate) fn unless_served(tier: &Tier, request: &Request, fill_writer: FillWriter) -> Option<FillWriter> {
    if serves(tier, request) {
        fill_writer.yield_to_other();
        return None;
    }
    Some(fill_writer)
}
