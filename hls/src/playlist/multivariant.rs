//! The multivariant playlist: the renditions of a stream.

use std::borrow::Cow;

use super::variables::Variables;
use crate::attributes;
use crate::lines::{Line, LineKind};

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

/// Collects a multivariant playlist line by line.
#[derive(Debug, Default)]
pub(super) struct Builder {
    playlist: Multivariant,
    has_tag: bool,
}

impl Builder {
    pub(super) fn line(&mut self, line: Line<'_>, variables: &mut Variables) {
        self.has_tag = true;
        if line.kind() == LineKind::VariantUri {
            self.playlist.variants.extend(resolved(line.content(), variables));
            return;
        }
        let uris = match line.name() {
            b"#EXT-X-MEDIA" => &mut self.playlist.renditions,
            b"#EXT-X-I-FRAME-STREAM-INF" => &mut self.playlist.iframes,
            _ => return,
        };
        let uri = line.value().and_then(|(_, list)| attributes::value(list, b"URI"));
        uris.extend(uri.and_then(|uri| resolved(uri, variables)));
    }

    /// Whether there is a tag that only a multivariant playlist has.
    pub(super) const fn is_multivariant(&self) -> bool {
        self.has_tag
    }

    pub(super) fn finish(self) -> Multivariant {
        self.playlist
    }
}

fn resolved(uri: &[u8], variables: &mut Variables) -> Option<String> {
    let uri = std::str::from_utf8(uri).ok()?.trim();
    variables.resolve(uri).filter(|uri| !uri.is_empty()).map(Cow::into_owned)
}
