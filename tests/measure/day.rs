//! Measures live playlists with a day of segments: `day [PLAYLISTS] [SECONDS]`, a table in Markdown.
//!
//! An origin has playlists of 14,400 segments, about a megabyte each, all of which get a segment every two
//! seconds at the same moment. A shield and an edge stand in front of it, each in a process of its own. Two
//! viewers reload each playlist as players do, one of them with gzip. The figures are those of the time after
//! the first three versions: the followers of each tier, origin requests per version and per segment, the
//! viewers' response times, memory, and processor time per version.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidegate_tests::{Process, edge, shield, viewer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

mod quantiles;

const SEGMENTS: usize = 14_400;
const SEGMENT: Duration = Duration::from_secs(2);
/// More versions than a measurement takes.
const VERSIONS_MAX: usize = 2_000;
/// Versions that go by before the measurement.
const WARM_UP: u32 = 3;

/// The origin. All its playlists have the same text.
struct Origin {
    start: Instant,
    /// The lines of all segments of all versions, and where each segment begins.
    lines: String,
    offsets: Vec<usize>,
    requests: Mutex<HashMap<String, usize>>,
}

impl Origin {
    fn new() -> Self {
        let (mut lines, mut offsets) = (String::new(), Vec::new());
        for number in 0..SEGMENTS + VERSIONS_MAX {
            offsets.push(lines.len());
            lines.extend([
                "#EXTINF:2.00000,\nvideo/1080p/2026-11-30/the-name-of-a-segment-",
                &format!("{number:08}.m4s\n"),
            ]);
        }
        offsets.push(lines.len());
        Self { start: Instant::now(), lines, offsets, requests: Mutex::default() }
    }

    /// The number of the present version.
    fn version(&self) -> usize {
        usize::try_from(self.start.elapsed().as_millis() / SEGMENT.as_millis()).unwrap_or(usize::MAX)
    }

    fn playlist(&self) -> String {
        let first = self.version().min(VERSIONS_MAX);
        let range = self.offsets.get(first).zip(self.offsets.get(first + SEGMENTS));
        let segments = range.and_then(|(from, to)| self.lines.get(*from..*to)).unwrap_or_default();
        format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-MAP:URI=\"init.mp4\"\n{segments}"
        )
    }

    /// Requests whose path ends like this.
    fn requests(&self, end: &str) -> usize {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, count)| count).sum()
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut path = String::new();
        while stream.read_line(&mut line).await? > 0 {
            if line.starts_with("GET ") {
                line.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
            } else if line.trim_end().is_empty() {
                *self
                    .requests
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(path.clone())
                    .or_default() += 1;
                let (kind, body) = if path.contains(".m3u8") {
                    ("application/vnd.apple.mpegurl", self.playlist())
                } else {
                    ("video/mp4", "a segment".to_owned())
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
            }
            line.clear();
        }
        Ok(())
    }
}

/// What the viewers saw.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    errors: usize,
    went_back: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let argument = |number| std::env::args().nth(number).and_then(|text| text.parse::<u32>().ok());
    let (playlists, seconds) = (argument(1).unwrap_or(45), argument(2).unwrap_or(40));
    let tasks = TaskTracker::new();
    let origin = Arc::new(Origin::new());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("an address to listen at")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (accepting, tracker) = (Arc::clone(&origin), tasks.clone());
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let origin = Arc::clone(&accepting);
            tracker.spawn(async move { origin.serve(stream).await.ok() });
        }
    });
    let shield = shield().origin_at(&url).spawn().await;
    let edge = edge().shield(&shield).spawn().await;
    let seen = Arc::<Mutex<Seen>>::default();
    for number in 0..playlists * 2 {
        tasks.spawn(watch(edge.addr(), number, Arc::clone(&seen)));
    }
    tokio::time::sleep(SEGMENT * WARM_UP).await;
    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    let state = || (origin.version(), origin.requests(".m3u8"), origin.requests(".m4s"));
    let before = state();
    let used = [edge.processor_time(), shield.processor_time()];
    tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
    let after = state();
    let since = |now: Duration, before: Duration| now.saturating_sub(before);
    let used = [since(edge.processor_time(), used[0]), since(shield.processor_time(), used[1])];
    let versions = f64::from(u32::try_from(after.0 - before.0)?) * f64::from(playlists);
    let per_version = |count: usize| u32::try_from(count).map(|count| f64::from(count) / versions);
    let followed = "tidegate_followed_playlists";
    let followers = [edge.count(followed, "").await, shield.count(followed, "").await];
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "| | edge | shield |\n|---|---:|---:|")?;
    let [on_edge, on_shield] = followers;
    writeln!(stdout, "| followers of {playlists} playlists | {on_edge} | {on_shield} |")?;
    let mib = |tier: &Process| [tier.resident_bytes(), tier.peak_resident_bytes()].map(|bytes| bytes >> 20);
    writeln!(stdout, "| memory now and at its peak, MiB | {:?} | {:?} |", mib(&edge), mib(&shield))?;
    let [on_edge, on_shield] = used.map(|used| used.as_secs_f64() * 1_000.0 / versions);
    writeln!(stdout, "| processor time per version, ms | {on_edge:.1} | {on_shield:.1} |\n")?;
    writeln!(stdout, "origin requests per version: {:.2}", per_version(after.1 - before.1)?)?;
    writeln!(stdout, "origin requests per segment: {:.2}", per_version(after.2 - before.2)?)?;
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    ensure!(!seen.times.is_empty(), "the viewers received no playlist");
    let (count, errors) = (seen.times.len(), (seen.errors, seen.went_back));
    let times = quantiles::quantiles(seen.times, |time| (time.as_secs_f64() * 1_000.0).round());
    writeln!(stdout, "milliseconds of {count} responses: {times}")?;
    writeln!(stdout, "errors, and playlists that went back: {errors:?}")?;
    Ok(())
}

/// Reloads one playlist as a player does, and requests its newest segment.
async fn watch(edge: SocketAddr, number: u32, seen: Arc<Mutex<Seen>>) {
    let folder = format!("/channel/{}", number / 2);
    let has_gzip = number % 2 == 1;
    let mut last = 0;
    // The viewers of an evening arrive one after the other.
    tokio::time::sleep(SEGMENT * number / 90).await;
    loop {
        let mut request = viewer(edge);
        if has_gzip {
            request = request.header("accept-encoding", "gzip");
        }
        let began = Instant::now();
        let response = request.get(&format!("{folder}/index.m3u8")).await;
        let took = began.elapsed();
        let text = if has_gzip { String::new() } else { response.text() };
        let first = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok());
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.times.push(took);
            seen.errors += usize::from(response.status != 200);
            seen.went_back += usize::from(first.is_some_and(|first| first < last));
        }
        last = first.unwrap_or(last);
        if let Some(uri) = text.lines().next_back().filter(|_| response.status == 200) {
            let segment = viewer(edge).get(&format!("{folder}/{uri}")).await;
            seen.lock().unwrap_or_else(PoisonError::into_inner).errors += usize::from(segment.status != 200);
        }
        tokio::time::sleep(SEGMENT.saturating_sub(began.elapsed())).await;
    }
}
