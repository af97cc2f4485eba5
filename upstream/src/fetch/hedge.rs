//! One response out of two: when an upstream is late, the next receives the request as well, and the first
//! good response wins.
//!
//! A response is late once it exceeds the upstream's p95 and `hedge_delay`; a blocked one, once it exceeds
//! the time in its request. The other request is dropped when the first good response is there; a response
//! whose head says that it failed does not win.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::timeout;

use crate::error::UpstreamError;
use crate::fetch::attempts::Attempts;
use crate::fetch::in_flight::InFlight;
use crate::fetch::response::{Interim, UpstreamResponse};
use crate::policy::{Event, FillPolicy, Recorder, Ruling};
use crate::request::UpstreamRequest;
use crate::upstream::Upstream;

/// Sends the request to `upstream`, and to the next candidate if it is late. Returns the upstream whose
/// result counts.
pub(crate) async fn open<'a>(
    policy: &impl FillPolicy,
    recorder: &Arc<dyn Recorder>,
    attempts: &mut Attempts<'a>,
    upstream: &'a Arc<Upstream>,
    request: &UpstreamRequest,
    interim: Option<&Interim>,
) -> (&'a Arc<Upstream>, Result<UpstreamResponse, UpstreamError>) {
    let late_after = match request.head_timeout {
        // The upstream may block it; only the requester knows when it is late.
        Some(_) => request.late_after.filter(|_| upstream.spec().options.hedge_delay.is_some()),
        None => upstream.hedge_delay(),
    };
    let Some(late_after) = late_after.filter(|_| attempts.has_hedge(upstream)) else {
        return (
            upstream,
            UpstreamResponse::open(InFlight::begin(recorder), upstream, request, interim).await,
        );
    };
    let is_blocking = request.head_timeout.is_some();
    let mut in_flight = InFlight::begin(recorder);
    // Waiting for a permit is not the upstream's fault.
    let permit = match UpstreamResponse::acquire_permit(&mut in_flight, upstream, request).await {
        Ok(permit) => permit,
        Err(full) => return (upstream, Err(full)),
    };
    // Boxed, so that a request that is never late does not hold the room of two.
    let mut first =
        Box::pin(UpstreamResponse::open_with_permit(permit, in_flight, upstream, request, interim));
    if let Ok(in_time) = timeout(late_after, &mut first).await {
        return (upstream, in_time);
    }
    let Some(second) = attempts.next_hedge(upstream) else { return (upstream, first.await) };
    recorder.record(Event::Hedged);
    let (name, other) = (upstream.name(), second.name());
    tracing::debug!(path = request.path(), upstream = %name, %other, "hedged");
    let as_backup = request.as_backup();
    let mut other = Box::pin(UpstreamResponse::open(InFlight::begin(recorder), second, &as_backup, interim));
    tokio::select! {
        biased;
        answer = &mut first => {
            if is_good(policy, &answer, is_blocking) {
                return (upstream, answer);
            }
            let last = other.await;
            if is_good(policy, &last, is_blocking) { (second, last) } else { (upstream, answer) }
        }
        answer = &mut other => {
            if !is_good(policy, &answer, is_blocking) {
                return (upstream, first.await);
            }
            if !is_blocking {
                // An upstream that blocks a request for longer may be about to send the same.
                upstream.record_failure(UpstreamError::Outpaced);
            }
            recorder.record(Event::HedgeWon);
            (second, answer)
        }
    }
}

/// A response that nothing has changed is no good for a request that waits for a change.
fn is_good(
    policy: &impl FillPolicy,
    answer: &Result<UpstreamResponse, UpstreamError>,
    is_blocking: bool,
) -> bool {
    let Ok(response) = answer else { return false };
    if response.head.status == StatusCode::NOT_MODIFIED {
        return !is_blocking;
    }
    !matches!(policy.rule(&response.head), Ruling::Refuse(_))
}
