//! Measures the delay of the first byte that a tier adds: `delay TIER ORIGIN [OBJECTS]`, one line of JSON.
//!
//! The program is itself the origin, and listens at ORIGIN. For each of the objects, a viewer sends a request
//! to the tier, then a second viewer does; the origin blocks its response until both wait, sends the head and
//! 64 KiB, and after 20 ms the remainder of 200 KiB. The measured time is from just before the origin's first
//! byte is written to the first byte of the body at each viewer, by one clock. Where TIER is ORIGIN, both
//! requests go to the origin itself, which shows the delay of the machine without any tier. `cargo xtask
//! bench delay` runs it for each cache.

mod blocking_origin;
mod connection;
mod micros;
mod quantiles;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::blocking_origin::{BlockingOrigin, Body};
use crate::connection::Connection;
use crate::micros::micros;
use crate::quantiles::quantiles;

const BODY: Body = Body { bytes: 200 * 1024, first: 64 * 1024, pause: Duration::from_millis(20) };
/// The delay between the first and the second request, and between the second and the origin's first byte.
const NEXT: Duration = Duration::from_millis(3);

/// The delay of the first byte that a tier adds.
#[derive(Parser)]
struct Arguments {
    /// The address of a running cache.
    tier: SocketAddr,
    /// The address of the origin that it is configured with.
    origin: SocketAddr,
    /// The number of objects.
    #[arg(default_value_t = 200)]
    objects: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { tier, origin, objects } = Arguments::parse();

    let origin = BlockingOrigin::listen(origin, BODY, &TaskTracker::new()).await?;
    let (mut first, mut second) = (Connection::open(tier).await?, Connection::open(tier).await?);
    first.get("/warm").await?;
    second.get("/warm").await?;
    let (mut asking, mut joining) = (Vec::new(), Vec::new());
    for number in 1..=objects {
        let path = format!("/cold/{number}");
        first.ask(&path).await?;
        sleep(NEXT).await;
        second.ask(&path).await?;
        sleep(NEXT).await;
        origin.release(number);
        let (one, two) = tokio::try_join!(first.first_byte(), second.first_byte())?;
        let began = origin.began(number)?;
        asking.push(one.saturating_duration_since(began));
        joining.push(two.saturating_duration_since(began));
        tokio::try_join!(first.rest(), second.rest())?;
    }
    let figures = serde_json::json!({
        "objects": objects, "origin_requests": origin.requests(),
        "first_us": quantiles(asking, micros), "joined_us": quantiles(joining, micros),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}
