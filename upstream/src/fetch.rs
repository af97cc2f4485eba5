//! One fill, from the first request to the last byte stored.
//!
//! 1. Send the request to the candidates in order (`attempts.rs`) until the [`FillPolicy`] accepts a
//!    response; when one is late, the next receives the request as well (`hedge.rs`). An object that is about
//!    to exist is requested again after a pause.
//! 2. Follow redirects (`redirect.rs`), find out which bytes the response has (`extent.rs`), and remove
//!    content codings (`decode.rs`).
//! 3. Publish its head, then every byte as it arrives (`pump.rs`).
//! 4. When an upstream breaks in the middle, resume from the same byte at another (`rescue.rs`).
//! 5. When no reader wants the fill any more and the rest is long, stop.

pub mod attempts;
pub mod budget;
pub mod decode;
pub mod exchange;
pub(crate) mod extent;
pub mod fetch_job;
mod finishing;
mod hedge;
pub mod in_flight;
mod informational;
pub mod limiter;
pub mod min_rate;
mod pump;
mod redirect;
mod rescue;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tidegate_cache::freshness::UncacheableReason;
use tidegate_cache::{Failure, FillWriter, Head, Lifetimes, Refused, Variant};
use tokio::sync::oneshot;

use crate::error::UpstreamError;
use crate::fetch::attempts::Attempts;
use crate::fetch::exchange::{Interim, UpstreamResponse, is_reported_failure};
use crate::fetch::extent::{Again, Extent, repeated};
use crate::fetch::fetch_job::{FetchJob, Requester};
use crate::fetch::finishing::Finishing;
use crate::fetch::in_flight::InFlight;
use crate::fetch::pump::pump;
use crate::fetch::rescue::Rescue;
use crate::policy::{
    Ending, Event, FailedResponse, FillPolicy, Inspection, Peeked, Progress, Ruling, StoredResponse,
};
use crate::request::UpstreamRequest;
use crate::upstream::Upstream;

/// Makes one fill.
pub async fn fill(
    policy: &impl FillPolicy,
    job: FetchJob,
    mut fill_writer: FillWriter,
    requester: Requester,
) -> Ending {
    let mut attempts = Attempts::of(&job);
    let mut progress = Progress::none(attempts.last_sent());
    let mut last: Option<LastFailure<'_>> = None;
    let mut finishing = Finishing::new(&job.finishing);
    loop {
        let Some(upstream) = attempts.next_candidate() else {
            progress.rounds += 1;
            let pause = last.as_ref().and_then(|last| policy.retry_pause(last.error, &progress));
            let Some(pause) = pause else { break };
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            attempts.start_round(job.attempts_max);
            continue;
        };
        if let Some(LastFailure { error, upstream: Some(failed), .. }) = &last {
            record_fail_over(&job, *error, failed, upstream);
        }
        let (upstream, attempt) = attempt(
            policy,
            &job,
            &mut attempts,
            &mut progress,
            upstream,
            &mut fill_writer,
            (requester.interim.as_ref(), &mut finishing),
        )
        .await;
        match attempt {
            // Boxed, because a fill that waits for a response need not hold the room for streaming.
            Attempt::Streaming(response) => {
                let rescue = Rescue::of(&job, &response, &attempts);
                return Box::pin(pump(&job, fill_writer, response, rescue, finishing)).await;
            }
            Attempt::Filled(body) => {
                job.record_end(&fill_writer, Ending::Stored);
                fill_writer.complete_with(body);
                return Ending::Stored;
            }
            Attempt::Renewed(head, lifetimes) => {
                job.record_end(&fill_writer, Ending::Renewed);
                fill_writer.renew(head, lifetimes, Arc::clone(upstream.name()));
                return Ending::Renewed;
            }
            Attempt::Pass(response, remember, reason) => {
                job.record_end(&fill_writer, Ending::Passed(reason));
                hand_over(fill_writer, response, requester.unshared, remember);
                return Ending::Passed(reason);
            }
            Attempt::JoinWhole => {
                job.record_end(&fill_writer, Ending::Passed(None));
                fill_writer.pass(Duration::ZERO);
                return Ending::Passed(None);
            }
            Attempt::Unwanted => {
                let Some(joined) = abandon(&job, fill_writer) else { return Ending::Abandoned };
                // The same candidates receive the request again.
                fill_writer = joined;
                attempts.start_round(job.attempts_max);
            }
            // `attempt` has tried the other form.
            Attempt::Again(_) => {}
            Attempt::Failed(error, response) => {
                let head = response.as_ref().map(|response| &response.head);
                attempts.note_failure(head.is_some_and(|head| is_reported_failure(upstream, head)));
                last = Some(LastFailure { error, upstream: Some(upstream), response });
            }
        }
    }
    let last = last.unwrap_or_else(|| LastFailure::without_request(&attempts));
    job.record_end(&fill_writer, Ending::Failed);
    fill_writer.fail(last.failure(policy));
    Ending::Failed
}

