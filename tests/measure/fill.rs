//! Measures the cost of viewers that wait for one object: `fill PID TIER ORIGIN VIEWERS`, one line of JSON.
//!
//! The program is itself the origin, and listens at ORIGIN. Each viewer has a connection that has been used
//! before; all request one cold object of 64 KiB, which the origin blocks until the server is idle. Then it
//! releases the object. They do so with one object, with a second one, and request the second again when it
//! is in the cache.
//!
//! - **CPU**: the server's, from the first request to the last byte, for each viewer: the first time, when it
//!   touches memory for the first time; the second time; and for the hits.
//! - **Memory**: the server's resident memory when all viewers wait for the first time, beyond that when all
//!   were idle, for each viewer.
//! - **Delay**: from the origin's first byte to the first byte at each viewer, the second time. One thread
//!   reads for all of them, and its time is included.

mod blocking_origin;
mod connection;
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

use crate::blocking_origin::{BlockingOrigin, Body};
use crate::connection::Connection;
use crate::micros::micros;
use crate::quantiles::quantiles;
use crate::quiet::quiet;
use crate::usage::{memory_of, time_of};

const BODY: Body = Body { bytes: 64 * 1024, first: 16 * 1024, pause: Duration::ZERO };

/// The cost of viewers that wait for one object.
#[derive(Parser)]
struct Arguments {
    /// The process id of a running cache.
    pid: u32,
    /// Its address.
    tier: SocketAddr,
    /// The address of the origin that it is configured with.
    origin: SocketAddr,
    /// The number of viewers.
    viewers: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { pid, tier, origin, viewers } = Arguments::parse();

    let origin = BlockingOrigin::listen(origin, BODY, &TaskTracker::new()).await?;
    let mut connections = Vec::new();
    for _ in 0..viewers {
        let mut connection = Connection::open(tier).await?;
        connection.get("/warm").await?;
        connections.push(connection);
    }
    quiet(pid).await?;
    let memory = memory_of(pid)?;
    let crowd = Crowd { pid, origin: &origin, viewers };
    let (connections, first) = crowd.fills(connections, 1).await?;
    let (mut connections, second) = crowd.fills(connections, 2).await?;

    quiet(pid).await?;
    let cpu = time_of(pid)?;
    request_all(&mut connections, 2).await?;
    all_read(connections).await?;
    let hit = time_of(pid)?.saturating_sub(cpu);

    let figures = serde_json::json!({
        "viewers": viewers, "origin_requests": f64::from(u32::try_from(origin.requests())?) / 2.0,
        "cpu_us_per_waiter_at_first": crowd.each(first.cpu), "cpu_us_per_waiter": crowd.each(second.cpu),
        "cpu_us_per_hit": crowd.each(hit),
        "bytes_per_waiter": first.waiting.saturating_sub(memory) / u64::from(viewers.max(1)),
        "first_byte_us": quantiles(second.delays, micros),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}

/// The servers that the crowd uses.
struct Crowd<'a> {
    pid: u32,
    origin: &'a BlockingOrigin,
    viewers: u32,
}

/// The measurements of one fill.
struct Fill {
    cpu: Duration,
    /// Resident bytes when all viewers waited.
    waiting: u64,
    delays: Vec<Duration>,
}

impl Crowd<'_> {
    /// All viewers request the object with this number, and receive it.
    async fn fills(&self, mut connections: Vec<Connection>, number: u64) -> Result<(Vec<Connection>, Fill)> {
        quiet(self.pid).await?;
        let cpu = time_of(self.pid)?;
        request_all(&mut connections, number).await?;
        quiet(self.pid).await?;
        let waiting = memory_of(self.pid)?;
        self.origin.release(number);
        let (connections, first_bytes) = all_read(connections).await?;
        let cpu = time_of(self.pid)?.saturating_sub(cpu);
        let began = self.origin.began(number)?;
        let delays = first_bytes.iter().map(|first| first.saturating_duration_since(began)).collect();
        Ok((connections, Fill { cpu, waiting, delays }))
    }

    /// Microseconds for each viewer.
    fn each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / f64::from(self.viewers.max(1))
    }
}

async fn request_all(connections: &mut [Connection], number: u64) -> Result<()> {
    let path = format!("/cold/{number}");
    for connection in connections {
        connection.ask(&path).await?;
    }
    Ok(())
}

/// All viewers read simultaneously; returns when each had its first byte.
async fn all_read(connections: Vec<Connection>) -> Result<(Vec<Connection>, Vec<Instant>)> {
    let mut reading = JoinSet::new();
    for mut connection in connections {
        reading.spawn(async move {
            let first_byte = connection.first_byte().await?;
            connection.rest().await?;
            anyhow::Ok((connection, first_byte))
        });
    }
    let read = reading.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(read.into_iter().unzip())
}
