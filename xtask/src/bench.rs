//! The hit path side by side: Tidegate, nginx and Varnish answer the same cached objects on one core. And how late
//! the first byte of a cold object reaches a crowd, how far behind the origin each tier is, and what players cost who wait
//! for the next version of a playlist.
//!
//! What is measured is the server's CPU time per request, summed over its processes and threads,
//! because wall-clock figures of small or shared machines say more about their neighbours. The
//! servers are pinned to one core and wrk to another; rounds are interleaved (A B C A B C), so that
//! a machine that slows down slows everybody down; the figures are medians over the rounds.

mod configuration;
mod cpu;
mod crowd;
mod objects;
mod quantiles;
mod report;
mod servers;
mod staleness;
mod waiters;
pub(crate) mod wire;
mod wrk;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use self::objects::Object;
use self::report::{Report, Sample};
use self::servers::{Kind, Server, Stage};
use crate::needs;
use crate::repository::Repository;

/// How long, how often, how much.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Seconds of load per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// How often each server meets each object; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Cargo profile that Tidegate is built with; `dist` is what is shipped.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Which servers to compare; the first is what the others are compared with.
    #[arg(long, value_delimiter = ',', default_values_t = [Kind::Tidegate, Kind::Nginx, Kind::Varnish])]
    servers: Vec<Kind>,
}

/// Runs the comparison, prints its table and writes it to docs/benchmarks.md.
pub(crate) fn run(repository: &Repository, settings: &Settings) -> Result<ExitCode> {
    needs::for_bench()?;
    ensure!(std::thread::available_parallelism()?.get() >= 2, "servers and load need a core each");
    let stage = Stage::build(repository, settings)?;
    let servers = settings.servers.iter().map(|kind| stage.start(*kind)).collect::<Result<Vec<_>>>()?;
    for server in &servers {
        server.warm()?;
    }

    let mut report = Report::new(settings, servers.iter().map(Server::title).collect())?;
    for round in 1..=settings.rounds {
        for object in Object::ALL {
            for server in &servers {
                let sample = measure(server, object, settings)?;
                eprintln!(
                    "round {round}: {:<10} {:<8} {}",
                    server.kind().to_string(),
                    object.title(),
                    sample
                );
                report.add(server.kind(), object, sample);
            }
        }
    }
    drop(servers);
    report.crowds(crowd::measure(&stage.crowd, settings.rounds)?);
    report.staleness(staleness::measure(&stage.staleness)?);
    report.waiters(waiters::measure(&stage.waiters, &stage.tidegate, settings.rounds)?);
    let asked = stage.origin_requests()?;
    ensure!(
        asked <= 10 * settings.servers.len(),
        "the origin was asked {asked} times, so these were not all hits"
    );
    report.write(repository)?;
    println!("{}", report.all_tables());
    Ok(ExitCode::SUCCESS)
}

fn measure(server: &Server, object: Object, settings: &Settings) -> Result<Sample> {
    let before = cpu::time_of(server.pid())?;
    let load = wrk::run(&server.url(object), settings.connections, settings.seconds)?;
    let after = cpu::time_of(server.pid())?;
    Ok(Sample { requests: load.requests, wall_rate: load.rate, cpu: after.saturating_sub(before) })
}