/// Ends a fill without readers. Returns its writer if a reader has come since.
fn abandon(job: &FetchJob, fill_writer: FillWriter) -> Option<FillWriter> {
    let served = fill_writer.readers_total();
    let joined = fill_writer.abandon().err();
    if joined.is_none() {
        job.recorder.record(Event::Ended(Ending::Abandoned, served));
    }
    joined
}

/// Sends a request for one viewer only; informational responses go to `interim`. Safe methods go to the next
/// candidate when one fails.
pub async fn pass(
    policy: &impl FillPolicy,
    job: &FetchJob,
    interim: &Interim,
) -> Result<UpstreamResponse, Failure> {
    let mut attempts = Attempts::of(job);
    let mut last: Option<LastFailure<'_>> = None;
    while let Some(upstream) = attempts.next_candidate() {
        if let Some(LastFailure { error, upstream: Some(failed), .. }) = &last {
            record_fail_over(job, *error, failed, upstream);
        }
        match UpstreamResponse::open(InFlight::begin(&job.recorder), upstream, &job.request, Some(interim))
            .await
        {
            Ok(response) => match policy.rule(&response.head) {
                Ruling::Refuse(error) => {
                    let response = Some(refuse_with_body(response, error).await);
                    last = Some(LastFailure { error, upstream: Some(upstream), response });
                }
                _ => return Ok(response),
            },
            Err(error) => last = Some(LastFailure { error, upstream: Some(upstream), response: None }),
        }
    }
    Err(last.unwrap_or_else(|| LastFailure::without_request(&attempts)).failure(policy))
}

/// What was wrong with the candidate that received the last request.
struct LastFailure<'a> {
    error: UpstreamError,
    upstream: Option<&'a Arc<Upstream>>,
    /// Its response, if that was wrong.
    response: Option<FailedResponse>,
}

impl<'a> LastFailure<'a> {
    /// No candidate could receive a request.
    fn without_request(attempts: &Attempts<'a>) -> Self {
        let (error, upstream) = attempts.no_candidate();
        let Some((status, pause)) = attempts.pause() else { return Self { error, upstream, response: None } };
        // The upstream would say the same again.
        let seconds = HeaderValue::from(pause.as_secs() + 1);
        let headers = [(header::RETRY_AFTER, seconds)].into_iter().collect();
        let response = FailedResponse { head: Head { status, headers }, body: None };
        Self { error: UpstreamError::Status(status), upstream, response: Some(response) }
    }

    /// The failure that viewers receive.
    fn failure(&self, policy: &impl FillPolicy) -> Failure {
        policy.failure(self.error, self.upstream.map(|upstream| &**upstream), self.response.as_ref())
    }
}

/// Counts that `next` receives the request because of the error of `failed`.
pub fn record_fail_over(job: &FetchJob, error: UpstreamError, failed: &Upstream, next: &Upstream) {
    job.recorder.record(Event::FailedOver(error));
    let (upstream, next) = (failed.name(), next.name());
    tracing::debug!(path = job.request.path(), %upstream, %error, %next, "failed over");
}

