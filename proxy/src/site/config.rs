//! The configuration of a site: a `[[site]]` table.

pub mod token;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use http::Method;
use serde::{Deserialize, Serialize};
use tidegate_access::Cidr;
use tidegate_cache::freshness::UncacheableReason;
use tidegate_hls::{Pattern, QueryDefault, QueryRules};
use tidegate_upstream::{Connections, Options, Order, Pool, Spec};

use crate::config::check::Breach;
pub use crate::config::units;
use tidegate_headers::cors::{self, Cors};
pub use token::Token;

pub use super::request_headers::{RequestHeaders, Unlisted};
use crate::config::units::Period;
use crate::config::{Access, NodeName, Server, Upstream, server};

/// One site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
pub struct Config {
    /// The site's name in keys, logs and the status page. Unique.
    pub name: NodeName,
    /// The hosts of the site: `live.example`, `*.example`, or `*` for any.
    pub hosts: Vec<String>,
    /// The path prefixes of the site. The longest prefix that matches selects the site.
    pub paths: Vec<String>,
    /// The origins, the primary first: each is a group of its own unless groups are named.
    pub origins: Vec<Server>,
    /// The Host header field for the origins; without it, each origin's own address is sent.
    pub origin_host: Option<String>,
    /// Header fields to add to requests for the origins.
    pub origin_headers: BTreeMap<String, String>,
    /// At an edge with shields: use the origins when no shield is available.
    pub direct: bool,
    /// Other servers to which redirects of the origins may lead. They receive no other requests.
    pub redirect_hosts: Vec<Server>,
    /// Rewrite URIs in playlists that name the origins, so that players stay at the edge.
    pub rewrite_uris: bool,
    /// Timeouts for the origins, in place of those of `[upstream]`.
    pub timeouts: Timeouts,
    /// Methods besides GET, HEAD and OPTIONS; they are forwarded without storing.
    pub methods: Vec<Verb>,
    /// Compress playlists with gzip for viewers that accept it.
    pub gzip: bool,
    /// Fetch the objects that live playlists announce before a viewer requests them.
    pub prefetch: bool,
    /// Live playlists of the site that are followed at the same time.
    pub followers_max: usize,
    /// Those of them that have the same path and differ in their query.
    pub followers_per_path_max: usize,
    /// Bytes per second that all viewers of the site receive. Zero is no limit.
    pub rate_max: units::Size,
    /// Whether live playlists announce blocking reload and delta updates that the origin does not support.
    pub low_latency: LowLatency,
    /// What viewers see when the encoder of a live stream restarts.
    pub restarts: Restarts,
    /// Add CORS header fields, so that players on other web sites may play.
    pub cors: bool,
    /// The web origins whose pages may send cookies, as `https://www.example`.
    pub cors_credentials: Vec<String>,
    /// Who may watch.
    pub access: Access,
    /// Which query parameters are part of the key.
    pub query: Query,
    /// Which header fields of viewers shared requests carry.
    pub request_headers: RequestHeaders,
    /// Which marks of private playlists and segments do not count.
    pub sharing: Sharing,
    /// Which viewers may watch.
    pub token: Token,
    /// Who may purge by the method PURGE.
    pub purge: Purge,
    /// Lifetimes of responses.
    pub lifetimes: Lifetimes,
}

/// Timeouts for the origins of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Time to connect.
    pub connect: Option<Period>,
    /// Time from the request to the head of the response.
    pub first_byte: Option<Period>,
    /// Time between two chunks of a body.
    pub between_bytes: Option<Period>,
}

/// Who may purge by the method PURGE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Purge {
    /// Networks of clients that may send PURGE. Without any, none may.
    pub allow: Vec<Cidr>,
}

/// Which query parameters are part of the key and sent upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// The rule for a parameter that neither list names.
    pub default: Unlisted,
    /// Names (`id`) or prefixes of names (`id_*`) that are kept.
    pub keep: Vec<String>,
    /// Names or prefixes of names that are dropped.
    pub drop: Vec<String>,
    /// Sort parameters, so that their order makes no second object.
    pub sort: bool,
}

