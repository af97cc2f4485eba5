//! Responses from cached and growing objects: head, range, encoding, body.

pub(crate) mod content;
pub(crate) mod links;
mod pace;
pub(crate) mod pass;
pub(crate) mod reports;
pub(crate) mod select;
pub(crate) mod tier_fields;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidegate_cache::{Failure, Head, Object};
use tidegate_headers::cache_status::Reason;
use tidegate_headers::compress;
use tidegate_headers::conditional::{self, Outcome, Validators};
use tidegate_headers::field;
use tidegate_headers::hop;
use tidegate_hls::{Kind, Playlist};
use tidegate_http1::lines;
use tokio::time::Instant;

use self::select::Selected;
use self::tier_fields::Handling;
use crate::clock;
use crate::fate::Fate;
use crate::live::stream::Stream;
use crate::observe::account::Account;
use crate::purge::Purge;
use crate::refusal::{self, Refusal};
use crate::request::parsed::Request;
use crate::site::Site;
use crate::tier::{Role, Tier};
use crate::viewer::client::{Client, WRITE_MAX};
use crate::viewer::unsent::Unsent;

/// Responds with an object, or the requested ranges of it.
pub(crate) async fn object(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    object: &Arc<Object>,
    mut handling: Handling<'_>,
) -> Account {
    let mut account = Account::of(request, handling.fate).with_object(object);
    object.mark_requested();
    let live = live_stream(tier, request, object);
    if let Some(stream) = &live {
        content::record_lag(tier, stream);
        handling.error = stream.error();
        account = account.live();
    }
    client.request_facts().fate = Some(handling.fate);
    if request.resource.kind == Kind::Playlist || !client.frames_unknown_lengths() {
        // A playlist is complete soon after its head. And a viewer that cannot distinguish a broken body from
        // a complete one (HTTP/1.0 without a length) gets no body before it is complete.
        if !wait_for_end(client, object).await {
            return account.broken();
        }
    }
    let mut headers = head_of(tier, client, request, object, handling);
    let coded = derived(tier, client, request, object, &mut headers);
    let described = Validators::of(if coded.is_some() { &headers } else { &object.head.headers });
    // A live playlist may have several versions within a second.
    let described = if live.is_some() { described.without_dates() } else { described };
    match select::precondition(client.method(), client.headers(), object.head.status, &described) {
        Outcome::Proceed => {}
        Outcome::NotModified => {
            let remaining = conditional::not_modified_headers(&headers);
            let remaining: HeaderMap = remaining.map(|(name, value)| (name.clone(), value.clone())).collect();
            return account.with_result(client.head(StatusCode::NOT_MODIFIED, remaining).await);
        }
        Outcome::PreconditionFailed => {
            forbid_storing(&mut headers);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            return account.with_result(client.head(StatusCode::PRECONDITION_FAILED, headers).await);
        }
    }
    if let Some(gzip) = coded {
        return account.with_result(send(client, object.head.status, headers, gzip).await);
    }
    let selected = match select::select(client, tier.settings().viewers.ranges_max, object).await {
        Ok(selected) => selected,
        Err(Unsent) => return account.broken(),
    };
    account.with_result(send_selected(client, object, selected, headers).await)
}

/// The form of an object that this node makes for the request, if there is one; `headers` become those of
/// the form.
fn derived(
    tier: &Tier,
    client: &Client,
    request: &Request,
    object: &Object,
    headers: &mut HeaderMap,
) -> Option<Bytes> {
    let (link, host) = (request.link.as_deref(), &request.authority);
    links::redirect(object.head.status, headers, link, host);
    if let Some(delta) = delta(tier, request, object) {
        let delta = links::extended(delta, link, host);
        // It is another representation, and obsolete with the next version: a validator would be useless.
        headers.remove(header::ETAG);
        headers.remove(header::LAST_MODIFIED);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(delta.len()));
        return Some(delta);
    }
    let has_codings = content::has_codings(tier, &request.site, request.resource.kind, object);
    if has_codings {
        compress::vary_by_coding(headers);
    }
    if let Some(link) = link
        && let Some(body) = links::body(object, request.resource.kind, link, host)
    {
        *headers = links::headers(headers);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        return Some(body);
    }
    let gzip = has_codings.then(|| content::gzip(tier, client.headers(), &request.key, object)).flatten()?;
    *headers = compress::coded_headers(headers, gzip.len());
    Some(gzip)
}

