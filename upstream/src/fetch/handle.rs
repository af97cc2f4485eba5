//! What becomes of one response: stored as it arrives, stored whole, passed, or refused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use tidegate_cache::freshness::UncacheableReason;
use tidegate_cache::{FillWriter, Head, Lifetimes, Refused, Variant};

use crate::error::UpstreamError;
use crate::fetch::extent::{Again, Extent};
use crate::fetch::fetch_job::FetchJob;
use crate::fetch::response::UpstreamResponse;
use crate::policy::{FailedResponse, FillPolicy, Inspection, Peeked, Progress, Ruling, StoredResponse};
use crate::upstream::Upstream;

/// How a request to one upstream ended.
pub(super) enum Attempt {
    /// The head is published, the body follows.
    Streaming(UpstreamResponse),
    /// The head is published, and this is the whole body.
    Filled(Bytes),
    /// The old object is current.
    Renewed(Head, Lifetimes),
    /// The response is for the requester alone.
    Pass(UpstreamResponse, Duration, Option<UncacheableReason>),
    /// Nothing is published, and readers look up again: the whole resource came in place of a slice of it and
    /// another fill of the whole is under way, or the response was purged on its way.
    Yield,
    /// Nothing is published: the same upstream receives the request in another form.
    Again(Again),
    /// No reader waits for it any more.
    Unwanted,
    /// Nothing is published: the next candidate may be tried.
    Failed(UpstreamError, Option<FailedResponse>),
}

/// Does what the policy rules about a response.
pub(super) async fn handle_response(
    policy: &impl FillPolicy,
    job: &FetchJob,
    progress: &mut Progress,
    mut response: UpstreamResponse,
    fill_writer: &mut FillWriter,
) -> Attempt {
    // After a redirect it is another one than the candidate.
    let upstream = &Arc::clone(response.upstream());
    if response.head.status == StatusCode::NOT_MODIFIED
        && let Some(stale) = fill_writer.stale()
    {
        // Read to its (empty) end, so that the connection goes back to its pool.
        let _nothing = response.next().await;
        return match policy.renew(stale, &response.head, progress) {
            Ok((head, lifetimes)) => Attempt::Renewed(head, lifetimes),
            Err(error) => {
                progress.record_unusable(upstream, error);
                Attempt::Failed(error, None)
            }
        };
    }
    match Extent::of(&mut response.head, job.request.span.as_ref()) {
        Extent::Requested => limit_to_slice(job, &mut response),
        Extent::Larger(part) => response.cut_to(&part),
        Extent::Whole => {
            if let Some(instead) = take_whole(job, &mut response, fill_writer) {
                return instead;
            }
        }
        Extent::Unclear(again) => {
            response.refuse(OTHER_BYTES);
            tracing::debug!(path = job.request.path(), upstream = %upstream.name(), ?again, "repeated in another form");
            return Attempt::Again(again);
        }
        Extent::Shorter => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return if policy.may_appear(status) {
                refuse(response, UpstreamError::Status(status))
            } else {
                Attempt::Pass(response, Duration::ZERO, None)
            };
        }
    }
    let codings = policy.codings(&mut response.head);
    if !codings.is_empty() {
        response.decode(&codings);
    }
    let ruling = match policy.rule(&response.head) {
        Ruling::Peek { otherwise } => match peek(policy, &mut response).await {
            Ok(ruling) => ruling.unwrap_or(*otherwise),
            Err(error) => return Attempt::Failed(error, None),
        },
        ruling => ruling,
    };
    match ruling {
        Ruling::Refuse(error) => Attempt::Failed(error, Some(refuse_with_body(response, error).await)),
        Ruling::Pass { remember, reason } => Attempt::Pass(response, remember, Some(reason)),
        // There is no second look.
        Ruling::Peek { .. } => Attempt::Pass(response, Duration::ZERO, None),
        Ruling::Store { lifetimes, variant } => {
            let head = policy.stored_head(&response.head);
            publish(job, fill_writer, response, head, lifetimes, variant).await
        }
        Ruling::Collect { max } => collect(policy, progress, upstream, fill_writer, response, max).await,
    }
}

/// Publishes the head of a response. Its body follows, unless all of it is there.
async fn publish(
    job: &FetchJob,
    fill_writer: &mut FillWriter,
    mut response: UpstreamResponse,
    head: Head,
    lifetimes: Lifetimes,
    variant: Option<Variant>,
) -> Attempt {
    let (arrived, upstream) = (response.arrived(), Arc::clone(response.upstream().name()));
    let published = match arrived {
        Some(length) => fill_writer.publish_whole(head, lifetimes, variant, length, upstream),
        None => fill_writer.publish(head, lifetimes, variant, response.content_length(), upstream),
    };
    match (published, arrived) {
        (Ok(()), Some(length)) => match response.collect(length).await {
            Ok(body) => Attempt::Filled(body),
            Err(error) => Attempt::Failed(error, None),
        },
        (Ok(()), None) => Attempt::Streaming(response),
        (Err(Refused::TooLarge { .. }), _) => Attempt::Pass(response, job.remember_large, None),
        (Err(Refused::NoRoom), _) => Attempt::Pass(response, Duration::ZERO, None),
        (Err(Refused::Purged), _) => Attempt::Yield,
    }
}

