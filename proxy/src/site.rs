//! A site: its hosts and origins, its keys, and the lifetimes of its responses.

pub mod config;
pub mod gate;
pub mod pools;
pub mod request_headers;
pub mod token_files;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use tidegate_access::{CidrSet, Rules};
use tidegate_cache::freshness::{CountedFrom, Policy, UncacheableReason};
use tidegate_headers::cors::Cors;
use tidegate_headers::forwarding::Forwarding;
use tidegate_hls::{Kind, QueryRules};
use tidegate_upstream::{Pool, SitePools};

use crate::limits::Traffic;
use crate::observe::unshared::Unshared;

pub use config::Config;
pub use gate::Gate;
pub use pools::OriginPools;

/// One site, ready to serve.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the configuration")]
pub struct Site {
    /// The site's name in keys and logs.
    pub name: String,
    /// Which parts of a target are part of the key.
    pub query: QueryRules,
    /// Which header fields of viewers shared requests carry.
    pub forwarding: Forwarding,
    /// Methods that are served; GET, HEAD and OPTIONS always are.
    pub methods: Vec<Method>,
    /// Whether playlists are compressed with gzip for viewers that accept it.
    pub gzip: bool,
    /// The CORS header fields of responses, if enabled.
    pub cors: Option<Cors>,
    /// Identifies the settings that shape the response heads of cached objects: a head that was rendered with
    /// others is not sent.
    pub head_settings: u64,
    /// Who may watch; `None` is everyone.
    pub access: Option<Rules>,
    /// Clients that may send PURGE.
    pub purgers: CidrSet,
    /// The configured lifetimes.
    pub lifetimes: config::Lifetimes,
    /// The check of tokens, if the site has keys.
    pub gate: Option<Arc<Gate>>,
    /// The lifetimes by the rules of HLS, with this site's values.
    pub hls: tidegate_hls::Lifetimes,
    /// The marks of private playlists and segments that do not count.
    pub ignored: Vec<UncacheableReason>,
    /// The streams that viewers cannot share.
    pub unshared: Arc<Unshared>,
    /// Whether the objects that live playlists announce are prefetched.
    pub prefetch: bool,
    /// Live playlists of the site that are followed at the same time.
    pub followers_max: usize,
    /// Those of them that have the same path.
    pub followers_per_path_max: usize,
    /// The limit for the bytes of the site, if it has one.
    pub traffic: Option<Arc<Traffic>>,
    /// What live playlists announce about blocking reload and delta updates.
    pub low_latency: config::LowLatency,
    /// Other servers to which redirects of the origins may lead.
    pub redirect_hosts: Option<Arc<Pool>>,
    /// Whether URIs in playlists that name the origins become URIs of this tier.
    pub rewrite_uris: bool,
    /// Whether the upstreams are shields.
    pub has_shields: bool,
    /// The upstreams.
    pub upstreams: SitePools,
}

/// All sites of a tier, by host. They do not change: a reload makes others.
#[derive(Debug)]
pub struct Sites {
    /// Unique among all sites that this process has had: a resolved target is remembered for its sites.
    id: u64,
    all: Vec<Arc<Site>>,
    exact: HashMap<String, ByPath>,
    suffixes: Vec<(String, ByPath)>,
    any: ByPath,
    differ_by_path: bool,
    /// The pools of all sites, without duplicates.
    pools: Vec<Arc<Pool>>,
}

/// The sites of one host, those with the longest path prefixes first.
#[derive(Debug, Default)]
struct ByPath(Vec<(String, Arc<Site>)>);

impl Site {
    /// Makes a site from its configuration.
    pub fn new(config: &Config, upstreams: SitePools) -> Self {
        let lifetimes = config.lifetimes.clone();
        Self {
            name: config.name.as_str().to_owned(),
            query: QueryRules { marks: config.restarts == config::Restarts::Join, ..config.query.rules() },
            forwarding: config.request_headers.rules(),
            methods: config.methods.iter().map(|method| method.0.clone()).collect(),
            gzip: config.gzip,
            cors: config.cors(),
            head_settings: config.head_settings(),
            access: config.access.rules(),
            purgers: config.purge.allow.iter().collect(),
            gate: Gate::new(config.name.as_str(), &config.token).map(Arc::new),
            hls: tidegate_hls::Lifetimes {
                multivariant: lifetimes.multivariant.get(),
                vod: lifetimes.vod.get(),
                ended: lifetimes.ended.get(),
                segment: lifetimes.segment.get(),
                target_assumed: lifetimes.negative.get(),
                failure: lifetimes.negative.get(),
                ..tidegate_hls::Lifetimes::default()
            },
            lifetimes,
            ignored: config.sharing.ignored(),
            unshared: Arc::default(),
            prefetch: config.prefetch,
            followers_max: config.followers_max,
            followers_per_path_max: config.followers_per_path_max,
            traffic: Traffic::new(config.rate_max.bytes()).map(Arc::new),
            low_latency: config.low_latency,
            redirect_hosts: None,
            rewrite_uris: config.rewrite_uris,
            has_shields: false,
            upstreams,
        }
    }

    /// Takes over what is known from the site that had this name before a reload. A limit and a gate stay as
    /// they are if their configuration is the same.
    fn succeeding(mut self, before: Option<&Arc<Self>>) -> Self {
        let Some(before) = before else { return self };
        self.unshared = Arc::clone(&before.unshared);
        if let (Some(own), Some(known)) = (&self.traffic, &before.traffic)
            && own.has_rate_of(known)
        {
            self.traffic = Some(Arc::clone(known));
        }
        if let (Some(own), Some(known)) = (&self.gate, &before.gate)
            && own.has_config_of(known)
        {
            known.reload();
            self.gate = Some(Arc::clone(known));
        }
        self
    }

