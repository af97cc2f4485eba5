//! Measures how far tiers are behind the origin: `staleness [VIEWERS] [VERSIONS] [tidegate|nginx]`, one line
//! of JSON.
//!
//! An origin that cannot block requests publishes a plain live playlist, a segment of two seconds at a time.
//! Viewers poll it at two edges behind a shield, each at its own time, and drift through all phases of a
//! segment as players do. `cargo xtask bench` runs it and records the figures. There are three, by the
//! origin's clock:
//!
//! - **The age of viewers' playlists**, measured in the same way for both systems: at each request of a
//!   viewer, for how long the origin has had a newer version than the one in the response; zero where the
//!   response has the newest.
//! - **When tiers have a version**: the time from the moment at which it exists at the origin to the moment
//!   from which the tier sends it to every viewer, and from the shield to the edges. A *Tidegate* tier
//!   receives a blocking request for the version (`_HLS_msn`) and responds when it has it. That causes no
//!   upstream request: each tier follows the playlist by itself as long as viewers poll, and one request
//!   stands for all. An *nginx* tier receives no request, because a request for an expired object would
//!   refresh it, which is the viewers' part: its cache's folder is watched until the version is in it,
//!   complete and under its final name. While the cached object has expired, the first request may get a
//!   version that is not in the cache yet; that shows in the first figure, not here. With few viewers the
//!   time until one of them polls is most of this figure.
//! - **Origin requests** for the playlist, per version.
//!
//! All of this happens on four simultaneous channels that share nothing: the clock of each one's origin is
//! half a second ahead of the previous one's. nginx counts lifetimes in whole seconds of the wall clock, and
//! so its figures depend on the fraction of a second in which versions appear.

mod millis;
mod nginx;
mod program;
mod quantiles;

use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_tests::{Origin, Running, edge, origin, shield, viewer};
use tokio::task::JoinSet;

use crate::millis::millis;
use crate::nginx::Nginx;
use crate::quantiles::quantiles;

const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
const SEGMENT: Duration = Duration::from_secs(2);
/// A viewer sends a request every target duration and a twentieth: over twenty versions it polls at every
/// phase of a segment.
const POLL: Duration = Duration::from_millis(2100);
/// Versions that are not counted: the shield is still learning when the next one is due.
const WARM_UP: u64 = 10;

const CHANNELS: u32 = 4;
/// How far the origin of each channel is ahead of the wall clock, on which segments begin with an even
/// second.
const AHEAD: [Duration; CHANNELS as usize] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_millis(1250),
    Duration::from_millis(1750),
];

/// The system that carries the channels.
#[derive(Debug, Clone, Copy)]
enum System {
    Tidegate,
    Nginx,
}

/// A tier of either system.
#[derive(Debug)]
enum Tier {
    Tidegate(Running),
    Nginx(Nginx),
}

/// The measurements of one channel, or of all.
#[derive(Debug, Default)]
struct Measured {
    origin_requests: u64,
    viewers_behind: Vec<Duration>,
    at_shield: Vec<Duration>,
    at_edges_beyond_shield: Vec<Duration>,
}

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default: u32| arguments.next().map_or(default, |argument| argument.parse().expect("a number"));
    let (viewers, versions) = (number(40), number(20));
    let system = arguments.next().map_or(System::Tidegate, |name| System::named(&name).expect("a system"));

    let [one, two, three, four] = AHEAD.map(|ahead| Box::pin(channel(system, ahead, viewers, versions)));
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    let mut all = Measured::default();
    for seen in [one, two, three, four] {
        all.origin_requests += seen.origin_requests;
        all.viewers_behind.extend(seen.viewers_behind);
        all.at_shield.extend(seen.at_shield);
        all.at_edges_beyond_shield.extend(seen.at_edges_beyond_shield);
    }
    let requests = f64::from(u32::try_from(all.origin_requests).expect("a number of requests"));
    let per_version = requests / f64::from(versions * CHANNELS);
    let stale = all.viewers_behind.iter().filter(|behind| !behind.is_zero()).count();
    let figures = serde_json::json!({
        "server": system.name(), "channels": CHANNELS, "viewers": viewers, "versions": versions,
        "origin_requests_per_version": (per_version * 100.0).round() / 100.0,
        "answers": all.viewers_behind.len(), "stale_answers": stale,
        "viewers_behind_ms": quantiles(all.viewers_behind, millis),
        "at_shield_ms": quantiles(all.at_shield, millis),
        "at_edges_beyond_shield_ms": quantiles(all.at_edges_beyond_shield, millis),
    });
    writeln!(std::io::stdout().lock(), "{figures}").expect("standard output");
}

impl System {
    fn named(name: &str) -> Option<Self> {
        [Self::Tidegate, Self::Nginx].into_iter().find(|system| system.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Nginx => "nginx",
        }
    }
}

