//! How long a response may be reused: HTTP's rules as pure functions of the response, the site and the time.
//!
//! The rules are those of RFC 9111 for a shared cache, of RFC 9213 for fields that target CDNs, and of RFC
//! 5861 for stale responses. The lifetime that HLS implies enters as a number. The first of these sources
//! that has a value decides how long a response is fresh:
//!
//! 1. `CDN-Cache-Control`, else `Surrogate-Control`, else `Cache-Control` and `Expires`. A field for CDNs
//!    replaces the general ones altogether (RFC 9213 section 2.2). Within a field: `s-maxage`, then
//!    `max-age`.
//! 2. The lifetime that HLS implies ([`Policy::hls_ttl`]); for an error without one, [`Policy::error_ttl`].
//! 3. The site's default.
//! 4. A guess from `Last-Modified`, if the site allows guesses.
//! 5. Nothing: the response is stored, and revalidated before each use.
//!
//! A site may prefer HLS's lifetime to the origin's, because origins often send `no-cache` with live
//! playlists for want of a better word ([`Policy::hls_over_no_cache`], [`Policy::cap_at_hls`]). It overrules
//! `no-store` and `private` only where its configuration names them ([`Policy::ignored`]).

mod control;

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, StatusCode};

pub use control::CacheControl;
use control::{Source, delta_seconds};

/// What matters about the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The request carried `Authorization`.
    pub authorization: bool,
}

/// The site's settings, and what HLS implies about the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The lifetime that HLS implies, if it implies one.
    pub hls_ttl: Option<Duration>,
    /// Use `hls_ttl` where the origin sends `no-cache`, `max-age=0` or another lifetime of zero.
    pub hls_over_no_cache: bool,
    /// Use `hls_ttl` where the origin allows longer.
    pub cap_at_hls: bool,
    /// What `hls_ttl` counts from. The origin's own lifetime counts from generation always.
    pub hls_from: CountedFrom,
    /// Lifetime of a response for which neither the origin nor HLS gives one.
    pub default: Option<Duration>,
    /// Guess a lifetime from `Last-Modified` (RFC 9111 section 4.2.2).
    pub heuristic: bool,
    /// Reasons that do not count, because the site says that every viewer gets the same response.
    pub ignored: Vec<UncacheableReason>,
    /// How long after its lifetime a response may be served while a refresh is under way, unless the origin
    /// sets it.
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime a response may be served while no upstream can answer, unless the origin
    /// sets it.
    pub stale_if_error: Duration,
    /// Lifetime of a 4xx or 501 without a lifetime from the origin or from HLS.
    pub error_ttl: Duration,
}

impl Default for Policy {
    /// RFC 9111 and nothing else: no HLS lifetime, no guesses, nothing stale.
    fn default() -> Self {
        Self {
            hls_ttl: None,
            hls_over_no_cache: false,
            cap_at_hls: false,
            hls_from: CountedFrom::Generation,
            default: None,
            heuristic: false,
            ignored: Vec::new(),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            error_ttl: Duration::ZERO,
        }
    }
}

/// The moment from which a lifetime counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedFrom {
    /// When the origin made the response.
    Generation,
    /// When the response arrived, if it was older than its lifetime then, as one from another cache may be.
    /// Otherwise each request for it would become a request to the upstream.
    Arrival,
}

/// Whether a response may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be stored and served to any client that sends the same request.
    Store(Lifetimes),
    /// It is for the client that sent the request.
    Uncacheable(UncacheableReason),
}

/// How long a stored response is usable, counted from its generation at the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// Fresh for this long. Zero: revalidate before each use.
    pub ttl: Duration,
    /// After `ttl`, usable for this much longer while a refresh is under way (stale-while-revalidate).
    pub stale_while_revalidate: Duration,
    /// After `ttl`, usable for this much longer while no upstream can answer (stale-if-error).
    pub stale_if_error: Duration,
    /// Its age when it arrived.
    pub age: Duration,
    /// The origin forbids stale use. Both other times are zero then, whatever the site's settings.
    pub must_revalidate: bool,
}

/// Why a response is for one client only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UncacheableReason {
    /// The origin sent `no-store`.
    NoStore,
    /// The origin sent `private`.
    Private,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`: it depends on more than the request.
    VaryStar,
    /// The request carried `Authorization`, and the response does not allow sharing.
    Authorization,
    /// It is a part of an object (206).
    PartialContent,
    /// Its content coding is unknown: a viewer has to accept it.
    ContentCoding,
    /// Its status is not cacheable.
    Status,
}

impl UncacheableReason {
    /// The word for it in logs, metrics and `Cache-Status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::Authorization => "authorization",
            Self::PartialContent => "partial-content",
            Self::ContentCoding => "content-coding",
            Self::Status => "status",
        }
    }
}

