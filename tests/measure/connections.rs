//! Measures what keep-alive connections cost: `connections PID SERVER PATH COUNT SECONDS`, one line of JSON.
//!
//! After fifty connections that stay, so many more are
//! opened, each of which asks once.
//!
//! - **Memory**: what the server has resident when all are idle, beyond what it had with the fifty, for each connection.
//! - **CPU**: for some seconds all of them ask in turn, at most 64 at once; the server's CPU time per request.

mod line;
mod quiet;
#[path = "../../xtask/src/bench/usage.rs"]
mod usage;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::line::Line;
use crate::quiet::quiet;
use crate::usage::{memory_of, time_of};

/// Connections before memory is looked at for the first time.
const BEFORE: usize = 50;
const AT_ONCE: usize = 64;

/// What keep-alive connections cost.
#[derive(Parser)]
struct Arguments {
    /// The process of a running cache.
    pid: u32,
    /// Its address.
    server: SocketAddr,
    /// Something that it has.
    path: String,
    /// So many connections are opened beside the fifty.
    count: usize,
    /// For so many seconds they ask.
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { pid, server, path, count, seconds } = Arguments::parse();

    let _before = open(server, &path, BEFORE).await?;
    quiet(pid).await?;
    let empty = memory_of(pid)?;
    let lines = open(server, &path, count).await?;
    quiet(pid).await?;
    let idle = memory_of(pid)?.saturating_sub(empty);

    let cpu = time_of(pid)?;
    let requests = all_ask(lines, &path, Duration::from_secs(seconds)).await?;
    let cpu = time_of(pid)?.saturating_sub(cpu);
    let figures = serde_json::json!({
        "connections": count, "idle_bytes": idle, "requests": requests, "cpu_seconds": cpu.as_secs_f64(),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}

async fn open(server: SocketAddr, path: &str, count: usize) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut line = Line::open(server).await?;
        line.get(path).await?;
        lines.push(line);
    }
    Ok(lines)
}

/// Each of the askers goes round through its share of the connections until the time is over. How many answers there were.
async fn all_ask(lines: Vec<Line>, path: &str, time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let askers = lines.len().clamp(1, AT_ONCE);
    let mut shares: Vec<Vec<Line>> = (0..askers).map(|_| Vec::new()).collect();
    for (number, line) in lines.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % askers) {
            share.push(line);
        }
    }
    let mut asking = JoinSet::new();
    for mut share in shares {
        let path = path.to_owned();
        asking.spawn(async move {
            let mut responses = 0;
            while Instant::now() < end && !share.is_empty() {
                for line in &mut share {
                    line.get(&path).await?;
                    responses += 1;
                    if Instant::now() >= end {
                        break;
                    }
                }
            }
            anyhow::Ok(responses)
        });
    }
    asking.join_all().await.into_iter().sum()
}
