//! Responses for one viewer alone: those that cannot be shared, and those to methods that a site forwards.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidegate_cache::{Failure, Head};
use tidegate_headers::cache_status::Reason;
use tidegate_headers::conditional::VERSION;
use tidegate_headers::hop;
use tidegate_upstream::exchange::Exchange;
use tidegate_upstream::{
    Attempts, FetchJob, FillPolicy, INTERIM_MAX, InFlight, Upstream, UpstreamError, UpstreamResponse, fetch,
};
use tokio::sync::mpsc;

use super::links;
use super::pace::Pace;
use super::tier_fields::{self, Handling};
use super::upload::{Incomplete, Upload};
use crate::answer;
use crate::clock;
use crate::fate::Fate;
use crate::fill::fetch_job;
use crate::observe::account::Account;
use crate::policy::{SitePolicy, coding, leaving};
use crate::purge::tags;
use crate::refusal::Refusal;
use crate::request::access;
use crate::request::link::Link;
use crate::request::parsed::Request;
use crate::request::token;
use crate::tier::{Role, Tier};
use crate::viewer::client::Client;
use crate::viewer::unsent::Unsent;

/// Sends the request of one viewer upstream and forwards the response.
pub(crate) async fn get(tier: &Arc<Tier>, client: &mut Client, request: &Request, fate: Fate) -> Account {
    let mut headers = hop::pass_headers(client.headers());
    token::remove(&request.site, &mut headers);
    if let Some(slice) = request.slice {
        slice.add_headers(&mut headers, request.site.has_shields);
    }
    let policy = SitePolicy::new(tier, request, &headers);
    let job = pass_request(tier, client, request, headers.clone());
    tier.metrics().origin_requests_needed.inc();
    match request_upstream(tier, client, &policy, &job).await {
        Ok(Ok(reply)) => self::reply(tier, client, request, reply, fate).await,
        Ok(Err(failure)) => answer::failed(tier, client, request, &failure, Some(Reason::Bypass)).await,
        Err(Unsent) => Account::gone(request),
    }
}

/// The request of one viewer to the upstreams.
fn pass_request(tier: &Arc<Tier>, client: &Client, request: &Request, headers: HeaderMap) -> FetchJob {
    access::count_fill(tier, client);
    let headers = with_forwarded_for(client, headers);
    let mut job = fetch_job(tier, request, &request.directives, client.method().clone(), headers);
    job.request.is_pass = true;
    job
}

/// Waits for the final response and forwards the informational ones before it.
async fn request_upstream(
    tier: &Tier,
    client: &mut Client,
    policy: &SitePolicy<'_>,
    job: &FetchJob,
) -> Result<Result<UpstreamResponse, Failure>, Unsent> {
    let (sender, mut interim) = mpsc::channel(INTERIM_MAX);
    let mut in_flight = std::pin::pin!(fetch::pass(policy, job, &sender));
    loop {
        let head = tokio::select! {
            biased;
            Some(head) = interim.recv() => head,
            response = &mut in_flight => {
                // Several heads may have arrived together with the response. Boxed, as it is rare.
                while let Ok(head) = interim.try_recv() {
                    Box::pin(answer::informational(tier, client, &head)).await?;
                }
                return Ok(response);
            }
            () = client.until_gone() => return Err(Unsent),
        };
        Box::pin(answer::informational(tier, client, &head)).await?;
    }
}

/// Forwards a response for this viewer alone.
pub(crate) async fn reply(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    mut reply: UpstreamResponse,
    fate: Fate,
) -> Account {
    adapt(request, client.headers(), &mut reply);
    let account = Account::of(request, fate).with_upstream(reply.upstream().name());
    leaving::report_redirect(tier, request, &reply.head);
    client.request_facts().fate = Some(fate);
    let reason = if is_safe(client.method()) { Reason::Bypass } else { Reason::Method };
    let mut headers = head_of(tier, client, request, &reply.head, Handling::forward(fate, reason));
    let (link, host) = (request.link.as_deref(), &request.authority);
    links::redirect(reply.head.status, &mut headers, link, host);
    if let Some(link) = link.filter(|_| links::is_playlist(request.resource.kind, &reply.head)) {
        return account.with_result(forward_linked(client, &mut reply, headers, link, host).await);
    }
    let pace = Pace::of(&tier.settings().viewers);
    account.with_result(forward(client, &mut reply, headers, pace).await)
}

