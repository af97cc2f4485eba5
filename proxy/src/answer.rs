//! Answers from what is held or growing: head, range, encoding, body.

pub(crate) mod content;
pub(crate) mod marks;
pub(crate) mod pass;
pub(crate) mod select;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidegate_cache::{Failure, Head, Object};
use tidegate_headers::cache_status::Reason;
use tidegate_headers::compress;
use tidegate_headers::conditional::{self, Outcome};
use tidegate_headers::field;
use tidegate_headers::hop;
use tidegate_hls::{Kind, Playlist};
use tidegate_http1::lines;
use tokio::time::Instant;

use self::marks::Handling;
use self::select::Selected;
use crate::clock;
use crate::fate::Fate;
use crate::live::stream::Stream;
use crate::observe::account::Account;
use crate::refusal::{self, Refusal};
use crate::request::parsed::Request;
use crate::site::Site;
use crate::tier::{Role, Tier};
use crate::viewer::client::{Client, WRITE_MAX};
use crate::viewer::gone::Gone;

/// Answers with an object, as much of it as was asked for.
pub(crate) async fn object(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    object: &Arc<Object>,
    mut handling: Handling<'_>,
) -> Account {
    let mut account = Account::of(request, handling.fate).with_object(object);
    object.mark_requested();
    if let Some(stream) = live_stream(tier, request, object) {
        handling.error = content::count_live(tier, &stream);
        account = account.live();
    }
    client.known().fate = Some(handling.fate);
    if request.resource.kind == Kind::Playlist || !client.frames_unknown_lengths() {
        // A playlist is whole a moment after its head. And a viewer who could not tell a broken body from a whole
        // one (HTTP/1.0 without a length) is given none before it is known to be whole.
        if !whole(client, object).await {
            return account.broken();
        }
    }
    let mut headers = head_of(tier, request, object, handling);
    let mut coded = delta(tier, request, object);
    if let Some(delta) = &coded {
        // It is another representation, and gone with the next version: no validator is worth its while.
        headers.remove(header::ETAG);
        headers.remove(header::LAST_MODIFIED);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(delta.len()));
    } else if content::has_codings(tier, &request.site, request.resource.kind, object) {
        compress::vary_by_coding(&mut headers);
        coded = content::gzip(tier, client.headers(), &request.key, object);
        if let Some(gzip) = &coded {
            headers = compress::coded_headers(&headers, gzip.len());
        }
    }
    let described = if coded.is_some() { &headers } else { &object.head.headers };
    match select::precondition(client.method(), client.headers(), object.head.status, described) {
        Outcome::Proceed => {}
        Outcome::NotModified => {
            let kept = conditional::not_modified_headers(&headers);
            let kept: HeaderMap = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
            return account.sent(client.head(StatusCode::NOT_MODIFIED, kept).await);
        }
        Outcome::PreconditionFailed => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            return account.sent(client.head(StatusCode::PRECONDITION_FAILED, headers).await);
        }
    }
    if let Some(gzip) = coded {
        return account.sent(send(client, object.head.status, headers, gzip).await);
    }
    let selected = match select::select(client, tier.settings().viewers.ranges_max, object).await {
        Ok(selected) => selected,
        Err(Gone) => return account.broken(),
    };
    account.sent(stream(client, object, selected, headers).await)
}

/// Turns a request away.
pub(crate) async fn refuse(
    tier: &Arc<Tier>,
    client: &mut Client,
    refusal: &Refusal,
    site: Option<&Site>,
) -> Account {
    let allow = site.map_or_else(|| "GET, HEAD, OPTIONS".to_owned(), allowed);
    let (mut headers, body) = refusal.answer(tier.node(), &allow);
    let account = Account::refused(refusal, client.known());
    if let Some(site) = site {
        marks::allow_reading(tier, site, &mut headers);
    }
    marks::mark(tier, &mut headers, Handling::here(refusal.fate()), None);
    account.sent(send(client, refusal.status(), headers, body.into()).await)
}

/// The answer, as HTTP/1.1 writes it, to what could not be read as a request: head and body.
pub(crate) fn unasked(tier: &Tier, refusal: &Refusal) -> (Vec<u8>, String) {
    let (mut headers, body) = refusal.answer(tier.node(), "");
    headers.insert(header::DATE, field::value(httpdate::fmt_http_date(clock::now())));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    marks::mark(tier, &mut headers, Handling::here(Fate::Refused), None);
    let mut head = Vec::new();
    lines::status_line(&mut head, refusal.status());
    lines::fields(&mut head, headers.iter());
    head.extend_from_slice(lines::END);
    (head, body)
}

/// Gives on an informational answer (1xx). HTTP/1.0 knows none; over HTTP/2 none are sent.
pub(crate) async fn informational(tier: &Tier, client: &mut Client, head: &Head) -> Result<(), Gone> {
    if client.version() != http::Version::HTTP_11 {
        return Ok(());
    }
    let mut headers = hop::end_to_end(&head.headers);
    hop::append_via(&mut headers, tier.settings().upstream.http.http(), tier.node());
    client.head(head.status, headers).await
}

