//! The response head of a hit. The part that all viewers of an object share is rendered once per object; the
//! fields that differ from response to response follow it.

use std::io::Write as _;

use bytes::Bytes;
use http::{StatusCode, header};
use tidegate_headers::cache_status::CACHE_STATUS;
use tidegate_headers::compress;
use tidegate_headers::field;
use tidegate_upstream::UpstreamError;
use tokio::time::Instant;

use super::selected::Selected;
use crate::answer::content;
use crate::answer::marks::{self, Handling};
use crate::clock;
use crate::fate::Fate;
use crate::request::try_hit::Hit;
use crate::tier::Tier;
use crate::viewer::lines::{date, decimal, line};

/// Renders the head.
pub(super) fn render(
    tier: &Tier,
    hit: &Hit,
    selected: &Selected,
    error: Option<UpstreamError>,
    received: Instant,
) -> Vec<u8> {
    let shared = shared_part(tier, hit, selected);
    let mut head = Vec::with_capacity(shared.len() + OWN_PART_MAX);
    head.extend_from_slice(match selected.status() {
        StatusCode::PARTIAL_CONTENT => b"HTTP/1.1 206 Partial Content\r\n",
        _ => b"HTTP/1.1 200 OK\r\n",
    });
    head.extend_from_slice(&shared);
    let age = hit.object.age(received);
    let ttl = marks::ttl(&hit.object, age);
    head.extend_from_slice(if ttl < 0 { b"; ttl=-" } else { b"; ttl=" });
    decimal(&mut head, ttl.unsigned_abs());
    if let Some(error) = error {
        append_text(&mut head, format_args!("; detail={}", field::Name(error.token())));
    }
    head.extend_from_slice(b"\r\nAge: ");
    decimal(&mut head, age.as_secs());
    head.extend_from_slice(b"\r\nDate: ");
    date::append(&mut head, clock::now());
    if let Some(span) = &selected.span {
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(span.content_range(Some(selected.full_len)).as_bytes());
    }
    head.extend_from_slice(b"\r\nContent-Length: ");
    decimal(&mut head, selected.span.map_or(selected.full_len, |span| span.len()));
    head.extend_from_slice(b"\r\nServer-Timing: ");
    append_timing(&mut head, tier, received);
    head.extend_from_slice(b"\r\nConnection: keep-alive\r\n\r\n");
    head
}

/// Appends the same member as `answer::timing`.
fn append_timing(head: &mut Vec<u8>, tier: &Tier, received: Instant) {
    let tenths = u64::try_from(received.elapsed().as_micros() / 100).unwrap_or(u64::MAX);
    head.extend_from_slice(tier.node().as_bytes());
    head.extend_from_slice(b";dur=");
    decimal(head, tenths / 10);
    head.push(b'.');
    decimal(head, tenths % 10);
}

/// Appends formatted text. Writing to a vector cannot fail.
fn append_text(head: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _never = head.write_fmt(text);
}

/// The part that is the same for all viewers. It ends inside `Cache-Status`, in this tier's member, which is
/// the last.
fn shared_part(tier: &Tier, hit: &Hit, selected: &Selected) -> Bytes {
    let object = &hit.object;
    let cached = if selected.is_gzip { &object.rendered_gzip } else { &object.rendered };
    if let Some(rendered) = cached.get() {
        return rendered.clone();
    }
    let rendered = cached.get_or_init(|| render_shared(tier, hit, selected)).clone();
    tier.cache().weigh_again(&hit.target.key);
    rendered
}

fn render_shared(tier: &Tier, hit: &Hit, selected: &Selected) -> Bytes {
    let object = &hit.object;
    let mut headers = content::shared_head(tier, &hit.target.site, object);
    if content::has_codings(tier, &hit.target.site, hit.target.kind, object) {
        compress::vary_by_coding(&mut headers);
    }
    if selected.is_gzip {
        headers = compress::coded_headers(&headers, 0);
    }
    marks::mark(tier, &mut headers, Handling::here(Fate::Hit), None);
    // These are written for each response.
    for name in [header::CONTENT_LENGTH, header::DATE, header::CONNECTION] {
        headers.remove(name);
    }
    let status = headers.remove(&CACHE_STATUS);
    let mut rendered = Vec::new();
    for (name, value) in &headers {
        line(&mut rendered, name, value.as_bytes());
        rendered.extend_from_slice(b"\r\n");
    }
    line(&mut rendered, &CACHE_STATUS, status.as_ref().map_or(b"", |status| status.as_bytes()));
    rendered.into()
}

/// Most bytes that follow the shared part.
const OWN_PART_MAX: usize = 320;