/// Adapts a response to what the viewer can use: another part than the requested slice, or a content coding
/// that the viewer does not accept. A coding that is not known stays: the origin chose it without knowing
/// what the viewer accepts, and a player may read it all the same.
fn adapt(request: &Request, viewer: &HeaderMap, reply: &mut UpstreamResponse) {
    let codings = tidegate_headers::coding::codings(&reply.head.headers);
    let is_accepted = codings.iter().all(|name| tidegate_headers::coding::accepts(viewer, name));
    if !is_accepted && reply.head.status != StatusCode::PARTIAL_CONTENT {
        let removed = coding::remove(&mut reply.head.headers);
        if !removed.is_empty() {
            reply.decode(&removed);
        }
    }
    let whole = reply.content_length().filter(|_| reply.head.status == StatusCode::OK && codings.is_empty());
    if let (Some(slice), Some(length)) = (request.slice, whole) {
        let (start, end) = slice.bytes().into_inner();
        if start < length {
            reply.cut_from_whole(&(start..=end.min(length - 1)), length);
        }
    }
}

/// Forwards a request with a method that the site allows, with its body. A success purges the cached object
/// of the URL.
pub(crate) async fn method(tier: &Arc<Tier>, client: &mut Client, request: &Request) -> Account {
    let max = tier.settings().viewers.body_max.bytes();
    if body_length(client).is_some_and(|length| length > max) {
        return answer::refuse(tier, client, &Refusal::BodyTooLarge { max }, Some(&request.site)).await;
    }
    let mut headers = hop::pass_headers(client.headers());
    token::remove(&request.site, &mut headers);
    if client.has_request_body() && !headers.contains_key(header::CONTENT_LENGTH) {
        // The framing ends with the hop, so a body of unknown length needs a new one.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let policy = SitePolicy::new(tier, request, &headers);
    let job = pass_request(tier, client, request, headers.clone());
    tier.metrics().origin_requests_needed.inc();
    match exchange(tier, client, &job).await {
        Ok(reply) => {
            // RFC 9111 section 4.4: a non-error response to an unsafe method invalidates the target.
            if reply.head.status.is_success() || reply.head.status.is_redirection() {
                tier.cache().purge(&request.key);
            }
            self::reply(tier, client, request, reply, Fate::Pass).await
        }
        Err(NoResponse::Failed(error, upstream)) => {
            let failure = policy.failure(error, upstream.as_deref(), None);
            answer::failed(tier, client, request, &failure, Some(Reason::Method)).await
        }
        Err(NoResponse::Refused(refusal)) => {
            answer::refuse(tier, client, &refusal, Some(&request.site)).await
        }
        Err(NoResponse::Unsent) => Account::gone(request),
    }
}

/// Why there is no response to forward.
enum NoResponse {
    Failed(UpstreamError, Option<Arc<Upstream>>),
    Refused(Refusal),
    Unsent,
}

impl From<Unsent> for NoResponse {
    fn from(_: Unsent) -> Self {
        Self::Unsent
    }
}

impl From<Incomplete> for NoResponse {
    fn from(incomplete: Incomplete) -> Self {
        match incomplete {
            Incomplete::Closed => Self::Unsent,
            Incomplete::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Sends the request with its body to the first upstream that accepts a connection. Only connecting is
/// retried at another upstream: once a byte of an unsafe request is sent, the upstream may have acted on it.
async fn exchange(tier: &Tier, client: &mut Client, job: &FetchJob) -> Result<UpstreamResponse, NoResponse> {
    let mut attempts = Attempts::of(job);
    let mut last_failure: Option<(UpstreamError, &Arc<Upstream>)> = None;
    while let Some(upstream) = attempts.next_candidate() {
        if let Some((error, failed)) = last_failure {
            fetch::record_fail_over(job, error, failed, upstream);
        }
        let mut in_flight = InFlight::begin(&job.recorder);
        match Exchange::send(upstream, &job.request).await {
            Ok(mut exchange) => {
                let failed = |error| NoResponse::Failed(error, Some(Arc::clone(upstream)));
                let head = upload_and_await_head(tier, client, &mut exchange, failed).await;
                if let Err(NoResponse::Failed(error, _)) = &head {
                    in_flight.record_failure(*error);
                }
                return head.map(|head| exchange.into_response(head, in_flight));
            }
            Err(error) => {
                in_flight.record_failure(error);
                last_failure = Some((error, upstream));
            }
        }
    }
    let (error, upstream) =
        last_failure.map_or_else(|| attempts.no_candidate(), |(error, upstream)| (error, Some(upstream)));
    Err(NoResponse::Failed(error, upstream.map(Arc::clone)))
}

/// Sends the request's body upstream, and forwards the informational heads until the final one.
async fn upload_and_await_head(
    tier: &Tier,
    client: &mut Client,
    exchange: &mut Exchange,
    failed: impl Fn(UpstreamError) -> NoResponse,
) -> Result<Head, NoResponse> {
    if client.has_request_body() {
        forward_body(tier, client, exchange).await?;
    } else {
        exchange.finish().await.map_err(&failed)?;
    }
    loop {
        let head = tokio::select! {
            biased;
            head = exchange.head() => head.map_err(&failed)?,
            () = client.until_gone() => return Err(NoResponse::Unsent),
        };
        if !head.status.is_informational() {
            return Ok(head);
        }
        answer::informational(tier, client, &head).await?;
    }
}

/// Sends the body upstream until its end, or until the upstream accepts no more of it. The upstream may have
/// responded already; if it has failed, the wait for its head returns the error.
async fn forward_body(tier: &Tier, client: &mut Client, exchange: &mut Exchange) -> Result<(), NoResponse> {
    let mut upload = Upload::begin(tier, client, tier.settings().viewers.body_max.bytes()).await?;
    while let Some(bytes) = upload.next(client).await? {
        if exchange.write(bytes, false).await.is_err() {
            return Ok(());
        }
    }
    let _may_have_responded = exchange.finish().await;
    Ok(())
}

/// The `Content-Length` of the request. A malformed one has been refused (`request/read.rs`).
fn body_length(client: &Client) -> Option<u64> {
    tidegate_http1::content_length(client.headers()).ok().flatten()
}

/// Sends the head, then the body at the viewer's pace: it is not stored, so the upstream waits for the
/// viewer.
async fn forward(
    client: &mut Client,
    reply: &mut UpstreamResponse,
    headers: HeaderMap,
    mut pace: Pace,
) -> Result<(), Unsent> {
    client.head(reply.head.status, headers).await?;
    if *client.method() == Method::HEAD {
        // The (empty) body is read to its end, so that the connection returns to its pool.
        return next_bytes(client, reply).await.map(|_end| ());
    }
    loop {
        match next_bytes(client, reply).await? {
            Ok(Some(bytes)) => forward_bytes(client, bytes, &mut pace).await?,
            Ok(None) => return Ok(()),
            Err(_broken) => {
                client.mark_broken();
                return Err(Unsent);
            }
        }
    }
}

/// The same for a playlist, which is received first: its links get the viewer's token.
async fn forward_linked(
    client: &mut Client,
    reply: &mut UpstreamResponse,
    headers: HeaderMap,
    link: &Link,
    host: &str,
) -> Result<(), Unsent> {
    let mut headers = links::headers(&headers);
    let mut playlist = BytesMut::new();
    loop {
        match next_bytes(client, reply).await? {
            Ok(Some(bytes)) if playlist.len() + bytes.len() <= LINKED_BYTES_MAX => {
                playlist.extend_from_slice(&bytes);
            }
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => {
                client.mark_broken();
                return Err(Unsent);
            }
        }
    }
    if *client.method() == Method::HEAD {
        return client.head(reply.head.status, headers).await;
    }
    let body = links::extended(playlist.freeze(), Some(link), host);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    client.head(reply.head.status, headers).await?;
    client.body(body).await
}

/// The next bytes of a response, `None` at its end, or its error.
async fn next_bytes(
    client: &mut Client,
    reply: &mut UpstreamResponse,
) -> Result<Result<Option<Bytes>, UpstreamError>, Unsent> {
    tokio::select! {
        biased;
        read = reply.next() => Ok(read),
        () = client.until_gone() => Err(Unsent),
    }
}

/// The largest playlist for one viewer alone that gets a token in its links.
const LINKED_BYTES_MAX: usize = 8 << 20;

/// Sends the next bytes, as long as the viewer takes them at the minimum rate.
async fn forward_bytes(client: &mut Client, mut bytes: Bytes, pace: &mut Pace) -> Result<(), Unsent> {
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(pace.part_max()));
        let len = part.len();
        let Ok(sent) = pace.wait(client.body(part), |_sent| len).await else {
            client.mark_broken();
            return Err(Unsent);
        };
        sent?;
    }
    Ok(())
}

fn head_of(
    tier: &Tier,
    client: &Client,
    request: &Request,
    head: &Head,
    handling: Handling<'_>,
) -> HeaderMap {
    let mut headers = hop::end_to_end(&head.headers);
    hop::date(&mut headers, clock::now());
    if let Some(age) = head.headers.get(header::AGE) {
        headers.insert(header::AGE, age.clone());
    }
    if head.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
    if tier.role() == Role::Edge {
        headers.remove(&VERSION);
    }
    tags::hide(tier, &mut headers);
    tier_fields::allow_reading(tier, &request.site, client.headers(), &mut headers);
    tier_fields::add(tier, &mut headers, handling, None);
    headers
}

/// The request headers for the upstream: with the viewer's address in `X-Forwarded-For`, and without
/// `Expect`, which this node handles itself.
fn with_forwarded_for(client: &Client, mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::EXPECT);
    let address = client.address().to_string();
    let chain = match headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()) {
        Some(chain) => format!("{chain}, {address}"),
        None => address,
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert("x-forwarded-for", chain);
    }
    headers
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
