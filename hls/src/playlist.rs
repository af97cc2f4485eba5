//! An HLS playlist, parsed once, when it arrives.

mod date;
mod error;
mod lines;
mod media;
mod multivariant;
mod variables;

pub use error::PlaylistError;
pub use media::{
    ByteRange, Hint, HintKind, Map, Media, Part, PlaylistType, Position, Report, Segment, ServerControl,
};
pub use multivariant::Multivariant;

use lines::{Line, Lines};
use variables::Variables;

/// The content of a playlist, as far as a caching tier acts on it. Unknown tags are no error.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist {
    /// Lists the renditions of a stream (section 4.1: a Multivariant Playlist).
    Multivariant(Multivariant),
    /// Lists the segments of one rendition (a Media Playlist).
    Media(Media),
}

impl Playlist {
    /// Parses a whole playlist. The caller bounds its size; memory and time grow linearly with it.
    ///
    /// # Errors
    ///
    /// When the bytes are not a playlist that a tier can act on.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlaylistError> {
        let mut lines = Lines::new(bytes)?;
        let mut media = media::Builder::default();
        let mut multivariant = multivariant::Builder::default();
        let mut variables = Variables::default();
        while let Some((number, line)) = lines.next_line()? {
            match line {
                Line::Define(define) => variables.define(&define),
                Line::Inf(seconds) => media.duration(seconds, number)?,
                Line::Media(tag) => media.tag(&tag, number, &mut variables)?,
                Line::Multivariant(tag) => multivariant.tag(&tag, number, &mut variables),
                Line::Uri(uri) if multivariant.awaits_uri() => multivariant.uri(&uri, &mut variables),
                Line::Uri(uri) => media.uri(&uri, number, &mut variables)?,
            }
        }
        // Section 4.1: the tags of one kind of playlist must not appear in the other.
        match (multivariant.first_line(), media.first_line()) {
            (Some(one), Some(other)) => Err(PlaylistError::Mixed { line: one.max(other) }),
            (Some(_), None) => multivariant.finish().map(Self::Multivariant),
            (None, _) => media.finish().map(Self::Media),
        }
    }

    /// The media playlist, if it is one.
    pub const fn as_media(&self) -> Option<&Media> {
        match self {
            Self::Media(media) => Some(media),
            Self::Multivariant(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
