//! Playlists whose segments leave the list without being counted.
//!
//! Without EXT-X-MEDIA-SEQUENCE the first listed segment has the number 0 (HLS section 4.4.3.2). Some servers
//! leave the tag out, or write the same number always, and remove segments all the same. The versions of such
//! a playlist cannot be compared: each one is served as it comes, and no request blocks for the next one.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_hls::{Counting, Media};

/// Whether segments leave a playlist without being counted.
#[derive(Debug, Default)]
pub(crate) struct Sliding(AtomicBool);

impl Sliding {
    /// Judges a version by the newest one before it.
    pub(crate) fn is_seen(&self, newest: Option<&Media>, media: &Media) -> bool {
        let is_uncounted = !media.end_list && newest.is_none_or(|newest| counts_as(newest, media));
        if is_uncounted && newest.is_some_and(|newest| has_slid(newest, media)) {
            self.0.store(true, Ordering::Relaxed);
        } else if !is_uncounted {
            self.0.store(false, Ordering::Relaxed);
        }
        self.is_known()
    }

    /// Whether that was seen.
    pub(crate) fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the first segment has the same number as before.
fn counts_as(known: &Media, media: &Media) -> bool {
    match media.counting {
        Counting::Implied => true,
        Counting::Declared => media.media_sequence == known.media_sequence,
        Counting::Unknown => false,
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
            ("#EXT-X-MEDIA-SEQUENCE:0\n", ["b", "c", "d"], true),
        ] {
            let sliding = Sliding::default();
            assert_eq!(sliding.is_seen(Some(&known), &media(head, names)), expected, "{head}{names:?}");
            assert_eq!(
                sliding.is_seen(Some(&known), &media("", ["p", "q", "r"])),
                expected,
                "it is remembered"
            );
            let counted = media("#EXT-X-MEDIA-SEQUENCE:9\n", ["b", "c", "d"]);
            assert!(!sliding.is_seen(Some(&known), &counted) && !sliding.is_known(), "until it counts");
        }
    }
}
