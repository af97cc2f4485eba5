//! Fills: the request to the upstreams for a viewer's request, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tidegate_cache::FillWriter;
use tidegate_headers::{conditional, hop};
use tidegate_hls::{Directives, Kind};
use tidegate_upstream::{Ending, FetchJob, Requester, Upstream, UpstreamRequest, fetch};
use tokio::time::Instant;

use crate::live::stream::Stream;
use crate::observe::unshared::Subject;
use crate::policy::SitePolicy;
use crate::request::parsed::Request;
use crate::request::slice::Slice;
use crate::tier::Tier;

/// Options of a fill.
#[derive(Debug, Default)]
pub(crate) struct FillOptions {
    /// The request that caused it.
    pub(crate) requester: Requester,
    /// The requested version of a playlist.
    pub(crate) directives: Directives,
    /// Time for the head of the response, if not the upstream's usual one.
    pub(crate) head_timeout: Option<Duration>,
    /// The time after which the response to a blocking request is late.
    pub(crate) late_after: Option<Duration>,
}

/// The result of a fill.
#[derive(Debug)]
pub(crate) struct Filled {
    /// The live stream of the playlist that was filled.
    pub(crate) stream: Option<Arc<Stream>>,
    /// Whether the cache stores the response.
    pub(crate) is_stored: bool,
    /// Whether an upstream had a usable response, stored or not.
    pub(crate) has_response: bool,
}

/// Makes one fill. The caller acts on a new version of a live playlist (`live/publish.rs`).
pub(crate) async fn fill(
    tier: &Arc<Tier>,
    request: &Request,
    fill_writer: FillWriter,
    fill_headers: &HeaderMap,
    fill_options: FillOptions,
) -> Filled {
    let policy = SitePolicy::new(tier, request, fill_headers)
        .blocking(fill_options.directives.blocks())
        .filling(&fill_writer);
    let purge_watch = fill_writer.purge_watch();
    let mut headers = fill_headers.clone();
    if let Some(stale) = fill_writer.stale() {
        let stored = &stale.head.headers;
        headers.extend(if request.site.has_shields {
            conditional::revalidation_between_tiers(stored)
        } else {
            conditional::revalidation(stored)
        });
    }
    if let Some(slice) = request.slice {
        slice.add_headers(&mut headers, request.site.has_shields);
    }
    let mut fetch_job = fetch_job(tier, request, &fill_options.directives, Method::GET, headers);
    fetch_job.request.span = request.slice.map(Slice::bytes);
    fetch_job.request.head_timeout = fill_options.head_timeout;
    fetch_job.request.late_after = fill_options.late_after;
    tier.metrics().origin_requests_needed.inc();
    let ending = fetch::fill(&policy, fetch_job, fill_writer, fill_options.requester).await;
    note_unshared(tier, request, ending);
    let is_cached = matches!(ending, Ending::Stored | Ending::Renewed);
    if is_cached && policy.is_media() && is_empty(tier, request) {
        // Its head did not tell, or a 304 confirmed it.
        tier.cache().expire(&request.key);
    }
    let is_purged = purge_watch.is_purged();
    Filled {
        // A purged version is none of the stream's.
        stream: if is_purged { None } else { tier.streams().of_request(request) },
        is_stored: ending == Ending::Stored && !is_purged,
        has_response: matches!(ending, Ending::Stored | Ending::Renewed | Ending::Passed(_)),
    }
}

/// Whether the cached object turned out to have no bytes.
fn is_empty(tier: &Tier, request: &Request) -> bool {
    let object = tier.cache().fresh(&request.key, Instant::now());
    object.is_some_and(|object| object.body.is_empty())
}

/// Reports a stream that viewers cannot share. Other resources are not worth a word.
fn note_unshared(tier: &Tier, request: &Request, ending: Ending) {
    let (site, resource) = (&request.site, &request.resource);
    let subject = Subject::new(tier.metrics(), &site.name, resource);
    let is_of_stream = || resource.kind != Kind::Other || tier.streams().has_announced(&request.key);
    match (ending, resource.kind) {
        (Ending::Stored, Kind::Playlist) => site.unshared.record_stored(subject),
        (Ending::Passed(Some(reason)), _) if is_of_stream() => site.unshared.record_private(subject, reason),
        _ => {}
    }
}

/// The request to the upstreams for `request`, with the marks of this node.
pub(crate) fn fetch_job(
    tier: &Arc<Tier>,
    request: &Request,
    directives: &Directives,
    method: Method,
    mut headers: HeaderMap,
) -> FetchJob {
    hop::append_via(&mut headers, request.version, tier.node());
    hop::append_cdn_loop(&mut headers, tier.node());
    let settings = tier.settings();
    FetchJob {
        request: UpstreamRequest {
            folder: tidegate_upstream::folder_of(request.key.as_str()).into(),
            method,
            path_and_query: request.target(directives),
            host: request.authority.clone(),
            headers,
            span: None,
            head_timeout: None,
            late_after: None,
            is_backup: false,
            is_pass: false,
        },
        whole: request.slice.map(|_| request.whole_key()),
        candidates: candidates(tier, request),
        recorder: Arc::<Tier>::clone(tier),
        budget: request.site.upstreams.budget(),
        attempts_max: settings.upstream.attempts_max,
        finish_within: settings.cache.finish_within.bytes(),
        finishing: Arc::clone(tier.finishing()),
        remember_large: settings.cache.hit_for_pass.get(),
    }
}

/// The upstreams for a request in the order in which they are tried. The one that its stream avoids is the
/// last of those that are available.
fn candidates(tier: &Tier, request: &Request) -> Vec<Arc<Upstream>> {
    let mut candidates = request.site.upstreams.for_key(request.key.as_str());
    if candidates.len() > 1
        && let Some(stream) = tier.streams().of_object(&request.key)
    {
        stream.reorder(&mut candidates, request.resource.kind == Kind::Playlist);
    }
    candidates
}
