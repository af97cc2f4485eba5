//! An HLS playlist, read once, when it arrives.
//!
//! The reader takes what it understands and ignores the rest, as players do: a cache serves the bytes as they
//! came, and a mistake in what it does not need must not decide whether a stream plays. Only bytes that are
//! no playlist at all give an error.

mod beginning;
mod error;
mod media;
mod multivariant;
mod numbers;
mod reader;
mod variables;

use std::sync::Arc;

pub use beginning::Beginning;
pub use error::PlaylistError;
pub use media::{
    ByteRange, Counting, Hint, HintKind, Map, Media, Part, PlaylistType, Position, Report, Segment,
    ServerControl,
};
pub use multivariant::Multivariant;
pub use reader::Reader;

pub(crate) use variables::Variables;

/// The content of a playlist, as far as a caching tier acts on it. Unknown tags are no error.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist {
    /// Lists the renditions of a stream (section 4.1: a Multivariant Playlist).
    Multivariant(Multivariant),
    /// Lists the segments of one rendition (a Media Playlist). It is shared, because a day of segments takes
    /// megabytes.
    Media(Arc<Media>),
    /// Neither: it has no more than the first line, or it lists resources without the tags of HLS, as lists
    /// of channels and of music do.
    Untagged,
}

impl Playlist {
    /// The media playlist, if it is one.
    pub const fn as_media(&self) -> Option<&Arc<Media>> {
        match self {
            Self::Media(media) => Some(media),
            Self::Multivariant(_) | Self::Untagged => None,
        }
    }

    /// Whether it may change at any moment and does not say how: its numbers are unknown, or it has none.
    pub fn is_unpredictable(&self) -> bool {
        match self {
            Self::Multivariant(_) => false,
            Self::Media(media) => !media.end_list && !media.is_numbered(),
            Self::Untagged => true,
        }
    }
}

#[cfg(test)]
mod tests;
