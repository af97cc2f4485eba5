//! The common parts of all responses from one object: head, gzip body, state of its live stream.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tidegate_cache::{Key, Object};
use tidegate_headers::compress;
use tidegate_headers::conditional::VERSION;
use tidegate_hls::Kind;

use super::tier_fields::allow_reading_shared;
use crate::live::stream::Stream;
use crate::purge::tags;
use crate::site::Site;
use crate::tier::{Role, Tier};

static SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// The header fields that all responses from an object share.
pub(crate) fn shared_head(tier: &Tier, site: &Site, object: &Object) -> HeaderMap {
    let mut headers = object.head.headers.clone();
    if matches!(object.head.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if tier.role() == Role::Edge {
        // Surrogate-Control is for caches such as this one; the edge is the last of them.
        headers.remove(&SURROGATE_CONTROL);
        // And the version is for tiers.
        headers.remove(&VERSION);
    }
    tags::hide(tier, &mut headers);
    allow_reading_shared(tier, site, &mut headers);
    headers
}

/// The playlist in gzip, if the viewer accepts it; compressed once per version.
pub(crate) fn gzip(tier: &Tier, viewer: &HeaderMap, key: &Key, object: &Object) -> Option<Bytes> {
    if viewer.contains_key(header::RANGE) || !compress::accepts_gzip(viewer) {
        return None;
    }
    let chunks = object.body.whole()?;
    let is_first = object.gzip.get().is_none();
    let gzip = object.gzip.get_or_init(|| compress::gzip(&concatenated(chunks)));
    if is_first {
        tier.cache().weigh_again(key);
    }
    gzip.clone()
}

/// Records the lag of a served version of a live stream.
pub(crate) fn record_lag(tier: &Tier, stream: &Stream) {
    tier.metrics().live.lag.observe(f64::from(u32::try_from(stream.lag()).unwrap_or(u32::MAX)));
}

/// Whether the response has a gzip form as well.
pub(crate) fn has_codings(tier: &Tier, site: &Site, kind: Kind, object: &Object) -> bool {
    tier.role() == Role::Edge
        && site.gzip
        && kind == Kind::Playlist
        && object.head.status == StatusCode::OK
        && !object.head.headers.contains_key(header::CONTENT_ENCODING)
}

/// The chunks of a body as one.
pub(crate) fn concatenated(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [whole] => whole.clone(),
        chunks => chunks.concat().into(),
    }
}
