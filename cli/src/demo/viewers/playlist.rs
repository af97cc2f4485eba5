//! The part of a playlist that a synthetic viewer needs: renditions, segments, durations.
//!
//! Tags that the viewer does not need are skipped, as RFC 8216 section 6.3.1 requires of clients.

use std::time::Duration;

/// One parsed playlist.
#[derive(Debug, PartialEq)]
pub(super) enum Playlist {
    /// The renditions of a stream, as URIs relative to this playlist.
    Multivariant(Vec<String>),
    /// One rendition.
    Media(Media),
}

/// One version of a media playlist.
#[derive(Debug, PartialEq)]
pub(super) struct Media {
    pub(super) target_duration: Duration,
    pub(super) segments: Vec<Segment>,
    pub(super) ended: bool,
}

/// One segment of a media playlist.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    /// Its media sequence number.
    pub(super) number: u64,
    pub(super) uri: String,
    pub(super) duration: Duration,
    /// The initialization section in force, if any.
    pub(super) map: Option<String>,
}

/// Why a text is not a playlist.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum Malformed {
    #[error("the first line is not #EXTM3U")]
    Header,
    #[error("more than {LINES_MAX} lines")]
    TooLong,
    #[error("line {0} cannot be read")]
    Line(usize),
    #[error("a media playlist without #EXT-X-TARGETDURATION")]
    NoTargetDuration,
}

impl Playlist {
    /// Parses `text`; a playlist with `#EXT-X-STREAM-INF` is a multivariant one.
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = text.lines().map(str::trim).enumerate();
        if lines.next().map(|(_, line)| line.trim_start_matches('\u{feff}')) != Some("#EXTM3U") {
            return Err(Malformed::Header);
        }
        let mut reading = Reading::default();
        for (index, line) in lines {
            if index >= LINES_MAX {
                return Err(Malformed::TooLong);
            }
            reading.line(line).ok_or(Malformed::Line(index + 1))?;
        }
        reading.finish()
    }
}

impl Media {
    /// The media sequence number that follows the last segment.
    pub(super) fn next_number(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.number.saturating_add(1))
    }

    /// Where a viewer starts: three segments before the live edge (RFC 8216 section 6.3.3), or at the
    /// beginning.
    pub(super) fn first_number(&self) -> Option<u64> {
        let skipped = if self.ended { 0 } else { self.segments.len().saturating_sub(LIVE_EDGE_SEGMENTS) };
        self.segments.get(skipped).map(|segment| segment.number)
    }
}

/// The state after the lines so far.
#[derive(Default)]
struct Reading {
    renditions: Vec<String>,
    segments: Vec<Segment>,
    target_duration: Option<Duration>,
    media_sequence: u64,
    ended: bool,
    map: Option<String>,
    expects_rendition: bool,
    duration: Option<Duration>,
}

impl Reading {
    /// Parses one line; `None` when it is invalid.
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
            self.target_duration = Some(Duration::from_secs(value.parse().ok()?));
        } else if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            self.media_sequence = value.parse().ok()?;
        } else if let Some(value) = line.strip_prefix("#EXTINF:") {
            self.duration = Some(seconds(value.split(',').next()?)?);
        } else if let Some(attributes) = line.strip_prefix("#EXT-X-MAP:") {
            self.map = Some(quoted(attributes, "URI=")?);
        } else if line.starts_with("#EXT-X-STREAM-INF:") {
            self.expects_rendition = true;
        } else if line == "#EXT-X-ENDLIST" {
            self.ended = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            self.uri(line);
        }
        Some(())
    }

    fn uri(&mut self, uri: &str) {
        if std::mem::take(&mut self.expects_rendition) {
            self.renditions.push(uri.to_owned());
        } else if let Some(duration) = self.duration.take() {
            let number = self.media_sequence.saturating_add(self.segments.len() as u64);
            self.segments.push(Segment { number, uri: uri.to_owned(), duration, map: self.map.clone() });
        }
    }

    fn finish(self) -> Result<Playlist, Malformed> {
        if !self.renditions.is_empty() {
            return Ok(Playlist::Multivariant(self.renditions));
        }
        let target_duration = self.target_duration.ok_or(Malformed::NoTargetDuration)?;
        Ok(Playlist::Media(Media { target_duration, segments: self.segments, ended: self.ended }))
    }
}

