//! The links of a playlist to its own site, for a node that adds a token to them when it sends the
//! playlist.
//!
//! The places are found once per version. To add a token is to copy the playlist around these places.

use crate::lines::lines;
use crate::playlist::Variables;
use crate::reference::split_authority;

/// The places in a playlist at which its URIs take an addition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(Vec<Link>);

/// Text that is added to each link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition<'a> {
    /// A query parameter, `name=value`.
    Parameter(&'a str),
    /// The first components of the path, `/name`. Relative URIs have them already.
    Path(&'a str),
}

/// One URI.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    /// Where the path begins, if the URI has all of it.
    path_at: Option<usize>,
    /// Where a query parameter is added.
    query_at: usize,
    has_query: bool,
    /// The host, perhaps with a port, if the URI names one.
    authority: Option<Box<str>>,
}

impl Links {
    /// Finds the links of a playlist. URIs of other schemes are left out, and those that browsers might
    /// read as URIs of another host.
    pub fn of(playlist: &[u8]) -> Self {
        let mut variables = Variables::default();
        let (mut links, mut start) = (Vec::new(), 0);
        for line in lines(playlist) {
            if line.name() == b"#EXT-X-DEFINE" {
                variables.define(line);
            }
            for (from, to) in super::uris::uris(line.text()) {
                let uri = line.raw.get(from..to).and_then(|uri| std::str::from_utf8(uri).ok());
                links.extend(uri.and_then(|uri| Link::of(uri, start + from, &mut variables)));
            }
            start += line.raw.len();
        }
        Self(links)
    }

    /// The playlist with the addition to all links to its own site: those without a host, and those to
    /// `host`, which is the Host field of the request. `None` if there are none.
    pub fn extend(&self, playlist: &[u8], host: &str, addition: Addition<'_>) -> Option<Vec<u8>> {
        let is_own = |link: &&Link| link.authority.as_deref().is_none_or(|own| is_same_host(own, host));
        let place = |link: &Link| match addition {
            Addition::Path(_) => link.path_at.map(|at| (at, "")),
            Addition::Parameter(_) => Some((link.query_at, if link.has_query { "&" } else { "?" })),
        };
        let (Addition::Path(text) | Addition::Parameter(text)) = addition;
        let mut places = self.0.iter().filter(is_own).filter_map(place).peekable();
        places.peek()?;
        let mut out = Vec::with_capacity(playlist.len() + self.0.len() * (text.len() + 1));
        let mut copied = 0;
        for (at, separator) in places {
            out.extend_from_slice(playlist.get(copied..at)?);
            out.extend_from_slice(separator.as_bytes());
            out.extend_from_slice(text.as_bytes());
            copied = at;
        }
        out.extend_from_slice(playlist.get(copied..)?);
        Some(out)
    }

    /// The number of links.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no links.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Link {
    /// The link that `raw` is, which begins at `start` of the playlist.
    fn of(raw: &str, start: usize, variables: &mut Variables) -> Option<Self> {
        let resolved = variables.resolve(raw)?;
        let uri = resolved.trim();
        // Browsers remove control characters, and read a backslash as a slash: `/\host` is another host.
        let is_ambiguous = |byte: u8| byte.is_ascii_control() || byte == b'\\';
        if uri.is_empty() || uri.starts_with('#') || uri.bytes().any(is_ambiguous) {
            return None;
        }
        let (authority, path) = split_authority(uri)?;
        let has_scheme = uri.split(['/', '?', '#']).next().unwrap_or_default().contains(':');
        if (has_scheme && authority.is_none()) || authority.is_some_and(|authority| authority.contains('@')) {
            return None;
        }
        let before_fragment = |text: &str| text.find('#').unwrap_or(text.len());
        let query_at = before_fragment(raw.trim_end());
        let path_at = if resolved == raw {
            let at = raw.len() - raw.trim_start().len() + uri.len() - path.len();
            (authority.is_some() || path.starts_with('/')).then_some(at)
        } else {
            // The value of a variable has the beginning of the path, or the playlist has.
            raw.starts_with('/').then_some(0)
        };
        Some(Self {
            path_at: path_at.map(|at| start + at),
            query_at: start + query_at,
            has_query: uri.get(..before_fragment(uri))?.contains('?'),
            authority: authority.map(Into::into),
        })
    }
}

