//! Measures the cost of keep-alive connections: `connections PID SERVER PATH COUNT SECONDS`, one line of
//! JSON.
//!
//! After fifty connections that stay open, COUNT more are opened, each of which sends one request.
//!
//! - **Memory**: the server's resident memory when all are idle, beyond that with the fifty, for each
//!   connection.
//! - **CPU**: for SECONDS all of them send requests in turn, at most 64 simultaneously; the server's CPU time
//!   per request.

mod connection;
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

use crate::connection::Connection;
use crate::quiet::quiet;
use crate::usage::{memory_of, time_of};

/// Connections before the first reading of the memory.
const BEFORE: usize = 50;
const CONCURRENCY: usize = 64;

/// The cost of keep-alive connections.
#[derive(Parser)]
struct Arguments {
    /// The process id of a running cache.
    pid: u32,
    /// Its address.
    server: SocketAddr,
    /// The path of an object in its cache.
    path: String,
    /// The number of connections beside the fifty.
    count: usize,
    /// The duration of the requests in seconds.
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { pid, server, path, count, seconds } = Arguments::parse();

    let _before = open(server, &path, BEFORE).await?;
    quiet(pid).await?;
    let empty = memory_of(pid)?;
    let connections = open(server, &path, count).await?;
    quiet(pid).await?;
    let idle = memory_of(pid)?.saturating_sub(empty);

    let cpu = time_of(pid)?;
    let requests = request_all(connections, &path, Duration::from_secs(seconds)).await?;
    let cpu = time_of(pid)?.saturating_sub(cpu);
    let figures = serde_json::json!({
        "connections": count, "idle_bytes": idle, "requests": requests, "cpu_seconds": cpu.as_secs_f64(),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}

async fn open(server: SocketAddr, path: &str, count: usize) -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(server).await?;
        connection.get(path).await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// Each task cycles through its share of the connections until the time is over. Returns the number of
/// responses.
async fn request_all(connections: Vec<Connection>, path: &str, time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let tasks = connections.len().clamp(1, CONCURRENCY);
    let mut shares: Vec<Vec<Connection>> = (0..tasks).map(|_| Vec::new()).collect();
    for (number, connection) in connections.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % tasks) {
            share.push(connection);
        }
    }
    let mut asking = JoinSet::new();
    for mut share in shares {
        let path = path.to_owned();
        asking.spawn(async move {
            let mut responses = 0;
            while Instant::now() < end && !share.is_empty() {
                for connection in &mut share {
                    connection.get(&path).await?;
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
