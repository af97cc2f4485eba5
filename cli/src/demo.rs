//! `tidegate demo`: a whole Tidegate in one process, with a page to watch it.
//!
//! Two origins, one shield and two edges on loopback ports; a page with a player, a live map of the tiers, a
//! swarm of synthetic viewers and a switch for the primary origin. Begin reading at [`run`]; then
//! `cluster.rs` (the tiers), `observer.rs` (the data of the page), `page.rs` (its server) and `viewers.rs`
//! (the swarm).

mod addresses;
mod cluster;
mod guard;
mod metrics;
mod observer;
mod own_origin;
mod page;
mod ready;
mod snapshot;
mod viewers;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use cluster::Cluster;
use page::Stage;
use snapshot::Snapshot;
use viewers::Swarm;

/// The options of `tidegate demo`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The port of the page on 127.0.0.1; 0 takes a free one. All other ports are free ones
    #[arg(long, value_name = "PORT", default_value_t = 8000, env = "TIDEGATE_DEMO_PORT")]
    pub(crate) port: u16,

    /// Your own HLS origin instead of the demo's, such as `http://127.0.0.1:8888`; twice for a primary and a
    /// backup
    #[arg(long, value_name = "URL", value_parser = origin_url, env = "TIDEGATE_DEMO_ORIGIN", value_delimiter = ',')]
    pub(crate) origin: Vec<String>,

    /// The path of your own stream's playlist, such as `/live/master.m3u8`, for the page's player and the
    /// viewers
    #[arg(long, value_name = "PATH", value_parser = stream_path, requires = "origin", env = "TIDEGATE_DEMO_STREAM")]
    pub(crate) stream: Option<String>,

    /// Print one line of JSON with all addresses when ready, and nothing else
    #[arg(long)]
    pub(crate) json: bool,

    /// Exit after this many seconds, counted from when the demo is ready: when the stream, if its path is
    /// known, has arrived through every edge. A stream that does not arrive within 30 s is an error
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
}

/// Starts everything, prints the addresses, and runs until Ctrl-C, SIGTERM or the end of the given time.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let page = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let page = TcpListener::bind(page)
        .await
        .with_context(|| format!("the page cannot listen on {page}; choose another port with --port"))?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let ended = play(options, page, &tasks, &stop).await;
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(END_MAX, tasks.wait()).await.is_err() {
        tracing::warn!("shutdown timeout reached, remaining tasks are aborted");
    }
    ended
}

/// Everything between the start and the end.
async fn play(
    options: Options,
    page: TcpListener,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(&options, tasks, stop).await?;
    let addresses = cluster.addresses(&page)?;
    let (publish, snapshots) = watch::channel(Snapshot::default());
    let swarm = Swarm::new(cluster.edges(), addresses.stream.clone());
    let stage = Arc::new(Stage { snapshots, swarm, primary: cluster.primary() });

    let counting = Arc::clone(&stage);
    let observing = cluster.observer().run(publish, move || counting.swarm.counts());
    let serving = axum::serve(page, page::router(Arc::clone(&stage)));
    tasks.spawn(stop.clone().run_until_cancelled_owned(observing));
    tasks.spawn(stop.clone().run_until_cancelled_owned(serving.into_future()));

    let clients = cluster.clients();
    let living = async {
        if let Some(stream) = &addresses.stream {
            let origins = addresses.origins.join(", ");
            ready::wait(&clients, stream, |waiting| complain(waiting, &origins))
                .await
                .with_context(|| format!("the stream {stream} is not available from {origins}"))?;
        }
        announce(&addresses, options.json)?;
        rest(options.seconds).await;
        Ok(())
    };
    let ended = tokio::select! {
        ended = living => ended,
        ended = signalled() => ended,
        broken = cluster.broken() => broken,
    };
    stage.swarm.remove_all().await;
    stop.cancel();
    let drained = tokio::time::timeout(END_MAX, cluster.ended()).await;
    ended.and(drained.unwrap_or(Ok(())))
}

fn announce(addresses: &addresses::Addresses, json: bool) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string(addresses)?) } else { addresses.map() };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print the addresses")
}

/// Reports on standard error what the demo waits for. If that is closed, the report is dropped.
fn complain(waiting: &ready::Waiting, origins: &str) {
    let ready::Waiting { url, answer } = waiting;
    let line = format!("tidegate: waiting for {url} (origin {origins}): {answer}");
    let _unheard = writeln!(std::io::stderr().lock(), "{line}");
}

/// Waits for the given time, or forever.
async fn rest(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn signalled() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot install the SIGTERM handler")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupt = tokio::signal::ctrl_c() => interrupt.context("cannot install the Ctrl-C handler"),
    }
}

/// An origin is a scheme and an authority; a path would be ambiguous beside `--stream`.
fn origin_url(text: &str) -> anyhow::Result<String> {
    let uri: http::Uri = text.parse().context("not a URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
        bail!("an origin must be a URL such as http://127.0.0.1:8888");
    }
    if uri.path() != "/" || uri.query().is_some() {
        bail!("--origin takes no path; set the stream's path with --stream");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn stream_path(text: &str) -> anyhow::Result<String> {
    let path: http::uri::PathAndQuery = text.parse().context("not a path")?;
    if !path.as_str().starts_with('/') {
        bail!("a path must begin with /");
    }
    Ok(path.as_str().to_owned())
}

/// How long everything may take to end.
const END_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_url_without_a_path() {
        assert_eq!(origin_url("http://127.0.0.1:8888/").unwrap(), "http://127.0.0.1:8888");
        assert_eq!(origin_url("https://origin.example").unwrap(), "https://origin.example");
        for wrong in ["127.0.0.1:8888", "ftp://a", "http://a/live", "http://a?x", "", "http://"] {
            assert!(origin_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stream_is_a_path() {
        assert_eq!(stream_path("/live/master.m3u8?x=1").unwrap(), "/live/master.m3u8?x=1");
        for wrong in ["live/master.m3u8", "http://a/b", "", "/a b"] {
            assert!(stream_path(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let options = Options { port, origin: Vec::new(), stream: None, json: true, seconds: Some(0) };
        let error = run(options).await.unwrap_err();
        assert!(format!("{error:#}").contains(&format!("127.0.0.1:{port}")), "{error:#}");
    }
}