/// Whether two authorities are one server. The default ports are one: a listener for TLS may be in front.
fn is_same_host(one: &str, other: &str) -> bool {
    let split = |authority: &str| {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
            _ => (authority, ""),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        (host, if matches!(port, "80" | "443") { String::new() } else { port.to_owned() })
    };
    split(one) == split(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_parameter(playlist: &str) -> String {
        let links = Links::of(playlist.as_bytes());
        let extended = links.extend(playlist.as_bytes(), "live.example", Addition::Parameter("t=1"));
        extended.map_or_else(|| playlist.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    fn with_path(playlist: &str) -> String {
        let links = Links::of(playlist.as_bytes());
        let extended = links.extend(playlist.as_bytes(), "live.example:443", Addition::Path("/~t"));
        extended.map_or_else(|| playlist.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn links_of_all_tags_take_a_parameter() {
        let playlist = "#EXTM3U\r\n\
            #EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"u\"\r\n\
            #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"u\"\r\n\
            #EXT-X-CONTENT-STEERING:SERVER-URI=\"u\",PATHWAY-ID=\"A\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO, URI=\"u\"\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"u\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\nu\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"u\",IV=0x1\n\
            #EXT-X-MAP:URI=\"u\",BYTERANGE=\"1@0\"\n\
            #EXT-X-PART:DURATION=1,URI=\"u\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"u\"\n\
            #EXT-X-RENDITION-REPORT:URI=\"u\",LAST-MSN=1\n\
            #EXT-X-DATERANGE:ID=\"i\",X-ASSET-URI=\"u\",X-OTHER=\"u\"\n\
            #EXTINF:2,title\n  u \n#URI=\"u\"\n";
        let expected = playlist
            .replace("URI=\"u\"", "URI=\"u?t=1\"")
            .replace("\nu\n", "\nu?t=1\n")
            .replace("  u ", "  u?t=1 ")
            .replace("#URI=\"u?t=1\"", "#URI=\"u\"");
        assert_eq!(with_parameter(playlist), expected);
        assert_eq!(Links::of(playlist.as_bytes()).len(), 13);
        assert_eq!(with_path(playlist), playlist);
    }

    #[test]
    fn only_links_to_the_own_site_take_it() {
        for (uri, with_parameter_, with_path_) in [
            ("a/b.ts", "a/b.ts?t=1", "a/b.ts"),
            ("../b.ts?x=1#f?", "../b.ts?x=1&t=1#f?", "../b.ts?x=1#f?"),
            ("b.ts#f?", "b.ts?t=1#f?", "b.ts#f?"),
            ("/b.ts?", "/b.ts?&t=1", "/~t/b.ts?"),
            ("?x", "?x&t=1", "?x"),
            ("//live.example/b.ts", "//live.example/b.ts?t=1", "//live.example/~t/b.ts"),
            (
                "https://LIVE.example.:443/b",
                "https://LIVE.example.:443/b?t=1",
                "https://LIVE.example.:443/~t/b",
            ),
            ("http://live.example", "http://live.example?t=1", "http://live.example/~t"),
        ] {
            let playlist = |uri: &str| format!("#EXTM3U\n#EXTINF:2,\n{uri}\n");
            assert_eq!(with_parameter(&playlist(uri)), playlist(with_parameter_), "{uri}");
            assert_eq!(with_path(&playlist(uri)), playlist(with_path_), "{uri}");
        }
        for uri in [
            "https://other.example/b.ts",
            "//other.example/b.ts",
            "http://live.example:8080/b.ts",
            "http://live.example@other.example/",
            "http://live.example.other.example/",
            "https:other.example/",
            "/\\other.example/b.ts",
            "\\\\other.example/b.ts",
            "/\t/other.example/b.ts",
            "data:text/plain,1",
            "skd://key",
            "#fragment",
            "{$unknown}/b.ts",
        ] {
            let playlist = format!("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"\n");
            assert_eq!(with_parameter(&playlist), playlist, "{uri}");
            assert_eq!(with_path(&playlist), playlist, "{uri}");
        }
    }

    #[test]
    fn a_variable_is_read_where_the_playlist_defines_it() {
        let playlist = |own: &str, foreign: &str| {
            format!(
                "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"https://live.example/x\"\n\
                 #EXT-X-DEFINE:NAME=\"b\",VALUE=\"//other.example\"\n#EXTINF:2,\n{{$a}}/1.ts{own}\n\
                 #EXTINF:2,\n{{$b}}/1.ts{foreign}\n"
            )
        };
        assert_eq!(with_parameter(&playlist("", "")), playlist("?t=1", ""));
    }

    proptest! {
        #[test]
        fn all_other_bytes_stay(text in r#"(#EXTM3U|#EXT-X-[A-Z]{1,4}:|URI="|"|[a-z:/?#{$}\\@. ]|\n|\r){0,60}"#) {
            let (extended, count) = (with_parameter(&text), Links::of(text.as_bytes()).len());
            prop_assert!(extended.len() <= text.len() + count * 4);
            if !text.contains("t=1") {
                prop_assert_eq!(extended.replace("?t=1", "").replace("&t=1", ""), text);
            }
        }
    }
}
