//! What came of it: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde_json::json;

use super::Settings;
use super::crowd::{Crowd, Delays};
use super::objects::Object;
use super::servers::Kind;
use super::staleness::Staleness;
use crate::repository::Repository;

/// One server under load by one object, once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) wall_rate: f64,
    pub(crate) cpu: Duration,
}

impl Sample {
    /// Microseconds of server CPU per request.
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 requests")]
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.2} µs of CPU per request, {:8.0} requests per second", self.cost(), self.wall_rate)
    }
}

/// All samples of a run.
pub(crate) struct Report {
    settings: Settings,
    load_before: String,
    servers: Vec<(Kind, String)>,
    samples: BTreeMap<(Object, Kind), Vec<Sample>>,
    crowds: Vec<Crowd>,
    staleness: Vec<Staleness>,
}

impl Report {
    pub(crate) fn new(settings: &Settings, servers: Vec<(Kind, String)>) -> Result<Self> {
        Ok(Self {
            settings: settings.clone(),
            load_before: load()?,
            servers,
            samples: BTreeMap::new(),
            crowds: Vec::new(),
            staleness: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, kind: Kind, object: Object, sample: Sample) {
        self.samples.entry((object, kind)).or_default().push(sample);
    }

    pub(crate) fn crowds(&mut self, crowds: Vec<Crowd>) {
        self.crowds = crowds;
    }

    pub(crate) fn staleness(&mut self, staleness: Vec<Staleness>) {
        self.staleness = staleness;
    }

    /// Median cost of an object at a server.
    fn cost(&self, object: Object, kind: Kind) -> Option<f64> {
        let mut costs: Vec<f64> = self.samples.get(&(object, kind))?.iter().map(Sample::cost).collect();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied()
    }

    /// The costs, and how they compare with those of the first server.
    pub(crate) fn tables(&self) -> String {
        let mut text = self.table("µs of server CPU per request", |object, kind| {
            self.cost(object, kind).map(|cost| format!("{cost:.1}"))
        });
        if let Some((first, _)) = self.servers.first() {
            text.push('\n');
            text += &self.table(
                &format!("{first} does so many times the requests per CPU-second of"),
                |object, kind| {
                    Some(format!("{:.2} ×", self.cost(object, kind)? / self.cost(object, *first)?))
                },
            );
        }
        text
    }

    /// A line per run of the crowd, in the order of the runs.
    pub(crate) fn crowd_table(&self) -> String {
        let mut lines = vec![
            "| run | viewers | edges | origin requests | p50 ms | p99 ms | max ms |".to_owned(),
            "|---|---:|---:|---:|---:|---:|---:|".to_owned(),
        ];
        for (run, crowd) in (1..).zip(&self.crowds) {
            let Crowd { viewers, edges, origin_requests, first_byte_delay_ms: Delays { p50, p99, max } } =
                crowd;
            lines.push(format!(
                "| {run} | {viewers} | {edges} | {origin_requests} | {p50:.1} | {p99:.1} | {max:.1} |"
            ));
        }
        lines.join("\n") + "\n"
    }

    /// A line per number of viewers.
    pub(crate) fn staleness_table(&self) -> String {
        let mut lines = vec![
            "| viewers | versions | origin requests per version | shield p50 ms | p99 ms | edges beyond it p50 ms | p99 ms |"
                .to_owned(),
            "|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
        ];
        for run in &self.staleness {
            let (shield, edges) = (run.at_shield_ms, run.at_edges_beyond_shield_ms);
            lines.push(format!(
                "| {} | {} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} |",
                run.viewers,
                run.versions,
                run.origin_requests_per_version,
                shield.p50,
                shield.p99,
                edges.p50,
                edges.p99
            ));
        }
        lines.join("\n") + "\n"
    }

    fn table(&self, corner: &str, cell: impl Fn(Object, Kind) -> Option<String>) -> String {
        let titles = Object::ALL.map(Object::title).join(" | ");
        let mut lines = vec![format!("| {corner} | {titles} |"), "|---|---:|---:|---:|".to_owned()];
        for (kind, title) in &self.servers {
            let cells = Object::ALL.map(|object| cell(object, *kind).unwrap_or_else(|| "—".to_owned()));
            lines.push(format!("| {title} | {} |", cells.join(" | ")));
        }
        lines.join("\n") + "\n"
    }

    /// Leaves every sample in bench-results/ and, where everybody took part, rewrites docs/benchmarks.md.
    pub(crate) fn write(&self, repository: &Repository) -> Result<()> {
        if Kind::value_variants()
            .iter()
            .all(|kind| self.servers.iter().any(|(took_part, _)| took_part == kind))
        {
            let page = repository.path("docs/benchmarks.md");
            std::fs::write(&page, self.page()?).with_context(|| page.display().to_string())?;
        }
        let folder = repository.path("bench-results");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("hit-path.json"), serde_json::to_string_pretty(&self.json()?)?)?;
        Ok(())
    }

    fn page(&self) -> Result<String> {
        let Settings { seconds, rounds, connections, profile, .. } = &self.settings;
        Ok(format!(
            "# Benchmarks\n\nWritten by `cargo xtask bench`; run it for your own machine.\n\n\
             ## A cached answer\n\nServer CPU time per request, HTTP/1.1, {connections} keep-alive connections, everything in \
             the cache. The servers run\non one core and wrk on another; the CPU time is summed over all threads and \
             processes of a server.\nMedians of {rounds} interleaved rounds of {seconds} s.\n\n{}\n\
             ## A crowd at a cold object\n\nViewers ask two edges at once for a cold object of 1 MiB that the origin \
             takes 2 s to produce. The delay is the\ntime from the first byte at a reader of the shield to the first \
             byte at a viewer. Origin, shield, edges and all viewers\nshare one process and all cores, so the time that \
             the viewers themselves take is in it.\n\n{}\n\
             ## How far behind the origin\n\nA plain live playlist with segments of 2 s, from an origin that cannot hold \
             requests; viewers poll it at two edges\nonce per target duration. The time from the moment at which a version \
             exists at the origin to the moment at which the\nshield serves it, and from there to the edges. What the \
             shield has to learn first, ten versions, is left out.\n\n{}\n\
             ## How it was measured\n\n\
             - Machine: {}\n- Load average before the run: {} (the figures of a busy machine are higher)\n\
             - Date: {}\n- Tidegate built with the `{profile}` profile\n\
             - nginx: `proxy_cache` on tmpfs, sendfile, open_file_cache, no access log; Varnish: malloc storage\n",
            self.tables(),
            self.crowd_table(),
            self.staleness_table(),
            machine()?,
            self.load_before,
            today()?,
        ))
    }

    fn json(&self) -> Result<serde_json::Value> {
        let samples = self.samples.iter().flat_map(|((object, kind), samples)| {
            samples.iter().map(move |sample| {
                json!({
                    "server": kind.to_string(),
                    "object": object.path(),
                    "requests": sample.requests,
                    "requests_per_second": sample.wall_rate,
                    "cpu_seconds": sample.cpu.as_secs_f64(),
                    "cpu_microseconds_per_request": sample.cost(),
                })
            })
        });
        Ok(json!({
            "machine": machine()?,
            "load_before": self.load_before,
            "date": today()?,
            "servers": self.servers.iter().map(|(_, title)| title).collect::<Vec<_>>(),
            "samples": samples.collect::<Vec<_>>(),
            "crowds": self.crowds,
            "staleness": self.staleness,
        }))
    }
}

fn machine() -> Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("osrelease")?;
    Ok(format!("{model}, {cores} cores, Linux {}", kernel.trim()))
}

/// The load average of the last minute.
fn load() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
