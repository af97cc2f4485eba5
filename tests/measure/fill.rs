//! Measures what viewers cost who wait for one object: `fill PID TIER ORIGIN VIEWERS`, one line of JSON.
//!
//! The program is the origin itself, and listens there. The viewers have a connection each, which has been used before; all ask for one cold object of 64 KiB, which the origin holds
//! until the server has nothing more to do. Then they get it, and then all ask for it once more.
//!
//! - **CPU**: the server's, from the first question to the last byte, for each viewer; and the same of the second time, when
//!   the object is in the cache.
//! - **Memory**: what the server has resident when all wait, beyond what it had when all were idle, for each viewer.
//! - **Delay**: from the origin's first byte to the first byte at each viewer. One thread reads for all of them, and its
//!   time is in it.

mod held;
mod line;
mod micros;
mod quantiles;
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
use tokio_util::task::TaskTracker;

use crate::held::{Body, Held};
use crate::line::Line;
use crate::micros::micros;
use crate::quantiles::quantiles;
use crate::quiet::quiet;
use crate::usage::{memory_of, time_of};

const BODY: Body = Body { bytes: 64 * 1024, first: 16 * 1024, pause: Duration::ZERO };
const COLD: &str = "/cold/1";

/// What viewers cost who wait for one object.
#[derive(Parser)]
struct Arguments {
    /// The process of a running cache.
    pid: u32,
    /// Its address.
    tier: SocketAddr,
    /// Where it looks for its origin.
    origin: SocketAddr,
    /// So many wait.
    viewers: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { pid, tier, origin, viewers } = Arguments::parse();

    let origin = Held::listen(origin, BODY, &TaskTracker::new()).await?;
    let mut lines = Vec::new();
    for _ in 0..viewers {
        let mut line = Line::open(tier).await?;
        line.get("/warm").await?;
        lines.push(line);
    }
    quiet(pid).await?;
    let (cpu, memory) = (time_of(pid)?, memory_of(pid)?);
    all_ask(&mut lines).await?;
    quiet(pid).await?;
    let waiting = memory_of(pid)?;
    origin.release(1);
    let (mut lines, first_bytes) = all_read(lines).await?;
    let filled = time_of(pid)?.saturating_sub(cpu);
    let began = origin.began(1)?;

    quiet(pid).await?;
    let cpu = time_of(pid)?;
    all_ask(&mut lines).await?;
    all_read(lines).await?;
    let hit = time_of(pid)?.saturating_sub(cpu);

    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / f64::from(viewers.max(1));
    let delays = first_bytes.iter().map(|first_byte| first_byte.saturating_duration_since(began)).collect();
    let figures = serde_json::json!({
        "viewers": viewers, "origin_requests": origin.asked(),
        "cpu_us_per_waiter": each(filled), "cpu_us_per_hit": each(hit),
        "bytes_per_waiter": waiting.saturating_sub(memory) / u64::from(viewers.max(1)),
        "first_byte_us": quantiles(delays, micros),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}

async fn all_ask(lines: &mut [Line]) -> Result<()> {
    for line in lines {
        line.ask(COLD).await?;
    }
    Ok(())
}

/// All read at once; when each had its first byte.
async fn all_read(lines: Vec<Line>) -> Result<(Vec<Line>, Vec<Instant>)> {
    let mut reading = JoinSet::new();
    for mut line in lines {
        reading.spawn(async move {
            let first_byte = line.first_byte().await?;
            line.rest().await?;
            anyhow::Ok((line, first_byte))
        });
    }
    let read = reading.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(read.into_iter().unzip())
}
