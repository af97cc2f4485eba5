//! Measures what viewers cost who wait for one object: `fill PID TIER ORIGIN VIEWERS`, one line of JSON.
//!
//! The program is the origin itself, and listens there. The viewers have a connection each, which has been used before; all ask
//! for one cold object of 64 KiB, which the origin holds until the server has nothing more to do. Then they get it. They do so
//! with one object, with a second one, and ask for that once more when it is in the cache.
//!
//! - **CPU**: the server's, from the first question to the last byte, for each viewer: the first time, when it touches
//!   memory that it has never had; the second time; and of the hits.
//! - **Memory**: what the server has resident when all wait for the first time, beyond what it had when all were idle, for
//!   each viewer.
//! - **Delay**: from the origin's first byte to the first byte at each viewer, the second time. One thread reads for all of
//!   them, and its time is in it.

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
    let memory = memory_of(pid)?;
    let crowd = Crowd { pid, origin: &origin, viewers };
    let (lines, first) = crowd.fills(lines, 1).await?;
    let (mut lines, second) = crowd.fills(lines, 2).await?;

    quiet(pid).await?;
    let cpu = time_of(pid)?;
    all_ask(&mut lines, 2).await?;
    all_read(lines).await?;
    let hit = time_of(pid)?.saturating_sub(cpu);

    let figures = serde_json::json!({
        "viewers": viewers, "origin_requests": f64::from(u32::try_from(origin.asked())?) / 2.0,
        "cpu_us_per_waiter_at_first": crowd.each(first.cpu), "cpu_us_per_waiter": crowd.each(second.cpu),
        "cpu_us_per_hit": crowd.each(hit),
        "bytes_per_waiter": first.waiting.saturating_sub(memory) / u64::from(viewers.max(1)),
        "first_byte_us": quantiles(second.delays, micros),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}

/// Who asks whom.
struct Crowd<'a> {
    pid: u32,
    origin: &'a Held,
    viewers: u32,
}

/// What one fill was like.
struct Fill {
    cpu: Duration,
    /// Bytes resident when all waited.
    waiting: u64,
    delays: Vec<Duration>,
}

impl Crowd<'_> {
    /// All wait for the object of this number, and get it.
    async fn fills(&self, mut lines: Vec<Line>, number: u64) -> Result<(Vec<Line>, Fill)> {
        quiet(self.pid).await?;
        let cpu = time_of(self.pid)?;
        all_ask(&mut lines, number).await?;
        quiet(self.pid).await?;
        let waiting = memory_of(self.pid)?;
        self.origin.release(number);
        let (lines, first_bytes) = all_read(lines).await?;
        let cpu = time_of(self.pid)?.saturating_sub(cpu);
        let began = self.origin.began(number)?;
        let delays = first_bytes.iter().map(|first| first.saturating_duration_since(began)).collect();
        Ok((lines, Fill { cpu, waiting, delays }))
    }

    /// Microseconds for each viewer.
    fn each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / f64::from(self.viewers.max(1))
    }
}

async fn all_ask(lines: &mut [Line], number: u64) -> Result<()> {
    let path = format!("/cold/{number}");
    for line in lines {
        line.ask(&path).await?;
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
