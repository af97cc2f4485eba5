//! The publication of a new version of a live playlist.

use std::sync::Arc;

use http::HeaderMap;

use super::{listing, prefetch};
use crate::fill::Filled;
use crate::request::parsed::Request;
use crate::tier::Tier;

/// Publishes the version of a live playlist that a fill has stored: requests that block on it proceed, and
/// the objects that it announces are fetched. `fill_headers` are the header fields of a fill for it.
pub(crate) fn publish(tier: &Arc<Tier>, request: &Request, fill_headers: &HeaderMap, filled: &Filled) {
    let Some(stream) = &filled.stream else { return };
    let is_first = stream.media().is_none();
    if !filled.is_stored {
        return stream.discard_received();
    }
    let Some(announcements) = stream.publish() else { return };
    if !announcements.is_empty() {
        tier.metrics().live.versions.inc();
    }
    if let Some(media) = stream.media() {
        if stream.record_weight() {
            tier.streams().weigh_again(&request.key, stream);
        }
        if is_first {
            listing::remember_listed(tier, request, stream, &media);
        }
    }
    prefetch::prefetch_announced(tier, request, stream, &announcements, fill_headers);
    listing::share_reports(tier, request, stream);
}
