//! Answers for one viewer alone: what cannot be shared, and methods that a site passes through.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tidegate_cache::{Failure, Head};
use tidegate_headers::cache_status::Reason;
use tidegate_headers::hop;
use tidegate_upstream::exchange::Exchange;
use tidegate_upstream::{
    Attempts, FillPolicy, FillRequest, INTERIM_MAX, InFlight, Upstream, UpstreamError, UpstreamResponse,
    fetch,
};
use tokio::sync::mpsc;

use super::marks::{self, Handling};
use crate::answer;
use crate::clock;
use crate::expires;
use crate::fate::Fate;
use crate::fill::job;
use crate::observe::account::Account;
use crate::policy::SitePolicy;
use crate::refusal::Refusal;
use crate::request::parsed::Request;
use crate::tier::Tier;
use crate::viewer::client::Client;
use crate::viewer::gone::Gone;

/// Asks for one viewer and gives on what comes.
pub(crate) async fn get(tier: &Arc<Tier>, client: &mut Client, request: &Request, fate: Fate) -> Account {
    let mut headers = hop::pass_headers(client.headers());
    if let Some(slice) = request.slice {
        slice.ask(&mut headers, request.site.has_shields);
    }
    let policy = SitePolicy::new(tier, request, &headers);
    let job =
        job(tier, request, &request.directives, client.method().clone(), forwarded(client, headers.clone()));
    tier.metrics().origin_requests_needed.inc();
    match ask(tier, client, &policy, &job).await {
        Ok(Ok(reply)) => self::reply(tier, client, request, reply, fate).await,
        Ok(Err(failure)) => answer::failed(tier, client, request, &failure, Some(Reason::Bypass)).await,
        Err(Gone) => Account::gone(request),
    }
}

/// Waits for the final answer and gives on the informational ones before it.
async fn ask(
    tier: &Tier,
    client: &mut Client,
    policy: &SitePolicy<'_>,
    job: &FillRequest,
) -> Result<Result<UpstreamResponse, Failure>, Gone> {
    let (tell, mut interim) = mpsc::channel(INTERIM_MAX);
    let mut in_flight = std::pin::pin!(fetch::pass(policy, job, &tell));
    loop {
        let head = tokio::select! {
            biased;
            Some(head) = interim.recv() => head,
            asked = &mut in_flight => {
                // They may all have come at once. Boxed, as it is rare.
                while let Ok(head) = interim.try_recv() {
                    Box::pin(answer::informational(tier, client, &head)).await?;
                }
                return Ok(asked);
            }
            () = client.gone() => return Err(Gone),
        };
        Box::pin(answer::informational(tier, client, &head)).await?;
    }
}

/// Gives on an answer that is for this viewer alone.
pub(crate) async fn reply(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    mut reply: UpstreamResponse,
    fate: Fate,
) -> Account {
    let account = Account::of(request, fate).with_upstream(reply.upstream().name());
    client.known().fate = Some(fate);
    let reason = if is_safe(client.method()) { Reason::Bypass } else { Reason::Method };
    let headers = head_of(tier, request, &reply.head, fate, reason);
    account.with_result(give_on(client, &mut reply, headers).await)
}