/// Lifetimes of responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifetimes {
    /// Whether HLS or the origin decides on playlists and segments that the origin calls `no-cache`.
    pub playlist: PlaylistLifetime,
    /// Multivariant playlists.
    pub multivariant: Period,
    /// Media playlists of type VOD.
    pub vod: Period,
    /// Media playlists that have ended and are not VOD.
    pub ended: Period,
    /// Segments and initialization sections.
    pub segment: Period,
    /// Responses such as 404 and 410.
    pub negative: Period,
    /// Other responses without a lifetime. Without it, they are revalidated for every request.
    pub default: Option<Period>,
    /// Derive a lifetime from Last-Modified where no other is known (RFC 9111 section 4.2.2).
    pub heuristic: bool,
    /// How long a stale response may be served while it is revalidated (RFC 5861 stale-while-revalidate).
    pub stale_while_revalidate: Period,
    /// How long a stale response may be served while no upstream is available (RFC 5861 stale-if-error).
    pub stale_if_error: Period,
    /// How long a playlist may be served while its origin answers 401, 403, 404, 410 or 429.
    pub stale_if_client_error: Period,
}

/// Which marks of private playlists and segments do not count, because this origin's are the same for every
/// viewer. Other resources, such as keys, keep all marks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharing {
    /// The marks that are ignored.
    pub ignore: Vec<PrivateSign>,
}

/// A mark by which an origin says that a response is for one viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivateSign {
    /// `Cache-Control: no-store`. The response then has the lifetime that HLS gives it.
    NoStore,
    /// `Cache-Control: private`.
    Private,
    /// `Set-Cookie`. The response is stored without the cookie.
    SetCookie,
    /// `Vary`, with any value.
    Vary,
}

impl PrivateSign {
    /// The reason that does not count.
    fn reason(self) -> UncacheableReason {
        match self {
            Self::NoStore => UncacheableReason::NoStore,
            Self::Private => UncacheableReason::Private,
            Self::SetCookie => UncacheableReason::SetCookie,
            Self::Vary => UncacheableReason::VaryStar,
        }
    }
}

/// Whether HLS or the origin decides on lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaylistLifetime {
    /// HLS decides where the origin says `no-cache` or allows more than HLS does. Never for `private` or
    /// `no-store`.
    Auto,
    /// Exactly what the origin says.
    Origin,
}

/// What live playlists say of blocking reload and delta updates (EXT-X-SERVER-CONTROL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LowLatency {
    /// What the origin says.
    Pass,
    /// That players may use both, also in front of an origin that supports neither.
    Offer,
}

/// What viewers see when an encoder restarts. Its numbering restarts as well, and often its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restarts {
    /// A discontinuity in a stream whose numbering continues.
    Join,
    /// What the origin says.
    Pass,
}

/// A method that a tier does not answer itself, such as `POST` or `PROPFIND`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verb(pub Method);

/// Text that is not a method that can be forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a method that can be passed through; write POST, PUT, PATCH or DELETE")]
pub struct VerbError(String);

impl TryFrom<String> for Verb {
    type Error = VerbError;

    fn try_from(text: String) -> Result<Self, VerbError> {
        // Names of methods are case-sensitive: `post` is a mistake and no method.
        let is_name = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        let is_own = matches!(text.as_str(), "GET" | "HEAD" | "OPTIONS" | "CONNECT" | "TRACE");
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if is_name && !is_own => Ok(Self(method)),
            _ => Err(VerbError(text)),
        }
    }
}

