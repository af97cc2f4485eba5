//! The part of a media playlist that a viewer needs.

use std::time::Duration;

/// One version of a live media playlist.
#[derive(Debug, PartialEq)]
pub(super) struct Media {
    pub(super) target: Duration,
    pub(super) segments: Vec<Segment>,
}

/// A segment of the playlist.
#[derive(Debug, PartialEq)]
pub(super) struct Segment {
    /// Its media sequence number.
    pub(super) number: u64,
    pub(super) uri: String,
    pub(super) duration: Duration,
}

impl Media {
    /// Parses `text`; `None` where it is not a media playlist with a segment.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        (lines.next() == Some("#EXTM3U")).then_some(())?;
        let (mut target, mut number, mut duration) = (None, 0, None);
        let mut segments = Vec::new();
        for line in lines {
            if let Some(seconds) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
                target = Some(Duration::from_secs(seconds.parse().ok()?));
            } else if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                number = first.parse().ok()?;
            } else if let Some(info) = line.strip_prefix("#EXTINF:") {
                let seconds = info.split(',').next()?.parse().ok()?;
                duration = Some(Duration::try_from_secs_f64(seconds).ok()?);
            } else if !line.is_empty() && !line.starts_with('#') {
                segments.push(Segment { number, uri: line.to_owned(), duration: duration.take()? });
                number += 1;
            }
        }
        (!segments.is_empty()).then_some(())?;
        Some(Self { target: target?, segments })
    }

    /// The number of its newest segment.
    pub(super) fn newest(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.number)
    }

    /// Where a viewer begins: three segments before the live edge.
    pub(super) fn beginning(&self) -> u64 {
        let before = self.segments.len().saturating_sub(3);
        self.segments.get(before).map_or(0, |segment| segment.number)
    }
}

/// Resolves `uri` against the playlist at `base`: a relative path or an absolute one.
pub(super) fn resolve(base: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{uri}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_numbered_and_a_viewer_begins_three_before_the_edge() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2.0,\n7.ts\n#EXTINF:2,\n8.ts\n\
                    #EXTINF:1.5,\n9.ts\n#EXTINF:2.0,\n10.ts\n";
        let media = Media::parse(text).unwrap();
        assert_eq!((media.newest(), media.beginning(), media.target), (10, 8, Duration::from_secs(2)));
        let last_but_one =
            Segment { number: 9, uri: "9.ts".to_owned(), duration: Duration::from_millis(1500) };
        assert_eq!(media.segments[2], last_but_one);
        assert_eq!(resolve("/live/one/index.m3u8", "9.ts"), "/live/one/9.ts");
        assert_eq!(resolve("/live/one/index.m3u8", "/9.ts"), "/9.ts");
    }

    #[test]
    fn a_text_without_segments_is_refused() {
        for text in [
            "",
            "noise",
            "#EXTM3U\n",
            "#EXTM3U\n#EXTINF:2,\n1.ts\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n1.ts\n",
        ] {
            assert_eq!(Media::parse(text), None, "{text:?}");
        }
    }
}
