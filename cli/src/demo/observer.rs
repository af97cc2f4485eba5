//! Reads the counters of all tiers once a second, for the page.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::metrics::Metrics;
use super::own_origin::OwnOrigin;
use super::snapshot::{Origin, Snapshot, Tier, Totals, ratio};
use super::viewers::Counts;
use super::viewers::fetch::{Client, Fetch, ViewerError};

/// Reads the tiers.
#[derive(Debug)]
pub(crate) struct Observer {
    started: Instant,
    stream: Option<String>,
    edges: Vec<Watched>,
    shields: Vec<Watched>,
    origins: Vec<WatchedOrigin>,
}

/// An edge or a shield, and its last state.
#[derive(Debug)]
pub(crate) struct Watched {
    operators: Client,
    last: Tier,
    metrics: Metrics,
}

/// An origin: the demo's own, or the user's.
#[derive(Debug)]
pub(crate) struct WatchedOrigin {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) own: Option<Arc<OwnOrigin>>,
}

impl Observer {
    pub(crate) fn new(
        stream: Option<String>,
        edges: Vec<Watched>,
        shields: Vec<Watched>,
        origins: Vec<WatchedOrigin>,
    ) -> Self {
        Self { started: Instant::now(), stream, edges, shields, origins }
    }

    /// Publishes a snapshot every second, until there is no receiver; `viewers` returns the swarm's counts.
    pub(crate) async fn run(mut self, to: watch::Sender<Snapshot>, viewers: impl Fn() -> Counts + Send) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = to.closed() => return,
                _ = ticks.tick() => {}
            }
            let snapshot = self.observe(viewers()).await;
            to.send_replace(snapshot);
        }
    }

    async fn observe(&mut self, viewers: Counts) -> Snapshot {
        let mut problems = Vec::new();
        for tier in self.edges.iter_mut().chain(&mut self.shields) {
            if let Err(error) = tier.ask().await {
                problems.push(format!("{} does not say how it is: {error}.", tier.last.name));
            }
        }
        let tiers =
            |watched: &[Watched]| watched.iter().map(|watched| watched.last.clone()).collect::<Vec<_>>();
        Snapshot {
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            stream: self.stream.clone(),
            viewers,
            edges: tiers(&self.edges),
            shields: tiers(&self.shields),
            origins: self.origins.iter().enumerate().map(|(index, origin)| origin.reading(index)).collect(),
            totals: self.totals(),
            problems,
        }
    }

    fn totals(&self) -> Totals {
        let at_shields = |name| self.shields.iter().map(|shield| shield.metrics.total(name)).sum::<u64>();
        let sent = at_shields(UPSTREAM_REQUESTS);
        let needed = at_shields(UPSTREAM_REQUESTS_NEEDED);
        // All three figures about origins are the shields', so that they agree. An origin that is down counts
        // nothing.
        Totals {
            viewer_requests: self.edges.iter().map(|edge| edge.last.requests).sum(),
            origin_requests: sent,
            origin_needed: needed,
            origin_amplification: ratio(sent, needed),
        }
    }
}

impl Watched {
    /// A tier that serves viewers at `url` and operators at `operators`.
    pub(crate) fn new(name: String, url: String, operators: SocketAddr) -> Self {
        let last = Tier { name, url, ..Tier::default() };
        Self { operators: Client::new(operators), last, metrics: Metrics::default() }
    }

    /// Reads its counters. When the tier does not respond, the counters keep their last values.
    async fn ask(&mut self) -> Result<(), ViewerError> {
        let answer = timeout(SCRAPE_MAX, self.operators.text("/metrics")).await;
        let text = match answer.unwrap_or(Err(ViewerError::Deadline(SCRAPE_MAX))) {
            Ok(text) => text,
            Err(error) => {
                self.last.up = false;
                return Err(error);
            }
        };
        self.metrics = Metrics::parse(&text);
        self.last.up = true;
        self.last.requests = self.metrics.total(REQUESTS);
        self.last.hits = self.metrics.total_where(REQUESTS, "fate", HITS);
        self.last.lookups = self.last.hits + self.metrics.total_where(REQUESTS, "fate", MISSES);
        self.last.hit_ratio = ratio(self.last.hits, self.last.lookups);
        self.last.upstream_requests = self.metrics.total(UPSTREAM_REQUESTS);
        Ok(())
    }
}

impl WatchedOrigin {
    fn requests(&self) -> Option<u64> {
        self.own.as_ref().map(|own| own.requests())
    }