/// The head of an object becomes that of an error about one request, to which the object's lifetime does not
/// apply.
fn forbid_storing(headers: &mut HeaderMap) {
    for name in ["age", "cdn-cache-control", "expires", "pragma", "surrogate-control"] {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Refuses a request.
pub(crate) async fn refuse(
    tier: &Arc<Tier>,
    client: &mut Client,
    refusal: &Refusal,
    site: Option<&Site>,
) -> Account {
    let allow = site.map_or_else(|| "GET, HEAD, OPTIONS".to_owned(), allowed);
    let (mut headers, body) = refusal.answer(tier.node(), &allow);
    let body = tier_fields::error_text(tier, refusal.status(), body.into(), &mut headers);
    if let Refusal::Token(reason) = refusal {
        tier.metrics().access.token_refused((*reason).into());
    }
    let account = Account::refused(refusal, client.request_facts());
    match refusal {
        Refusal::Denied(denial) => tier.metrics().access.denied(*denial),
        Refusal::Limited(exceeded) => tier.metrics().access.limited(exceeded.limit),
        _ => {}
    }
    match site {
        Some(site) => tier_fields::allow_reading(tier, site, client.headers(), &mut headers),
        None => tier_fields::allow_reading_error(tier, client.headers(), &mut headers),
    }
    tier_fields::add(tier, &mut headers, Handling::here(refusal.fate()), None);
    account.with_result(send(client, refusal.status(), headers, body).await)
}

/// The HTTP/1.1 response to a request that could not be read: head and body.
pub(crate) fn render_refusal(tier: &Tier, refusal: &Refusal) -> (Vec<u8>, Bytes) {
    let (mut headers, body) = refusal.answer(tier.node(), "");
    let body = tier_fields::error_text(tier, refusal.status(), body.into(), &mut headers);
    headers.insert(header::DATE, field::value(httpdate::fmt_http_date(clock::now())));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    tier_fields::allow_reading_error(tier, &HeaderMap::new(), &mut headers);
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Refused), None);
    let mut head = Vec::new();
    lines::status_line(&mut head, refusal.status());
    lines::fields(&mut head, headers.iter());
    head.extend_from_slice(lines::END);
    (head, body)
}

/// Forwards an informational response (1xx). HTTP/1.0 has none; over HTTP/2 none are sent.
pub(crate) async fn informational(tier: &Tier, client: &mut Client, head: &Head) -> Result<(), Unsent> {
    if client.version() != http::Version::HTTP_11 {
        return Ok(());
    }
    let mut headers = hop::end_to_end(&head.headers);
    if tier.is_exposed() {
        hop::append_via(&mut headers, tier.settings().upstream.http.http(), tier.node());
    } else {
        headers.remove(header::VIA);
    }
    client.head(head.status, headers).await
}

/// Responds with an error because no upstream had a usable response.
pub(crate) async fn failed(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    failure: &Failure,
    reason: Option<Reason>,
) -> Account {
    let (mut headers, mut body) = refusal::failed(tier.node(), failure);
    // An error page of the origin stays, but not one of a tier in between.
    let is_origins = failure
        .response
        .as_ref()
        .is_some_and(|response| !request.site.has_shields || is_of_origin(&response.head.headers));
    if !is_origins {
        body = tier_fields::error_text(tier, failure.status, body, &mut headers);
    }
    tier_fields::allow_reading(tier, &request.site, client.headers(), &mut headers);
    let handling = Handling { fate: Fate::Failed, reason, failure: Some(failure), error: None };
    tier_fields::add(tier, &mut headers, handling, None);
    let account = Account::of(request, Fate::Failed).with_failure(failure);
    account.with_result(send(client, failure.status, headers, body).await)
}

/// Whether an error response of a shield has the page of an origin: `Proxy-Status` then has its status.
fn is_of_origin(headers: &HeaderMap) -> bool {
    let members = headers.get_all("proxy-status").iter();
    members.filter_map(|value| value.to_str().ok()).any(|value| value.contains("received-status="))
}

/// Responds to OPTIONS, including a player's CORS preflight, without an upstream request.
pub(crate) async fn options(tier: &Arc<Tier>, client: &mut Client, request: &Request) -> Account {
    let mut headers =
        request.site.cors.as_ref().map_or_else(HeaderMap::new, |cors| cors.preflight(client.headers()).1);
    if tier.receives_reports(&request.resource.path) {
        let allow = HeaderValue::from_static("POST, OPTIONS");
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_METHODS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        }
        headers.insert(header::ALLOW, allow);
    } else if let Ok(allow) = HeaderValue::from_str(&allowed(&request.site)) {
        headers.insert(header::ALLOW, allow);
    }
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Options), None);
    let account = Account::of(request, Fate::Options);
    account.with_result(client.head(StatusCode::NO_CONTENT, headers).await)
}

/// Purges the requested resource, and responds when that is done.
pub(crate) async fn purge(tier: &Arc<Tier>, client: &mut Client, request: &Request) -> Account {
    let (purge, purged) = (Purge::of_request(request), Arc::clone(tier));
    let account = Account::of(request, Fate::Purge);
    // It fails only when the runtime shuts down.
    let Ok(report) = tokio::task::spawn_blocking(move || purge.run(&purged)).await else {
        return account.broken();
    };
    let body = Bytes::from(serde_json::to_vec(&report).unwrap_or_default());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    forbid_storing(&mut headers);
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Purge), None);
    account.with_result(send(client, StatusCode::OK, headers, body).await)
}

