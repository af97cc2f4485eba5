//! Measures the cost of players that wait for the next version of a playlist: `waiters [PLAYERS]`, one line
//! of JSON.
//!
//! The edge is the `tidegate` program in its own process (`TIDEGATE_BIN`); origin, shield and players run
//! here. Each player has one HTTP/1.1 connection, requests the playlist once, and then the next version
//! (`_HLS_msn`). `cargo xtask bench` runs it and records the figures.
//!
//! - **Memory**: the edge's resident memory when all players wait, beyond that when all were connected and
//!   idle; and the latter beyond that before the first player connected; both per player.
//! - **Release**: when the version arrives, every player gets it, byte for byte. The time from the first
//!   response to the last is measured by a player that reads one after the other, so that the players take
//!   little of the machine.
//! - **Pause**: another viewer requests a small cached object from the edge every five milliseconds, on its
//!   own thread. Its longest response time from before the version arrives until every player has it; and
//!   before that, while every player waits.
//! - **Requests**: the edge's requests to the shield for that version, and the shield's to the origin.
//! - **Leaving**: half of the players that wait for another version hang up. The time until the edge counts
//!   only the other half (`tidegate_blocked_requests`), which then get their version.
//!
//! Both processes need as many open files as there are players, and some more.

mod millis;
mod quantiles;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Connection, Origin, Process, Running, edge, origin, shield, until, viewer};
use tokio::time::Instant;

use crate::millis::millis;
use crate::quantiles::quantiles;

const PLAYLIST: &str = "/ingest/ch1/index.m3u8";
/// A segment lasts so long that all players have sent their requests before the next version is due.
const SEGMENT_SECONDS: u64 = 10;
/// Segments in a playlist, which then has about 1 KiB.
const LISTED: u64 = 30;
/// The object that the other viewer requests, and how often.
const SMALL: &str = "/bytes/1000";
const SMALL_BYTES: u64 = 1000;
const EACH: Duration = Duration::from_millis(5);
/// How long the other viewer polls before the awaited version arrives.
const CALM: Duration = Duration::from_secs(1);

/// A channel and its players.
struct Channel {
    origin: Origin,
    shield: Running,
    edge: Process,
    players: Vec<Connection>,
    /// The number of the newest segment.
    newest: u64,
}

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let count = std::env::args().nth(1).map_or(10_000, |count| count.parse().expect("a number of players"));
    let mut channel = Channel::start(count).await;
    let empty = channel.edge.resident_bytes();
    channel.connect(count).await;
    let idle = channel.edge.resident_bytes();

    channel.publish().await;
    channel.all_wait().await;
    let waiting = channel.edge.resident_bytes();
    let other = OtherViewer::begin(channel.edge.addr());
    tokio::time::sleep(CALM).await;
    let before = other.end();
    let shield_requests = channel.shield.count("tidegate_requests_total", "").await;
    let other = OtherViewer::begin(channel.edge.addr());
    let released_in = channel.release().await;
    let meanwhile = other.end();
    let shield_requests = channel.shield.count("tidegate_requests_total", "").await - shield_requests;
    let origin_requests = channel.origin.requests(PLAYLIST);

    channel.publish().await;
    channel.all_wait().await;
    let forgotten_in = channel.half_leave().await;
    channel.release().await;

    let each = |bytes: u64| bytes / u64::try_from(count).expect("a number of players").max(1);
    let figures = serde_json::json!({
        "players": count,
        "bytes_per_idle_connection": each(idle.saturating_sub(empty)),
        "bytes_per_waiter": each(waiting.saturating_sub(idle)),
        "released_in_ms": millis(released_in),
        "others_before_ms": quantiles(before, millis), "others_meanwhile_ms": quantiles(meanwhile, millis),
        "shield_requests": shield_requests, "origin_requests": origin_requests,
        "left": count / 2, "forgotten_in_ms": millis(forgotten_in),
    });
    writeln!(std::io::stdout().lock(), "{figures}").expect("standard output");
}