impl From<Verb> for String {
    fn from(verb: Verb) -> Self {
        verb.0.to_string()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: NodeName::literal("default"),
            hosts: vec!["*".to_owned()],
            paths: vec!["/".to_owned()],
            origins: Vec::new(),
            origin_host: None,
            origin_headers: BTreeMap::new(),
            direct: false,
            redirect_hosts: Vec::new(),
            rewrite_uris: false,
            timeouts: Timeouts::default(),
            methods: Vec::new(),
            gzip: true,
            prefetch: true,
            followers_max: 8192,
            followers_per_path_max: 8,
            rate_max: units::Size::kib(0),
            low_latency: LowLatency::Pass,
            restarts: Restarts::Join,
            cors: true,
            cors_credentials: Vec::new(),
            access: Access::default(),
            query: Query::default(),
            request_headers: RequestHeaders::default(),
            sharing: Sharing::default(),
            purge: Purge::default(),
            token: Token::default(),
            lifetimes: Lifetimes::default(),
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self { default: Unlisted::Keep, keep: Vec::new(), drop: Vec::new(), sort: true }
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            playlist: PlaylistLifetime::Auto,
            multivariant: Period::secs(60),
            vod: Period::secs(3600),
            ended: Period::secs(10),
            segment: Period::secs(600),
            negative: Period::secs(1),
            default: None,
            heuristic: false,
            stale_while_revalidate: Period::secs(0),
            stale_if_error: Period::secs(60),
            stale_if_client_error: Period::secs(12),
        }
    }
}

impl Config {
    /// Whether another site has the same upstreams, with the same settings.
    pub(super) fn has_upstreams_of(&self, other: &Self) -> bool {
        self.origins == other.origins
            && self.origin_host == other.origin_host
            && self.origin_headers == other.origin_headers
            && self.redirect_hosts == other.redirect_hosts
            && self.timeouts == other.timeouts
    }

    /// The origins as a pool.
    pub fn pool(&self, upstream: &Upstream, connections: &Arc<Connections>) -> Arc<Pool> {
        let options = self.options(upstream, connections);
        let has_groups = self.origins.iter().any(|origin| origin.group() > 0);
        let specs = self.origins.iter().zip(0..).map(|(origin, place)| {
            let host = self.origin_host.clone().unwrap_or_else(|| origin.url().authority());
            let spec = origin.spec(options.clone(), Some(host), &self.origin_headers);
            // Without configured groups, the first origin is the primary and the others are its backups, in
            // order.
            Spec { group: if has_groups { spec.group } else { place }, ..spec }
        });
        Pool::new(Order::Groups, specs.collect(), upstream.budget())
    }

    /// The servers to which redirects may lead, as a pool that is not probed. They do not receive the header
    /// fields for the origins, which may be secrets.
    pub fn redirect_pool(&self, upstream: &Upstream, connections: &Arc<Connections>) -> Option<Arc<Pool>> {
        let options = self.options(upstream, connections);
        let specs = self
            .redirect_hosts
            .iter()
            .map(|server| server.spec(options.clone(), Some(server.url().authority()), &BTreeMap::new()));
        let specs: Vec<_> = specs.collect();
        (!specs.is_empty()).then(|| Pool::new(Order::Groups, specs, upstream.budget()))
    }

    fn options(&self, upstream: &Upstream, connections: &Arc<Connections>) -> Options {
        let mut options = upstream.options(false, connections);
        let timeouts = &mut options.timeouts;
        for (timeout, own) in [
            (&mut timeouts.connect, self.timeouts.connect),
            (&mut timeouts.first_byte, self.timeouts.first_byte),
            (&mut timeouts.between_bytes, self.timeouts.between_bytes),
        ] {
            *timeout = own.map_or(*timeout, Period::get);
        }
        options
    }

    pub(crate) fn cors(&self) -> Option<Cors> {
        let mut allow_methods = vec![Method::GET, Method::HEAD, Method::OPTIONS];
        allow_methods.extend(self.methods.iter().map(|verb| verb.0.clone()));
        let allow_credentials = self.cors_credentials.clone();
        // The check of the configuration ensures that it is valid.
        Cors::new(&cors::Config {
            enabled: self.cors,
            allow_credentials,
            allow_methods,
            ..cors::Config::default()
        })
        .ok()
        .flatten()
    }

    /// Identifies the settings that shape the response heads of cached objects.
    pub(super) fn head_settings(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.gzip, self.cors, &self.cors_credentials).hash(&mut hasher);
        hasher.finish()
    }

    /// Checks the web origins whose pages may send cookies.
    fn check_credentials(&self) -> Result<(), Breach> {
        let place = &["site", "cors_credentials"];
        if let Some(origin) = self.cors_credentials.iter().find(|origin| !cors::is_one_web_origin(origin)) {
            let message = format!(
                "{origin:?} is not a web origin as browsers write it, such as \"https://www.example\": \
                 scheme and host in lower case, and the port unless it is the scheme's own"
            );
            return Err(Breach::new(place, message));
        }
        if !self.cors && !self.cors_credentials.is_empty() {
            return Err(Breach::new(place, "needs cors = true"));
        }
        Ok(())
    }
}