    fn reading(&self, index: usize) -> Origin {
        Origin {
            name: self.name.clone(),
            url: self.url.clone(),
            role: if index == 0 { "primary" } else { "backup" },
            up: self.own.as_ref().map(|own| own.is_up()),
            requests: self.requests(),
        }
    }
}

const PERIOD: Duration = Duration::from_secs(1);
const SCRAPE_MAX: Duration = Duration::from_secs(2);
const REQUESTS: &str = "tidegate_requests_total";
/// The fates of requests that cause no upstream request, and of those that do. Others, such as refusals, are
/// not lookups.
const HITS: &[&str] = &["hit", "stale", "join"];
const MISSES: &[&str] = &["miss", "revalidated", "pass", "hit-for-pass", "stale-if-error", "failed"];
const UPSTREAM_REQUESTS: &str = "tidegate_origin_requests_total";
const UPSTREAM_REQUESTS_NEEDED: &str = "tidegate_origin_requests_needed_total";

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;

    async fn operators(metrics: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new().route("/metrics", get(async move || metrics));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        addr
    }

    async fn closed() -> SocketAddr {
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    fn watched(name: &str, operators: SocketAddr) -> Watched {
        Watched::new(name.to_owned(), "http://127.0.0.1:1".to_owned(), operators)
    }

    #[tokio::test]
    async fn counters_become_ratios() {
        let edge = operators(
            "tidegate_requests_total{fate=\"hit\",kind=\"segment\"} 6\ntidegate_requests_total{fate=\"join\"} 2\n\
             tidegate_requests_total{fate=\"miss\"} 2\ntidegate_requests_total{fate=\"refused\"} 5\n",
        );
        let shield = operators(
            "tidegate_origin_requests_total 3\ntidegate_origin_requests_needed_total{tier=\"shield\"} 2\n",
        );
        let edges = vec![watched("edge-1", edge.await)];
        let shields = vec![watched("shield-1", shield.await)];
        let origin =
            WatchedOrigin { name: "origin-1".to_owned(), url: "http://127.0.0.1:2".to_owned(), own: None };
        let snapshot = Observer::new(None, edges, shields, vec![origin]).observe(Counts::default()).await;
        let edge = &snapshot.edges[0];
        assert_eq!((edge.up, edge.requests, edge.hits, edge.hit_ratio), (true, 15, 8, Some(0.8)));
        assert_eq!((snapshot.totals.viewer_requests, snapshot.totals.origin_requests), (15, 3));
        assert_eq!(snapshot.totals.origin_amplification, Some(1.5));
        assert_eq!(snapshot.origins[0].requests, None);
        assert_eq!(snapshot.problems, Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_figures_about_origins_agree_even_when_one_is_down() {
        let shield = operators(
            "tidegate_origin_requests_total 30\ntidegate_origin_requests_needed_total{tier=\"shield\"} 20\n",
        );
        let tasks = TaskTracker::new();
        let own = OwnOrigin::start(&tasks, &CancellationToken::new()).await.unwrap();
        own.switch(false).await.unwrap();
        let url = format!("http://{}", own.addr());
        let origin = WatchedOrigin { name: "origin-1".to_owned(), url, own: Some(Arc::new(own)) };
        let shields = vec![watched("shield-1", shield.await)];
        let snapshot = Observer::new(None, vec![], shields, vec![origin]).observe(Counts::default()).await;
        let Totals { origin_requests, origin_needed, origin_amplification, .. } = snapshot.totals;
        assert_eq!((origin_requests, origin_needed, origin_amplification), (30, 20, Some(1.5)));
        assert_eq!((snapshot.origins[0].up, snapshot.origins[0].requests), (Some(false), Some(0)));
    }

    #[tokio::test]
    async fn a_tier_that_does_not_respond_is_a_problem_and_keeps_its_counters() {
        let mut edge = watched("edge-1", operators("tidegate_requests_total{fate=\"hit\"} 6\n").await);
        edge.ask().await.unwrap();
        edge.operators = Client::new(closed().await);
        let snapshot = Observer::new(None, vec![edge], vec![], vec![]).observe(Counts::default()).await;
        assert_eq!((snapshot.edges[0].up, snapshot.edges[0].requests), (false, 6));
        assert!(
            snapshot.problems[0].starts_with("edge-1 does not say how it is: "),
            "{:?}",
            snapshot.problems
        );
    }
}
