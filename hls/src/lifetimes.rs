//! How long a response may be reused, from what HLS guarantees about it (appendix B.1).

use std::time::Duration;

use crate::{Directives, Kind, Playlist, PlaylistType};

/// How long responses may be reused, where HLS defines it. HTTP may define it too;
/// `tidegate_cache::freshness` decides which of the two wins.
///
/// The multiples of the target duration are those of appendix B.1 and are not configurable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    /// A multivariant playlist. It changes only when the encoder's setup changes. One minute bounds the delay
    /// until a new rendition is visible, at one request per minute.
    pub multivariant: Duration,
    /// A media playlist of type VOD that has ended: it must not change (section 4.4.3.5). Without
    /// EXT-X-ENDLIST it lives as a live one does: some servers write the type while they record.
    pub vod: Duration,
    /// A media playlist that has ended and is not of type VOD, an event included. A live channel that stops
    /// writes EXT-X-ENDLIST too, and may start again under the same name: viewers must not see it as ended
    /// for an hour.
    pub ended: Duration,
    /// Segments and initialisation sections, which do not change under their name (section 6.2.1). Not a
    /// year: an encoder that restarts reuses names.
    pub segment: Duration,
    /// Minimum lifetime of a live playlist, for target durations that are rounded down to zero.
    pub live_min: Duration,
    /// Maximum lifetime of a playlist that may change at any moment
    /// ([`Playlist::is_unpredictable`]).
    pub unpredictable: Duration,
    /// The target duration where none is known: for segments, and for a playlist that could not be fetched.
    pub target_assumed: Duration,
    /// Maximum lifetime of a response that reports a failing server (429, 5xx). A failure can end at any
    /// time: the lifetime keeps a crowd from requesting all together, and must not show the error for longer
    /// than needed.
    pub failure: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            multivariant: Duration::from_mins(1),
            vod: Duration::from_hours(1),
            ended: Duration::from_secs(10),
            segment: Duration::from_mins(10),
            live_min: Duration::from_millis(100),
            unpredictable: Duration::from_secs(2),
            target_assumed: Duration::from_secs(2),
            failure: Duration::from_secs(1),
        }
    }
}

impl Lifetimes {
    /// How long a response with this status may be reused; `None` where HLS does not define it.
    ///
    /// `playlist` is the parsed body if it is a playlist. For an error it is the last known version of the
    /// requested playlist, if there is one: only its target duration counts then.
    pub fn of(
        &self,
        kind: Kind,
        playlist: Option<&Playlist>,
        status: u16,
        directives: &Directives,
    ) -> Option<Duration> {
        match (status, kind, playlist) {
            (_, Kind::Other, None) => None,
            (200, _, Some(playlist)) => Some(self.of_playlist(playlist, directives)),
            (200, Kind::Segment | Kind::Init, None) => Some(self.segment),
            (429 | 500.., ..) => Some(self.failure.min(self.target(playlist))),
            // A missing playlist that was requested by blocking reload: 4 target durations. Everything else
            // that is missing or refused: 1.
            (400.., Kind::Playlist, _) if directives.blocks() => Some(self.target(playlist) * 4),
            (400.., ..) => Some(self.target(playlist)),
            _ => None,
        }
    }

    fn of_playlist(&self, playlist: &Playlist, directives: &Directives) -> Duration {
        match playlist {
            Playlist::Multivariant(_) => self.multivariant,
            Playlist::Untagged => self.unpredictable,
            Playlist::Media(media) if media.end_list => match media.playlist_type {
                Some(PlaylistType::Vod) => self.vod,
                _ => self.ended,
            },
            Playlist::Media(media) if !media.is_numbered() => {
                media.clamped_target_duration().min(self.unpredictable)
            }
            // The response to a blocking request is final for the requested version: 6 target durations. Only
            // a response that satisfies the request counts, though: a server that ignores the directives
            // sends its present version.
            Playlist::Media(media) if directives.blocks() && media.satisfies(directives) => {
                (media.target_duration * 6).max(self.live_min)
            }
            // Half a target duration, which bounds how far a viewer is behind the origin.
            Playlist::Media(media) => (media.target_duration / 2).max(self.live_min),
        }
    }

