//! The request's fate. This is the only file that branches on it.
//!
//! 1. read: the target becomes a `Resource`, the host a site (`request/read.rs`)
//! 2. admit: method, body, loop, token (`request/token.rs`)
//! 3. hold: a request for a future version of a live playlist blocks until it is there (`live/hold.rs`)
//! 4. look up: hit, stale, join, miss, pass, failure
//! 5. fill: the elected request starts a detached fill (`fill.rs`)
//! 6. answer: head, then the body while it still grows (`answer.rs`, `answer/pass.rs`)
//! 7. account: one counter, one line (`observe/account.rs`)

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
use tidegate_headers::{cache_control, hop, vary};
use tidegate_upstream::{INTERIM_MAX, Requester, UpstreamResponse};
use tokio::sync::{mpsc, oneshot};

use self::parsed::Request;
use crate::answer::marks::Handling;
use crate::answer::{self, pass};
use crate::fate::Fate;
use crate::fill::{self, FillOptions};
use crate::live::stream::Stream;
use crate::live::{follow, hold, publish};
use crate::observe::account::Account;
use crate::refusal::Refusal;
use crate::site::config::LowLatency;
use crate::tier::{Role, Tier};
use crate::viewer::client::Client;
use crate::viewer::gone::Gone;

/// How often a request may look up again because the object turned out to be another variant's.
const LOOKUPS_MAX: usize = 4;

/// Serves one request, from its head to its last byte.
pub(crate) async fn serve(tier: &Arc<Tier>, client: &mut Client) -> Account {
    if read::is_server(client) {
        return boxed(answer::server(tier, client)).await;
    }
    let mut request = match boxed(read::read(tier, client)).await {
        Ok(request) => request,
        Err((refusal, site)) => {
            return boxed(answer::refuse(tier, client, &refusal, site.as_deref())).await;
        }
    };
    if *client.method() == Method::OPTIONS {
        return boxed(answer::options(tier, client, &request)).await;
    }
    if !matches!(*client.method(), Method::GET | Method::HEAD) {
        return boxed(pass::method(tier, client, &request)).await;
    }
    let is_only_if_cached = cache_control::is_only_if_cached(client.headers());
    if request.is_authorized {
        // RFC 9111 section 3.5: a response behind a login is not shared.
        return boxed(pass_unless(is_only_if_cached, tier, client, &request)).await;
    }
    let mut open_request = None;
    // Made on first use: a hit on an object that does not vary needs none.
    let sent = OnceLock::new();
    for _ in 0..LOOKUPS_MAX {
        if whole::serves(tier, &request) {
            request.read_from_whole();
        }
        // The stream may have become known only by the fill of the round before.
        open_request = open_request.or_else(|| {
            tier.streams().of_request(&request).map(|stream| stream.open_request(request.is_backup))
        });
        if request.directives.blocks()
            && !is_only_if_cached
            && let Some(account) = hold(tier, client, &request, &sent).await
        {
            return account;
        }
        let lookup = {
            let headers = client.headers();
            let variant = |names: &[http::HeaderName]| vary::variant(names, fill_headers(&sent, headers));
            if is_only_if_cached {
                tier.cache().look_up_cached(&request.key, &variant)
            } else {
                Some(tier.cache().look_up(&request.key, &variant))
            }
        };
        let Some(lookup) = lookup else { break };
        if let Some(account) = boxed(decide(tier, client, &request, lookup, &sent)).await {
            return account;
        }
    }
    boxed(pass_unless(is_only_if_cached, tier, client, &request)).await
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
    pass::get(tier, client, request, Fate::Pass).await
}