/// Passes a method that the site allows, its body included; a success makes what is held for the URL obsolete.
pub(crate) async fn method(tier: &Arc<Tier>, client: &mut Client, request: &Request) -> Account {
    let max = tier.settings().viewers.body_max.bytes();
    if body_length(client).is_some_and(|length| length > max) {
        return answer::refuse(tier, client, &Refusal::BodyTooLarge { max }, Some(&request.site)).await;
    }
    let mut headers = hop::pass_headers(client.headers());
    if client.has_request_body() && !headers.contains_key(header::CONTENT_LENGTH) {
        // The framing ends with the hop, so a body of unknown length needs a new one.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let policy = SitePolicy::new(tier, request, &headers);
    let job =
        job(tier, request, &request.directives, client.method().clone(), forwarded(client, headers.clone()));
    tier.metrics().origin_requests_needed.inc();
    match exchange(tier, client, &job).await {
        Ok(reply) => {
            // RFC 9111 section 4.4: a non-error answer to an unsafe method invalidates the target.
            if reply.head.status.is_success() || reply.head.status.is_redirection() {
                tier.cache().purge(&request.key);
            }
            self::reply(tier, client, request, reply, Fate::Pass).await
        }
        Err(Ended::Failed(error, upstream)) => {
            let failure = policy.failure(error, upstream.as_deref(), None);
            answer::failed(tier, client, request, &failure, Some(Reason::Method)).await
        }
        Err(Ended::Refused(refusal)) => answer::refuse(tier, client, &refusal, Some(&request.site)).await,
        Err(Ended::Gone) => Account::gone(request),
    }
}

/// Why there is no answer to give on.
enum Ended {
    Failed(UpstreamError, Option<Arc<Upstream>>),
    Refused(Refusal),
    Gone,
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Sends the request with its body to the first source that takes it. Only the connecting is tried again elsewhere:
/// once a byte of an unsafe request is out, nobody knows what became of it.
async fn exchange(tier: &Tier, client: &mut Client, job: &FillRequest) -> Result<UpstreamResponse, Ended> {
    let mut attempts = Attempts::of(job);
    let mut last: Option<(UpstreamError, &Arc<Upstream>)> = None;
    while let Some(upstream) = attempts.next_candidate() {
        if let Some((error, failed)) = last {
            fetch::fail_over(job, error, failed, upstream);
        }
        let mut in_flight = InFlight::begin(&job.recorder);
        match Exchange::send(upstream, &job.ask).await {
            Ok(mut exchange) => {
                let failed = |error| Ended::Failed(error, Some(Arc::clone(upstream)));
                let carried = carry(tier, client, &mut exchange, failed).await;
                if let Err(Ended::Failed(error, _)) = &carried {
                    in_flight.record_failure(*error);
                }
                return carried.map(|head| exchange.into_response(head, in_flight));
            }
            Err(error) => {
                in_flight.record_failure(error);
                last = Some((error, upstream));
            }
        }
    }
    let (error, upstream) =
        last.map_or_else(|| attempts.no_candidate(), |(error, upstream)| (error, Some(upstream)));
    Err(Ended::Failed(error, upstream.map(Arc::clone)))
}

/// Carries the request's body up, and the heads of the answer down as far as the final one.
async fn carry(
    tier: &Tier,
    client: &mut Client,
    exchange: &mut Exchange,
    failed: impl Fn(UpstreamError) -> Ended,
) -> Result<Head, Ended> {
    if client.has_request_body() {
        upload(tier, client, exchange).await?;
    } else {
        exchange.finish().await.map_err(&failed)?;
    }
    loop {
        let head = tokio::select! {
            biased;
            head = exchange.head() => head.map_err(&failed)?,
            () = client.gone() => return Err(Ended::Gone),
        };
        if !head.status.is_informational() {
            return Ok(head);
        }
        answer::informational(tier, client, &head).await?;
    }
}

/// Carries the body up, until its end or until the source takes no more of it: it may have answered already, and if
/// not, the wait for its head tells.
async fn upload(tier: &Tier, client: &mut Client, exchange: &mut Exchange) -> Result<(), Ended> {
    let settings = &tier.settings().viewers;
    let max = settings.body_max.bytes();
    // RFC 9110 section 10.1.1: HTTP/1.0 knows no leave to go on.
    if client.headers().contains_key(header::EXPECT) && client.version() == http::Version::HTTP_11 {
        client.send_continue().await?;
    }
    let mut sent = 0;
    while let Some(bytes) = body_piece(client, settings.write_timeout.get()).await? {
        if bytes.is_empty() {
            // A read may bring the frame of a chunk and nothing of its content. Written, it would be the last chunk.
            continue;
        }
        sent += bytes.len() as u64;
        if sent > max {
            return Err(Ended::Refused(Refusal::BodyTooLarge { max }));
        }
        if exchange.write(bytes, false).await.is_err() {
            return Ok(());
        }
    }
    let _answered_already = exchange.finish().await;
    Ok(())
}

/// The length that the request announces for its body.
fn body_length(client: &Client) -> Option<u64> {
    client.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn body_piece(client: &mut Client, patience: Duration) -> Result<Option<bytes::Bytes>, Gone> {
    tokio::time::timeout(patience, client.request_body()).await.unwrap_or(Err(Gone))
}

/// Head, then the body at the viewer's pace: nothing is kept, so the source waits for the viewer.
async fn give_on(client: &mut Client, reply: &mut UpstreamResponse, headers: HeaderMap) -> Result<(), Gone> {
    client.head(reply.head.status, headers).await?;
    if *client.method() == Method::HEAD {
        // Read to its (empty) end, so that the connection goes back to its pool.
        tokio::select! {
            biased;
            _nothing = reply.next() => return Ok(()),
            () = client.gone() => return Err(Gone),
        }
    }
    loop {
        let read = tokio::select! {
            biased;
            read = reply.next() => read,
            () = client.gone() => return Err(Gone),
        };
        match read {
            Ok(Some(bytes)) => client.body(bytes).await?,
            Ok(None) => return Ok(()),
            Err(_trouble) => {
                client.cut_off();
                return Err(Gone);
            }
        }
    }
}

fn head_of(tier: &Tier, request: &Request, head: &Head, fate: Fate, reason: Reason) -> HeaderMap {
    let mut headers = hop::end_to_end(&head.headers);
    expires::replace_with_max_age(&mut headers, clock::now());
    if let Some(age) = head.headers.get(header::AGE) {
        headers.insert(header::AGE, age.clone());
    }
    if head.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
    marks::allow_reading(tier, &request.site, &mut headers);
    marks::mark(tier, &mut headers, Handling::forward(fate, reason), None);
    headers
}

/// The address of the viewer, for an origin that wants to know for whom it answers.
fn forwarded(client: &Client, mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::EXPECT);
    let address = client.peer().ip().to_string();
    let chain = match headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before}, {address}"),
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
