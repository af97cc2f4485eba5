//! The kind of object that a name or a content type indicates.

/// The kind of object, as far as its lifetime depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A multivariant or media playlist: the part of a live stream that changes.
    Playlist,
    /// A media segment or part of one.
    Segment,
    /// A media initialisation section (EXT-X-MAP).
    Init,
    /// Anything else: keys, thumbnails, a player's page. Only HTTP sets their lifetime.
    Other,
}

impl Kind {
    /// Guesses from the last segment of a path: its extension, in any case.
    ///
    /// The guess costs nothing; the content type and the bytes may correct it later.
    pub fn of_path(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some((stem, extension)) = name.rsplit_once('.') else { return Self::Other };
        let is = |known: &[&str]| known.iter().any(|k| extension.eq_ignore_ascii_case(k));
        if is(PLAYLISTS) {
            Self::Playlist
        } else if is(FRAGMENTED) && names_an_init_section(stem) {
            Self::Init
        } else if is(FRAGMENTED) || is(SEGMENTS) {
            Self::Segment
        } else {
            Self::Other
        }
    }

    /// Reads a `Content-Type` value; parameters and letter case do not matter.
    ///
    /// Segments and initialisation sections share their types, so [`Kind::Init`] never comes from here.
    pub fn of_content_type(value: &str) -> Self {
        let essence = value.split(';').next().unwrap_or(value).trim();
        let is = |known: &[&str]| known.iter().any(|k| essence.eq_ignore_ascii_case(k));
        if is(PLAYLIST_TYPES) {
            Self::Playlist
        } else if is(SEGMENT_TYPES) || MEDIA_TYPES.iter().any(|media| begins_with(essence, media)) {
            Self::Segment
        } else {
            Self::Other
        }
    }

    /// The word for it in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Init => "init",
            Self::Other => "other",
        }
    }
}

fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Packagers name initialisation sections `init.mp4`, `init-0.m4s`, `init_1080p.mp4`, `video_init.mp4` and
/// the like; a name in which `init` is only the beginning of a longer word does not count.
fn names_an_init_section(stem: &str) -> bool {
    stem.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.eq_ignore_ascii_case("init"))
}

const PLAYLISTS: &[&str] = &["m3u8", "m3u"];
const FRAGMENTED: &[&str] = &["m4s", "mp4", "m4v", "m4a", "m4f", "fmp4", "cmfv", "cmfa", "cmft"];
const SEGMENTS: &[&str] = &[
    "ts", "m2ts", "mts", "mpg", "mpeg", "webm", "aac", "ac3", "ac-3", "ec3", "ec-3", "ac4", "mp2", "mp3",
    "opus", "ogg", "flac", "vtt", "webvtt", "ttml",
];

/// The first is the registered type (section 10); the others are what servers send in practice.
const PLAYLIST_TYPES: &[&str] =
    &["application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"];
/// Whatever is video or audio and no playlist is a segment, and so are these.
const SEGMENT_TYPES: &[&str] = &["text/vtt", "application/mp4", "application/ttml+xml"];
const MEDIA_TYPES: &[&str] = &["video/", "audio/"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_determines_the_kind() {
        for (path, kind) in [
            ("/live/master.m3u8", Kind::Playlist),
            ("/live/MASTER.M3U8", Kind::Playlist),
            ("/live/list.m3u", Kind::Playlist),
            ("/live/1.ts", Kind::Segment),
            ("/live/1.m4s", Kind::Segment),
            ("/live/1.vtt", Kind::Segment),
            ("/live/1.M2TS", Kind::Segment),
            ("/live/init.fmp4", Kind::Init),
            ("/live/init.mp4", Kind::Init),
            ("/live/init-0.m4s", Kind::Init),
            ("/live/video_init.mp4", Kind::Init),
            ("/live/initial.mp4", Kind::Segment),
            ("/live/init.ts", Kind::Segment),
            ("/live/key.bin", Kind::Other),
            ("/live.m3u8/index", Kind::Other),
            ("/", Kind::Other),
        ] {
            assert_eq!(Kind::of_path(path), kind, "{path}");
        }
    }

    #[test]
    fn the_content_type_determines_the_kind() {
        for (value, kind) in [
            ("application/vnd.apple.mpegurl", Kind::Playlist),
            ("Application/X-MpegURL; charset=utf-8", Kind::Playlist),
            ("audio/mpegurl", Kind::Playlist),
            ("video/MP2T", Kind::Segment),
            ("Video/webm", Kind::Segment),
            ("audio/ogg; codecs=opus", Kind::Segment),
            ("text/vtt ; charset=utf-8", Kind::Segment),
            ("text/html", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of_content_type(value), kind, "{value}");
        }
    }
}
