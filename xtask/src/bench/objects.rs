//! The requested objects: playlists and segments of the sizes in live streams, and some larger ones.

use std::path::Path;

use anyhow::Result;

/// A cached object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// A media playlist of 1 KiB. It is that of a finished recording, so that it stays fresh during any
    /// measurement.
    Playlist,
    /// A part of little audio.
    Part,
    /// A part, or one second of audio.
    Least,
    /// Two seconds of a low rendition.
    Small,
    /// Six seconds of a good one.
    Large,
    /// Six seconds of the best.
    Greatest,
}

impl Object {
    pub(crate) const ALL: [Self; 6] =
        [Self::Playlist, Self::Part, Self::Least, Self::Small, Self::Large, Self::Greatest];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Playlist => "/bench/playlist.m3u8",
            Self::Part => "/bench/part.ts",
            Self::Least => "/bench/least.ts",
            Self::Small => "/bench/small.ts",
            Self::Large => "/bench/large.ts",
            Self::Greatest => "/bench/greatest.ts",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Playlist => "1 KiB playlist",
            Self::Part => "1 KiB segment",
            Self::Least => "64 KiB",
            Self::Small => "200 KiB",
            Self::Large => "1 MiB",
            Self::Greatest => "16 MiB",
        }
    }

    /// The object's bytes, the same on every run.
    pub(crate) fn body(self) -> Vec<u8> {
        match self {
            Self::Playlist => playlist(),
            Self::Part => segment(KIB),
            Self::Least => segment(64 * KIB),
            Self::Small => segment(200 * KIB),
            Self::Large => segment(1024 * KIB),
            Self::Greatest => segment(16 * 1024 * KIB),
        }
    }

    /// Writes all objects below the folder.
    pub(crate) fn write_all(folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder.join("bench"))?;
        for object in Self::ALL {
            std::fs::write(folder.join(object.path().trim_start_matches('/')), object.body())?;
        }
        Ok(())
    }
}

const KIB: usize = 1024;

fn playlist() -> Vec<u8> {
    let head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:6\n".to_owned();
    let segments = (0..27).map(|number| format!("#EXTINF:6.00000,\nsegment-{number:05}.ts\n"));
    let end = "#EXT-X-ENDLIST\n".to_owned();
    std::iter::once(head).chain(segments).chain([end]).collect::<String>().into_bytes()
}

/// The sync bytes of transport stream packets, so that no program takes it for text, and incompressible
/// bytes.
fn segment(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|at| if at % 188 == 0 { 0x47 } else { noise() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_the_sizes_of_their_titles() {
        assert!(Object::Playlist.body().len().abs_diff(1024) < 64);
        let sizes =
            [Object::Least, Object::Small, Object::Large, Object::Greatest].map(|object| object.body().len());
        assert_eq!(sizes, [64 * KIB, 200 * KIB, 1024 * KIB, 16 * 1024 * KIB]);
    }

    #[test]
    fn the_playlist_is_of_a_recording() {
        let text = String::from_utf8(Object::Playlist.body()).unwrap();
        assert!(text.contains("\n#EXT-X-PLAYLIST-TYPE:VOD\n") && text.ends_with("#EXT-X-ENDLIST\n"));
    }
}
