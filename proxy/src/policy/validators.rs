//! The validators of a stored response: those of the origin as far as they distinguish its versions, and the
//! node's own in their place.

use http::{HeaderMap, header};
use tidegate_cache::{Head, Object};
use tidegate_headers::conditional::{self, Comparison, Tag, VERSION};

use super::SitePolicy;
use crate::answer::content;
use crate::tier::Role;

impl SitePolicy<'_> {
    /// Sets the validators of `stored`, the head under which a response is stored. `received` is its head as
    /// received, `body` its body as stored, if that has arrived.
    ///
    /// A live playlist keeps the origin's tag if it is a strong one. It has no date: several versions may
    /// have the same one (RFC 9110 section 8.8.2.2). Any other response keeps what the origin sent, unless
    /// the response before it had the same.
    pub(super) fn set_validators(
        &self,
        stored: &mut HeaderMap,
        received: &Head,
        body: Option<&[u8]>,
        is_live: bool,
    ) {
        let own = || body.map_or_else(conditional::unique_tag, conditional::tag_of);
        if self.tier.role() == Role::Shield {
            stored.insert(&VERSION, own());
        } else if !self.request.site.has_shields {
            stored.remove(&VERSION);
        }
        let before = self.stale.as_deref().filter(|stale| stale.head.status == received.status);
        let before = before.filter(|stale| is_other(stale, body)).map(|stale| &stale.head.headers);
        let tag = tag_of(&received.headers);
        let is_strong = tag.is_some_and(|tag| !tag.is_weak());
        let has_own = received.headers.get(header::ETAG).is_some_and(conditional::is_own_tag);
        // A body that has not arrived yet may be the same again.
        let tag_repeats = (body.is_some() || !is_strong)
            && before.is_some_and(|before| repeats_tag(before, tag) || replaces_tag(before));
        let date = received.headers.get(header::LAST_MODIFIED);
        let date_repeats = before.is_some_and(|before| {
            replaces_tag(before) || (date.is_some() && before.get(header::LAST_MODIFIED) == date)
        });
        let trusts_date = !is_live && !(date_repeats && (body.is_some() || !is_strong));
        let trusts_tag = has_own || (is_strong && !tag_repeats);
        if !trusts_date {
            stored.remove(header::LAST_MODIFIED);
        }
        // Beside a date that tells versions apart, a weak tag or none is enough.
        if !trusts_tag && (is_live || !trusts_date || (tag.is_some() && tag_repeats)) {
            stored.insert(header::ETAG, own());
        }
    }

    /// Restores the validators of a confirmed version in `renewed`, where they are not the origin's.
    pub(super) fn keep_validators(renewed: &mut HeaderMap, confirmed: &HeaderMap, is_live: bool) {
        if is_live || replaces_tag(confirmed) {
            for name in [header::ETAG, header::LAST_MODIFIED] {
                match confirmed.get(&name) {
                    Some(value) => _ = renewed.insert(name, value.clone()),
                    None => _ = renewed.remove(name),
                }
            }
        }
    }
}

/// Whether the stored object is known to be another one than the response with this body.
fn is_other(stale: &Object, body: Option<&[u8]>) -> bool {
    match (body, stale.body.whole()) {
        (Some(body), Some(chunks)) => content::concatenated(chunks) != body,
        _ => true,
    }
}

/// Whether the stored object has the tag of the response.
fn repeats_tag(before: &HeaderMap, tag: Option<Tag<'_>>) -> bool {
    tag_of(before).is_some_and(|stored| tag.is_some_and(|tag| tag.matches(stored, Comparison::Weak)))
}

/// Whether the stored object has a tag of a node's own: the origin's validators have failed before.
fn replaces_tag(before: &HeaderMap) -> bool {
    before.get(header::ETAG).is_some_and(conditional::is_own_tag)
}

fn tag_of(headers: &HeaderMap) -> Option<Tag<'_>> {
    headers.get(header::ETAG).and_then(|value| Tag::parse(value.as_bytes()))
}
