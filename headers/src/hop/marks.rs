//! The marks a node leaves on what passes through it: `Via` (RFC 9110 7.6.3) and `CDN-Loop` (RFC 8586).

use http::Version;
use http::header::{self, HeaderMap, HeaderName};

use crate::field;

/// The field of RFC 8586.
pub static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Set by a tier that asks the next one for a piece of a resource (`slice.rs`): that one need not have seen the playlist.
pub static SLICE: HeaderName = HeaderName::from_static("tidegate-slice");

/// Adds this node to `Via`. `received` is the version in which the message came.
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

/// Whether a request has passed this node before: `CDN-Loop` names its id. Parameters are not compared, and the id is
/// a host or pseudonym, so its case does not count (RFC 8586 2).
pub fn loops(request: &HeaderMap, id: &str) -> bool {
    field::members_of(request, &CDN_LOOP)
        .filter_map(|member| field::split(member, b';').next())
        .any(|named| field::trim(named).eq_ignore_ascii_case(id))
}

/// Adds this node to `CDN-Loop` behind all others, none of which may be removed (RFC 8586 2).
pub fn append_cdn_loop(request: &mut HeaderMap, id: &str) {
    field::append_member(request, &CDN_LOOP, id);
}
