//! Reading and admission: from a head to a request for a site's resource, or to a refusal.

use std::sync::Arc;

use http::{HeaderMap, Method, Version, header};
use tidegate_access::token::in_path;
use tidegate_cache::Key;
use tidegate_headers::hop::{self, SLICE};
use tidegate_hls::{Directives, Kind, QueryRules, Resource};
use tidegate_upstream::BACKUP;

use super::access;
use super::link::Link;
use super::parsed::Request;
use super::slice::Slice;
use super::target::{Target, host_name};
use super::{token, whole};
use crate::clock;
use crate::refusal::Refusal;
use crate::site::{Gate, Site, Sites};
use crate::tier::{Role, Tier};
use crate::viewer::client::Client;

pub(super) type Refused = (Refusal, Option<Arc<Site>>);

/// Reads and admits a request, which is boxed: the future of a blocked request holds it.
pub(super) async fn read_and_admit(tier: &Tier, client: &mut Client) -> Result<Box<Request>, Refused> {
    check_length(client).map_err(|refusal| (refusal, None))?;
    let target = target(client).map_err(|refusal| (refusal, None))?;
    let name = host_name(&target.authority);
    // The request keeps its site: a reload does not change it on the way.
    let site = site(&tier.sites(), &name, &target.authority, &target.path_and_query).map(Arc::clone);
    let site = &site.ok_or_else(|| (no_site(&target), None))?;
    client.request_facts().site = Some(Arc::clone(site));
    let refused = |refusal| (refusal, Some(Arc::clone(site)));
    access::judge_and_count(tier, client, site).map_err(refused)?;
    let gate = site.gate.as_deref();
    let carried =
        gate.map(|gate| gate.take(&target.path_and_query, token::cookies(client.headers())).into_owned());
    let path_and_query = carried.as_ref().map_or(&*target.path_and_query, |carried| &*carried.target);
    let resource = Resource::parse(&target.authority, path_and_query, &site.query)
        .map_err(|error| refused(error.into()))?;
    if tier.settings().listen.https_redirect && !client.is_tls() {
        return Err(refused(Refusal::Insecure { location: https_location(tier, client.method(), &target) }));
    }
    client.request_facts().kind = Some(resource.kind);
    client.request_facts().cmcd.clone_from(&resource.cmcd);
    let is_unguarded = is_purge(client, site) || is_report(tier, client, &resource);
    if !is_unguarded {
        admit(tier, client, site).await.map_err(refused)?;
    }
    let link = match gate.zip(carried.as_ref()) {
        // A preflight has no credentials (Fetch standard, "CORS protocol"), and its response has no
        // content.
        Some((gate, carried)) if *client.method() != Method::OPTIONS && !is_unguarded => {
            let (method, address) = (client.method().as_str(), client.address());
            token::admit(tier, gate, carried, method, &resource, address, clock::now())
                .map_err(|refusal| refused(refusal.into()))?;
            access::count_token(gate, carried).map_err(refused)?;
            let token = carried.token.as_ref();
            token.and_then(|(carrier, token)| Link::of(gate, *carrier, token)).map(Arc::new)
        }
        _ => None,
    };
    let (resource, directives) = split_directives(resource, site);
    let (slice, key) =
        slice_and_key(tier, client.method(), client.headers(), site, &resource.path_and_query());
    Ok(Box::new(Request {
        directives,
        slice,
        key,
        site: Arc::clone(site),
        resource,
        authority: target.authority,
        version: client.version(),
        link,
        is_authorized: client.headers().contains_key(header::AUTHORIZATION),
        is_backup: tier.role() == Role::Shield && client.headers().contains_key(&BACKUP),
    }))
}

/// The same target over HTTPS, for methods that clients repeat there. A port in the authority is that of the
/// listener without TLS: the TLS listener's takes its place. Without one, a port in front of this node is
/// mapped to the listener, and so is the default port of HTTPS.
fn https_location(tier: &Tier, method: &Method, target: &Target) -> Option<String> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let path = &target.path_and_query;
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let tls_port = tier.settings().listen.tls.as_ref().map_or(443, |tls| tls.address.port());
    Some(match target.authority.rsplit_once(':').filter(|(_host, port)| is_port(port)) {
        Some((host, _port)) if tls_port != 443 => format!("https://{host}:{tls_port}{path}"),
        Some((host, _port)) => format!("https://{host}{path}"),
        None => format!("https://{}{path}", target.authority),
    })
}

/// Refuses a malformed `Content-Length`. Over HTTP/1.1 that has been done, since it frames the body; over
/// HTTP/2 frames do, but an upstream over HTTP/1.1 receives the field.
fn check_length(client: &Client) -> Result<(), Refusal> {
    Ok(tidegate_http1::content_length(client.headers()).map(drop)?)
}