/// Tells that no source could answer.
pub(crate) async fn failed(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    failure: &Failure,
    reason: Option<Reason>,
) -> Account {
    let (mut headers, body) = refusal::failed(tier.node(), failure);
    marks::allow_reading(tier, &request.site, &mut headers);
    let handling = Handling { fate: Fate::Failed, reason, failure: Some(failure), error: None };
    marks::mark(tier, &mut headers, handling, None);
    let account = Account::of(request, Fate::Failed).because(failure);
    account.sent(send(client, failure.status, headers, body.into()).await)
}

/// Answers OPTIONS, a player's CORS preflight among them, without asking anybody.
pub(crate) async fn options(tier: &Arc<Tier>, client: &mut Client, request: &Request) -> Account {
    let mut headers =
        request.site.cors.as_ref().map_or_else(HeaderMap::new, |cors| cors.preflight(client.headers()).1);
    if let Ok(allow) = HeaderValue::from_str(&allowed(&request.site)) {
        headers.insert(header::ALLOW, allow);
    }
    marks::mark(tier, &mut headers, Handling::here(Fate::Options), None);
    let account = Account::of(request, Fate::Options);
    account.sent(client.head(StatusCode::NO_CONTENT, headers).await)
}

/// Answers OPTIONS for the server itself: it is there. Tiers probe each other so.
pub(crate) async fn server(tier: &Arc<Tier>, client: &mut Client) -> Account {
    let mut headers = HeaderMap::new();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    marks::mark(tier, &mut headers, Handling::here(Fate::Options), None);
    let account = Account::before(Fate::Options, client.known());
    account.sent(client.head(StatusCode::NO_CONTENT, headers).await)
}

/// The head for an object: its own fields, its age, and the marks.
fn head_of(tier: &Tier, request: &Request, object: &Object, handling: Handling<'_>) -> HeaderMap {
    let mut headers = content::shared_head(tier, &request.site, object);
    headers.insert(header::AGE, HeaderValue::from(object.age(Instant::now()).as_secs()));
    marks::mark(tier, &mut headers, handling, Some(object));
    headers
}

/// The live stream that it is a version of, if it is one.
fn live_stream(tier: &Tier, request: &Request, object: &Object) -> Option<Arc<Stream>> {
    let stream = tier.streams().of_request(request).filter(|_| object.head.status == StatusCode::OK);
    stream.filter(|stream| stream.is_live())
}

/// The delta update of a live playlist (section 6.2.5.1 of HLS), where the viewer asks for one and the playlist offers
/// it; made once per version, at the edge.
fn delta(tier: &Tier, request: &Request, object: &Object) -> Option<Bytes> {
    let skip = request.directives.skip.filter(|_| tier.role() == Role::Edge)?;
    let pieces = object.body.whole()?;
    let first = object.delta.get().is_none();
    let delta = object.delta.get_or_init(|| {
        let full = content::joined(pieces);
        let playlist = Playlist::parse(&full).ok()?;
        Some(tidegate_hls::delta(&full, playlist.as_media()?, skip)?.into())
    });
    if first {
        tier.cache().weigh_again(&request.key);
    }
    delta.clone()
}

/// Waits until the body is whole; false where it breaks or the viewer leaves.
async fn whole(client: &mut Client, object: &Object) -> bool {
    if object.body.is_complete() {
        return true;
    }
    tokio::select! {
        biased;
        ended = object.body.wait_for_end() => ended.is_ok(),
        () = client.gone() => false,
    }
}

/// Sends a selection of an object's body, as it grows.
async fn stream(
    client: &mut Client,
    object: &Arc<Object>,
    selected: Selected,
    mut headers: HeaderMap,
) -> Result<(), Gone> {
    let status = selected.status(object.head.status);
    selected.describe(&mut headers);
    client.head(status, headers).await?;
    if *client.method() == Method::HEAD {
        return Ok(());
    }
    for part in selected.parts() {
        client.body(part.before).await?;
        if let Some((start, end)) = part.span {
            copy(client, object, start, end).await?;
        }
    }
    Ok(())
}

/// Copies bytes to the viewer while they arrive. When the body breaks, or stops short of what the head promised, the
/// connection is cut, so that the viewer cannot take a part for the whole.
async fn copy(client: &mut Client, object: &Object, start: u64, end: Option<u64>) -> Result<(), Gone> {
    let mut reader = object.body.reader(start, end);
    loop {
        let read = tokio::select! {
            biased;
            read = reader.next(WRITE_MAX as u64) => read,
            () = client.gone() => return Err(Gone),
        };
        match read {
            Ok(chunks) if !chunks.is_empty() => client.body_chunks(chunks).await?,
            Ok(_) if end.is_none_or(|end| reader.position() >= end) => return Ok(()),
            Ok(_) | Err(_) => {
                client.cut_off();
                return Err(Gone);
            }
        }
    }
}

async fn send(client: &mut Client, status: StatusCode, headers: HeaderMap, body: Bytes) -> Result<(), Gone> {
    client.head(status, headers).await?;
    if *client.method() == Method::HEAD { Ok(()) } else { client.body(body).await }
}

fn allowed(site: &Site) -> String {
    let mut allowed = "GET, HEAD, OPTIONS".to_owned();
    for method in &site.methods {
        allowed.push_str(", ");
        allowed.push_str(method.as_str());
    }
    allowed
}
