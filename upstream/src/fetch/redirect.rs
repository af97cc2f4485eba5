//! Redirects of upstreams, followed as far as the policy allows (RFC 9110 section 15.4).

use std::sync::Arc;

use crate::error::UpstreamError;
use crate::fetch::fetch_job::FetchJob;
use crate::fetch::in_flight::InFlight;
use crate::fetch::response::UpstreamResponse;
use crate::policy::{FillPolicy, Progress};
use crate::request::UpstreamRequest;

/// Redirects of one request. Browsers follow up to 20; an object of a stream is nearer.
const HOPS_MAX: usize = 5;

/// Follows redirects from `response` to the last response.
///
/// # Errors
/// When there are too many, or one leads back, or an upstream on the way fails.
pub(super) async fn follow(
    policy: &impl FillPolicy,
    job: &FetchJob,
    progress: &mut Progress,
    request: &UpstreamRequest,
    mut response: UpstreamResponse,
) -> Result<UpstreamResponse, UpstreamError> {
    let mut visited = vec![(Arc::clone(response.upstream().name()), request.path_and_query.clone())];
    progress.redirected = None;
    while let Some((_, target)) = visited.last()
        && let Some(redirect) = policy.redirect(&response.head, response.upstream(), target)
    {
        let next = (Arc::clone(redirect.upstream.name()), redirect.target);
        let error = if visited.contains(&next) {
            Some(UpstreamError::Unusable("redirect loop"))
        } else {
            (visited.len() > HOPS_MAX).then_some(UpstreamError::Unusable("too many redirects"))
        };
        if let Some(error) = error {
            response.refuse(error);
            return Err(error);
        }
        response.drain().await;
        let request = UpstreamRequest { path_and_query: next.1.clone(), ..request.clone() };
        let (from, to) = (response.upstream().name(), &next.0);
        tracing::debug!(path = request.path(), %from, %to, status = %response.head.status, "redirected");
        response = UpstreamResponse::open(InFlight::begin(&job.recorder), &redirect.upstream, &request, None)
            .await?;
        progress.redirected = Some(next.1.as_str().into());
        visited.push(next);
    }
    Ok(response)
}
