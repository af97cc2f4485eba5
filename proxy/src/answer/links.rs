//! Playlists for viewers with tokens: the stored playlist is shared, and the token is added to its links
//! when it is sent.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tidegate_cache::{Head, Object, RenderedHead};
use tidegate_headers::conditional;
use tidegate_hls::{Kind, Links};

use super::content;
use crate::request::link::Link;

/// What all viewers with tokens share of a playlist: the places of its links, and the rendered head.
#[derive(Debug)]
pub(crate) struct Linked {
    /// `None` if the object is no playlist.
    links: Option<Links>,
    /// The response head without the fields that differ from response to response; made on first use.
    pub(crate) rendered: OnceLock<RenderedHead>,
}

impl Linked {
    /// Finds the links of a complete object on first use; `None` if it has none that needs a token.
    pub(crate) fn of(object: &Object, kind: Kind) -> Option<Arc<Self>> {
        let chunks = object.body.whole()?;
        let notes = object.notes.get_or_init(|| {
            let links = is_playlist(kind, &object.head).then(|| Links::of(&content::concatenated(chunks)));
            let links = links.filter(|links| !links.is_empty());
            Arc::new(Self { links, rendered: OnceLock::new() }) as Arc<dyn Any + Send + Sync>
        });
        notes.downcast_ref::<Self>()?.links.as_ref()?;
        Arc::clone(notes).downcast().ok()
    }

    /// The stored playlist with the token in its links; `None` if it has no links that need one.
    pub(crate) fn body(&self, object: &Object, link: &Link, host: &str) -> Option<Bytes> {
        let playlist = content::concatenated(object.body.whole()?);
        Some(self.links.as_ref()?.extend(&playlist, host, link.addition())?.into())
    }
}

/// The stored playlist with the token in its links; `None` if it has no links that need one.
pub(crate) fn body(object: &Object, kind: Kind, link: &Link, host: &str) -> Option<Bytes> {
    Linked::of(object, kind)?.body(object, link, host)
}

/// A playlist that was made for this request with the token in its links.
pub(crate) fn extended(playlist: Bytes, link: Option<&Link>, host: &str) -> Bytes {
    let extended = link.and_then(|link| Links::of(&playlist).extend(&playlist, host, link.addition()));
    extended.map_or(playlist, Bytes::from)
}

/// The header fields of a playlist with tokens in its links, without its length.
pub(crate) fn headers(stored: &HeaderMap) -> HeaderMap {
    let mut headers = conditional::altered(stored);
    headers.remove(header::ACCEPT_RANGES);
    headers.remove(header::CONTENT_LENGTH);
    headers
}

/// Adds the token to the target of a redirect to the own site.
pub(crate) fn redirect(status: StatusCode, headers: &mut HeaderMap, link: Option<&Link>, host: &str) {
    if let Some(link) = link.filter(|_| status.is_redirection())
        && let Some(location) = headers.get(header::LOCATION).cloned()
        && let Some(extended) =
            Links::of(location.as_bytes()).extend(location.as_bytes(), host, link.addition())
        && let Ok(extended) = HeaderValue::from_bytes(&extended)
    {
        headers.insert(header::LOCATION, extended);
    }
}

/// Whether a response is a playlist whose text can be read.
pub(crate) fn is_playlist(kind: Kind, head: &Head) -> bool {
    let content_type = || head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_labelled = || content_type().is_some_and(|value| Kind::of_content_type(value) == Kind::Playlist);
    head.status == StatusCode::OK
        && !head.headers.contains_key(header::CONTENT_ENCODING)
        && (kind == Kind::Playlist || is_labelled())
}
