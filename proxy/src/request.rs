//! The request's fate on the slow path. `request/try_hit.rs` finds simple hits by the same steps,
//! `refusal.rs` has the refusals.
//!
//! 1. read: the host becomes a site, the target a `Resource` (`request/read.rs`)
//! 2. admit: rules and limits (`request/access.rs`), method, body, loop, token (`request/token.rs`). OPTIONS,
//!    PURGE, challenges, reports of players, other methods and requests with Authorization end here
//! 3. block: a request for a future version of a live playlist blocks until it is there (`live/block.rs`)
//! 4. look up: hit, stale, join, miss, pass, failure
//! 5. fill: the elected request starts a detached fill (`fill.rs`)
//! 6. answer: head, then the body while it still grows (`answer.rs`, `answer/pass.rs`)
//! 7. account: one counter, one line (`observe/account.rs`); the viewer counts (`audience/count.rs`)

pub(crate) mod access;
mod challenge;
pub(crate) mod link;
pub(crate) mod parsed;
mod read;
pub(crate) mod slice;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod try_hit;
pub(crate) mod whole;

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, Method, header};
use tidegate_cache::{Answer, FillReader, FillWriter, Head, Lookup, Object};
use tidegate_headers::cache_status::Reason;
use tidegate_headers::{cache_control, vary};
use tidegate_upstream::{INTERIM_MAX, Requester, UpstreamResponse};
use tokio::sync::{mpsc, oneshot};

use self::parsed::Request;
use crate::answer::tier_fields::Handling;
use crate::answer::{self, pass, reports};
use crate::audience::count;
use crate::fate::Fate;
use crate::fill::{self, FillOptions};
use crate::live::stream::{OpenRequest, Stream};
use crate::live::{block, follow, publish};
use crate::observe::account::Account;
use crate::refusal::Refusal;
use crate::site::config::LowLatency;
use crate::tier::{Role, Tier};
use crate::viewer::client::Client;
use crate::viewer::unsent::Unsent;

/// How often a request may look up again: the object was another variant's, a stream became known, a follower
/// has started, or the whole came in place of a slice.
const LOOKUPS_MAX: usize = 4;

/// Serves one request, from its head to its last byte.
pub(crate) async fn serve(tier: &Arc<Tier>, client: &mut Client) -> Account {
    if read::is_server(client) {
        return boxed(answer::server(tier, client)).await;
    }
    if tier.acme().is_some()
        && let Some(key_authorization) = boxed(challenge::response(tier, client)).await
    {
        return boxed(answer::challenge(tier, client, key_authorization)).await;
    }
    let mut request = match boxed(read::read_and_admit(tier, client)).await {
        Ok(request) => request,
        Err((refusal, site)) => {
            return boxed(answer::refuse(tier, client, &refusal, site.as_deref())).await;
        }
    };
    if *client.method() == Method::OPTIONS {
        return boxed(answer::options(tier, client, &request)).await;
    }
    if read::is_purge(client, &request.site) {
        return boxed(answer::purge(tier, client, &request)).await;
    }
    if read::is_report(tier, client, &request.resource) {
        return boxed(reports::receive(tier, client, &request)).await;
    }
    if !matches!(*client.method(), Method::GET | Method::HEAD) {
        if let Err(refusal) = access::may_fill(tier, client) {
            return boxed(answer::refuse(tier, client, &refusal, Some(&request.site))).await;
        }
        return boxed(pass::method(tier, client, &request)).await;
    }
    let account = get(tier, client, &mut request).await;
    count::answered(tier, client, &request);
    account
}

/// Answers a GET or HEAD.
async fn get(tier: &Arc<Tier>, client: &mut Client, request: &mut Request) -> Account {
    let is_only_if_cached = cache_control::is_only_if_cached(client.headers());
    if request.is_authorized {
        // RFC 9111 section 3.5: a response behind a login is not shared.
        return boxed(pass_unless(is_only_if_cached, tier, client, request)).await;
    }
    let mut open_request = None;
    // Made on first use: a hit on an object that does not vary needs none.
    let fill_headers = OnceLock::new();
    for round in 0..LOOKUPS_MAX {
        if whole::serves(tier, request) {
            request.read_from_whole();
        }
        // The stream may have become known only by the fill of the round before.
        open_request = open_request.or_else(|| {
            tier.streams().of_request(request).map(|stream| stream.open_request(request.is_backup))
        });
        if request.directives.blocks()
            && !is_only_if_cached
            && let Some(account) = block(tier, client, request, &fill_headers, round).await
        {
            return account;
        }
        let lookup = match look_up(tier, client, request, &fill_headers, is_only_if_cached) {
            Ok(Some(lookup)) => lookup,
            Ok(None) => break,
            Err(refusal) => {
                return boxed(answer::refuse(tier, client, &refusal, Some(&request.site))).await;
            }
        };
        let stream = open_request.as_ref().map(OpenRequest::stream);
        if let Some(account) = boxed(decide(tier, client, request, stream, lookup, &fill_headers)).await {
            return account;
        }
    }
    boxed(pass_unless(is_only_if_cached, tier, client, request)).await
}