/// Splits a target into a resource and its requested version. The versions of a followed playlist are one
/// object; otherwise only the origin knows what the directives mean, and each response is an object of its
/// own.
fn split_directives(resource: Resource, site: &Site) -> (Resource, Directives) {
    let directives = resource.directives;
    if directives == Directives::default() || resource.kind != Kind::Playlist || !site.follows() {
        return (resource, Directives::default());
    }
    (resource.with_directives(Directives::default()), directives)
}

/// The key of the requested object: a resource, or a slice of one whose slices playlists list.
fn slice_and_key(
    tier: &Tier,
    method: &Method,
    headers: &HeaderMap,
    site: &Site,
    resource: &str,
) -> (Option<Slice>, Key) {
    let key = Key::new(&site.name, resource);
    let is_slice_request = tier.role() == Role::Shield && headers.contains_key(&SLICE);
    match Slice::requested(method, headers) {
        Some(slice)
            if (is_slice_request || tier.streams().lists_slices_of(&key))
                && !whole::covers(tier, site, &key, slice) =>
        {
            (Some(slice), slice.key(site, resource))
        }
        _ => (None, key),
    }
}

/// The site that serves a target. Where sites share a host, the normalised path selects one of them.
pub(super) fn site<'a>(sites: &'a Sites, name: &str, host: &str, target: &str) -> Option<&'a Arc<Site>> {
    if !sites.differ_by_path() {
        return sites.find(name, "/");
    }
    // A site that takes tokens from the path is found by the path after the token.
    if let Some((_token, rest)) = in_path(target)
        && let Some(site) = site_of_path(sites, name, host, rest)
        && site.gate.as_deref().is_some_and(Gate::takes_paths)
    {
        return Some(site);
    }
    site_of_path(sites, name, host, target)
}

fn site_of_path<'a>(sites: &'a Sites, name: &str, host: &str, target: &str) -> Option<&'a Arc<Site>> {
    let resource = Resource::parse(host, target, &QueryRules::default()).ok()?;
    sites.find(name, &resource.path_and_query())
}

/// No site serves this target, or it is invalid, which is the graver fault (RFC 9112 section 3.2).
fn no_site(target: &Target) -> Refusal {
    match Resource::parse(&target.authority, &target.path_and_query, &QueryRules::default()) {
        Ok(_) => Refusal::UnknownHost,
        Err(error) => error.into(),
    }
}

/// Refuses a request that its site does not serve.
async fn admit(tier: &Tier, client: &mut Client, site: &Site) -> Result<(), Refusal> {
    let method = client.method().clone();
    let is_read = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_read && !site.passes(&method) {
        return Err(Refusal::Method(method));
    }
    // A body in a request whose method has none is a way to smuggle requests past caches.
    if is_read && client.has_nonempty_body(tier.settings().viewers.head_timeout.get()).await {
        return Err(Refusal::UnexpectedBody(method));
    }
    if hop::loops(client.headers(), tier.node()) {
        return Err(Refusal::Loop);
    }
    Ok(())
}

/// Whether this is a purge by a client that the site allows to purge.
pub(super) fn is_purge(client: &Client, site: &Site) -> bool {
    client.method().as_str() == "PURGE" && site.purgers.contains(client.address())
}

/// Whether a player posts reports.
pub(super) fn is_report(tier: &Tier, client: &Client, resource: &Resource) -> bool {
    *client.method() == Method::POST && tier.receives_reports(&resource.path)
}

/// Reads the target of a request in origin form or in absolute form.
///
/// By RFC 9112 section 3.2.2 the authority of an absolute form overrides `Host`. Here the parser has refused
/// a request whose two differ, which is deliberately stricter: no client sends one by accident, and the next
/// server might read it as one for the other host.
pub(crate) fn target(client: &Client) -> Result<Target, Refusal> {
    let host = || {
        let host = client.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        host.or_else(|| client.authority()).map(str::to_owned)
    };
    let raw = std::str::from_utf8(client.target()).map_err(|_error| Refusal::Malformed)?;
    // RFC 9112 section 3.2: even a target that names the host does not replace the field.
    if client.version() == Version::HTTP_11 && !client.headers().contains_key(header::HOST) {
        return Err(Refusal::NoHost);
    }
    if *client.method() == Method::CONNECT {
        return Err(Refusal::Method(Method::CONNECT));
    }
    match raw.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(end).ok_or(Refusal::Malformed)?;
            let slash = if path.starts_with('/') { "" } else { "/" };
            Ok(Target { authority: authority.to_owned(), path_and_query: format!("{slash}{path}") })
        }
        _ => Ok(Target {
            authority: host().filter(|host| !host.is_empty()).ok_or(Refusal::NoHost)?,
            path_and_query: raw.to_owned(),
        }),
    }
}

/// Whether a request concerns the server itself and no resource of it (RFC 9110 section 7.1). Its other
/// faults are found when it is read.
pub(crate) fn is_server(client: &Client) -> bool {
    *client.method() == Method::OPTIONS && client.target() == b"*" && target(client).is_ok()
}