impl Channel {
    /// Starts all servers; the first version exists, and the edge has cached the small object.
    async fn start(count: usize) -> Self {
        let origin =
            origin().with(|config| "max-age=3600".clone_into(&mut config.bytes.cache_control)).run().await;
        let newest = LISTED;
        push(&origin, newest).await;
        let shield = shield().origin(&origin).with(|config| {
            for site in &mut config.site {
                site.prefetch = false;
            }
        });
        let shield = shield.run().await;
        let edge = edge().shield(&shield).with(|config| {
            config.listen.connections_max = count + 100;
            config.viewers.idle_timeout = Period::secs(600);
            for site in &mut config.site {
                site.prefetch = false;
            }
        });
        let edge = edge.spawn().await;
        viewer(edge.addr()).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..SMALL_BYTES));
        edge.fills_finished().await;
        Self { origin, shield, edge, players: Vec::new(), newest }
    }

    /// Each player connects and sends one request.
    async fn connect(&mut self, count: usize) {
        for _ in 0..count {
            let mut player = viewer(self.edge.addr()).start("GET", PLAYLIST).await;
            player.response("GET").await.is(200, playlist(self.newest).as_bytes());
            self.players.push(player);
        }
    }

    /// Publishes the next version, which the edge has when this returns. Earlier origin requests do not
    /// count.
    async fn publish(&mut self) {
        self.newest += 1;
        push(&self.origin, self.newest).await;
        let next = viewer(self.edge.addr()).get(&blocking(self.newest)).await;
        next.is(200, playlist(self.newest).as_bytes());
        self.origin.forget();
    }

    /// All players request the next version, and the edge blocks them.
    async fn all_wait(&mut self) {
        let request = format!("GET {} HTTP/1.1\r\nhost: live.example\r\n\r\n", blocking(self.newest + 1));
        for player in &mut self.players {
            player.send(request.as_bytes()).await;
        }
        self.until_waiting("all players wait").await;
    }

    /// The awaited version arrives. Returns the time from the first response to the last.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    async fn release(&mut self) -> Duration {
        self.newest += 1;
        push(&self.origin, self.newest).await;
        let expected = playlist(self.newest);
        let mut began = None;
        for player in &mut self.players {
            let response = player.response("GET").await;
            response.is(200, expected.as_bytes());
            began.get_or_insert(response.first_byte);
        }
        began.expect("a player").elapsed()
    }

    /// Half of the players hang up. Returns the time until the edge has forgotten them.
    async fn half_leave(&mut self) -> Duration {
        let began = Instant::now();
        self.players.truncate(self.players.len() - self.players.len() / 2);
        self.until_waiting("the players that left are forgotten").await;
        began.elapsed()
    }

    /// Waits until as many requests are blocked as there are players.
    async fn until_waiting(&self, what: &str) {
        let players = self.players.len() as u64;
        until(what, async || self.edge.count("tidegate_blocked_requests", "").await == players).await;
    }
}

/// A viewer that requests the small object repeatedly, on its own thread.
struct OtherViewer {
    enough: Arc<AtomicBool>,
    requesting: JoinHandle<Vec<Duration>>,
}

impl OtherViewer {
    /// Starts the requests.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    fn begin(edge: SocketAddr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&enough);
        let requesting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(responses(edge, &stopped))
        });
        Self { enough, requesting }
    }

    /// Stops it; returns how long each response took.
    #[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
    fn end(self) -> Vec<Duration> {
        self.enough.store(true, Ordering::Relaxed);
        self.requesting.join().expect("correct responses")
    }
}

/// How long each response took, until `enough` is set.
async fn responses(edge: SocketAddr, enough: &AtomicBool) -> Vec<Duration> {
    let small = synthetic_bytes(SMALL, 0..SMALL_BYTES);
    let mut connection = viewer(edge).start("GET", SMALL).await;
    connection.response("GET").await.is(200, &small);
    let request = format!("GET {SMALL} HTTP/1.1\r\nhost: live.example\r\n\r\n");
    let mut each = tokio::time::interval(EACH);
    let mut responses = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        each.tick().await;
        let sent = Instant::now();
        connection.send(request.as_bytes()).await;
        connection.response("GET").await.is(200, &small);
        responses.push(sent.elapsed());
    }
    responses
}

/// The request for a version of the playlist that may not exist yet.
fn blocking(number: u64) -> String {
    format!("{PLAYLIST}?_HLS_msn={number}")
}

/// Publishes the version of the playlist whose newest segment has this number.
async fn push(origin: &Origin, newest: u64) {
    let response = viewer(origin.addr()).body(playlist(newest).as_bytes()).ask("PUT", PLAYLIST).await;
    assert!(matches!(response.status, 201 | 204), "{}: {}", response.status, response.text());
}

fn playlist(newest: u64) -> String {
    let first = newest + 1 - LISTED;
    let head = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    let segments =
        (first..=newest).map(|number| format!("#EXTINF:{SEGMENT_SECONDS}.000,\nsegment-{number:08}.ts\n"));
    std::iter::once(head).chain(segments).collect()
}