/// Looks the object up. A client whose address has caused too many upstream requests still gets what causes
/// none. `None` if the request accepts a cached response only, and there is none.
fn look_up(
    tier: &Tier,
    client: &Client,
    request: &Request,
    fill_headers: &OnceLock<HeaderMap>,
    is_only_if_cached: bool,
) -> Result<Option<Lookup>, Refusal> {
    let headers = client.headers();
    let variant =
        |names: &[http::HeaderName]| vary::variant(names, headers_of_fill(fill_headers, request, headers));
    if is_only_if_cached {
        return Ok(tier.cache().look_up_cached(&request.key, &variant));
    }
    match access::may_fill(tier, client) {
        Ok(()) => Ok(Some(tier.cache().look_up(&request.key, &variant))),
        Err(refusal) => tier.cache().look_up_without_fill(&request.key, &variant).map(Some).ok_or(refusal),
    }
}

/// Passes a request, unless it accepts a cached response only.
async fn pass_unless(
    is_only_if_cached: bool,
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
) -> Account {
    if is_only_if_cached {
        return answer::refuse(tier, client, &Refusal::NotCached, Some(&request.site)).await;
    }
    if let Err(refusal) = access::may_fill(tier, client) {
        return answer::refuse(tier, client, &refusal, Some(&request.site)).await;
    }
    pass::get(tier, client, request, Fate::Pass).await
}

/// Blocks a request for a future version of a playlist. Returns an account if the request ends with that.
///
/// Where the playlist may have no follower, the request waits once, and then it receives the newest version,
/// as a request without directives does: it costs one upstream request at most. `round` counts its lookups.
async fn block(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &mut Request,
    fill_headers: &OnceLock<HeaderMap>,
    round: usize,
) -> Option<Account> {
    let stream = tier.streams().of_request(request)?;
    // Without a follower, the known version may be old: a request that is ahead of it starts one.
    let is_alone = stream.wants_follower()
        && block::is_ahead(&stream, &request.directives)
        && !follow::follow(tier, request, &stream, headers_of_fill(fill_headers, request, client.headers()));
    let waiter = match tier.limits().wait(request.key.as_str()) {
        Ok(waiter) => waiter,
        Err(exceeded) => {
            let refusal = Refusal::Limited(exceeded);
            return Some(boxed(answer::refuse(tier, client, &refusal, Some(&request.site))).await);
        }
    };
    let outcome = {
        let _blocked = tier.metrics().live.block();
        let may_refuse = tier.role() == Role::Edge;
        let mut blocked = pin!(async {
            if is_alone {
                // In a later round, its own fill has just brought the newest version.
                if round == 0 {
                    block::wait_without_follower(&stream).await;
                }
                return block::Blocked::Proceed;
            }
            block::block(&stream, &request.directives, may_refuse).await
        });
        let mut gone = pin!(client.until_gone());
        tokio::select! {
            biased;
            outcome = &mut blocked => outcome,
            () = &mut gone => return Some(Account::gone(request)),
        }
    };
    drop(waiter);
    let refusal = match outcome {
        block::Blocked::Proceed => {
            if is_alone {
                request.directives = request.directives.unblocked();
            }
            return None;
        }
        block::Blocked::Refused(error) => Refusal::Reload(error),
        // The origin has not promised a version in time, so players receive the present one.
        block::Blocked::TimedOut if is_offered(tier, request, &stream) => return None,
        block::Blocked::TimedOut => Refusal::BlockedTooLong,
    };
    Some(boxed(answer::refuse(tier, client, &refusal, Some(&request.site))).await)
}

/// Whether this tier offers blocking reload in the place of the origin.
fn is_offered(tier: &Tier, request: &Request, stream: &Stream) -> bool {
    let is_edge = tier.role() == Role::Edge && request.site.low_latency == LowLatency::Offer;
    is_edge && stream.media().is_some_and(|media| !media.server_control.can_block_reload)
}

