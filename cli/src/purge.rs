//! `tidegate purge`: sends a purge to all nodes of a fleet, and prints what each of them did.
//!
//! Shields are purged before edges: an edge that was purged first would fetch the old response from its
//! shield again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tidegate_edge::Control;
use tidegate_edge::purge::order::{Names, Order};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What to purge, and where.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["url", "prefix", "host", "tag", "everything"])))]
pub(crate) struct Options {
    /// A configuration file with the nodes in its section `control`
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The operators' listener of a shield, `http://host:port`, in place of the file's; may be repeated
    #[arg(long, value_name = "NODE")]
    shield: Vec<String>,
    /// The operators' listener of an edge; may be repeated
    #[arg(long, value_name = "NODE")]
    edge: Vec<String>,
    /// A file with the token of the operators' listeners, in place of that of the file
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A resource, `https://host/path?query`, or a path with --site; may be repeated
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Everything whose path begins so, `https://host/path`, or a path with --site; may be repeated
    #[arg(long, value_name = "URL")]
    prefix: Vec<String>,
    /// Everything of the sites of a host; may be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Everything with this tag (Surrogate-Key, Cache-Tag, Cache-Groups); may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Everything
    #[arg(long)]
    everything: bool,
    /// The one site that is concerned, by its name
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Let the objects expire: each is revalidated at its next use, and serves if no upstream is available
    #[arg(long)]
    soft: bool,
}

impl Options {
    fn order(&self) -> Order {
        Order {
            files: Names(self.url.clone()),
            prefixes: Names(self.prefix.clone()),
            hosts: Names(self.host.clone()),
            tags: Names(self.tag.clone()),
            everything: self.everything,
            site: self.site.clone(),
            soft: self.soft,
        }
    }
}

/// The nodes and how to talk to them.
#[derive(Debug)]
struct Fleet {
    shields: Vec<String>,
    edges: Vec<String>,
    token: Option<String>,
    timeout: Duration,
}

impl Fleet {
    fn of(options: &Options, file: Option<(Control, Option<String>)>) -> anyhow::Result<Self> {
        let (control, listener_token) = file.unwrap_or_default();
        let written = |nodes: &[tidegate_edge::Address]| nodes.iter().map(ToString::to_string).collect();
        let has_own = !options.shield.is_empty() || !options.edge.is_empty();
        let (shields, edges) = if has_own {
            (options.shield.clone(), options.edge.clone())
        } else {
            (written(&control.shields), written(&control.edges))
        };
        ensure!(
            !shields.is_empty() || !edges.is_empty(),
            "no nodes: list them under [control], or by --shield and --edge"
        );
        let file = options.token.clone().or_else(|| control.token.or(listener_token).map(PathBuf::from));
        let token = file.as_deref().map(read_token).transpose()?;
        Ok(Self { shields, edges, token, timeout: control.timeout.get() })
    }
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// Sends the purge to all nodes, and prints one line for each. `file` has the nodes, and the token file of
/// the operators' listener in the same file.
///
/// # Errors
/// Not every node has purged.
pub(crate) async fn run(
    options: &Options,
    file: Option<(Control, Option<String>)>,
    mut print: impl FnMut(String) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let fleet = Fleet::of(options, file)?;
    let order = Bytes::from(serde_json::to_vec(&options.order())?);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (mut failed, mut count) = (Vec::new(), 0);
    for tier in [&fleet.shields, &fleet.edges] {
        let mut sent = JoinSet::new();
        for node in tier {
            let (client, node, order) = (client.clone(), node.clone(), order.clone());
            let (token, within) = (fleet.token.clone(), fleet.timeout);
            sent.spawn(async move {
                let purged = timeout(within, purge(&client, &node, token, order)).await;
                let purged =
                    purged.unwrap_or_else(|_late| bail!("no response within {} s", within.as_secs_f64()));
                (node, purged)
            });
        }
        while let Some(result) = sent.join_next().await {
            let (node, purged) = result.context("a request was cut off")?;
            count += 1;
            print(match &purged {
                Ok(done) => format!("{node}: {done}"),
                Err(error) => format!("{node}: FAILED: {error:#}"),
            })?;
            failed.extend(purged.is_err().then_some(node));
        }
    }
    failed.sort_unstable();
    ensure!(failed.is_empty(), "{} of {count} nodes did not purge: {}", failed.len(), failed.join(", "));
    Ok(())
}

/// Sends the purge to one node. Returns what it did, in words.
async fn purge(
    client: &Client<HttpConnector, Full<Bytes>>,
    node: &str,
    token: Option<String>,
    order: Bytes,
) -> anyhow::Result<String> {
    let mut request = Request::post(format!("{}/v1/purge", node.trim_end_matches('/')))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(order)).context("write http://host:port")?;
    let response = client.request(request).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), RESPONSE_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the response broke off: {error}"))?.to_bytes();
    let report: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |field: &str| report.get(field).and_then(Value::as_str);
    if status != StatusCode::ACCEPTED {
        bail!("{status}: {}", text("message").or_else(|| text("error")).unwrap_or_default());
    }
    let number = |field: &str| report.get(field).and_then(Value::as_u64).unwrap_or_default();
    let is_soft = report.get("soft").and_then(Value::as_bool).unwrap_or_default();
    Ok(format!(
        "{} {} objects, {} fills, {} live playlists ({} {})",
        if is_soft { "expired" } else { "purged" },
        number("purged"),
        number("fills"),
        number("streams"),
        text("tier").unwrap_or_default(),
        text("node").unwrap_or_default()
    ))
}

/// An error with its causes: "client error (Connect)" alone says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The longest response of a node, in bytes.
const RESPONSE_MAX: usize = 64 * 1024;
