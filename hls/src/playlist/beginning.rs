//! The first bytes of a resource tell whether it is a playlist.

use crate::lines::{BYTE_ORDER_MARK, HEADER};

/// What the first bytes of a resource say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It is a playlist.
    Playlist,
    /// It is something else.
    Other,
    /// More bytes are needed.
    Unclear,
}

impl Beginning {
    /// Judges the first bytes of a resource. A byte order mark and some blanks may come before `#EXTM3U`.
    pub fn of(bytes: &[u8]) -> Self {
        let marked = bytes.strip_prefix(BYTE_ORDER_MARK);
        if marked.is_none() && !bytes.is_empty() && BYTE_ORDER_MARK.starts_with(bytes) {
            return Self::Unclear;
        }
        let text = marked.unwrap_or(bytes);
        let content = text.trim_ascii_start();
        if text.len() - content.len() > BLANKS_MAX {
            Self::Other
        } else if content.starts_with(HEADER) {
            Self::Playlist
        } else if HEADER.starts_with(content) {
            Self::Unclear
        } else {
            Self::Other
        }
    }
}

/// More blanks than any server writes before a playlist.
const BLANKS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_is_known_by_its_first_line_and_other_bytes_as_early_as_possible() {
        for (bytes, expected) in [
            (&b"#EXTM3U"[..], Beginning::Playlist),
            (b"#EXTM3U8 x\n", Beginning::Playlist),
            (b"\xEF\xBB\xBF#EXTM3U\n", Beginning::Playlist),
            (b"\r\n \t#EXTM3U\n", Beginning::Playlist),
            (b"", Beginning::Unclear),
            (b"\n ", Beginning::Unclear),
            (b"\xEF\xBB", Beginning::Unclear),
            (b"#EXTM3", Beginning::Unclear),
            (b"#EXTM4", Beginning::Other),
            (b"<html>", Beginning::Other),
            (b"\0\0\0\x18ftypmp42", Beginning::Other),
            (b"\xEF\xBB\xBFx", Beginning::Other),
            (b"#", Beginning::Unclear),
        ] {
            assert_eq!(Beginning::of(bytes), expected, "{bytes:?}");
        }
        assert_eq!(Beginning::of(&[b' '; BLANKS_MAX + 1]), Beginning::Other);
    }
}
