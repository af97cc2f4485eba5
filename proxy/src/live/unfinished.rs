//! Playlists that were read while their encoder wrote them.
//!
//! Many encoders write a playlist in place, and many servers send the file as it is at that moment: its last
//! line may be half a URI. A playlist without a line break at its end is looked at again before it is
//! believed; until then the version before it is served. Some encoders never write that line break: once two
//! looks have shown that, a version of theirs is believed unless its last URI looks cut.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tidegate_hls::Media;
use tokio::time::Instant;

/// What is known of the ends of one playlist's versions.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A version without a line break at its end, and when it was first seen.
    doubtful: Option<(Bytes, Instant)>,
    /// The encoder writes no line break at the end.
    is_usual: bool,
}

impl Unfinished {
    /// Whether the version `media` with these bytes, received at `now`, can be believed.
    pub(crate) fn is_believed(&self, bytes: &Bytes, media: &Media, now: Instant) -> bool {
        let mut state = self.0.lock();
        if is_finished(bytes) || media.end_list {
            *state = State { doubtful: None, is_usual: state.is_usual && media.end_list };
            return true;
        }
        let believed = (state.is_usual && !looks_cut(media)) || state.is_confirmed_by(bytes, now);
        if believed {
            *state = State { doubtful: None, is_usual: true };
        } else {
            let doubtful = state.doubtful.take().filter(|(known, _)| !is_grown(bytes, known));
            state.doubtful = Some((bytes.clone(), doubtful.map_or(now, |(_, since)| since)));
        }
        believed
    }
}

impl State {
    /// Whether an earlier look shows that the encoder has finished: the same bytes are still there, or
    /// another version has come that ends in the same way.
    fn is_confirmed_by(&self, bytes: &Bytes, now: Instant) -> bool {
        self.doubtful.as_ref().is_some_and(|(known, since)| {
            !is_grown(bytes, known) && now.saturating_duration_since(*since) >= WRITTEN_WITHIN
        })
    }
}

/// Whether the encoder has written more of the same version.
fn is_grown(bytes: &[u8], known: &[u8]) -> bool {
    bytes.len() > known.len() && bytes.starts_with(known)
}

/// Whether the text ends with a line break.
pub(crate) fn is_finished(text: &[u8]) -> bool {
    text.ends_with(b"\n") || text.ends_with(b"\r")
}

/// Whether the last URI is shorter than the one before it. Numbers in names grow.
fn looks_cut(media: &Media) -> bool {
    let mut lengths =
        media.segments.iter().rev().map(|segment| segment.uri.as_ref().map_or(0, |uri| uri.len()));
    match (lengths.next(), lengths.next()) {
        (Some(last), Some(before)) => last < before,
        _ => true,
    }
}

/// An encoder has written a playlist within this time.
const WRITTEN_WITHIN: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_hls::Playlist;

    use super::*;

    fn version(first: u64, cut: usize) -> (Bytes, Arc<Media>) {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXTINF:2,\n{first}.ts\n#EXTINF:2,\n{}.ts\n",
            first + 1
        );
        let text = Bytes::copy_from_slice(&text.as_bytes()[..text.len() - cut]);
        let media = Playlist::parse(&text).unwrap().as_media().map(Arc::clone).unwrap();
        (text, media)
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_playlist_without_a_line_break_is_believed_at_the_second_look() {
        let (unfinished, start) = (Unfinished::default(), Instant::now());
        let believed =
            |(text, media): (Bytes, Arc<Media>), at| unfinished.is_believed(&text, &media, start + MS * at);
        assert!(believed(version(10, 0), 0));
        assert!(!believed(version(11, 3), 2_000));
        assert!(!believed(version(11, 3), 2_100), "it may still be written");
        assert!(!believed(version(11, 1), 2_400), "it has grown");
        assert!(believed(version(11, 0), 2_500));
        assert!(!believed(version(12, 1), 4_000));
        assert!(believed(version(12, 1), 4_300));
        assert!(believed(version(13, 1), 6_000), "that is how it always ends");
        assert!(!believed(version(14, 3), 8_000), "the last URI looks cut");
        assert!(believed(version(14, 1), 8_100));
        assert!(believed(version(15, 0), 10_000));
        assert!(!believed(version(16, 1), 12_000));
    }

    #[test]
    fn versions_that_change_faster_than_they_are_looked_at_are_believed_too() {
        let (unfinished, start) = (Unfinished::default(), Instant::now());
        let looks = [0, 200, 400, 600].map(|at| {
            let (text, media) = version(100 + at, 1);
            unfinished.is_believed(&text, &media, start + MS * u32::try_from(at).unwrap())
        });
        assert!(looks.contains(&true), "{looks:?}");
    }

    #[test]
    fn the_end_of_a_playlist_needs_no_line_break() {
        let text = Bytes::from_static(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST");
        let media = Playlist::parse(&text).unwrap().as_media().map(Arc::clone).unwrap();
        assert!(Unfinished::default().is_believed(&text, &media, Instant::now()));
    }
}
