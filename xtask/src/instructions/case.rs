//! The requests of a viewer, and their number.

use std::fmt;
use std::net::SocketAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::http1::Http1;
use super::http2::Http2;

/// A path through the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    Hit,
    /// The same on a site that checks tokens, with a token in the path.
    HitToken,
    /// The playlist of a recording; a live one changes with the clock.
    HitPlaylist,
    /// A length that HTTP/1.1 without TLS sends from a copy in a file.
    HitSegment,
    Http2Hit,
    Http2HitSegment,
    Miss,
    Fill,
}

/// The secret of the site that checks tokens; the name of its file is the name of the key, `a`.
pub(super) const SECRET: &str = "a secret of an instruction count, of no use elsewhere";
/// A token by that secret for the whole site, until the year 2100. It is written down, so that all requests
/// have the same bytes.
const TOKEN: &str = "tg1.eyJraWQiOiJhIiwiZXhwIjo0MTAyNDQ0ODAwLCJwYXRoIjoiLyJ9\
                     .kxlvQYTwoj4B3nfAofFo2Sp8nOrhmqBIbFcTw2k9qxI";

/// A viewer's connection.
pub(super) enum Viewer {
    Http1(Http1),
    Http2(Http2),
}

impl Case {
    pub(super) const ALL: [Self; 8] = [
        Self::Hit,
        Self::HitToken,
        Self::HitPlaylist,
        Self::HitSegment,
        Self::Http2Hit,
        Self::Http2HitSegment,
        Self::Miss,
        Self::Fill,
    ];

    /// The unit of the figure.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Hit => "a hit of 1 KiB, HTTP/1.1",
            Self::HitToken => "a hit of 1 KiB with a token, HTTP/1.1",
            Self::HitPlaylist => "a hit of a playlist, HTTP/1.1",
            Self::HitSegment => "a hit of 200 KiB, HTTP/1.1",
            Self::Http2Hit => "a hit of 1 KiB, HTTP/2",
            Self::Http2HitSegment => "a hit of 200 KiB, HTTP/2",
            Self::Miss => "a miss of 1 KiB, HTTP/1.1",
            Self::Fill => "a MiB of a fill of 16 MiB, HTTP/1.1",
        }
    }

    /// The path of a request. In cases other than hits, each number is another object.
    pub(super) fn path(self, number: u32) -> String {
        match self {
            Self::Hit | Self::Http2Hit => "/bytes/1024".to_owned(),
            Self::HitToken => format!("/~{TOKEN}/bytes/1024"),
            Self::HitPlaylist => "/vod/demo/ts/360p/index.m3u8".to_owned(),
            Self::HitSegment | Self::Http2HitSegment => "/bytes/204800".to_owned(),
            // All paths have one length, so that all heads have one length.
            Self::Miss => format!("/bytes/1024/{number:06}"),
            Self::Fill => format!("/bytes/16777216/{number:06}"),
        }
    }

    pub(super) const fn is_hit(self) -> bool {
        !matches!(self, Self::Miss | Self::Fill)
    }

    /// Requests in one round, enough for rounds that differ by at most 1 %.
    pub(super) const fn requests(self) -> u32 {
        match self {
            Self::Hit | Self::HitToken | Self::HitPlaylist | Self::Http2Hit => 2000,
            Self::HitSegment | Self::Miss => 500,
            Self::Http2HitSegment => 100,
            Self::Fill => 4,
        }
    }

    /// Requests before the first round. A large body is copied into a file after some of them.
    pub(super) const fn warm_up(self) -> u32 {
        match self {
            Self::Fill => 2,
            _ => 100,
        }
    }

    /// The units in one round.
    pub(super) fn units(self) -> f64 {
        let per_request = if self == Self::Fill { 16 } else { 1 };
        f64::from(self.requests() * per_request)
    }

    /// Whether the site checks tokens.
    pub(super) const fn has_tokens(self) -> bool {
        matches!(self, Self::HitToken)
    }

    pub(super) fn connect(self, edge: SocketAddr) -> Result<Viewer> {
        Ok(match self {
            Self::Http2Hit | Self::Http2HitSegment => Viewer::Http2(Http2::connect(edge)?),
            _ => Viewer::Http1(Http1::connect(edge)?),
        })
    }
}

impl Viewer {
    /// Sends a request and reads the whole response. Returns the length of its body.
    pub(super) fn get(&mut self, path: &str) -> Result<usize> {
        match self {
            Self::Http1(connection) => connection.get(path),
            Self::Http2(connection) => connection.get(path),
        }
    }
}

impl fmt::Display for Case {
    /// The name in the record and in the names of profiles.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hit => "hit",
            Self::HitToken => "hit-token",
            Self::HitPlaylist => "hit-playlist",
            Self::HitSegment => "hit-segment",
            Self::Http2Hit => "http2-hit",
            Self::Http2HitSegment => "http2-hit-segment",
            Self::Miss => "miss",
            Self::Fill => "fill",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_names_a_case_as_it_is_displayed() {
        for case in Case::ALL {
            assert_eq!(serde_json::to_string(&case).unwrap(), format!("\"{case}\""));
        }
    }

    #[test]
    fn only_hits_request_one_object_repeatedly() {
        for case in Case::ALL {
            assert_eq!(case.path(1) == case.path(2), case.is_hit(), "{case}");
        }
    }
}
