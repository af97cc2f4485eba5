//! The request's fate. This is the only file that branches on it.
//!
//! 1. read: the target becomes a [`Resource`], the host a site
//! 2. admit: method, body, loop
//! 3. hold: a request for the next version of a live playlist waits for it (`live.rs`)
//! 4. look up: hit, stale, join, miss, pass, failure
//! 5. fill: whoever is elected starts a detached fill
//! 6. answer: head, then the body while it still grows (`answer.rs`, `pass.rs`)
//! 7. account: one counter, one line (`account.rs`)

mod try_hit;

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, Method, header};
use tidegate_cache::{Answer, FillReader, FillWriter, Head, Key, Lookup, Object};
use tidegate_hls::{Directives, Kind, QueryRules, Resource};
use tidegate_upstream::{
    BACKUP, FillRequest, INTERIM_MAX, Requester, UpstreamRequest, UpstreamResponse, fetch,
};
use tokio::sync::{mpsc, oneshot};

use crate::account::Account;
use crate::answer::{self, Handling};
use crate::cache_status::Reason;
use crate::client::{Client, Gone};
use crate::conditional;
use crate::fate::Fate;
use crate::hop::{self, SLICE};
use crate::live::{self, Held, Stream};
use crate::pass;
use crate::policy::SitePolicy;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::slice::Slice;
use crate::target::{self, Target};
use crate::tier::{Role, Tier};
use crate::vary;

pub(crate) use try_hit::{Hit, try_hit};

/// What is asked for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) site: Arc<Site>,
    /// What is held. A playlist that is followed is one object, whichever version of it is asked for.
    pub(crate) resource: Resource,
    /// The version of it that is asked for.
    pub(crate) directives: Directives,
    /// The piece of it that is held by itself.
    pub(crate) slice: Option<Slice>,
    pub(crate) key: Key,
    /// The Host header field as sent, for upstreams that are asked for the same host.
    pub(crate) authority: String,
    /// The version in which the viewer speaks, for Via.
    pub(crate) version: http::Version,
    pub(crate) is_authorized: bool,
    /// Whether it comes from a tier that asks others first.
    pub(crate) is_backup: bool,
}

/// How often a request may look up again because an answer turned out to be another variant's.
const LOOKUPS_MAX: usize = 4;

