//! The multivariant playlist: the renditions of a stream.

use std::borrow::Cow;

use quick_m3u8::tag::hls::Tag;

use super::PlaylistError;
use super::variables::Variables;

/// The media playlists that a multivariant playlist names, as written there: relative URIs stay relative. One
/// with unknown variables is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Multivariant {
    /// Variants (EXT-X-STREAM-INF), in the playlist's order.
    pub variants: Vec<String>,
    /// Alternative renditions (EXT-X-MEDIA) that have a playlist of their own.
    pub renditions: Vec<String>,
    /// I-frame playlists (EXT-X-I-FRAME-STREAM-INF).
    pub iframes: Vec<String>,
}

/// Collects a multivariant playlist tag by tag.
#[derive(Debug, Default)]
pub(super) struct Builder {
    playlist: Multivariant,
    awaits_uri: bool,
    first_line: Option<usize>,
}

impl Builder {
    pub(super) fn tag(&mut self, tag: &Tag<'_>, line: usize, variables: &mut Variables) {
        self.first_line.get_or_insert(line);
        match tag {
            Tag::StreamInf(_) => self.awaits_uri = true,
            Tag::IFrameStreamInf(tag) => {
                self.playlist.iframes.extend(variables.resolve(tag.uri()).map(Cow::into_owned));
            }
            Tag::Media(tag) => {
                let uri = tag.uri().and_then(|uri| variables.resolve(uri));
                self.playlist.renditions.extend(uri.map(Cow::into_owned));
            }
            _ => {}
        }
    }

    /// Whether the next URI is that of a variant.
    pub(super) const fn awaits_uri(&self) -> bool {
        self.awaits_uri
    }

    pub(super) fn uri(&mut self, uri: &str, variables: &mut Variables) {
        self.awaits_uri = false;
        self.playlist.variants.extend(variables.resolve(uri).map(Cow::into_owned));
    }

    /// The line of the first tag that only a multivariant playlist has.
    pub(super) const fn first_line(&self) -> Option<usize> {
        self.first_line
    }

    pub(super) fn finish(self) -> Result<Multivariant, PlaylistError> {
        if self.awaits_uri { Err(PlaylistError::VariantWithoutUri) } else { Ok(self.playlist) }
    }
}