    fn target(&self, playlist: Option<&Playlist>) -> Duration {
        playlist
            .and_then(Playlist::as_media)
            .map_or(self.target_assumed, |media| media.target_duration.max(self.live_min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Directives = Directives { msn: None, part: None, skip: None };

    fn msn(msn: u64) -> Directives {
        Directives { msn: Some(msn), ..PLAIN }
    }

    fn playlist(body: &str) -> Playlist {
        Playlist::parse(format!("#EXTM3U\n{body}").as_bytes()).unwrap()
    }

    /// Target duration 6 s, newest segment 11.
    fn live() -> Playlist {
        playlist("#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:10\n#EXTINF:6,\na\n#EXTINF:6,\nb\n")
    }

    fn of(kind: Kind, playlist: Option<&Playlist>, status: u16, directives: Directives) -> Option<u64> {
        let lifetime = Lifetimes::default().of(kind, playlist, status, &directives)?;
        Some(u64::try_from(lifetime.as_millis()).unwrap())
    }

    /// Appendix B.1, like all that follow.
    #[test]
    fn a_live_playlist_lives_half_a_target_duration() {
        assert_eq!(of(Kind::Playlist, Some(&live()), 200, PLAIN), Some(3_000));
    }

    #[test]
    fn the_response_to_a_blocking_request_lives_six_target_durations() {
        assert_eq!(of(Kind::Playlist, Some(&live()), 200, msn(11)), Some(36_000));
    }

    #[test]
    fn a_playlist_that_does_not_satisfy_the_blocking_request_lives_like_any_other() {
        assert_eq!(of(Kind::Playlist, Some(&live()), 200, msn(12)), Some(3_000));
    }

    #[test]
    fn a_vod_lives_long_and_an_ended_channel_does_not() {
        let list = "#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na\n";
        let vod = playlist(&format!("#EXT-X-PLAYLIST-TYPE:VOD\n{list}#EXT-X-ENDLIST\n"));
        let event = playlist(&format!("#EXT-X-PLAYLIST-TYPE:EVENT\n{list}"));
        let ended_event = playlist(&format!("#EXT-X-PLAYLIST-TYPE:EVENT\n{list}#EXT-X-ENDLIST\n"));
        let ended = playlist(&format!("{list}#EXT-X-ENDLIST\n"));
        let multivariant = playlist("#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n");
        for (playlist, expected) in [
            (&vod, 3_600_000),
            (&event, 3_000),
            (&ended_event, 10_000),
            (&ended, 10_000),
            (&multivariant, 60_000),
        ] {
            assert_eq!(of(Kind::Playlist, Some(playlist), 200, PLAIN), Some(expected));
            assert_eq!(of(Kind::Other, Some(playlist), 200, PLAIN), Some(expected));
        }
    }

    #[test]
    fn segments_and_init_sections_live_ten_minutes() {
        assert_eq!(of(Kind::Segment, None, 200, PLAIN), Some(600_000));
        assert_eq!(of(Kind::Init, None, 200, PLAIN), Some(600_000));
    }

    #[test]
    fn a_missing_object_is_remembered_for_one_target_duration_or_four() {
        let live = live();
        assert_eq!(of(Kind::Playlist, Some(&live), 404, PLAIN), Some(6_000));
        assert_eq!(of(Kind::Playlist, Some(&live), 404, msn(12)), Some(24_000));
        assert_eq!(of(Kind::Playlist, None, 404, PLAIN), Some(2_000));
        assert_eq!(of(Kind::Segment, None, 404, PLAIN), Some(2_000));
    }

    #[test]
    fn a_failure_is_remembered_for_one_second() {
        for status in [429, 500, 502, 503] {
            assert_eq!(of(Kind::Playlist, Some(&live()), status, msn(12)), Some(1_000), "{status}");
        }
    }

    #[test]
    fn hls_defines_no_lifetime_for_other_objects() {
        assert_eq!(of(Kind::Other, None, 200, PLAIN), None);
        assert_eq!(of(Kind::Other, None, 404, PLAIN), None);
        assert_eq!(of(Kind::Playlist, None, 200, PLAIN), None);
        assert_eq!(of(Kind::Segment, None, 206, PLAIN), None);
        assert_eq!(of(Kind::Playlist, None, 302, PLAIN), None);
    }

    #[test]
    fn a_target_duration_of_zero_still_gives_a_lifetime() {
        let short = playlist("#EXT-X-TARGETDURATION:0\n#EXTINF:0.4,\na\n");
        assert_eq!(of(Kind::Playlist, Some(&short), 200, PLAIN), Some(100));
        assert_eq!(of(Kind::Playlist, Some(&short), 200, msn(0)), Some(100));
        assert_eq!(of(Kind::Playlist, Some(&short), 404, PLAIN), Some(100));
    }
}
