//! Fills: what an upstream is asked for a request, and the task that asks.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tidegate_cache::FillWriter;
use tidegate_headers::{conditional, hop};
use tidegate_hls::Directives;
use tidegate_upstream::{Ending, FillRequest, Requester, Upstream, UpstreamRequest, fetch};

use crate::live::stream::Stream;
use crate::policy::SitePolicy;
use crate::request::parsed::Request;
use crate::request::slice::Slice;
use crate::tier::Tier;

/// What sets a fill apart that no request is waiting for, or only one.
#[derive(Debug, Default)]
pub(crate) struct FillOptions {
    /// Who caused it.
    pub(crate) requester: Requester,
    /// The version of a playlist that is asked for.
    pub(crate) directives: Directives,
    /// Time for the head of the answer, where it is not the upstream's usual one.
    pub(crate) patience: Option<Duration>,
    /// When an answer that is held by its nature is late.
    pub(crate) overdue: Option<Duration>,
}

/// What came of a fill.
#[derive(Debug)]
pub(crate) struct Filled {
    /// The live stream of the playlist that was filled.
    pub(crate) stream: Option<Arc<Stream>>,
    /// Whether the cache stores the response.
    pub(crate) is_stored: bool,
}

/// Makes one fill and returns what came of it. The caller acts on a new version of a live playlist
/// (`live/publish.rs`).
pub(crate) async fn fill(
    tier: &Arc<Tier>,
    request: &Request,
    fill_writer: FillWriter,
    sent: &HeaderMap,
    fill_options: FillOptions,
) -> Filled {
    let policy = SitePolicy::new(tier, request, sent)
        .blocking(fill_options.directives.blocks())
        .replacing(fill_writer.stale().cloned());
    let mut headers = sent.clone();
    if let Some(stale) = fill_writer.stale() {
        headers.extend(conditional::revalidation(&stale.head.headers));
    }
    if let Some(slice) = request.slice {
        slice.add_headers(&mut headers, request.site.has_shields);
    }
    let mut job = job(tier, request, &fill_options.directives, Method::GET, headers);
    job.ask.span = request.slice.map(Slice::bytes);
    job.ask.patience = fill_options.patience;
    job.ask.overdue = fill_options.overdue;
    tier.metrics().origin_requests_needed.inc();
    let ending = fetch::fill(&policy, job, fill_writer, fill_options.requester).await;
    Filled { stream: tier.streams().of_request(request), is_stored: ending == Ending::Stored }
}

/// What upstreams are asked for `request`, with the marks of this node.
pub(crate) fn job(
    tier: &Arc<Tier>,
    request: &Request,
    directives: &Directives,
    method: Method,
    mut headers: HeaderMap,
) -> FillRequest {
    hop::append_via(&mut headers, request.version, tier.node());
    hop::append_cdn_loop(&mut headers, tier.node());
    let settings = tier.settings();
    FillRequest {
        ask: UpstreamRequest {
            stream: tidegate_upstream::folder_of(request.key.as_str()).into(),
            method,
            path_and_query: request.target(directives),
            host: request.authority.clone(),
            headers,
            span: None,
            patience: None,
            overdue: None,
            is_backup: false,
        },
        candidates: candidates(tier, request),
        recorder: Arc::<Tier>::clone(tier),
        budget: request.site.candidates.budget(),
        tries_max: settings.upstream.attempts_max,
        finish_within: settings.cache.finish_within.bytes(),
        remember_large: settings.cache.hit_for_miss.get(),
    }
}

/// The upstreams for a request in the order in which they are tried, the one that its stream avoids behind
/// the others.
fn candidates(tier: &Tier, request: &Request) -> Vec<Arc<Upstream>> {
    let mut candidates = request.site.candidates.for_key(request.key.as_str());
    if candidates.len() > 1
        && let Some(stream) = tier.streams().of_object(&request.key)
    {
        stream.reorder(&mut candidates);
    }
    candidates
}
