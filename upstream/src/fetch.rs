//! One fill, from the first request to the last byte stored.
//!
//! 1. Send the request to the candidates in order (`attempts.rs`) until the [`FillPolicy`] accepts a
//!    response; when one is late, the next receives the request as well (`hedge.rs`). An object that is about
//!    to exist is requested again after a pause.
//! 2. Publish its head, then every byte as it arrives (`pump.rs`).
//! 3. When an upstream breaks in the middle, resume from the same byte at another (`rescue.rs`).
//! 4. When no reader wants the fill any more and the rest is long, stop.

pub mod attempts;
pub mod budget;
pub mod exchange;
pub mod fill_request;
mod finishing;
mod hedge;
pub mod in_flight;
mod informational;
pub mod limiter;
pub mod min_rate;
mod pump;
mod rescue;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_cache::{Failure, FillWriter, Head, Lifetimes, Refused};
use tokio::sync::oneshot;

use crate::error::UpstreamError;
use crate::fetch::attempts::Attempts;
use crate::fetch::exchange::{Interim, UpstreamResponse, content_range, is_reported_failure};
use crate::fetch::fill_request::{FillRequest, Requester};
use crate::fetch::finishing::Finishing;
use crate::fetch::in_flight::InFlight;
use crate::fetch::pump::pump;
use crate::fetch::rescue::Rescue;
use crate::policy::{
    Ending, Event, FailedResponse, FillPolicy, Inspection, Progress, Ruling, StoredResponse,
};
use crate::upstream::Upstream;