/// Measures one channel.
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn channel(system: System, ahead: Duration, viewers: u32, versions: u32) -> Measured {
    let origin = Arc::new(origin().run().await);
    origin.advance(ahead);
    let [shield, one, two] = match system {
        System::Tidegate => tidegate(&origin).await,
        System::Nginx => nginx(&origin).await,
    };
    let first = origin.now().as_secs() / SEGMENT.as_secs() + WARM_UP;
    let numbers = first..first + u64::from(versions);
    let counted = exists(numbers.start - 1)..exists(numbers.end - 1);
    let audience = Arc::new(Audience { origin: Arc::clone(&origin), counted, behind: Mutex::default() });
    let mut watching = JoinSet::new();
    for (number, edge) in (0..viewers).zip([&one, &two].into_iter().cycle()) {
        watching.spawn(poll(Arc::clone(&audience), edge.addr(), POLL * number / viewers));
    }
    // An nginx edge without viewers caches nothing.
    let is_watched = viewers > 1;
    let (origin_requests, at_shield, at_one, at_two) = tokio::join!(
        requests(&audience),
        arrivals(&origin, &shield, numbers.clone()),
        arrivals(&origin, &one, numbers.clone()),
        async { if is_watched { arrivals(&origin, &two, numbers.clone()).await } else { Vec::new() } },
    );
    watching.shutdown().await;

    let beyond = at_one.iter().zip(&at_shield).chain(at_two.iter().zip(&at_shield));
    let at_edges_beyond_shield = beyond.map(|(edge, shield)| edge.saturating_sub(*shield)).collect();
    let viewers_behind = std::mem::take(&mut *audience.behind.lock().expect("an unpoisoned lock"));
    Measured { origin_requests, viewers_behind, at_shield, at_edges_beyond_shield }
}

/// A shield and two edges behind it.
async fn tidegate(origin: &Origin) -> [Tier; 3] {
    let shield = shield().origin(origin).run().await;
    let one = edge().shield(&shield).run().await;
    let two = edge().named("edge-2").shield(&shield).run().await;
    [shield, one, two].map(Tier::Tidegate)
}

/// The same for nginx.
async fn nginx(origin: &Origin) -> [Tier; 3] {
    let shield = Nginx::in_front_of(origin.addr()).await;
    let one = Nginx::in_front_of(shield.addr()).await;
    let two = Nginx::in_front_of(shield.addr()).await;
    [shield, one, two].map(Tier::Nginx)
}

impl Tier {
    fn addr(&self) -> SocketAddr {
        match self {
            Self::Tidegate(tier) => tier.addr(),
            Self::Nginx(nginx) => nginx.addr(),
        }
    }

    /// Waits until the tier has a version.
    async fn has(&self, number: u64) {
        match self {
            Self::Tidegate(tier) => {
                let response = viewer(tier.addr()).get(&format!("{PLAYLIST}?_HLS_msn={number}")).await;
                assert_eq!(response.status, 200, "{}", response.text());
            }
            Self::Nginx(nginx) => nginx.caches(&format!("\n{number}.ts\n")).await,
        }
    }
}

/// The players of a stream, and their measurements.
#[derive(Debug)]
struct Audience {
    origin: Arc<Origin>,
    /// The measured period, by the origin's clock.
    counted: Range<Duration>,
    /// For each response: for how long there had been a newer version at the request.
    behind: Mutex<Vec<Duration>>,
}

/// A player; it polls until it is stopped.
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn poll(audience: Arc<Audience>, edge: SocketAddr, phase: Duration) {
    tokio::time::sleep(phase).await;
    let mut due = tokio::time::interval(POLL);
    loop {
        due.tick().await;
        let requested = audience.origin.now();
        let response = viewer(edge).get(PLAYLIST).await;
        let behind = requested.saturating_sub(exists(newest(&response.text()) + 1));
        if audience.counted.contains(&requested) {
            audience.behind.lock().expect("an unpoisoned lock").push(behind);
        }
    }
}

/// The number of origin requests for the playlist in the measured period.
async fn requests(audience: &Audience) -> u64 {
    let Audience { origin, counted, .. } = audience;
    tokio::time::sleep(counted.start.saturating_sub(origin.now())).await;
    origin.forget();
    tokio::time::sleep(counted.end.saturating_sub(origin.now())).await;
    origin.requests(PLAYLIST)
}

/// The time from each version's existence to its arrival at a tier.
async fn arrivals(origin: &Origin, tier: &Tier, numbers: Range<u64>) -> Vec<Duration> {
    let mut delays = Vec::new();
    // Much earlier the request would be too far ahead.
    tokio::time::sleep(exists(numbers.start - 1).saturating_sub(origin.now())).await;
    for number in numbers {
        tier.has(number).await;
        delays.push(origin.now().saturating_sub(exists(number)));
    }
    delays
}

/// The number of the newest segment in a playlist.
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
fn newest(playlist: &str) -> u64 {
    let number = playlist.lines().rev().find_map(|line| line.strip_suffix(".ts")?.parse().ok());
    number.expect("a playlist with segments")
}

/// When a segment is complete, by the origin's clock.
fn exists(number: u64) -> Duration {
    SEGMENT * u32::try_from(number + 1).unwrap_or(u32::MAX)
}