/// Acts on a lookup; `None` if it has to be repeated. `stream` is that of the requested playlist.
async fn decide(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    stream: Option<&Arc<Stream>>,
    lookup: Lookup,
    fill_headers: &OnceLock<HeaderMap>,
) -> Option<Account> {
    Some(match lookup {
        Lookup::Hit(object) => {
            if stream.is_some_and(|stream| starts_follower(tier, client, request, stream, fill_headers)) {
                // The object is fresh for longer now.
                return None;
            }
            answer::object(tier, client, request, &object, Handling::here(Fate::Hit)).await
        }
        Lookup::Stale { object, refresh } => {
            if let Some(fill_writer) = refresh {
                let fill_headers = headers_of_fill(fill_headers, request, client.headers());
                access::count_fill(tier, client);
                start_fill(tier, request, fill_writer, fill_headers, Requester::default());
            }
            answer::object(tier, client, request, &object, Handling::here(Fate::Stale)).await
        }
        Lookup::Pass => pass::get(tier, client, request, Fate::HitForPass).await,
        Lookup::Failed { failure, stale: None } => {
            answer::failed(tier, client, request, &failure, None).await
        }
        Lookup::Failed { failure, stale: Some(object) } => {
            let handling = Handling { failure: Some(&failure), ..Handling::here(Fate::StaleIfError) };
            answer::object(tier, client, request, &object, handling).await
        }
        Lookup::Join(fill_reader) => {
            let fill_headers = headers_of_fill(fill_headers, request, client.headers());
            let waiting = Waiting { fill_reader, interim: None, unshared: None, stale: None, fill_headers };
            return wait_and_answer(tier, client, request, waiting).await;
        }
        Lookup::Miss(fill_reader, fill_writer) => {
            let fill_writer = whole::unless_served(tier, request, fill_writer)?;
            let (unshared_sender, unshared) = oneshot::channel();
            let unshared = may_receive_unshared(client.headers()).then_some(unshared);
            let (interim_sender, interim) = mpsc::channel(INTERIM_MAX);
            let stale = fill_writer.stale().cloned();
            let fill_headers = headers_of_fill(fill_headers, request, client.headers());
            let requester = Requester {
                interim: Some(interim_sender),
                unshared: unshared.is_some().then_some(unshared_sender),
            };
            access::count_fill(tier, client);
            start_fill(tier, request, fill_writer, fill_headers, requester);
            let waiting = Waiting { fill_reader, interim: Some(interim), unshared, stale, fill_headers };
            return wait_and_answer(tier, client, request, waiting).await;
        }
    })
}

/// Starts the follower of a live playlist that has none, if this is its second use. Returns whether it is
/// followed from now on.
fn starts_follower(
    tier: &Arc<Tier>,
    client: &Client,
    request: &Request,
    stream: &Stream,
    fill_headers: &OnceLock<HeaderMap>,
) -> bool {
    stream.wants_follower()
        && follow::follow(tier, request, stream, headers_of_fill(fill_headers, request, client.headers()))
}

/// A request that waits for a fill.
struct Waiting<'a> {
    fill_reader: FillReader,
    /// Receives the informational responses (1xx), if this request caused the fill.
    interim: Option<mpsc::Receiver<Head>>,
    /// Receives the response if it cannot be shared.
    unshared: Option<oneshot::Receiver<UpstreamResponse>>,
    stale: Option<Arc<Object>>,
    fill_headers: &'a HeaderMap,
}

/// Waits for a fill, then answers from its object or from a response for this viewer alone.
async fn wait_and_answer(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    waiting: Waiting<'_>,
) -> Option<Account> {
    let Waiting { fill_reader, mut interim, unshared, stale, fill_headers } = waiting;
    let reason = if fill_reader.is_revalidation() { Reason::Stale } else { Reason::UriMiss };
    let answer = wait_for_answer(tier, client, request, &fill_reader, &mut interim).await;
    Some(match answer {
        Ok(Answer::Object(object)) => {
            if request.directives.blocks() && is_live(tier, request, &object).await {
                // The stream is known now, and with it whether this is the requested version.
                return None;
            }
            if object
                .variant
                .as_ref()
                .is_some_and(|mine| vary::variant(&mine.names, fill_headers) != mine.values)
            {
                return None;
            }
            let fate = match &stale {
                _ if !fill_reader.is_elected() => Fate::Join,
                Some(stale) if Arc::ptr_eq(&stale.body, &object.body) => Fate::Revalidated,
                _ => Fate::Miss,
            };
            let account =
                answer::object(tier, client, request, &object, Handling::forward(fate, reason)).await;
            drop(fill_reader);
            account
        }
        // The origin sent the whole resource in place of the slice.
        Ok(Answer::Pass) if whole::serves(tier, request) => return None,
        Ok(Answer::Purged) => return None,
        Ok(Answer::Pass) => match unshared {
            Some(unshared) => match unshared.await {
                Ok(response) => pass::reply(tier, client, request, response, Fate::Pass).await,
                Err(_not_received) => boxed(pass::get(tier, client, request, Fate::HitForPass)).await,
            },
            None => boxed(pass::get(tier, client, request, Fate::HitForPass)).await,
        },
        Ok(Answer::Failed { failure, stale: None }) => {
            answer::failed(tier, client, request, &failure, Some(reason)).await
        }
        Ok(Answer::Failed { failure, stale: Some(object) }) => {
            let handling = Handling::forward(Fate::StaleIfError, Reason::Stale);
            let handling = Handling { failure: Some(&failure), ..handling };
            answer::object(tier, client, request, &object, handling).await
        }
        Err(None) => Account::gone(request),
        Err(Some(refusal)) => answer::refuse(tier, client, &refusal, Some(&request.site)).await,
    })
}

