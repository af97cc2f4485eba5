//! Why bytes are not a playlist.

/// Why bytes are not a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// They do not begin with `#EXTM3U` (section 4.4.1.1). A byte order mark and blanks before it are
    /// skipped.
    #[error("a playlist must begin with the line #EXTM3U")]
    NotAPlaylist,
}
