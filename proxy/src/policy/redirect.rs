//! Redirects, and URIs that name a server behind this tier. `docs/decisions/0022-redirects.md` says why.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};
use tidegate_cache::Head;
use tidegate_headers::conditional;
use tidegate_hls::{Kind, Location, folder, replace_uris};
use tidegate_upstream::{Progress, Redirect, Upstream};

use super::SitePolicy;

impl SitePolicy<'_> {
    /// The request that follows a redirect, if this tier may follow it.
    pub(super) fn follow(&self, head: &Head, upstream: &Arc<Upstream>, target: &str) -> Option<Redirect> {
        // A tier has followed what may be followed.
        if !is_redirect(head.status) || upstream.spec().is_tier {
            return None;
        }
        let location = head.headers.get(header::LOCATION)?.to_str().ok()?;
        let base = upstream.spec().address.base();
        let location = Location::resolve(location, &format!("{base}{target}"))?;
        if is_upgrade(&location, upstream, &self.request.authority, target) {
            return None;
        }
        let next = self.upstream_of(&location, upstream)?;
        let next_target = below(&location.target, next.spec().address.base())?;
        // A playlist from another folder has other relative URIs.
        let is_in_folder = folder(next_target) == folder(target);
        let is_followed = is_in_folder || self.request.site.rewrite_uris || !self.may_be_playlist();
        is_followed.then(|| Redirect { upstream: next, target: next_target.to_owned() })
    }

    fn may_be_playlist(&self) -> bool {
        match self.request.resource.kind {
            Kind::Playlist => true,
            Kind::Other => !self.tier.streams().has_announced(&self.request.key),
            Kind::Segment | Kind::Init => false,
        }
    }

    /// The upstream that a location names: `from` itself, another one of the site, or a host to which
    /// redirects may lead.
    fn upstream_of(&self, location: &Location<'_>, from: &Arc<Upstream>) -> Option<Arc<Upstream>> {
        let Some(authority) = location.authority else { return Some(Arc::clone(from)) };
        // An origin that knows the host of the viewers leads back to this node.
        let is_own = authority.eq_ignore_ascii_case(&self.request.authority);
        if is_own || names(from, location.scheme, authority) {
            return Some(Arc::clone(from));
        }
        let site = &self.request.site;
        let listed = site.upstreams.for_key(self.request.key.as_str()).into_iter();
        let mut all = listed.chain(site.redirect_hosts.iter().flat_map(|pool| pool.upstreams()));
        all.find(|upstream| !upstream.spec().is_tier && names(upstream, location.scheme, authority))
    }

    /// A playlist whose URIs lead to this tier where they named a server behind it, if the site says so.
    pub(super) fn with_own_uris(&self, head: &Head, body: Bytes, progress: &Progress) -> (Head, Bytes) {
        let site = &self.request.site;
        if !site.rewrite_uris {
            return (head.clone(), body);
        }
        let own = self.request.resource.path_and_query();
        let moved = progress.redirected.as_deref().filter(|target| folder(target) != folder(&own));
        let upstreams = site.upstreams.for_key(self.request.key.as_str());
        let replaced = replace_uris(&body, |uri| {
            let location = Location::resolve(uri, moved.unwrap_or(&own))?;
            let Some(authority) = location.authority else {
                return moved.map(|_| location.target);
            };
            let known = upstreams
                .iter()
                .find(|upstream| !upstream.spec().is_tier && names(upstream, location.scheme, authority))?;
            below(&location.target, known.spec().address.base()).map(str::to_owned)
        });
        match replaced {
            Some(replaced) => {
                (Head { headers: conditional::altered(&head.headers), ..head.clone() }, replaced.into())
            }
            None => (head.clone(), body),
        }
    }
}

/// Whether players follow the response to another place.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Whether an origin insists on HTTPS for the host that it was asked for. The same request to it would
/// receive the same redirect.
fn is_upgrade(location: &Location<'_>, from: &Upstream, host: &str, target: &str) -> bool {
    let is_of_host = location.authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host));
    let is_https = location.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    is_of_host && is_https && !from.spec().address.is_tls() && location.target == target
}

/// Whether an authority is that of an upstream: its address, or its Host header field.
fn names(upstream: &Upstream, scheme: Option<&str>, authority: &str) -> bool {
    let spec = upstream.spec();
    let is_tls = scheme.map_or_else(|| spec.address.is_tls(), |scheme| scheme.eq_ignore_ascii_case("https"));
    if is_tls != spec.address.is_tls() {
        return false;
    }
    let default_port = if is_tls { ":443" } else { ":80" };
    let without_default = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    let authority = without_default(authority);
    let is_address = authority == without_default(&spec.address.authority());
    is_address || spec.host.as_deref().is_some_and(|host| without_default(host) == authority)
}

/// The target below the base of an upstream's address.
fn below<'a>(target: &'a str, base: &str) -> Option<&'a str> {
    target.strip_prefix(base).filter(|rest| rest.starts_with('/'))
}