/// Resolves `reference` against the path of the playlist that names it (RFC 3986 section 5.2), as a path with
/// its query.
///
/// `None` for a reference to another host: a synthetic viewer stays with its edge.
pub(super) fn resolve(base: &str, reference: &str) -> Option<String> {
    if reference.starts_with("//") || reference.split(['/', '?', '#']).next()?.contains(':') {
        return None;
    }
    let reference = reference.split('#').next()?;
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let folder = base.split('?').next()?.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let path = format!("/{}", parts.join("/"));
    Some(query.map_or_else(|| path.clone(), |query| format!("{path}?{query}")))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

/// The quoted value of the attribute that starts with `name`, which ends in `=`.
fn quoted(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(name)?;
    rest.strip_prefix('"')?.split('"').next().map(str::to_owned)
}

const LINES_MAX: usize = 50_000;
const LIVE_EDGE_SEGMENTS: usize = 3;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn media(text: &str) -> Media {
        match Playlist::parse(text) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("not a media playlist: {other:?}"),
        }
    }

    #[test]
    fn a_multivariant_playlist_gives_its_renditions_in_order() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a,b\"\nlow.m3u8\n\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2\n# a comment\nhigh/index.m3u8?x=1\n";
        let renditions = vec!["low.m3u8".to_owned(), "high/index.m3u8?x=1".to_owned()];
        assert_eq!(Playlist::parse(text), Ok(Playlist::Multivariant(renditions)));
    }

    #[test]
    fn segments_are_numbered_from_the_media_sequence_and_have_their_map() {
        let media = media(
            "#EXTM3U\r\n#EXT-X-TARGETDURATION:2\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n#EXT-X-MAP:URI=\"init.mp4\"\r\n\
             #EXTINF:2.000,\r\ns7.m4s\r\n#EXTINF:1.5,title\r\ns8.m4s\r\n",
        );
        assert_eq!(media.target_duration, Duration::from_secs(2));
        assert_eq!(media.next_number(), Some(9));
        assert!(!media.ended);
        let last = media.segments.last().unwrap();
        assert_eq!((last.number, last.uri.as_str()), (8, "s8.m4s"));
        assert_eq!(last.duration, Duration::from_millis(1500));
        assert_eq!(last.map.as_deref(), Some("init.mp4"));
    }

    #[test]
    fn a_viewer_starts_three_segments_before_the_live_edge_or_at_the_beginning_of_an_ended_playlist() {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:10\n".to_owned();
        for index in 0..6 {
            write!(text, "#EXTINF:2,\n{index}.ts\n").unwrap();
        }
        assert_eq!(media(&text).first_number(), Some(13));
        text.push_str("#EXT-X-ENDLIST\n");
        assert_eq!(media(&text).first_number(), Some(10));
    }

    #[test]
    fn an_invalid_playlist_is_refused_with_its_reason() {
        assert_eq!(Playlist::parse("<html>"), Err(Malformed::Header));
        assert_eq!(Playlist::parse(""), Err(Malformed::Header));
        assert_eq!(Playlist::parse("#EXTM3U\n"), Err(Malformed::NoTargetDuration));
        assert_eq!(Playlist::parse("#EXTM3U\n#EXTINF:soon,\n"), Err(Malformed::Line(2)));
        assert_eq!(Playlist::parse("#EXTM3U\n#EXTINF:-1,\n"), Err(Malformed::Line(2)));
        let long = format!("#EXTM3U\n{}", "\n".repeat(LINES_MAX + 1));
        assert_eq!(Playlist::parse(&long), Err(Malformed::TooLong));
    }

    #[test]
    fn references_resolve_against_the_playlist_and_stay_on_its_host() {
        let base = "/live/ch1/master.m3u8?token=1";
        let cases = [
            ("low.m3u8", Some("/live/ch1/low.m3u8")),
            ("v/low.m3u8?a=../b", Some("/live/ch1/v/low.m3u8?a=../b")),
            ("../x/./y.ts", Some("/live/x/y.ts")),
            ("../../../../y.ts", Some("/y.ts")),
            ("/root.ts#part", Some("/root.ts")),
            ("//elsewhere/x.ts", None),
            ("http://elsewhere/x.ts", None),
            ("a?b=http://c", Some("/live/ch1/a?b=http://c")),
        ];
        for (reference, expected) in cases {
            assert_eq!(resolve(base, reference).as_deref(), expected, "{reference}");
        }
    }
}
