//! Playlists whose segments leave the list without being counted.
//!
//! Without EXT-X-MEDIA-SEQUENCE the first listed segment has the number 0 (HLS section 4.4.3.2). Some servers
//! leave the tag out and remove segments all the same. The versions of such a playlist cannot be compared:
//! each one is served as it comes.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_hls::{Counting, Media};

/// Whether segments leave a playlist without being counted.
#[derive(Debug, Default)]
pub(crate) struct Sliding(AtomicBool);

impl Sliding {
    /// Judges a version by the newest one before it.
    pub(crate) fn is_seen(&self, newest: Option<&Media>, media: &Media) -> bool {
        let is_uncounted = media.counting == Counting::Implied && !media.end_list;
        if is_uncounted && newest.is_some_and(|newest| has_slid(newest, media)) {
            self.0.store(true, Ordering::Relaxed);
        }
        is_uncounted && self.0.load(Ordering::Relaxed)
    }
}

/// Whether a later segment of the known list is the first one now.
fn has_slid(known: &Media, media: &Media) -> bool {
    let Some(first) = media.segments.first().and_then(|segment| segment.uri.as_ref()) else { return false };
    let mut listed = known.segments.iter().map(|segment| segment.uri.as_ref());
    listed.next().flatten() != Some(first) && listed.any(|uri| uri == Some(first))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_hls::Playlist;

    use super::*;

    fn media(head: &str, names: [&str; 3]) -> Arc<Media> {
        let segments = names.map(|name| format!("#EXTINF:2,\n{name}\n")).concat();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}{segments}");
        Playlist::parse(text.as_bytes()).unwrap().as_media().map(Arc::clone).unwrap()
    }

    #[test]
    fn a_list_without_numbers_slides_when_a_later_segment_is_the_first() {
        let known = media("", ["a", "b", "c"]);
        for (head, names, expected) in [
            ("", ["b", "c", "d"], true),
            ("", ["c", "d", "e"], true),
            ("", ["a", "b", "c"], false),
            ("", ["x", "y", "z"], false),
            ("#EXT-X-MEDIA-SEQUENCE:1\n", ["b", "c", "d"], false),
        ] {
            let sliding = Sliding::default();
            assert_eq!(sliding.is_seen(Some(&known), &media(head, names)), expected, "{head}{names:?}");
            assert_eq!(sliding.is_seen(None, &media("", ["p", "q", "r"])), expected, "it is remembered");
        }
    }
}