    /// Whether live playlists are followed: only if HLS decides on their lifetimes.
    pub fn follows(&self) -> bool {
        self.lifetimes.playlist == config::PlaylistLifetime::Auto
    }

    /// The marks of a private response of this kind that do not count.
    pub fn ignored(&self, kind: Kind) -> &[UncacheableReason] {
        if kind == Kind::Other { &[] } else { &self.ignored }
    }

    /// Whether requests with `method` are forwarded.
    pub fn passes(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// The freshness policy for a response with this status whose lifetime by HLS is `hls_ttl`.
    pub fn policy(&self, kind: Kind, status: StatusCode, hls_ttl: Option<Duration>) -> Policy {
        let lifetimes = &self.lifetimes;
        let hls_decides = self.follows();
        Policy {
            hls_ttl,
            hls_over_no_cache: hls_decides,
            // A missing object may appear any moment, whatever the origin says (HLS appendix B.1).
            cap_at_hls: hls_decides && (kind == Kind::Playlist || status.is_client_error()),
            hls_from: CountedFrom::Arrival,
            default: lifetimes.default.map(config::units::Period::get),
            heuristic: lifetimes.heuristic,
            ignored: self.ignored(kind).to_vec(),
            stale_while_revalidate: lifetimes.stale_while_revalidate.get(),
            stale_if_error: lifetimes.stale_if_error.get(),
            error_ttl: lifetimes.negative.get(),
        }
    }
}

impl Sites {
    /// Indexes the sites by the hosts of their configurations. The check of the configuration ensures that
    /// each host and path occurs once.
    pub fn new(sites: Vec<(Config, Arc<Site>)>) -> Self {
        let (mut exact, mut suffixes, mut any) = (HashMap::new(), HashMap::new(), ByPath::default());
        let all: Vec<_> = sites.iter().map(|(_, site)| Arc::clone(site)).collect();
        let differ_by_path = sites.iter().any(|(config, _)| config.paths != ["/"]);
        for (config, site) in sites {
            for host in &config.hosts {
                let by_path: &mut ByPath = match host.as_str() {
                    "*" => &mut any,
                    host => match host.strip_prefix('*') {
                        Some(suffix) => suffixes.entry(suffix.to_ascii_lowercase()).or_default(),
                        None => exact.entry(host.to_ascii_lowercase()).or_default(),
                    },
                };
                by_path.add(&config.paths, &site);
            }
        }
        let mut suffixes: Vec<_> = suffixes.into_iter().collect();
        // The longest suffix is the closest match.
        suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, pools: pools(&all), all, exact, suffixes, any, differ_by_path }
    }

    /// The sites of these configurations, each as `make` makes it. A site takes over what the site of the
    /// same name before a reload has learned.
    pub fn succeeding(
        before: Option<&Self>,
        configs: &[Config],
        mut make: impl FnMut(&Config) -> Site,
    ) -> Self {
        let sites = configs.iter().map(|config| {
            let before = before.and_then(|before| before.named(config.name.as_str()));
            (config.clone(), Arc::new(make(config).succeeding(before)))
        });
        Self::new(sites.collect())
    }

    /// The site of `host`, in lower case and without its port, for `path`. The most specific host decides,
    /// even if none of its paths matches.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Site>> {
        self.by_path(host).find(path)
    }

    /// All sites of `host`, whatever the path.
    pub(crate) fn of_host(&self, host: &str) -> impl Iterator<Item = &Arc<Site>> {
        self.by_path(host).0.iter().map(|(_, site)| site)
    }

    fn by_path(&self, host: &str) -> &ByPath {
        let by_suffix =
            || self.suffixes.iter().find(|(suffix, _)| host.ends_with(suffix)).map(|(_, site)| site);
        self.exact.get(host).or_else(by_suffix).unwrap_or(&self.any)
    }

    /// Whether the site depends on the path.
    pub(crate) fn differ_by_path(&self) -> bool {
        self.differ_by_path
    }

    /// All sites.
    pub fn all(&self) -> &[Arc<Site>] {
        &self.all
    }

    /// The site with this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Site>> {
        self.all.iter().find(|site| site.name == name)
    }

    /// The query parameters that contain tokens.
    pub(crate) fn token_parameters(&self) -> impl Iterator<Item = String> {
        let gates = self.all.iter().filter_map(|site| site.gate.as_deref());
        gates.map(|gate| gate.parameter().to_owned())
    }

    /// An identifier that is unique among all sites of this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The pools of upstreams of all sites.
    pub(crate) fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// The pools of these sites, without duplicates: sites may share a pool.
fn pools(sites: &[Arc<Site>]) -> Vec<Arc<Pool>> {
    let mut pools: Vec<Arc<Pool>> = Vec::new();
    for pool in sites.iter().flat_map(|site| site.upstreams.pools()) {
        if !pools.iter().any(|known| Arc::ptr_eq(known, pool)) {
            pools.push(Arc::clone(pool));
        }
    }
    pools
}

impl ByPath {
    fn add(&mut self, paths: &[String], site: &Arc<Site>) {
        self.0.extend(paths.iter().map(|path| (path.clone(), Arc::clone(site))));
        self.0.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    }

    fn find(&self, path: &str) -> Option<&Arc<Site>> {
        self.0.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, site)| site)
    }
}