/// Serves one request, from its head to its last byte.
pub(crate) async fn serve(tier: &Arc<Tier>, client: &mut Client) -> Account {
    if target::is_server(client) {
        return Box::pin(answer::server(tier, client)).await;
    }
    // What comes before and after a request is held is boxed: a wait that may be long does not hold its room.
    let request = match Box::pin(read(tier, client)).await {
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
    let mut attending = None;
    // What a fill sends of this request's header fields; a hit on what does not vary never needs it.
    let sent = OnceLock::new();
    for _ in 0..LOOKUPS_MAX {
        // The stream may have become known only by the fill that was waited for.
        attending =
            attending.or_else(|| stream(tier, &request).map(|stream| stream.attend(request.is_backup)));
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
    let stream = stream(tier, request)?;
    // What nobody has followed for a while may be far behind: whoever waits for a version has it brought, and is not
    // refused for what is not known here.
    let is_current = !stream.wants_follower();
    if !is_current {
        live::follow(tier, request, &stream, fill_headers(sent, client.headers()));
    }
    let may_refuse = is_current && tier.role() == Role::Edge;
    let held = {
        let _blocked = tier.metrics().live.block();
        let mut held = pin!(live::hold(&stream, &request.directives, may_refuse));
        let mut gone = pin!(client.gone());
        tokio::select! {
            biased;
            held = &mut held => held,
            () = &mut gone => return Some(Account::gone(request)),
        }
    };
    let refusal = match held {
        Held::Over => return None,
        Held::Refused(error) => Refusal::Reload(error),
        Held::TooLong => Refusal::Held,
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
                start(tier, request, fill_writer, sent, Requester::default());
            }
            answer::object(tier, client, request, &object, Handling::here(Fate::Stale)).await
        }
        Lookup::Pass => pass::get(tier, client, request, Fate::HitForMiss).await,
        Lookup::Failed { failure, stand_in: None } => {
            answer::failed(tier, client, request, &failure, None).await
        }
        Lookup::Failed { failure, stand_in: Some(object) } => {
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
            start(tier, request, fill_writer, sent, requester);
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
    let reason = if fill_reader.renews() { Reason::Stale } else { Reason::UriMiss };
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
        Ok(Answer::Failed { failure, stand_in: None }) => {
            answer::failed(tier, client, request, &failure, Some(reason)).await
        }
        Ok(Answer::Failed { failure, stand_in: Some(object) }) => {
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
    object.body.ended().await.is_ok() && stream(tier, request).is_some()
}

/// What is known of the playlist that is asked for.
pub(crate) fn stream(tier: &Tier, request: &Request) -> Option<Arc<Stream>> {
    stream_at(tier, request.resource.kind, &request.key)
}

fn stream_at(tier: &Tier, kind: Kind, key: &Key) -> Option<Arc<Stream>> {
    let may_be_playlist = matches!(kind, Kind::Playlist | Kind::Other);
    may_be_playlist.then(|| tier.streams().of(key)).flatten()
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
            () = &mut patience => return Err(Some(Refusal::Waited)),
        };
        Box::pin(answer::informational(tier, client, &head)).await.map_err(|Gone| None)?;
    }
}

/// Whether an answer to the fill that turns out to be for one viewer only may be this viewer's. Not if the viewer asked
/// with a cookie, for a part, or on a condition: the fill asked without, so its answer is to another question.
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

/// Starts a fill as a task of its own: it outlives the request that caused it, and drain waits for it.
fn start(
    tier: &Arc<Tier>,
    request: &Request,
    fill_writer: FillWriter,
    sent: &HeaderMap,
    requester: Requester,
) {
    let (tasks, tier) = (tier.tasks().clone(), Arc::clone(tier));
    let (request, sent) = (request.clone(), sent.clone());
    let fill_options = FillOptions { requester, ..FillOptions::default() };
    tasks.spawn(async move { fill(&tier, &request, fill_writer, &sent, fill_options).await });
}

/// Makes a fill, and does what follows from a new version of a live playlist.
pub(crate) async fn fill(
    tier: &Arc<Tier>,
    request: &Request,
    fill_writer: FillWriter,
    sent: &HeaderMap,
    fill_options: FillOptions,
) {
    let policy = SitePolicy::new(tier, request, sent.clone())
        .held(fill_options.directives.blocks())
        .over(fill_writer.stale().cloned());
    let policy = Arc::new(policy);
    let mut headers = sent.clone();
    if let Some(stale) = fill_writer.stale() {
        headers.extend(conditional::revalidation(&stale.head.headers));
    }
    if let Some(slice) = request.slice {
        slice.ask(&mut headers, request.site.has_shields);
    }
    let mut job = job(tier, request, &fill_options.directives, Method::GET, headers);
    job.ask.span = request.slice.map(Slice::bytes);
    job.ask.patience = fill_options.patience;
    job.ask.overdue = fill_options.overdue;
    tier.metrics().origin_requests_needed.inc();
    fetch::fill(&policy, job, fill_writer, fill_options.requester).await;
    policy.conclude();
}

/// What upstreams are asked for `request`, with the marks of this node.
pub(crate) fn job(
    tier: &Tier,
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
        candidates: live::detoured(tier, request, request.site.candidates.for_key(request.key.as_str())),
        budget: request.site.candidates.budget(),
        tries_max: settings.upstream.attempts_max,
        finish_within: settings.cache.finish_within.bytes(),
        remember_large: settings.cache.hit_for_miss.get(),
    }
}

