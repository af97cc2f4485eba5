//! Measures what a tier adds to the time of the first byte: `delay TIER ORIGIN [OBJECTS]`, one line of JSON.
//!
//! The program is the origin itself, and listens there. For each of the objects, a
//! viewer asks the tier, then a second one; the origin holds its answer until both wait, sends the head and 64 KiB, and after
//! 20 ms what is missing of 200 KiB. What is measured is the time from just before the origin's first byte is written to the
//! first byte of the body at each viewer, by one clock. Where TIER is ORIGIN, both ask the origin itself: that is what the
//! machine takes without any tier. `cargo xtask bench delay` runs it for each cache.

mod held;
mod line;
mod micros;
mod quantiles;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::held::{Body, Held};
use crate::line::Line;
use crate::micros::micros;
use crate::quantiles::quantiles;

const BODY: Body = Body { bytes: 200 * 1024, first: 64 * 1024, pause: Duration::from_millis(20) };
/// So long after the first viewer the second asks, and so long after that the origin begins.
const NEXT: Duration = Duration::from_millis(3);

/// What a tier adds to the time of the first byte.
#[derive(Parser)]
struct Arguments {
    /// The address of a running cache.
    tier: SocketAddr,
    /// Where it looks for its origin.
    origin: SocketAddr,
    /// So many objects are asked for.
    #[arg(default_value_t = 200)]
    objects: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { tier, origin, objects } = Arguments::parse();

    let origin = Held::listen(origin, BODY, &TaskTracker::new()).await?;
    let (mut first, mut second) = (Line::open(tier).await?, Line::open(tier).await?);
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
        "objects": objects, "origin_requests": origin.asked(),
        "first_us": quantiles(asking, micros), "joined_us": quantiles(joining, micros),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}
