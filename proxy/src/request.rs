//! The request's fate. This is the only file that branches on it.
//!
//! 1. read: the target becomes a `Resource`, the host a site
//! 2. admit: method, body, loop
//! 3. hold: a request for the next version of a live playlist waits for it (`live.rs`)
//! 4. look up: hit, stale, join, miss, pass, failure
//! 5. fill: whoever is elected starts a detached fill
//! 6. answer: head, then the body while it still grows (`answer.rs`, `pass.rs`)
//! 7. account: one counter, one line (`account.rs`)

pub(crate) mod parsed;
mod read;
pub(crate) mod slice;
pub(crate) mod target;
pub(crate) mod try_hit;

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, Method, header};
use tidegate_cache::{Answer, FillReader, FillWriter, Head, Lookup, Object};
use tidegate_headers::cache_status::Reason;
use tidegate_headers::{hop, vary};
use tidegate_upstream::{INTERIM_MAX, Requester, UpstreamResponse};
use tokio::sync::{mpsc, oneshot};

use self::parsed::Request;
use crate::answer::marks::Handling;
use crate::answer::{self, pass};
use crate::fate::Fate;
use crate::fill::{self, FillOptions};
use crate::live::{follow, hold, publish};
use crate::observe::account::Account;
use crate::refusal::Refusal;
use crate::tier::{Role, Tier};
use crate::viewer::client::Client;
use crate::viewer::gone::Gone;

/// How often a request may look up again because an answer turned out to be another variant's.
const LOOKUPS_MAX: usize = 4;

/// Serves one request, from its head to its last byte.
pub(crate) async fn serve(tier: &Arc<Tier>, client: &mut Client) -> Account {
    if read::is_server(client) {
        return Box::pin(answer::server(tier, client)).await;
    }
    // What comes before and after a request is held is boxed: a wait that may be long does not hold its room.
    let request = match Box::pin(read::read(tier, client)).await {
        Ok(request) => Box::new(request),
        Err((refusal, site)) => {
            return Box::pin(answer::refuse(tier, client, &refusal, site.as_deref())).await;
        }
    };
    if *client.method() == Method::OPTIONS {
        return Box::pin(answer::options(tier, client, &request)).await;
    }
    if !matches!(*client.method(), Method::GET | Method::HEAD) {
        return Box::pin(pass::method(tier, client, &request)).await;
    }
    if request.is_authorized {
        // RFC 9111 section 3.5: what is behind a login is not shared.
        return Box::pin(pass::get(tier, client, &request, Fate::Pass)).await;
    }
    let mut open_request = None;
    // What a fill sends of this request's header fields; a hit on what does not vary never needs it.
    let sent = OnceLock::new();
    for _ in 0..LOOKUPS_MAX {
        // The stream may have become known only by the fill that was waited for.
        open_request = open_request.or_else(|| {
            tier.streams().of_request(&request).map(|stream| stream.open_request(request.is_backup))
        });
        if request.directives.blocks()
            && let Some(account) = hold(tier, client, &request, &sent).await
        {
            return account;
        }
        let lookup = {
            let headers = client.headers();
            let variant = |names: &[http::HeaderName]| vary::variant(names, fill_headers(&sent, headers));
            tier.cache().look_up(&request.key, &variant)
        };
        if let Some(account) = Box::pin(decide(tier, client, &request, lookup, &sent)).await {
            return account;
        }
    }
    Box::pin(pass::get(tier, client, &request, Fate::Pass)).await
}

/// Holds a request for a version that is still to come; an account where it ends with that.
async fn hold(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    sent: &OnceLock<HeaderMap>,
) -> Option<Account> {
    let stream = tier.streams().of_request(request)?;
    // What nobody has followed for a while may be far behind: whoever waits for a version has it brought, and
    // is not refused for what is not known here.
    let is_current = !stream.wants_follower();
    if !is_current {
        follow::follow(tier, request, &stream, fill_headers(sent, client.headers()));
    }
    let may_refuse = is_current && tier.role() == Role::Edge;
    let outcome = {
        let _blocked = tier.metrics().live.block();
        let mut blocked = pin!(hold::hold(&stream, &request.directives, may_refuse));
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
        hold::Outcome::TimedOut => Refusal::BlockedTooLong,
    };
    Some(Box::pin(answer::refuse(tier, client, &refusal, Some(&request.site))).await)
}