const OTHER_BYTES: UpstreamError = UpstreamError::Unusable("not the requested bytes");

/// How a request to one upstream ended.
enum Attempt {
    /// The head is published, the body follows.
    Streaming(UpstreamResponse),
    /// The head is published, and this is the whole body.
    Filled(Bytes),
    /// The old object is current.
    Renewed(Head, Lifetimes),
    /// The response is for the requester alone.
    Pass(UpstreamResponse, Duration, Option<UncacheableReason>),
    /// The whole resource came in place of a slice of it, and another fill of the whole is under way.
    JoinWhole,
    /// Nothing is published: the same upstream receives the request in another form.
    Again(Again),
    /// No reader waits for it any more.
    Unwanted,
    /// Nothing is published: the next candidate may be tried.
    Failed(UpstreamError, Option<FailedResponse>),
}

/// Sends the request to `upstream`, and as a hedge to the next. Returns the upstream that responded.
async fn attempt<'a>(
    policy: &impl FillPolicy,
    job: &FetchJob,
    attempts: &mut Attempts<'a>,
    progress: &mut Progress,
    upstream: &'a Arc<Upstream>,
    fill_writer: &mut FillWriter,
    (interim, finishing): (Option<&Interim>, &mut Finishing),
) -> (&'a Arc<Upstream>, Attempt) {
    let request =
        if attempts.is_backup() { Cow::Owned(job.request.as_backup()) } else { Cow::Borrowed(&job.request) };
    let opened = {
        let mut opening =
            std::pin::pin!(hedge::open(policy, &job.recorder, attempts, upstream, &request, interim));
        let mut is_admitted = false;
        loop {
            tokio::select! {
                biased;
                opened = &mut opening => break Some(opened),
                () = fill_writer.until_unwanted(), if !is_admitted => {
                    is_admitted = finishing.admit();
                    if !is_admitted {
                        break None;
                    }
                }
            }
        }
    };
    let Some((upstream, opened)) = opened else { return (upstream, Attempt::Unwanted) };
    (progress.requests, progress.last_sent) = (attempts.sent(), attempts.last_sent());
    let mut attempt = follow_redirects(policy, job, progress, &request, opened, fill_writer).await;
    if let Attempt::Again(again) = attempt {
        let request = repeated(&request, again);
        let opened = UpstreamResponse::open(InFlight::begin(&job.recorder), upstream, &request, None).await;
        attempt = follow_redirects(policy, job, progress, &request, opened, fill_writer).await;
    }
    if matches!(attempt, Attempt::Again(_)) {
        // The other form was no better.
        attempt = Attempt::Failed(OTHER_BYTES, None);
    }
    (upstream, attempt)
}

/// Follows redirects, and does what the policy rules about the last response.
async fn follow_redirects(
    policy: &impl FillPolicy,
    job: &FetchJob,
    progress: &mut Progress,
    request: &UpstreamRequest,
    opened: Result<UpstreamResponse, UpstreamError>,
    fill_writer: &mut FillWriter,
) -> Attempt {
    let followed = match opened {
        Ok(response) => redirect::follow(policy, job, progress, request, response).await,
        Err(error) => Err(error),
    };
    match followed {
        Ok(response) => handle_response(policy, job, progress, response, fill_writer).await,
        Err(error) => Attempt::Failed(error, None),
    }
}

/// Does what the policy rules about a response.
async fn handle_response(
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
            Some(Attempt::JoinWhole)
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
async fn refuse_with_body(mut response: UpstreamResponse, error: UpstreamError) -> FailedResponse {
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

/// Passes a response to the requester alone. If there are too many passes already, the requester makes a
/// request of its own, and waits in their queue.
fn hand_over(
    fill_writer: FillWriter,
    mut response: UpstreamResponse,
    unshared: Option<oneshot::Sender<UpstreamResponse>>,
    remember: Duration,
) {
    if let Some(unshared) = unshared.filter(|_| response.become_pass()) {
        // If the requester has left, the response is dropped with the channel.
        let _left = unshared.send(response);
    }
    fill_writer.pass(remember);
}
