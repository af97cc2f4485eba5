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
mod handle;
mod hedge;
pub mod in_flight;
mod informational;
pub mod limiter;
pub mod min_rate;
mod pump;
mod redirect;
mod rescue;
pub mod response;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use tidegate_cache::{Failure, FillWriter, Head};
use tokio::sync::oneshot;

use crate::error::UpstreamError;
use crate::fetch::attempts::Attempts;
use crate::fetch::exchange::is_reported_failure;
use crate::fetch::extent::repeated;
use crate::fetch::fetch_job::{FetchJob, Requester};
use crate::fetch::finishing::Finishing;
use crate::fetch::handle::{Attempt, OTHER_BYTES, handle_response, refuse_with_body};
use crate::fetch::in_flight::InFlight;
use crate::fetch::pump::pump;
use crate::fetch::rescue::Rescue;
use crate::fetch::response::{Interim, UpstreamResponse};
use crate::policy::{Ending, Event, FailedResponse, FillPolicy, Progress, Ruling};
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
            Attempt::Yield => {
                job.record_end(&fill_writer, Ending::Passed(None));
                fill_writer.yield_to_other();
                return Ending::Passed(None);
            }
            Attempt::Unwanted => {
                let Some(joined) = abandon(&job, fill_writer) else { return Ending::Abandoned };
                // The same candidates receive the request again.
                fill_writer = joined;
                attempts.start_round(job.attempts_max);
            }
            // `attempt` never returns it: it has tried the other form.
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