/// Acts on a look-up; `None` where it has to be made again.
async fn decide(
    tier: &Arc<Tier>,
    client: &mut Client,
    request: &Request,
    lookup: Lookup,
    sent: &OnceLock<HeaderMap>,
) -> Option<Account> {
    Some(match lookup {
        Lookup::Hit(object) => {
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
            let (give, own) = oneshot::channel();
            let own = may_own(client.headers()).then_some(own);
            let (tell, interim) = mpsc::channel(INTERIM_MAX);
            let stale = fill_writer.stale().cloned();
            let sent = fill_headers(sent, client.headers());
            let requester = Requester { interim: Some(tell), own: own.is_some().then_some(give) };
            start_fill(tier, request, fill_writer, sent, requester);
            let waiting = Waiting { fill_reader, interim: Some(interim), own, stale, sent };
            return wait(tier, client, request, waiting).await;
        }
    })
}

/// A request that waits for a fill.
struct Waiting<'a> {
    fill_reader: FillReader,
    /// Brings the informational answers (1xx) to the one who caused the fill.
    interim: Option<mpsc::Receiver<Head>>,
    /// Brings the answer if it is for this viewer alone.
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
    let waited = answer_to(tier, client, &fill_reader, &mut interim).await;
    Some(match waited {
        Ok(Answer::Object(object)) => {
            if request.directives.blocks() && is_live(tier, request, &object).await {
                // Now that the stream is known, it shows whether this is the version that is asked for.
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
        Ok(Answer::Pass) => match own {
            Some(own) => match own.await {
                Ok(reply) => pass::reply(tier, client, request, reply, Fate::Pass).await,
                Err(_not_given) => Box::pin(pass::get(tier, client, request, Fate::HitForMiss)).await,
            },
            None => Box::pin(pass::get(tier, client, request, Fate::HitForMiss)).await,
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

/// Whether a playlist that has just come is a live one.
async fn is_live(tier: &Tier, request: &Request, object: &Object) -> bool {
    object.body.wait_for_end().await.is_ok() && tier.streams().of_request(request).is_some()
}

/// The answer that a ticket waits for, or why it is waited for no more: the viewer left, or is turned away.
async fn answer_to(
    tier: &Tier,
    client: &mut Client,
    fill_reader: &FillReader,
    interim: &mut Option<mpsc::Receiver<Head>>,
) -> Result<Answer, Option<Refusal>> {
    let mut patience = std::pin::pin!(tokio::time::sleep(tier.settings().viewers.wait_timeout.get()));
    loop {
        let head = tokio::select! {
            biased;
            Some(head) = async { interim.as_mut()?.recv().await } => head,
            answer = fill_reader.answer() => {
                // They may all have come at once. Boxed, as it is rare.
                while let Some(head) = interim.as_mut().and_then(|interim| interim.try_recv().ok()) {
                    Box::pin(answer::informational(tier, client, &head)).await.map_err(|Gone| None)?;
                }
                return Ok(answer);
            }
            () = client.gone() => return Err(None),
            () = &mut patience => return Err(Some(Refusal::TimedOut)),
        };
        Box::pin(answer::informational(tier, client, &head)).await.map_err(|Gone| None)?;
    }
}

/// Whether an answer to the fill that turns out to be for one viewer only may be this viewer's. Not if the
/// viewer asked with a cookie, for a part, or on a condition: the fill asked without, so its answer is to
/// another question.
fn may_own(viewer: &HeaderMap) -> bool {
    let asked_otherwise = [
        header::COOKIE,
        header::RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    !asked_otherwise.iter().any(|name| viewer.contains_key(name))
}

/// The header fields of a fill for this request, made when they are first needed.
fn fill_headers<'a>(sent: &'a OnceLock<HeaderMap>, viewer: &HeaderMap) -> &'a HeaderMap {
    sent.get_or_init(|| hop::fill_headers(viewer))
}

/// Starts a fill as a task of its own: it outlives the request that caused it, and drain waits for it.
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
        let filled = fill::fill(&tier, &request, fill_writer, &sent, fill_options).await;
        publish::publish(&tier, &request, &sent, &filled);
        if let Some(stream) = &filled.stream {
            follow::follow(&tier, &request, stream, &sent);
        }
    });
}