/// Blocks a request for a future version of a playlist. Returns an account if the request ends with that.
async fn hold(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    sent: &OnceLock<HeaderMap>,
) -> Option<Account> {
    let stream = tier.streams().of_request(request)?;
    // Without a follower, the known version may be old: a request that is ahead of it starts one.
    let is_alone = stream.wants_follower()
        && hold::is_ahead(&stream, &request.directives)
        && !follow::follow(tier, request, &stream, fill_headers(sent, client.headers()));
    let outcome = {
        let _blocked = tier.metrics().live.block();
        let may_refuse = tier.role() == Role::Edge;
        let mut blocked = pin!(async {
            if is_alone {
                hold::wait_without_follower(&stream).await;
                return hold::Outcome::Proceed;
            }
            hold::hold(&stream, &request.directives, may_refuse).await
        });
        let mut gone = pin!(client.gone());
        tokio::select! {
            biased;
            outcome = &mut blocked => outcome,
            () = &mut gone => return Some(Account::gone(request)),
        }
    };
    let refusal = match outcome {
        hold::Outcome::Proceed => return None,
        hold::Outcome::Refused(error) => Refusal::Reload(error),
        // The origin has not promised a version in time, so players receive the present one.
        hold::Outcome::TimedOut if is_offered(tier, request, &stream) => return None,
        hold::Outcome::TimedOut => Refusal::BlockedTooLong,
    };
    Some(boxed(answer::refuse(tier, client, &refusal, Some(&request.site))).await)
}

/// Whether this tier offers blocking reload in the place of the origin.
fn is_offered(tier: &Tier, request: &Request, stream: &Stream) -> bool {
    let is_edge = tier.role() == Role::Edge && request.site.low_latency == LowLatency::Offer;
    is_edge && stream.media().is_some_and(|media| !media.server_control.can_block_reload)
}

/// Acts on a lookup; `None` if it has to be repeated.
async fn decide(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    lookup: Lookup,
    sent: &OnceLock<HeaderMap>,
) -> Option<Account> {
    Some(match lookup {
        Lookup::Hit(object) => {
            if starts_follower(tier, client, request, sent) {
                // The object is fresh for longer now.
                return None;
            }
            answer::object(tier, client, request, &object, Handling::here(Fate::Hit)).await
        }
        Lookup::Stale { object, refresh } => {
            if let Some(fill_writer) = refresh {
                let sent = fill_headers(sent, client.headers());
                start_fill(tier, request, fill_writer, sent, Requester::default());
            }
            answer::object(tier, client, request, &object, Handling::here(Fate::Stale)).await
        }
        Lookup::Pass => pass::get(tier, client, request, Fate::HitForMiss).await,
        Lookup::Failed { failure, stale: None } => {
            answer::failed(tier, client, request, &failure, None).await
        }
        Lookup::Failed { failure, stale: Some(object) } => {
            let handling = Handling { failure: Some(&failure), ..Handling::here(Fate::StaleIfError) };
            answer::object(tier, client, request, &object, handling).await
        }
        Lookup::Join(fill_reader) => {
            let sent = fill_headers(sent, client.headers());
            let waiting = Waiting { fill_reader, interim: None, own: None, stale: None, sent };
            return wait(tier, client, request, waiting).await;
        }
        Lookup::Miss(fill_reader, fill_writer) => {
            let (own_sender, own) = oneshot::channel();
            let own = may_receive_unshared(client.headers()).then_some(own);
            let (interim_sender, interim) = mpsc::channel(INTERIM_MAX);
            let stale = fill_writer.stale().cloned();
            let sent = fill_headers(sent, client.headers());
            let requester =
                Requester { interim: Some(interim_sender), own: own.is_some().then_some(own_sender) };
            start_fill(tier, request, fill_writer, sent, requester);
            let waiting = Waiting { fill_reader, interim: Some(interim), own, stale, sent };
            return wait(tier, client, request, waiting).await;
        }
    })
}

/// Starts the follower of a live playlist that has none, if this is its second use. Returns whether it is
/// followed from now on.
fn starts_follower(tier: &Arc<Tier>, client: &Client, request: &Request, sent: &OnceLock<HeaderMap>) -> bool {
    let stream = tier.streams().of_request(request).filter(|stream| stream.wants_follower());
    stream.is_some_and(|stream| follow::follow(tier, request, &stream, fill_headers(sent, client.headers())))
}