/// Makes one fill.
pub async fn fill(
    policy: &impl FillPolicy,
    job: FillRequest,
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
            let Some(pause) = last.as_ref().and_then(|last| policy.retry_pause(last.error, &progress)) else {
                break;
            };
            let pause = pause.mul_f64(fastrand::f64());
            progress.waited += pause;
            tokio::time::sleep(pause).await;
            attempts.start_round(job.tries_max);
            continue;
        };
        if let Some(LastFailure { error, upstream: Some(failed), .. }) = &last {
            fail_over(&job, *error, failed, upstream);
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
            Attempt::Pass(response, remember) => {
                job.record_end(&fill_writer, Ending::Passed);
                hand_over(fill_writer, response, requester.own, remember);
                return Ending::Passed;
            }
            Attempt::Unwanted => {
                let Some(joined) = abandon(&job, fill_writer) else { return Ending::Abandoned };
                // The same candidates receive the request again.
                fill_writer = joined;
                attempts.start_round(job.tries_max);
            }
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
fn abandon(job: &FillRequest, fill_writer: FillWriter) -> Option<FillWriter> {
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
    job: &FillRequest,
    interim: &Interim,
) -> Result<UpstreamResponse, Failure> {
    let mut attempts = Attempts::of(job);
    let mut last: Option<LastFailure<'_>> = None;
    while let Some(upstream) = attempts.next_candidate() {
        if let Some(LastFailure { error, upstream: Some(failed), .. }) = &last {
            fail_over(job, *error, failed, upstream);
        }
        match UpstreamResponse::open(InFlight::begin(&job.recorder), upstream, &job.ask, Some(interim)).await
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
        Self { error, upstream, response: None }
    }

    /// The failure that viewers receive.
    fn failure(&self, policy: &impl FillPolicy) -> Failure {
        policy.failure(self.error, self.upstream.map(|upstream| &**upstream), self.response.as_ref())
    }
}

/// Counts that `next` receives the request because of the error of `failed`.
pub fn fail_over(job: &FillRequest, error: UpstreamError, failed: &Upstream, next: &Upstream) {
    job.recorder.record(Event::FailedOver(error));
    let (upstream, next) = (failed.name(), next.name());
    tracing::debug!(path = job.ask.path(), %upstream, %error, %next, "failed over");
}

/// How a request to one upstream ended.
enum Attempt {
    /// The head is published, the body follows.
    Streaming(UpstreamResponse),
    /// The head is published, and this is the whole body.
    Filled(Bytes),
    /// The old object is current.
    Renewed(Head, Lifetimes),
    /// The response is for the requester alone.
    Pass(UpstreamResponse, Duration),
    /// No reader waits for it any more.
    Unwanted,
    /// Nothing is published: the next candidate may be tried.
    Failed(UpstreamError, Option<FailedResponse>),
}

/// Sends the request to `upstream`, and as a hedge to the next. Returns the upstream that responded.
async fn attempt<'a>(
    policy: &impl FillPolicy,
    job: &FillRequest,
    attempts: &mut Attempts<'a>,
    progress: &mut Progress,
    upstream: &'a Arc<Upstream>,
    fill_writer: &mut FillWriter,
    (interim, finishing): (Option<&Interim>, &mut Finishing),
) -> (&'a Arc<Upstream>, Attempt) {
    let ask = if attempts.is_backup() { Cow::Owned(job.ask.as_backup()) } else { Cow::Borrowed(&job.ask) };
    let opened = {
        let mut opening =
            std::pin::pin!(hedge::open(policy, &job.recorder, attempts, upstream, &ask, interim));
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
    let attempt = match opened {
        Ok(response) => judge(policy, job, progress, upstream, response, fill_writer).await,
        Err(error) => Attempt::Failed(error, None),
    };
    (upstream, attempt)
}

/// Does what the policy rules about a response.
async fn judge(
    policy: &impl FillPolicy,
    job: &FillRequest,
    progress: &mut Progress,
    upstream: &Arc<Upstream>,
    mut response: UpstreamResponse,
    fill_writer: &mut FillWriter,
) -> Attempt {
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
    match Extent::of(&response.head, job.ask.span.as_ref()) {
        Extent::Requested => {}
        Extent::Shorter => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return if policy.may_appear(status) {
                refuse(response, UpstreamError::Status(status))
            } else {
                Attempt::Pass(response, Duration::ZERO)
            };
        }
        Extent::Other => {
            return refuse(response, UpstreamError::Unusable("not the requested bytes"));
        }
    }
    match policy.rule(&response.head) {
        Ruling::Refuse(error) => Attempt::Failed(error, Some(refuse_with_body(response, error).await)),
        Ruling::Pass { remember } => Attempt::Pass(response, remember),
        Ruling::Store { lifetimes, variant } => {
            let head = policy.stored_head(&response.head);
            match fill_writer.publish(
                head,
                lifetimes,
                variant,
                response.content_length(),
                Arc::clone(upstream.name()),
            ) {
                Ok(()) => Attempt::Streaming(response),
                Err(Refused::TooLarge { .. }) => Attempt::Pass(response, job.remember_large),
                Err(Refused::NoRoom) => Attempt::Pass(response, Duration::ZERO),
            }
        }
        Ruling::Collect { max } => collect(policy, progress, upstream, fill_writer, response, max).await,
    }
}

/// Which bytes of the resource a response has.
enum Extent {
    /// The requested ones. An error counts as what was requested.
    Requested,
    /// The resource ends before the slice does: either it is still growing, or no playlist has listed such a
    /// slice.
    Shorter,
    /// Others, or none.
    Other,
}

impl Extent {
    fn of(head: &Head, requested: Option<&RangeInclusive<u64>>) -> Self {
        match (head.status, requested) {
            (StatusCode::PARTIAL_CONTENT, Some(span)) => match content_range(&head.headers) {
                Some((sent, _)) if sent == *span => Self::Requested,
                Some((sent, _)) if sent.start() == span.start() && sent.end() < span.end() => Self::Shorter,
                _ => Self::Other,
            },
            (StatusCode::OK, Some(_)) | (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT, _) => {
                Self::Other
            }
            _ => Self::Requested,
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
    own: Option<oneshot::Sender<UpstreamResponse>>,
    remember: Duration,
) {
    if let Some(own) = own.filter(|_| response.become_pass()) {
        // If the requester has left, the response is dropped with the channel.
        let _left = own.send(response);
    }
    fill_writer.pass(remember);
}