impl Request {
    /// What upstreams are asked for: the resource, in this version of it.
    fn target(&self, directives: &Directives) -> String {
        if *directives == Directives::default() {
            self.resource.path_and_query().into_owned()
        } else {
            self.resource.asked_with(*directives).path_and_query().into_owned()
        }
    }
}

type Refused = (Refusal, Option<Arc<Site>>);

/// Reads and admits.
async fn read(tier: &Tier, client: &mut Client) -> Result<Request, Refused> {
    let target = target::read(client).map_err(|refusal| (refusal, None))?;
    let name = target::host_name(&target.authority);
    let site = site(tier, &name, &target.authority, &target.path_and_query)
        .ok_or_else(|| (nobody(&target), None))?;
    client.known().site = Some(Arc::clone(site));
    let refused = |refusal| (refusal, Some(Arc::clone(site)));
    let resource = Resource::parse(&target.authority, &target.path_and_query, &site.query)
        .map_err(|error| refused(error.into()))?;
    client.known().kind = Some(resource.kind);
    client.known().cmcd.clone_from(&resource.cmcd);
    admit(tier, client, site).await.map_err(refused)?;
    let (resource, directives) = apart(resource, site);
    let (slice, key) = named(tier, client.method(), client.headers(), site, &resource.path_and_query());
    Ok(Request {
        directives,
        slice,
        key,
        site: Arc::clone(site),
        resource,
        authority: target.authority,
        version: client.version(),
        is_authorized: client.headers().contains_key(header::AUTHORIZATION),
        is_backup: tier.role() == Role::Shield && client.headers().contains_key(&BACKUP),
    })
}

/// A resource and the version of it that is asked for. The versions of a playlist that is followed are one object;
/// elsewhere the origin knows what the directives mean, and each answer is an object of its own.
fn apart(resource: Resource, site: &Site) -> (Resource, Directives) {
    let directives = resource.directives;
    if directives == Directives::default() || resource.kind != Kind::Playlist || !site.follows() {
        return (resource, Directives::default());
    }
    (resource.asked_with(Directives::default()), directives)
}

/// The name of what is asked for: a resource, or a piece of one that playlists list in pieces.
fn named(
    tier: &Tier,
    method: &Method,
    headers: &HeaderMap,
    site: &Site,
    resource: &str,
) -> (Option<Slice>, Key) {
    let key = Key::new(&site.name, resource);
    let is_told = tier.role() == Role::Shield && headers.contains_key(&SLICE);
    match Slice::asked(method, headers) {
        Some(slice) if is_told || tier.streams().lists_pieces_of(&key) => {
            (Some(slice), slice.key(site, resource))
        }
        _ => (None, key),
    }
}

/// The site that serves a target: where sites share a host by their paths, by the path in its one form.
fn site<'a>(tier: &'a Tier, name: &str, host: &str, target: &str) -> Option<&'a Arc<Site>> {
    if !tier.sites().differ_by_path() {
        return tier.sites().find(name, "/");
    }
    let resource = Resource::parse(host, target, &QueryRules::default()).ok()?;
    tier.sites().find(name, &resource.path_and_query())
}

/// Nobody serves this, or it is no target at all, which is the graver fault (RFC 9112 section 3.2).
fn nobody(target: &Target) -> Refusal {
    match Resource::parse(&target.authority, &target.path_and_query, &QueryRules::default()) {
        Ok(_) => Refusal::UnknownHost,
        Err(error) => error.into(),
    }
}

/// Whether the site takes such a request.
async fn admit(tier: &Tier, client: &mut Client, site: &Site) -> Result<(), Refusal> {
    let method = client.method().clone();
    let is_read = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_read && !site.passes(&method) {
        return Err(Refusal::Method(method));
    }
    // A body on a request that has none by its nature is how requests are smuggled past caches.
    if is_read && client.brings_body(tier.settings().viewers.head_timeout.get()).await {
        return Err(Refusal::UnexpectedBody(method));
    }
    if hop::loops(client.headers(), tier.node()) {
        return Err(Refusal::Loop);
    }
    Ok(())
}
