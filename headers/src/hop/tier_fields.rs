//! The marks that a node adds to the messages it forwards: `Via` (RFC 9110 section 7.6.3) and `CDN-Loop` (RFC
//! 8586).

use http::Version;
use http::header::{self, HeaderMap, HeaderName};

use crate::field;

/// The field of RFC 8586.
pub static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Set by a tier that requests a slice of a resource (`slice.rs`) from the next tier, which may not have seen
/// the playlist.
pub static SLICE: HeaderName = HeaderName::from_static("tidegate-slice");

/// Appends this node to `Via`. `received` is the HTTP version of the received message.
pub fn append_via(headers: &mut HeaderMap, received: Version, node: &str) {
    let version = match received {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    };
    field::append_member(headers, &header::VIA, format_args!("{version} {node}"));
}

/// Whether a request has passed this node before: `CDN-Loop` lists its id. Parameters are not compared, and
/// the id is a host or pseudonym, so its case is ignored (RFC 8586 section 2).
///
/// A client may open a quote and not close it. The ids that nodes append stand behind it, and would not be
/// members: quotes do not count in such a line.
pub fn loops(request: &HeaderMap, id: &str) -> bool {
    let is_own = |member: &str| {
        let listed = member.split(';').next().unwrap_or_default();
        field::trim(listed).eq_ignore_ascii_case(id)
    };
    let mut lines = request.get_all(&CDN_LOOP).iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| {
        if field::has_open_quote(line) {
            line.split(',').any(is_own)
        } else {
            field::members(line).any(is_own)
        }
    })
}

/// Appends this node to `CDN-Loop` after all others, none of which may be removed (RFC 8586 section 2).
pub fn append_cdn_loop(request: &mut HeaderMap, id: &str) {
    field::append_member(request, &CDN_LOOP, id);
}
