//! A new version of a live playlist: made known, and acted on.

use std::sync::Arc;

use http::HeaderMap;

use super::{listing, prefetch};
use crate::fill::Filled;
use crate::request::parsed::Request;
use crate::tier::Tier;

/// Publishes what a fill brought of a live playlist: requests that wait for the version go on, and what it announces is
/// fetched. `sent` are the header fields of a fill for it.
pub(crate) fn publish(tier: &Arc<Tier>, request: &Request, sent: &HeaderMap, filled: &Filled) {
    let Some(stream) = &filled.stream else { return };
    let is_first = stream.media().is_none();
    if !filled.is_stored {
        return stream.dismiss();
    }
    let Some(news) = stream.publish() else { return };
    if !news.is_empty() {
        tier.metrics().live.versions.inc();
    }
    if let Some(media) = stream.media() {
        if stream.has_doubled() {
            tier.streams().weigh_again(&request.key, stream);
        }
        if is_first {
            listing::remember_listed(tier, request, stream, &media);
        }
    }
    prefetch::prefetch_announced(tier, request, stream, &news, sent);
    listing::share_reports(tier, request, stream);
}
