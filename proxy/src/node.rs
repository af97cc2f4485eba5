//! A running node: binds the listeners, assembles the tier, serves, and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::acme::renewal;
use crate::audience::count;
use crate::config::check::Problem;
use crate::descriptors::{self, Wanted};
use crate::observe::access_log::{self, AccessLog, Output, Writer};
use crate::observe::admin::{self, Readiness};
use crate::observe::metrics::Metrics;
use crate::observe::operators;
use crate::observe::operators_listener::OperatorsListener;
use crate::observe::upstreams;
use crate::purge::{Invalid, Order, Report};
use crate::reload::{self, RESOLVE_TIMEOUT, Reloader, Source};
use crate::site::{Gate, Sites};
use crate::tier::{Role, Settings, Tier};
use crate::viewer::listener::{self, Listeners};
use crate::viewer::tls::{self, Protocols};

/// A node that is bound and not yet serving.
#[derive(Debug)]
pub struct Node {
    tier: Arc<Tier>,
    reloader: Arc<Reloader>,
    viewers: Listeners,
    operators: OperatorsListener,
    token: Option<operators::SharedSecret>,
    log_writer: Writer,
    /// The files of the TLS listeners.
    files: Vec<tls::Files>,
}

/// The commit of the build, if the build sets `TIDEGATE_COMMIT`.
const COMMIT: &str = match option_env!("TIDEGATE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// How long operators' requests may continue when all else has ended.
const OPERATORS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the requests that are cut off may take to close their accounts.
const CUT_OFF_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval at which expired state is dropped.
const TIDY_INTERVAL: Duration = Duration::from_secs(30);

/// The interval at which files of tokens are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// How many keys and fills the status page lists.
const LISTED_MAX: usize = 100;

impl Node {
    /// Binds the listeners, opens the log and assembles the tier, in this order: every step that can fail
    /// does so before the node serves.
    ///
    /// # Errors
    /// When the operators' listener is open to others without a proof, an address cannot be bound, a
    /// certificate cannot be used (the error names the field), or the log cannot be opened.
    pub async fn load(role: Role, settings: Settings, sites: Sites) -> anyhow::Result<Self> {
        let listen = &settings.listen;
        let token =
            operators::guard(listen.operators, listen.operators_token.as_deref(), listen.operators_ca())
                .map_err(|unguarded| anyhow::anyhow!("listen.{}: {unguarded}", unguarded.field()))?;
        let (mut viewers, viewers_files) = listeners(&settings.listen).await?;
        let (operators, operators_files) = operators_listener(&settings.listen).await?;
        let files = viewers_files.into_iter().chain(operators_files).collect();
        let metrics = Metrics::new(role.as_str(), settings.node.as_str(), COMMIT)
            .context("cannot register the metrics")?;
        let (log, log_writer) =
            AccessLog::start(&log_config(&settings.log, &sites), metrics.access_log_dropped.clone())
                .with_context(|| format!("log.access: cannot write {:?}", settings.log.access))?;
        let tier = Arc::new(Tier::new(role, settings, sites, metrics, log));
        tier.access().countries().load().context("geoip.database")?;
        tier.access().load_secret().context("listen.secret")?;
        viewers.connections_max = descriptors::viewers_max(descriptors(&tier));
        let reloader = Arc::new(Reloader::new(Arc::clone(&tier)));
        Ok(Self { tier, reloader, viewers, operators, token, log_writer, files })
    }

    /// Reloads will read `source`.
    #[must_use]
    pub fn reloading_from(self, source: impl Source + 'static) -> Self {
        self.reloader.set_source(Box::new(source));
        self
    }

    /// What reloads the configuration.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// The address where viewers connect, with the actual port if the configuration says 0.
    ///
    /// # Errors
    /// When the socket does not report its address.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.viewers.http.local_addr()?)
    }

    /// The address where viewers connect with TLS, if there is one.
    ///
    /// # Errors
    /// When the socket does not report its address.
    pub fn tls_addr(&self) -> anyhow::Result<Option<SocketAddr>> {
        let tls = self.viewers.tls.as_ref();
        Ok(tls.map(|(listener, _)| listener.local_addr()).transpose()?)
    }

    /// The address where operators connect.
    ///
    /// # Errors
    /// When the socket does not report its address.
    pub fn admin_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.operators.address()?)
    }

    /// The tier, for programs that embed a node.
    pub fn tier(&self) -> &Arc<Tier> {
        &self.tier
    }

    /// Serves until `shutdown`, then drains: accepts no connection, and lets open responses finish until the
    /// drain timeout.
    ///
    /// # Errors
    /// When the operators' listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        if let Some(address) = self.tls_addr()? {
            tracing::info!(node = self.tier.node(), serving_tls = %address, "TLS listener ready");
        }
        let Self { tier, reloader, viewers, operators, token, log_writer, files } = self;
        let stopped = CancellationToken::new();
        let routes =
            operators::require(admin::router(Arc::new(NodeBackend(Arc::clone(&tier), reloader))), token);
        let operating =
            axum::serve(operators, routes).with_graceful_shutdown(stopped.clone().cancelled_owned());
        tier.start_pools(&tier.sites());
        tier.tasks().spawn(keep_tidy(Arc::clone(&tier)));
        if tier.counts_viewers() {
            tier.tasks().spawn(count::end_steps(Arc::clone(&tier)));
        }
        for files in files {
            tier.tasks().spawn(reload::files::keep_current(Arc::clone(&tier), files));
        }
        if let Some(acme) = tier.settings().listen.tls.as_ref().and_then(|tls| tls.acme.clone()) {
            tier.tasks().spawn(renewal::run(Arc::clone(&tier), acme));
        }
        tier.tasks().spawn(watch_countries(Arc::clone(&tier)));
        tier.tasks().spawn(keep_tokens(Arc::clone(&tier)));
        let resolved = timeout(RESOLVE_TIMEOUT, async {
            for pool in tier.sites().pools() {
                pool.wait_for_members().await;
            }
        });
        tokio::select! {
            _late = resolved => {}
            () = shutdown.cancelled() => {}
        }
        let serving = listener::accept(Arc::clone(&tier), viewers);
        tracing::info!(node = tier.node(), "ready");
        let drain_timeout = async {
            shutdown.cancelled().await;
            tracing::info!(node = tier.node(), "draining");
            tier.metrics().draining.set(1);
            tier.draining().set();
            tokio::time::sleep(tier.settings().drain.timeout.get()).await;
        };
        let drained = async {
            tokio::select! {
                () = serving => true,
                () = drain_timeout => false,
            }
        };
        let (is_drained, operated) = tokio::join!(
            async {
                let is_drained = drained.await;
                stopped.cancel();
                is_drained
            },
            async {
                tokio::select! {
                    operated = operating.into_future() => operated,
                    // A slow operator's request does not delay the shutdown.
                    () = async { stopped.cancelled().await; tokio::time::sleep(OPERATORS_TIMEOUT).await } => Ok(()),
                }
            }
        );
        if !is_drained {
            cut_off(&tier).await;
        }
        // The writer's thread ends when it has written its queue.
        let written = tokio::task::spawn_blocking(move || log_writer.finish()).await;
        operated.context("the operators' listener failed")?;
        match written {
            Err(error) if error.is_panic() => Err(error).context("the access log's writer failed"),
            // Cancelled: the runtime shuts down, and the writer with it.
            _ => Ok(()),
        }
    }
}

