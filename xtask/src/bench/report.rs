//! What came of it: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde_json::json;

use super::Settings;
use super::crowd::{self, Crowd};
use super::objects::Object;
use super::servers::Kind;
use super::staleness::{self, Staleness};
use super::waiters::{self, Waiters};
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
    waiters: Vec<Waiters>,
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
            waiters: Vec::new(),
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

    pub(crate) fn waiters(&mut self, waiters: Vec<Waiters>) {
        self.waiters = waiters;
    }

    /// Median cost of an object at a server.
    fn cost(&self, object: Object, kind: Kind) -> Option<f64> {
        let mut costs: Vec<f64> = self.samples.get(&(object, kind))?.iter().map(Sample::cost).collect();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied()
    }

    /// The costs, and how they compare with those of the first server.
    fn tables(&self) -> String {
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

    /// Every table, for the one who waits for them.
    pub(crate) fn all_tables(&self) -> String {
        let others =
            [crowd::table(&self.crowds), staleness::table(&self.staleness), waiters::table(&self.waiters)];
        format!("{}\n{}", self.tables(), others.join("\n"))
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
            "# Benchmarks\n\nWritten by `cargo xtask bench`; run it for your own machine. All samples are in \
             `bench-results/hit-path.json`\nthen. The programs of the later sections can be run on their own, as is said \
             there, once the bench has built them.\n\n\
             ## A cached answer\n\nServer CPU time per request, HTTP/1.1, {connections} keep-alive connections, everything in \
             the cache. The servers run\non one core and wrk on another; the CPU time is summed over all threads and \
             processes of a server.\nMedians of {rounds} interleaved rounds of {seconds} s.\n\n{}\n\
             {}\n{}\n{}\n\
             ## How it was measured\n\n\
             - Machine: {}\n- Load average before the run: {} (the figures of a busy machine are higher)\n\
             - Date: {}\n- Tidegate built with the `{profile}` profile\n\
             - nginx: `proxy_cache` on tmpfs, sendfile, open_file_cache, no access log; Varnish: malloc storage\n",
            self.tables(),
            crowd::section(&self.crowds),
            staleness::section(&self.staleness),
            waiters::section(&self.waiters),
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
            "waiters": self.waiters,
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
