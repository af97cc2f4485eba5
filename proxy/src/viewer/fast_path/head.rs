//! The response head of a hit. The part that all viewers of an object share is rendered once per object; the
//! fields that differ from response to response follow it.

use bytes::Bytes;
use http::{HeaderValue, header};
use tidegate_cache::RenderedHead;
use tidegate_headers::cache_status::{self, CACHE_STATUS};
use tidegate_headers::compress;
use tidegate_headers::hop;
use tidegate_headers::server_timing;
use tidegate_http1::lines;
use tidegate_upstream::UpstreamError;
use tokio::time::Instant;

use super::representation::{Form, Representation};
use super::simple_head::SimpleHead;
use crate::answer::tier_fields::{self, Handling};
use crate::answer::{content, links};
use crate::clock;
use crate::fate::Fate;
use crate::request::try_hit::Hit;
use crate::tier::Tier;
use crate::viewer::cmsd::CMSD_DYNAMIC;

/// What a response tells this viewer alone.
#[derive(Debug)]
pub(super) struct Own<'a> {
    pub(super) simple_head: &'a SimpleHead<'a>,
    /// `Strict-Transport-Security`.
    pub(super) hsts: Option<&'a HeaderValue>,
    /// The member of `CMSD-Dynamic`.
    pub(super) cmsd: Option<&'a HeaderValue>,
}

/// Renders the head.
pub(super) fn render(
    tier: &Tier,
    own: &Own<'_>,
    hit: &Hit<'_>,
    representation: &Representation,
    error: Option<UpstreamError>,
    received: Instant,
) -> Vec<u8> {
    let site = &hit.target.site;
    let shared = shared_part(tier, hit, representation);
    let mut head = Vec::with_capacity(shared.len() + OWN_PART_MAX);
    lines::status_line(&mut head, representation.status());
    head.extend_from_slice(&shared);
    let age = hit.object.age(received);
    let is_exposed = tier.is_exposed();
    if is_exposed {
        let ttl = tier_fields::ttl(&hit.object, age);
        cache_status::append_parameters(&mut head, Some(ttl), error.map(UpstreamError::token));
        head.extend_from_slice(lines::END);
    }
    if let Some(cors) = tier_fields::cors_by_page(tier, site) {
        cors.allow_page(own.simple_head.origin(), |name, value| {
            lines::field(&mut head, &name, value.as_bytes());
        });
    }
    head.extend_from_slice(b"Age: ");
    lines::decimal(&mut head, tier_fields::seconds_of_age(age));
    if let Some(span) = &representation.span {
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(span.content_range(Some(representation.full_len)).as_bytes());
    }
    head.extend_from_slice(b"\r\nContent-Length: ");
    lines::decimal(&mut head, representation.span.map_or(representation.full_len, |span| span.len()));
    if is_exposed {
        head.extend_from_slice(b"\r\nServer-Timing: ");
        server_timing::append(&mut head, tier.node(), received.elapsed());
    }
    if let Some(hsts) = own.hsts {
        head.extend_from_slice(b"\r\nStrict-Transport-Security: ");
        head.extend_from_slice(hsts.as_bytes());
    }
    if let Some(member) = own.cmsd {
        head.extend_from_slice(b"\r\nCMSD-Dynamic: ");
        head.extend_from_slice(member.as_bytes());
    }
    head.extend_from_slice(b"\r\nConnection: keep-alive\r\n\r\n");
    head
}

/// The part that is the same for all viewers. It ends inside `Cache-Status`, in this tier's member, which is
/// the last; or after a whole field, if the tier hides its marks.
fn shared_part(tier: &Tier, hit: &Hit<'_>, representation: &Representation) -> Bytes {
    let object = &hit.object;
    let cached = match &representation.form {
        Form::Stored => &object.rendered,
        Form::Gzip => &object.rendered_gzip,
        Form::Linked(linked) => &linked.rendered,
    };
    let settings = hit.target.site.head_settings;
    if let Some(rendered) = cached.get() {
        if rendered.settings == settings {
            return rendered.bytes.clone();
        }
        // A reload has changed the site. The head is rendered for each response until a new object comes.
        return render_shared(tier, hit, representation);
    }
    let render = || RenderedHead { bytes: render_shared(tier, hit, representation), settings };
    let rendered = cached.get_or_init(render).bytes.clone();
    tier.cache().weigh_again(&hit.target.key);
    rendered
}

fn render_shared(tier: &Tier, hit: &Hit<'_>, representation: &Representation) -> Bytes {
    let object = &hit.object;
    let mut headers = content::shared_head(tier, &hit.target.site, object);
    if content::has_codings(tier, &hit.target.site, hit.target.kind, object) {
        compress::vary_by_coding(&mut headers);
    }
    match representation.form {
        Form::Stored => {}
        Form::Gzip => headers = compress::coded_headers(&headers, 0),
        Form::Linked(_) => headers = links::headers(&headers),
    }
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Hit), None);
    // A stored response has the origin's.
    hop::date(&mut headers, clock::now());
    // These are written for each response.
    for name in [header::CONTENT_LENGTH, header::CONNECTION] {
        headers.remove(name);
    }
    if tier.hsts().is_some() {
        headers.remove(header::STRICT_TRANSPORT_SECURITY);
    }
    if tier.sends_cmsd() {
        // A stored estimate is of another time and another viewer.
        headers.remove(&CMSD_DYNAMIC);
    }
    let status = headers.remove(&CACHE_STATUS);
    let mut rendered = Vec::new();
    lines::fields(&mut rendered, headers.iter());
    if tier.is_exposed() {
        let status = status.as_ref().map_or(&b""[..], |status| status.as_bytes());
        lines::open_field(&mut rendered, &CACHE_STATUS, status);
    }
    rendered.into()
}

/// Most bytes that follow the shared part.
const OWN_PART_MAX: usize = 320;