/// Responds to `OPTIONS *`, which asks whether the server is available. Tiers probe each other this way.
pub(crate) async fn server(tier: &Arc<Tier>, client: &mut Client) -> Account {
    let mut headers = HeaderMap::new();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Options), None);
    let account = Account::from_facts(Fate::Options, client.request_facts());
    account.with_result(client.head(StatusCode::NO_CONTENT, headers).await)
}

/// Responds to an HTTP-01 challenge of an ACME authority (RFC 8555 section 8.3).
pub(crate) async fn challenge(tier: &Arc<Tier>, client: &mut Client, key_authorization: String) -> Account {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(key_authorization.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tier_fields::add(tier, &mut headers, Handling::here(Fate::Challenge), None);
    let account = Account::from_facts(Fate::Challenge, client.request_facts());
    account.with_result(send(client, StatusCode::OK, headers, key_authorization.into()).await)
}

/// The head for an object: its own fields, its age, and the marks.
fn head_of(
    tier: &Tier,
    client: &Client,
    request: &Request,
    object: &Object,
    handling: Handling<'_>,
) -> HeaderMap {
    let mut headers = content::shared_head(tier, &request.site, object);
    if let Some(cors) = tier_fields::cors_by_page(tier, &request.site) {
        let page = client.headers().get(header::ORIGIN).map(HeaderValue::as_bytes);
        cors.allow_page(page, |name, value| _ = headers.insert(name, value.clone()));
    }
    headers.insert(header::AGE, HeaderValue::from(tier_fields::seconds_of_age(object.age(Instant::now()))));
    tier_fields::add(tier, &mut headers, handling, Some(object));
    headers
}

/// The live stream of which the object is a version, if any.
fn live_stream(tier: &Tier, request: &Request, object: &Object) -> Option<Arc<Stream>> {
    let stream = tier.streams().of_request(request).filter(|_| object.head.status == StatusCode::OK);
    stream.filter(|stream| stream.is_live())
}

/// The delta update of a live playlist (HLS section 6.2.5.1), if the viewer requests one and the playlist
/// offers it; made once per version, at the edge.
fn delta(tier: &Tier, request: &Request, object: &Object) -> Option<Bytes> {
    request.directives.skip.filter(|_| tier.role() == Role::Edge)?;
    let chunks = object.body.whole()?;
    let is_first = object.delta.get().is_none();
    let delta = object.delta.get_or_init(|| {
        let full = content::concatenated(chunks);
        let playlist = Playlist::parse(&full).ok()?;
        let stream = tier.streams().of_request(request);
        let removed = stream.map(|stream| stream.removed_dateranges()).unwrap_or_default();
        Some(tidegate_hls::delta(&full, playlist.as_media()?, &removed)?.into())
    });
    if is_first {
        tier.cache().weigh_again(&request.key);
    }
    delta.clone()
}

/// Waits until the body is complete. Returns false if it breaks or the viewer leaves.
async fn wait_for_end(client: &mut Client, object: &Object) -> bool {
    if object.body.is_complete() {
        return true;
    }
    tokio::select! {
        biased;
        ended = object.body.wait_for_end() => ended.is_ok(),
        () = client.until_gone() => false,
    }
}

/// Sends a selection of an object's body, as it grows.
async fn send_selected(
    client: &mut Client,
    object: &Arc<Object>,
    selected: Selected,
    mut headers: HeaderMap,
) -> Result<(), Unsent> {
    let status = selected.status(object.head.status);
    selected.describe(&mut headers);
    match status {
        // RFC 9110 section 8.6: it has no length.
        StatusCode::NO_CONTENT => _ = headers.remove(header::CONTENT_LENGTH),
        StatusCode::RANGE_NOT_SATISFIABLE => forbid_storing(&mut headers),
        _ => {}
    }
    client.head(status, headers).await?;
    if *client.method() == Method::HEAD {
        return Ok(());
    }
    for part in selected.parts() {
        client.body(part.before).await?;
        if let Some((start, end)) = part.span {
            send_body(client, object, start, end).await?;
        }
    }
    Ok(())
}

/// Sends bytes to the viewer as they arrive. If the body breaks, or ends before the length in the head, the
/// connection is cut off, so that the viewer cannot take a truncated body for a complete one.
async fn send_body(client: &mut Client, object: &Object, start: u64, end: Option<u64>) -> Result<(), Unsent> {
    let mut reader = object.body.reader(start, end);
    loop {
        let read = tokio::select! {
            biased;
            read = reader.next(WRITE_MAX as u64) => read,
            () = client.until_gone() => return Err(Unsent),
        };
        match read {
            Ok(chunks) if !chunks.is_empty() => client.body_chunks(chunks).await?,
            Ok(_) if end.is_none_or(|end| reader.position() >= end) => return Ok(()),
            Ok(_) | Err(_) => {
                client.mark_broken();
                return Err(Unsent);
            }
        }
    }
}

async fn send(
    client: &mut Client,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), Unsent> {
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
