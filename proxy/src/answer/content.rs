//! What the responses from one object share: head, coded bodies, the live stream that it belongs to.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tidegate_cache::{Key, Object};
use tidegate_headers::compress;
use tidegate_hls::Kind;
use tidegate_upstream::UpstreamError;

use super::marks::allow_reading;
use crate::live::stream::Stream;
use crate::site::Site;
use crate::tier::{Role, Tier};

/// What the heads of all answers from an object have in common.
pub(crate) fn shared_head(tier: &Tier, site: &Site, object: &Object) -> HeaderMap {
    let mut headers = object.head.headers.clone();
    if matches!(object.head.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if tier.role() == Role::Edge {
        // It is meant for caches such as this one, and ends with the last of them.
        headers.remove("surrogate-control");
    }
    allow_reading(tier, site, &mut headers);
    headers
}

/// The playlist in gzip, where the viewer accepts it; made once per version.
pub(crate) fn gzip(tier: &Tier, viewer: &HeaderMap, key: &Key, object: &Object) -> Option<Bytes> {
    if viewer.contains_key(header::RANGE) || !compress::accepts_gzip(viewer) {
        return None;
    }
    let pieces = object.body.whole()?;
    let first = object.gzip.get().is_none();
    let gzip = object.gzip.get_or_init(|| compress::gzip(&joined(pieces)));
    if first {
        tier.cache().weigh_again(key);
    }
    gzip.clone()
}

/// Counts that a version of a live stream is given out; tells what keeps a newer one away.
pub(crate) fn count_live(tier: &Tier, stream: &Stream) -> Option<UpstreamError> {
    tier.metrics().live.lag.observe(f64::from(u32::try_from(stream.lag()).unwrap_or(u32::MAX)));
    stream.error()
}

/// Whether the answer is one of those that come in gzip, too.
pub(crate) fn has_codings(tier: &Tier, site: &Site, kind: Kind, object: &Object) -> bool {
    tier.role() == Role::Edge
        && site.gzip
        && kind == Kind::Playlist
        && object.head.status == StatusCode::OK
        && !object.head.headers.contains_key(header::CONTENT_ENCODING)
}

/// The pieces of a body as one.
pub(crate) fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [whole] => whole.clone(),
        pieces => pieces.concat().into(),
    }
}