/// Cuts off the open requests at the drain timeout. They still write their lines before the log is finished.
async fn cut_off(tier: &Tier) {
    let fills = tier.cache().totals().fills;
    tier.cutting_off().set();
    tier.requests().close();
    let _all_closed = timeout(CUT_OFF_TIMEOUT, tier.requests().wait()).await;
    let requests = tier.requests_cut_off().load(Ordering::Relaxed);
    tracing::warn!(node = tier.node(), requests, fills, "drain timeout reached");
}

/// Drops expired copies and idle streams at intervals, until the node drains.
async fn keep_tidy(tier: Arc<Tier>) {
    let draining = tier.draining().token().clone();
    while draining.run_until_cancelled(tokio::time::sleep(TIDY_INTERVAL)).await.is_some() {
        tier.copies().tidy();
        tier.streams().tidy();
        tier.limits().tidy();
        for gate in tier.sites().all().iter().filter_map(|site| site.gate.as_deref()) {
            if let Some(limit) = gate.limit() {
                limit.tidy();
            }
        }
    }
}

/// Reads the countries again when their file changes, until the node drains.
async fn watch_countries(tier: Arc<Tier>) {
    let countries = Arc::clone(tier.access().countries());
    let _drained = tier.draining().token().run_until_cancelled(countries.watch()).await;
}

/// Reads the files of tokens again when they have changed, until the node drains.
async fn keep_tokens(tier: Arc<Tier>) {
    let draining = tier.draining().token().clone();
    while draining.run_until_cancelled(tokio::time::sleep(RELOAD_INTERVAL)).await.is_some() {
        let tier = Arc::clone(&tier);
        let reload =
            move || tier.sites().all().iter().filter_map(|site| site.gate.as_deref()).for_each(Gate::reload);
        // It fails only when the runtime shuts down.
        let _reloaded = tokio::task::spawn_blocking(reload).await;
    }
}

/// Binds the viewers' listeners. Certificates are loaded first: with a bad one, no port is bound.
async fn listeners(listen: &crate::config::Listen) -> anyhow::Result<(Listeners, Option<tls::Files>)> {
    let Some(config) = &listen.tls else {
        let http = bind("listen.viewers", listen.viewers).await?;
        return Ok((Listeners { http, tls: None, connections_max: listen.connections_max }, None));
    };
    let (acceptor, files) = tls::load(config, Protocols::All).context("listen.tls")?;
    let http = bind("listen.viewers", listen.viewers).await?;
    let tls = bind("listen.tls.address", config.address).await?;
    let listeners = Listeners { http, tls: Some((tls, acceptor)), connections_max: listen.connections_max };
    Ok((listeners, Some(files)))
}

