//! What a response looks like: whether it may be a playlist, by its name, its type or its first bytes, and
//! whether it has any bytes.

use http::{StatusCode, header};
use tidegate_cache::{Head, Lifetimes};
use tidegate_hls::Kind;

use std::time::Duration;

/// Whether a response is a playlist, as far as its head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// By its name or its type. The whole response is read before it is judged.
    LikePlaylist,
    /// Neither tells: its first bytes do.
    Unclear,
    /// It is something else.
    Different,
}

impl Looks {
    /// Judges the head of a response to a request for this kind of object. `max` is the largest size of a
    /// playlist.
    pub(super) fn of(kind: Kind, head: &Head, max: u64) -> Self {
        match kind {
            _ if head.status != StatusCode::OK || is_encoded(head) => Self::Different,
            Kind::Playlist => Self::LikePlaylist,
            // The name and the type contradict each other.
            Kind::Segment | Kind::Init if is_labelled(head) => Self::Unclear,
            Kind::Segment | Kind::Init => Self::Different,
            Kind::Other if is_labelled(head) => Self::LikePlaylist,
            Kind::Other if content_length(head).is_some_and(|length| length == 0 || length > max) => {
                Self::Different
            }
            Kind::Other => Self::Unclear,
        }
    }
}

/// Whether the head says that there is no body.
pub(super) fn is_empty(head: &Head) -> bool {
    head.status == StatusCode::OK && content_length(head) == Some(0)
}

/// Lifetimes of a response that is fresh for `max` at most and then not used before it is revalidated.
pub(super) fn at_most(lifetimes: Lifetimes, max: Duration) -> Lifetimes {
    let ttl = lifetimes.ttl.min(lifetimes.age.saturating_add(max));
    Lifetimes { ttl, stale_while_revalidate: Duration::ZERO, ..lifetimes }
}

/// Whether the content type is that of a playlist.
pub(super) fn is_labelled(head: &Head) -> bool {
    labelled_kind(head) == Kind::Playlist
}

/// The kind of a response by its content type.
pub(super) fn labelled_kind(head: &Head) -> Kind {
    let value = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.map_or(Kind::Other, Kind::of_content_type)
}

/// Some servers name a coding that is none (RFC 9110 section 12.5.3: `identity`), or a character set.
fn is_encoded(head: &Head) -> bool {
    let values = head.headers.get_all(header::CONTENT_ENCODING);
    values.iter().any(|value| {
        let is_none = |coding: &[u8]| NO_CODING.iter().any(|none| coding.eq_ignore_ascii_case(none));
        !value.as_bytes().split(|&byte| byte == b',').all(|coding| is_none(coding.trim_ascii()))
    })
}

fn content_length(head: &Head) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

const NO_CODING: &[&[u8]] = &[b"", b"identity", b"none", b"utf-8", b"utf8"];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> Head {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Head { status: StatusCode::OK, headers: fields.collect::<HeaderMap>() }
    }

    #[test]
    fn a_playlist_is_known_by_its_name_or_type_and_else_by_its_first_bytes() {
        let m3u8 = ("content-type", "application/vnd.apple.mpegurl");
        for (kind, fields, expected) in [
            (Kind::Playlist, &[][..], Looks::LikePlaylist),
            (Kind::Playlist, &[("content-encoding", "identity")], Looks::LikePlaylist),
            (Kind::Playlist, &[("content-encoding", "UTF-8")], Looks::LikePlaylist),
            (Kind::Playlist, &[("content-encoding", "identity, gzip")], Looks::Different),
            (Kind::Other, &[m3u8], Looks::LikePlaylist),
            (Kind::Other, &[m3u8, ("content-encoding", "br")], Looks::Different),
            (Kind::Other, &[("content-type", "text/plain")], Looks::Unclear),
            (Kind::Other, &[("content-length", "1000")], Looks::Unclear),
            (Kind::Other, &[("content-length", "1001")], Looks::Different),
            (Kind::Other, &[("content-length", "0")], Looks::Different),
            (Kind::Segment, &[m3u8], Looks::Unclear),
            (Kind::Init, &[m3u8], Looks::Unclear),
            (Kind::Segment, &[("content-type", "video/mp2t")], Looks::Different),
        ] {
            assert_eq!(Looks::of(kind, &head(fields), 1_000), expected, "{kind:?} {fields:?}");
        }
        let missing = Head { status: StatusCode::NOT_FOUND, ..head(&[m3u8]) };
        assert_eq!(Looks::of(Kind::Playlist, &missing, 1_000), Looks::Different);
        assert!(is_empty(&head(&[("content-length", "0")])) && !is_empty(&head(&[])));
    }
}