/// Reads as many bytes as the policy needs to know what the response is; they stay its next bytes. `None` if
/// they show nothing new.
async fn peek(
    policy: &impl FillPolicy,
    response: &mut UpstreamResponse,
) -> Result<Option<Ruling>, UpstreamError> {
    let mut beginning = Bytes::new();
    let mut peeked = Peeked::More;
    while matches!(peeked, Peeked::More)
        && let Some(bytes) = response.next().await?
    {
        beginning = if beginning.is_empty() { bytes } else { [beginning, bytes].concat().into() };
        peeked = policy.rule_beginning(&beginning);
    }
    if !beginning.is_empty() {
        response.put_back(beginning);
    }
    Ok(match peeked {
        Peeked::Rule(ruling) => Some(ruling),
        Peeked::More | Peeked::Otherwise => None,
    })
}

/// Makes the body of a slice as long as its head says, if no length says so itself.
fn limit_to_slice(job: &FetchJob, response: &mut UpstreamResponse) {
    let is_slice = response.head.status == StatusCode::PARTIAL_CONTENT;
    if let Some(span) = job.request.span.as_ref().filter(|_| is_slice && response.content_length().is_none())
    {
        response.cut_to(&(0..=span.end() - span.start()));
    }
}

/// The response has the whole resource in place of a slice. The fill becomes that of the resource, so that
/// one response is enough for all its slices. What exceeds the largest object is cut to the slice. Returns an
/// attempt that ends here.
fn take_whole(
    job: &FetchJob,
    response: &mut UpstreamResponse,
    fill_writer: &mut FillWriter,
) -> Option<Attempt> {
    let (span, whole) = (job.request.span.as_ref()?, job.whole.as_ref()?);
    let length = response.content_length();
    let is_coded = response.head.headers.contains_key(header::CONTENT_ENCODING);
    match length.filter(|length| *length > fill_writer.object_max() && !is_coded) {
        Some(length) if span.end() < &length => {
            response.cut_from_whole(span, length);
            None
        }
        _ if fill_writer.move_to(whole) => None,
        _ => {
            response.refuse(UpstreamError::Unusable("the whole in place of a slice"));
            Some(Attempt::Yield)
        }
    }
}

/// Reads a response to its end before any of it is published, so that a broken or wrong one costs no viewer
/// anything.
async fn collect(
    policy: &impl FillPolicy,
    progress: &mut Progress,
    upstream: &Arc<Upstream>,
    fill_writer: &mut FillWriter,
    mut response: UpstreamResponse,
    max: u64,
) -> Attempt {
    let body = match response.collect(max).await {
        Ok(body) => body,
        Err(error) => return Attempt::Failed(error, None),
    };
    match policy.inspect(&response.head, body, progress) {
        Inspection::Refuse(error) => {
            progress.record_unusable(upstream, error);
            refuse(response, error)
        }
        Inspection::Store(kept) => {
            let StoredResponse { head, body, lifetimes, variant } = *kept;
            let len = body.len() as u64;
            let published =
                fill_writer.publish_whole(head, lifetimes, variant, len, Arc::clone(upstream.name()));
            match published {
                Ok(()) => Attempt::Filled(body),
                Err(Refused::Purged) => Attempt::Yield,
                Err(_no_room) => refuse(response, UpstreamError::Unusable("no room in the cache")),
            }
        }
    }
}

/// Counts a complete response as failed because it is unusable.
fn refuse(mut response: UpstreamResponse, error: UpstreamError) -> Attempt {
    response.refuse(error);
    Attempt::Failed(error, None)
}

/// Counts a response as failed. A short body is read: its connection can be used again, and viewers may get
/// it if no other candidate does better. A long one is not worth it.
pub(super) async fn refuse_with_body(mut response: UpstreamResponse, error: UpstreamError) -> FailedResponse {
    let may_be_short = response.content_length().is_none_or(|length| length <= ERROR_BODY_MAX);
    let body = if may_be_short {
        tokio::time::timeout(ERROR_BODY_TIMEOUT, response.collect(ERROR_BODY_MAX)).await.ok()
    } else {
        None
    };
    response.refuse(error);
    FailedResponse { head: response.head, body: body.and_then(Result::ok) }
}

/// The longest body of an error response that is read.
const ERROR_BODY_MAX: u64 = 16 * 1024;
/// How long the next candidate waits for it.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_millis(250);
pub(super) const OTHER_BYTES: UpstreamError = UpstreamError::Unusable("not the requested bytes");
