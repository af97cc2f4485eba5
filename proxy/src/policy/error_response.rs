//! The error response of an upstream as viewers receive it, when no other upstream does better.

use std::sync::Arc;

use http::{HeaderValue, header};
use tidegate_cache::freshness::CacheControl;
use tidegate_cache::{ErrorResponse, Head};
use tidegate_headers::hop;
use tidegate_upstream::FailedResponse;

use crate::clock;

/// The response for all viewers who wait for it. `None` if it is for one viewer, or too long to keep: then
/// they receive this node's own.
///
/// The body and its description are the origin's, the lifetime is not: a failing server does not decide how
/// long its failure is remembered.
pub(super) fn shared(response: &FailedResponse) -> Option<Arc<ErrorResponse>> {
    let body = response.body.clone()?;
    let control = CacheControl::from_headers(&response.head.headers);
    // A tier has decided it already, and says `no-store` itself.
    let is_from_tier = response.head.headers.contains_key("proxy-status");
    let is_unshared = control.private || (control.no_store && !is_from_tier);
    if is_unshared || response.head.headers.contains_key(header::SET_COOKIE) {
        return None;
    }
    let mut headers = hop::end_to_end(&response.head.headers);
    hop::date(&mut headers, clock::now());
    for name in ["cdn-cache-control", "surrogate-control"] {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let status = response.head.status;
    status.is_server_error().then(|| Arc::new(ErrorResponse { head: Head { status, headers }, body }))
}