/// Whether a playlist that has just been received is a live one.
async fn is_live(tier: &Tier, request: &Request, object: &Object) -> bool {
    object.body.wait_for_end().await.is_ok() && tier.streams().of_request(request).is_some()
}

/// Waits for the answer of a fill. An error is the end of the wait: `None` if the viewer has left, otherwise
/// a refusal.
async fn wait_for_answer(
    tier: &Tier,
    client: &mut Client,
    request: &Request,
    fill_reader: &FillReader,
    interim: &mut Option<mpsc::Receiver<Head>>,
) -> Result<Answer, Option<Refusal>> {
    let _waiter =
        tier.limits().wait(request.key.as_str()).map_err(|exceeded| Some(Refusal::Limited(exceeded)))?;
    let mut timeout = pin!(tokio::time::sleep(tier.settings().viewers.wait_timeout.get()));
    loop {
        let head = tokio::select! {
            biased;
            Some(head) = async { interim.as_mut()?.recv().await } => head,
            answer = fill_reader.answer() => {
                // Those that arrived before the response are sent first.
                while let Some(head) = interim.as_mut().and_then(|interim| interim.try_recv().ok()) {
                    boxed(answer::informational(tier, client, &head)).await.map_err(|Unsent| None)?;
                }
                return Ok(answer);
            }
            () = client.until_gone() => return Err(None),
            () = &mut timeout => return Err(Some(Refusal::TimedOut)),
        };
        boxed(answer::informational(tier, client, &head)).await.map_err(|Unsent| None)?;
    }
}

/// Whether the viewer may receive the response to its fill, if that cannot be shared. Not if the request has
/// a cookie, a range or a condition: the fill was sent without them.
fn may_receive_unshared(viewer: &HeaderMap) -> bool {
    let unsent = [
        header::COOKIE,
        header::RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    !viewer.keys().any(|name| unsent.contains(name))
}

/// The header fields of a fill for this request, made on first use.
fn headers_of_fill<'a>(
    fill_headers: &'a OnceLock<HeaderMap>,
    request: &Request,
    viewer: &HeaderMap,
) -> &'a HeaderMap {
    fill_headers.get_or_init(|| request.site.forwarding.fill_headers(viewer))
}

/// Starts a fill as a task of its own: it outlives the request that caused it, and the drain waits for it.
fn start_fill(
    tier: &Arc<Tier>,
    request: &Request,
    fill_writer: FillWriter,
    fill_headers: &HeaderMap,
    requester: Requester,
) {
    let (tasks, tier) = (tier.tasks().clone(), Arc::clone(tier));
    let (request, fill_headers) = (request.clone(), fill_headers.clone());
    let fill_options = FillOptions { requester, ..FillOptions::default() };
    // Boxed, because the runtime moves a task several times.
    tasks.spawn(boxed(async move {
        // A live playlist that was requested before is followed from now on.
        let follower = follow::reserve(&tier, &request, &fill_headers);
        let filled = fill::fill(&tier, &request, fill_writer, &fill_headers, fill_options).await;
        publish::publish(&tier, &request, &fill_headers, &filled);
        if let Some(follower) = follower {
            follower.start(&filled);
        }
    }));
}

/// Boxes a step of a request. The future of [`serve`] is as large as the largest step inside it, and a
/// blocked request keeps that memory as long as it waits: so the steps around the wait are boxed, as are rare
/// ones.
fn boxed<F: Future>(step: F) -> Pin<Box<F>> {
    Box::pin(step)
}