impl Sharing {
    /// The reasons that do not count for playlists and segments.
    pub(crate) fn ignored(&self) -> Vec<UncacheableReason> {
        self.ignore.iter().map(|mark| mark.reason()).collect()
    }
}

impl Query {
    pub(crate) fn rules(&self) -> QueryRules {
        let patterns =
            |names: &[String]| names.iter().filter_map(|name| name.parse::<Pattern>().ok()).collect();
        QueryRules {
            default: match self.default {
                Unlisted::Keep => QueryDefault::Keep,
                Unlisted::Drop => QueryDefault::Drop,
            },
            keep: patterns(&self.keep),
            drop: patterns(&self.drop),
            sort: self.sort,
            ..QueryRules::default()
        }
    }
}

/// Checks the rules between the fields of all sites: each host and path once, valid patterns.
///
/// # Errors
/// The first rule that is broken.
pub fn check(sites: &[Config]) -> Result<(), Breach> {
    if sites.is_empty() {
        return Err(Breach::new(&["site"], "at least one [[site]] is needed"));
    }
    let mut seen = std::collections::HashSet::new();
    for site in sites {
        if let Some(path) = site.paths.iter().find(|path| !path.starts_with('/') || path.contains(['?', '#']))
        {
            let message = format!("{path:?} is not a path prefix; write one such as \"/live/\"");
            return Err(Breach::new(&["site", "paths"], message));
        }
        for host in &site.hosts {
            if host.is_empty() || (host.contains('*') && host != "*" && !host.starts_with("*.")) {
                let message =
                    format!("{host:?} is not a host; write \"live.example\", \"*.example\" or \"*\"");
                return Err(Breach::new(&["site", "hosts"], message));
            }
            for path in &site.paths {
                if !seen.insert((host.to_ascii_lowercase(), path)) {
                    let message = format!("{host:?} is listed twice for paths that begin with {path:?}");
                    return Err(Breach::new(&["site", "hosts"], message));
                }
            }
        }
    }
    let mut names = std::collections::HashSet::new();
    for site in sites {
        if !names.insert(site.name.as_str()) {
            return Err(Breach::new(
                &["site", "name"],
                format!("two sites are named {:?}", site.name.as_str()),
            ));
        }
        let origin_decides = site.lifetimes.playlist == PlaylistLifetime::Origin;
        if origin_decides && site.low_latency == LowLatency::Offer {
            let message = "\"offer\" needs playlist = \"auto\" under [site.lifetimes]";
            return Err(Breach::new(&["site", "low_latency"], message));
        }
        for origin in &site.origins {
            origin.check(&["site", "origins"])?;
        }
        for server in &site.redirect_hosts {
            server.check(&["site", "redirect_hosts"])?;
            if server.url().discover().is_some() {
                let message = format!("{} must name one server: write http:// or https://", server.url());
                return Err(Breach::new(&["site", "redirect_hosts"], message));
            }
        }
        if let Err(message) = server::check_fields(&site.origin_headers) {
            return Err(Breach::new(&["site", "origin_headers"], message));
        }
        site.access.check()?;
        site.check_credentials()?;
        if site.direct && site.origins.is_empty() {
            return Err(Breach::new(&["site", "direct"], "needs at least one origin"));
        }
        if let Some(name) = site.request_headers.wrong_name() {
            let message = format!("{name:?} is not the name of a header field");
            return Err(Breach::new(&["site", "request_headers"], message));
        }
        site.token.check()?;
        crate::site::token_files::check(&site.token)?;
        for name in site.query.keep.iter().chain(&site.query.drop) {
            if let Err(error) = name.parse::<Pattern>() {
                return Err(Breach::new(&["site", "query"], format!("{name:?}: {error}")));
            }
        }
    }
    Ok(())
}