/// A request that waits for a fill.
struct Waiting<'a> {
    fill_reader: FillReader,
    /// Receives the informational responses (1xx), if this request caused the fill.
    interim: Option<mpsc::Receiver<Head>>,
    /// Receives the response if it cannot be shared.
    own: Option<oneshot::Receiver<UpstreamResponse>>,
    stale: Option<Arc<Object>>,
    sent: &'a HeaderMap,
}

async fn wait(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    waiting: Waiting<'_>,
) -> Option<Account> {
    let Waiting { fill_reader, mut interim, own, stale, sent } = waiting;
    let reason = if fill_reader.is_revalidation() { Reason::Stale } else { Reason::UriMiss };
    let answer = wait_for_answer(tier, client, &fill_reader, &mut interim).await;
    Some(match answer {
        Ok(Answer::Object(object)) => {
            if request.directives.blocks() && is_live(tier, request, &object).await {
                // The stream is known now, and with it whether this is the requested version.
                return None;
            }
            if object.variant.as_ref().is_some_and(|mine| vary::variant(&mine.names, sent) != mine.values) {
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
        Ok(Answer::Pass) => match own {
            Some(own) => match own.await {
                Ok(response) => pass::reply(tier, client, request, response, Fate::Pass).await,
                Err(_not_received) => boxed(pass::get(tier, client, request, Fate::HitForMiss)).await,
            },
            None => boxed(pass::get(tier, client, request, Fate::HitForMiss)).await,
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
    fill_reader: &FillReader,
    interim: &mut Option<mpsc::Receiver<Head>>,
) -> Result<Answer, Option<Refusal>> {
    let mut timeout = pin!(tokio::time::sleep(tier.settings().viewers.wait_timeout.get()));
    loop {
        let head = tokio::select! {
            biased;
            Some(head) = async { interim.as_mut()?.recv().await } => head,
            answer = fill_reader.answer() => {
                // Those that arrived before the response are sent first.
                while let Some(head) = interim.as_mut().and_then(|interim| interim.try_recv().ok()) {
                    boxed(answer::informational(tier, client, &head)).await.map_err(|Gone| None)?;
                }
                return Ok(answer);
            }
            () = client.gone() => return Err(None),
            () = &mut timeout => return Err(Some(Refusal::TimedOut)),
        };
        boxed(answer::informational(tier, client, &head)).await.map_err(|Gone| None)?;
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
    !unsent.iter().any(|name| viewer.contains_key(name))
}

/// The header fields of a fill for this request, made on first use.
fn fill_headers<'a>(sent: &'a OnceLock<HeaderMap>, viewer: &HeaderMap) -> &'a HeaderMap {
    sent.get_or_init(|| hop::fill_headers(viewer))
}

/// Starts a fill as a task of its own: it outlives the request that caused it, and the drain waits for it.
fn start_fill(
    tier: &Arc<Tier>,
    request: &Request,
    fill_writer: FillWriter,
    sent: &HeaderMap,
    requester: Requester,
) {
    let (tasks, tier) = (tier.tasks().clone(), Arc::clone(tier));
    let (request, sent) = (request.clone(), sent.clone());
    let fill_options = FillOptions { requester, ..FillOptions::default() };
    tasks.spawn(async move {
        // A live playlist that was requested before is followed from now on.
        let follower = follow::reserve(&tier, &request, &sent);
        let filled = fill::fill(&tier, &request, fill_writer, &sent, fill_options).await;
        publish::publish(&tier, &request, &sent, &filled);
        if let Some(follower) = follower {
            follower.start();
        }
    });
}

/// Boxes a step of a request. The future of [`serve`] is as large as the largest step inside it, and a
/// blocked request keeps that memory as long as it waits: so the steps around the wait are boxed, as are rare
/// ones.
fn boxed<F: Future>(step: F) -> Pin<Box<F>> {
    Box::pin(step)
}