/// Judges a complete head. `now` is the time of its arrival.
///
/// The response's `Date` counts only as a point on the origin's clock, against which its `Expires` and
/// `Last-Modified` are measured: origins' clocks are wrong by more than the lifetimes that matter here.
pub fn judge(
    request: &RequestFacts,
    status: StatusCode,
    headers: &HeaderMap,
    policy: &Policy,
    now: SystemTime,
) -> Verdict {
    let (control, source) = CacheControl::governing(headers);
    let explicit = explicit_ttl(&control, source, headers, now);
    if let Some(why) = uncacheable(request, status, headers, policy, &control, explicit.is_some()) {
        return Verdict::Uncacheable(why);
    }
    let (ttl, from_hls) = ttl(&control, explicit, status, headers, policy, now);
    let stale = if from_hls { &CacheControl::default() } else { &control };
    Verdict::Store(lifetimes(ttl, stale, status, policy, initial_age(headers)))
}

/// RFC 9111 section 3: may this be stored at all?
fn uncacheable(
    request: &RequestFacts,
    status: StatusCode,
    headers: &HeaderMap,
    policy: &Policy,
    control: &CacheControl,
    has_explicit_ttl: bool,
) -> Option<UncacheableReason> {
    let ignores = |reason| policy.ignored.contains(&reason);
    let cookie = headers.contains_key(SET_COOKIE) && !ignores(UncacheableReason::SetCookie);
    // RFC 9111 section 3.5: these three allow sharing the response to an authorised request.
    let shared = control.public || control.s_maxage.is_some() || control.must_revalidate;
    match storable(status) {
        Storable::Never if status == StatusCode::PARTIAL_CONTENT => Some(UncacheableReason::PartialContent),
        Storable::Never => Some(UncacheableReason::Status),
        // `must-understand` would lift a no-store here (RFC 9111 section 5.2.2.3). A MAY, and not worth a
        // mistake.
        _ if control.no_store && !ignores(UncacheableReason::NoStore) => Some(UncacheableReason::NoStore),
        _ if control.private && !ignores(UncacheableReason::Private) => Some(UncacheableReason::Private),
        _ if request.authorization && !shared => Some(UncacheableReason::Authorization),
        _ if cookie => Some(UncacheableReason::SetCookie),
        // RFC 9111 section 4.1: it never matches another request.
        _ if varies_on_everything(headers) && !ignores(UncacheableReason::VaryStar) => {
            Some(UncacheableReason::VaryStar)
        }
        Storable::IfExplicit if !has_explicit_ttl => Some(UncacheableReason::Status),
        Storable::IfExplicit | Storable::ByDefault => None,
    }
}

/// Whether responses with a status may be stored.
enum Storable {
    ByDefault,
    IfExplicit,
    Never,
}

fn storable(status: StatusCode) -> Storable {
    match status.as_u16() {
        // RFC 9110 section 15.1, without 206: parts are not combined here.
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501 => Storable::ByDefault,
        // A part is not the object. A 304 is about a stored response and is none itself. A failing server
        // does not decide how long its failure is remembered.
        206 | 304 | ..200 | 500.. => Storable::Never,
        // RFC 9111 section 3: any final status whose response gives its lifetime.
        _ => Storable::IfExplicit,
    }
}

/// The lifetime that the origin gives, if it gives one: `Some(0)` is "stale on arrival".
fn explicit_ttl(
    control: &CacheControl,
    source: Source,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    // RFC 9111 section 4.2.1, and section 5.2.2.10: for a shared cache its own directive comes first.
    let from_control = control.s_maxage.or(control.max_age);
    // RFC 9213 section 2.2: a field for CDNs replaces Expires as well.
    from_control.or_else(|| if source == Source::CacheControl { expires(headers, now) } else { None })
}

/// RFC 9111 section 5.3. An invalid date, such as `0`, is in the past; so are two dates that disagree.
fn expires(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut values = headers.get_all(EXPIRES).iter();
    let first = values.next()?;
    if values.any(|other| other != first) {
        return Some(Duration::ZERO);
    }
    // Without a Date the time of arrival is used (RFC 9111 section 4.2.1, RFC 9110 section 6.6.1).
    let generated = date(headers, &DATE).unwrap_or(now);
    let expires = date(headers, &EXPIRES);
    let ttl = expires.and_then(|at| at.duration_since(generated).ok()).unwrap_or_default();
    Some(ttl.min(control::DELTA_MAX))
}

