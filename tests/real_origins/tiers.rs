//! One shield and two edges, as processes with configuration files, the way an operator runs them.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::player;
use crate::process::{Process, free_port, tidegate, until};

const READY_WITHIN: Duration = Duration::from_secs(15);

/// The tiers between an origin and its viewers.
#[derive(Debug)]
pub(crate) struct Tiers {
    shield: Tier,
    edges: [Tier; 2],
    _folder: TempDir,
}

impl Tiers {
    /// Starts the tiers in front of a site's origins, the primary first, and waits until they are ready.
    pub(crate) async fn in_front_of(origins: &[&str]) -> Self {
        Self::with(origins, "").await
    }

    /// The same; the edges' site has a further setting.
    pub(crate) async fn with(origins: &[&str], setting: &str) -> Self {
        let folder = TempDir::with_prefix("tidegate-tiers-").expect("a folder for the tiers");
        let shield =
            Tier::start("shield", "shield", &format!("[[site]]\norigins = {origins:?}\n"), folder.path())
                .await;
        let upstream = format!("shields = [\"{}\"]\n[[site]]\n{setting}\n", shield.http);
        let first = Tier::start("edge", "edge-1", &upstream, folder.path()).await;
        let second = Tier::start("edge", "edge-2", &upstream, folder.path()).await;
        Self { shield, edges: [first, second], _folder: folder }
    }

    /// The URLs of a path, one per edge.
    pub(crate) fn urls(&self, path: &str) -> Vec<String> {
        self.edges.iter().map(|edge| format!("{}{path}", edge.http)).collect()
    }

    /// A counter of the shield.
    pub(crate) async fn at_shield(&self, counter: &str) -> u64 {
        self.shield.count(counter).await
    }

    /// The sum of a counter over the edges.
    pub(crate) async fn at_edges(&self, counter: &str) -> u64 {
        let [first, second] = &self.edges;
        first.count(counter).await + second.count(counter).await
    }

    /// Waits until the shield has no fill under way.
    pub(crate) async fn shield_is_idle(&self) {
        let status = format!("{}/v1/status", self.shield.operators);
        until("the shield has no fill under way", READY_WITHIN, async || {
            let text = player::text(&status).await.expect("a status");
            let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            (status["fills"]["count"] == 0).then_some(())
        })
        .await;
    }

    pub(crate) fn assert_alive(&mut self) {
        self.shield.process.assert_alive();
        self.edges.iter_mut().for_each(|edge| edge.process.assert_alive());
    }
}

#[derive(Debug)]
struct Tier {
    process: Process,
    http: String,
    operators: String,
}

impl Tier {
    async fn start(role: &str, name: &'static str, rest: &str, folder: &Path) -> Self {
        let (viewers, operators) = (free_port(), free_port());
        let text = format!(
            "node = \"{name}\"\n{rest}\n[listen]\nviewers = \"127.0.0.1:{viewers}\"\noperators = \"127.0.0.1:{operators}\"\n"
        );
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, text).expect("the tier's configuration");
        let mut command = Command::new(tidegate());
        command.arg(role).arg("--config").arg(file);
        let mut tier = Self {
            process: Process::start(name, &mut command, folder),
            http: format!("http://127.0.0.1:{viewers}"),
            operators: format!("http://127.0.0.1:{operators}"),
        };
        let ready = format!("{}/readyz", tier.operators);
        until(&format!("{name} is ready"), READY_WITHIN, async || {
            tier.process.assert_alive();
            player::text(&ready).await.ok()
        })
        .await;
        tier
    }

    /// The sum of a counter's samples.
    async fn count(&self, counter: &str) -> u64 {
        let metrics = player::text(&format!("{}/metrics", self.operators)).await.expect("metrics");
        let samples = metrics.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name.split('{').next() == Some(counter)).then(|| value.parse::<u64>().expect("a whole number"))
        });
        let samples: Vec<_> = samples.collect();
        assert!(!samples.is_empty(), "nothing is called {counter}");
        samples.iter().sum()
    }
}