/// Binds the operators' listener, after its certificate is loaded.
async fn operators_listener(
    listen: &crate::config::Listen,
) -> anyhow::Result<(OperatorsListener, Option<tls::Files>)> {
    let tls = listen.operators_tls.as_ref().map(|tls| tls::load(&tls.at(listen.operators), Protocols::Http1));
    let (acceptor, files) = tls.transpose().context("listen.operators_tls")?.unzip();
    let tcp = bind("listen.operators", listen.operators).await?;
    Ok((OperatorsListener::new(tcp, acceptor), files))
}

/// The descriptors that a tier may use.
fn descriptors(tier: &Tier) -> Wanted {
    let settings = tier.settings();
    let upstreams: usize = tier.sites().pools().iter().map(|pool| pool.reports().len()).sum();
    let copies = settings.cache.sendfile_max() / settings.cache.sendfile_min.bytes().max(1);
    Wanted {
        viewers: settings.listen.connections_max,
        // As many again for requests that upstreams block.
        upstreams: settings.upstream.connections_max.saturating_mul(upstreams).saturating_mul(2),
        copies: usize::try_from(copies).unwrap_or(usize::MAX),
    }
}

async fn bind(field: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{field}: cannot listen on {address}"))
}

fn log_config(log: &crate::config::Log, sites: &Sites) -> access_log::Config {
    access_log::Config {
        output: match log.access.as_str() {
            "off" => Output::Off,
            "stdout" => Output::Stdout,
            path => Output::File(path.into()),
        },
        queue_lines: log.queue_max,
        redact: log.redact.iter().cloned().chain(sites.token_parameters()).collect(),
        addresses: log.addresses,
    }
}

/// A node as operators see and control it.
struct NodeBackend(Arc<Tier>, Arc<Reloader>);

impl admin::Backend for NodeBackend {
    fn readiness(&self) -> Readiness {
        let up = self
            .0
            .sites()
            .pools()
            .iter()
            .any(|pool| pool.reports().iter().any(|report| report.state.is_available()));
        match (self.0.draining().is_set(), up) {
            (true, _) => Readiness::Draining,
            (false, true) => Readiness::Ready,
            (false, false) => Readiness::NoUpstream,
        }
    }

    fn status(&self) -> Value {
        let (tier, cache) = (&self.0, self.0.cache());
        let totals = cache.totals();
        json!({
            "node": tier.node(),
            "tier": tier.role().as_str(),
            "readiness": self.readiness().as_str(),
            "cache": {
                "objects": totals.slots,
                "charged_bytes": totals.charged_bytes,
                "body_bytes": totals.body_bytes,
                "budget_bytes": totals.budget_bytes,
                "evictions": totals.evictions,
            },
            "fills": { "count": totals.fills, "reserved_bytes": totals.filling_bytes, "viewers": totals.waiting,
                "listed": fills(tier) },
            "objects": objects(tier),
            "sites": sites(tier),
            "leaving": tier.streams().leaving.report(LISTED_MAX),
        })
    }

    fn upstreams(&self) -> Value {
        upstreams::page(&self.0)
    }

    fn streams(&self) -> Value {
        self.0.audience().page(self.0.node())
    }

    fn metrics(&self) -> String {
        self.0.metrics().cache(&self.0.cache().totals(), self.0.copies().bytes());
        self.0.metrics().access.addresses(self.0.limits().addresses());
        self.0.metrics().live.known(self.0.streams().count());
        self.0.metrics().upstreams(self.0.sites().pools());
        self.0.metrics().audience.observe(self.0.audience(), self.0.settings().audience.streams_max);
        self.0.metrics().render()
    }

    fn purge(&self, order: &Order) -> Result<Report, Invalid> {
        Ok(order.resolve(&self.0.sites())?.run(&self.0))
    }

    fn reload(&self) -> Result<reload::Report, Problem> {
        self.1.reload()
    }

    fn purged(&self, id: &str) -> Option<Report> {
        self.0.purges().find(id)
    }
}

fn fills(tier: &Tier) -> Vec<Value> {
    let listed = tier.cache().fills(LISTED_MAX).into_iter();
    let listed = listed.map(
        |(key, bytes, viewers)| json!({ "path": key.path_and_query(), "bytes": bytes, "viewers": viewers }),
    );
    listed.collect()
}

fn objects(tier: &Tier) -> Vec<Value> {
    let now = tokio::time::Instant::now();
    let listed = tier.cache().objects(LISTED_MAX).into_iter();
    let listed = listed.map(|(key, object)| {
        json!({
            "path": key.path_and_query(),
            "status": object.head.status.as_u16(),
            "bytes": object.body.len(),
            "age_seconds": object.age(now).as_secs_f64(),
            "ttl_seconds": object.lifetimes.ttl.as_secs_f64(),
            "upstream": &*object.upstream,
        })
    });
    listed.collect()
}

fn sites(tier: &Tier) -> Vec<Value> {
    let sites = tier.sites();
    let sites = sites.all().iter().map(|site| {
        json!({
            "name": site.name,
            "upstreams": upstreams::names(&site.upstreams),
            "unshared": site.unshared.report(),
        })
    });
    sites.collect()
}