/// The lifetime, and whether HLS's lifetime replaces the origin's.
fn ttl(
    control: &CacheControl,
    explicit: Option<Duration>,
    status: StatusCode,
    headers: &HeaderMap,
    policy: &Policy,
    now: SystemTime,
) -> (Duration, bool) {
    // RFC 9111 section 5.2.2.4: no-cache beats every lifetime beside it.
    let explicit = if control.no_cache { Some(Duration::ZERO) } else { explicit };
    match (explicit, hls_ttl(policy, initial_age(headers))) {
        (Some(Duration::ZERO), Some(hls_ttl)) if policy.hls_over_no_cache => (hls_ttl, true),
        (Some(explicit), Some(hls_ttl)) if policy.cap_at_hls => (explicit.min(hls_ttl), false),
        (Some(explicit), _) => (explicit, false),
        (None, Some(hls_ttl)) => (hls_ttl, false),
        (None, None) if is_error(status) => (policy.error_ttl, false),
        (None, None) => {
            let guess = || if policy.heuristic { heuristic_ttl(headers, now) } else { None };
            (policy.default.or_else(guess).unwrap_or_default(), false)
        }
    }
}

/// HLS's lifetime, counted from generation, for a response of this age.
fn hls_ttl(policy: &Policy, age: Duration) -> Option<Duration> {
    let ttl = policy.hls_ttl?;
    Some(if policy.hls_from == CountedFrom::Arrival && ttl <= age { age.saturating_add(ttl) } else { ttl })
}

/// RFC 9111 section 4.2.2: a tenth of the time since the last change, by the origin's clock, and at most a
/// day.
fn heuristic_ttl(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let generated = date(headers, &DATE).unwrap_or(now);
    let unchanged = generated.duration_since(date(headers, &LAST_MODIFIED)?).ok()?;
    Some((unchanged / 10).min(HEURISTIC_MAX))
}

/// Adds the two lifetimes of stale use. `stale` contains the origin's directives about stale use, or none
/// where HLS's lifetime has replaced the origin's: `no-cache, must-revalidate, max-age=0` is one idiom. To
/// overrule its first word but not its second would leave viewers without a playlist whenever the origin
/// fails for a moment.
fn lifetimes(
    ttl: Duration,
    stale: &CacheControl,
    status: StatusCode,
    policy: &Policy,
    age: Duration,
) -> Lifetimes {
    // RFC 9111 sections 4.2.4, 5.2.2.2, 5.2.2.4 and 5.2.2.8: never stale.
    let forbidden = stale.no_cache || stale.must_revalidate || stale.proxy_revalidate;
    // s-maxage implies proxy-revalidate (RFC 9111 section 5.2.2.10). An origin that grants stale use beside
    // it means the grant.
    let granted = stale.stale_while_revalidate.is_some() || stale.stale_if_error.is_some();
    let must_revalidate = forbidden || (stale.s_maxage.is_some() && !granted);
    if must_revalidate {
        return Lifetimes {
            ttl,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            age,
            must_revalidate,
        };
    }
    // The site's own lifetimes of stale use are for responses that were fresh once: one that must be
    // revalidated before each use is not served before that, and an old error helps no viewer. Beside
    // s-maxage only the origin's grants count.
    let site_may = !is_error(status) && stale.s_maxage.is_none();
    let site_while_revalidate =
        if site_may && ttl > Duration::ZERO { policy.stale_while_revalidate } else { Duration::ZERO };
    let site_if_error = if site_may { policy.stale_if_error } else { Duration::ZERO };
    Lifetimes {
        ttl,
        stale_while_revalidate: stale.stale_while_revalidate.unwrap_or(site_while_revalidate),
        stale_if_error: stale.stale_if_error.unwrap_or(site_if_error),
        age,
        must_revalidate,
    }
}

/// RFC 9111 section 5.1: the first `Age`, if it is a number. Against RFC 9111 section 4.2.3, `Date` is not
/// consulted: a clock that is two seconds slow would make every live playlist stale on arrival.
fn initial_age(headers: &HeaderMap) -> Duration {
    let first = headers.get(AGE).map(|value| value.as_bytes().split(|&byte| byte == b',').next());
    first.flatten().and_then(|text| delta_seconds(text.trim_ascii())).unwrap_or_default()
}

fn varies_on_everything(headers: &HeaderMap) -> bool {
    let mut members =
        headers.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    members.any(|member| member.trim_ascii() == b"*")
}

fn is_error(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

const HEURISTIC_MAX: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
