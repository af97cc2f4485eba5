//! Measures what floods do to viewers: `floods [SECONDS [MEMORY [NAME]]]`, a table in Markdown. `MEMORY` is
//! the edge's `cache.memory`, 64MiB if not given; `NAME` selects the floods that have it in their names.
//!
//! An edge in a process of its own, with the default limits and TLS, in front of an origin. 100
//! viewers watch over persistent connections: each requests the playlist and a segment five times a second.
//! For each flood, the viewers' time to first byte is measured as long without it as with it. Attackers,
//! viewers and the origin share this process and its processors with the edge, so the figures contain their
//! load, too. Attackers connect from an address of their own: a viewer that is limited with them is an error.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use tidegate_proxy::config::units::Size;
use tidegate_proxy::config::{Limits, tls};
use tidegate_tests::{Connection, PATIENCE, Process, authority, edge, origin, viewer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod micros;
mod quantiles;

use micros::micros;
use quantiles::quantiles;

const PLAYLIST: &str = "/live/one/ts/144p/index.m3u8";
const SEGMENT: &str = "/bytes/200000";
const VIEWERS: usize = 100;
/// The address of all attackers. Viewers have another one, so that the limits for one address hold the
/// attackers alone.
const ATTACKERS: [u8; 4] = [127, 0, 0, 2];
const PACE: Duration = Duration::from_millis(200);

/// What one client of a flood does until it is told to stop.
type Attack = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A flood: its name, its clients, and what client `number` does.
struct Flood {
    name: &'static str,
    clients: usize,
    is_tls: bool,
    attack: fn(SocketAddr, usize) -> Attack,
}

const FLOODS: [Flood; 12] = [
    Flood { name: "5,000 slow heads", clients: 5000, is_tls: false, attack: |to, _| Box::pin(slow_head(to)) },
    Flood {
        name: "1,000 readers that do not read",
        clients: 1000,
        is_tls: false,
        attack: |to, number| Box::pin(no_reader(to, number)),
    },
    Flood {
        name: "distinct URLs, one address",
        clients: 50,
        is_tls: false,
        attack: |to, number| Box::pin(requests(to, number, |n, i| format!("/bytes/1000/{n}-{i}"), "")),
    },
    Flood {
        name: "missing objects",
        clients: 50,
        is_tls: false,
        attack: |to, number| Box::pin(requests(to, number, |_, i| format!("/missing/{}", i % 50), "")),
    },
    Flood {
        name: "ranges of one object",
        clients: 50,
        is_tls: false,
        attack: |to, number| {
            let ranges = "range: bytes=0-1,5-6,10-11,20-21,30-31,40-41,50-51,60-61\r\n";
            Box::pin(requests(to, number, |_, _| SEGMENT.to_owned(), ranges))
        },
    },
    Flood {
        name: "HTTP/2: reset requests",
        clients: 20,
        is_tls: false,
        attack: |to, number| Box::pin(resets(to, number)),
    },
    Flood {
        name: "HTTP/2: CONTINUATION without an end",
        clients: 50,
        is_tls: false,
        attack: |to, _| {
            const HEADERS: &[u8] = &[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82];
            let more: Vec<u8> = [&[0, 0, 7, 9, 0, 0, 0, 0, 1, 0, 1, b'x', 3][..], b"abc"].concat();
            Box::pin(frames(to, HEADERS.to_vec(), more))
        },
    },
    Flood {
        name: "HTTP/2: SETTINGS",
        clients: 50,
        is_tls: false,
        attack: |to, _| Box::pin(frames(to, Vec::new(), vec![0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100])),
    },
    Flood {
        name: "HTTP/2: PING",
        clients: 50,
        is_tls: false,
        attack: |to, _| {
            let ping = vec![0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            Box::pin(frames(to, Vec::new(), ping))
        },
    },
    Flood {
        name: "HTTP/2: WINDOW_UPDATE that overflows (MadeYouReset)",
        clients: 20,
        is_tls: false,
        attack: |to, number| Box::pin(made_you_reset(to, number)),
    },
    Flood {
        name: "HTTP/2: windows of zero",
        clients: 10,
        is_tls: false,
        attack: |to, number| Box::pin(zero_windows(to, number)),
    },
    Flood {
        name: "half TLS handshakes",
        clients: 500,
        is_tls: true,
        attack: |to, _| Box::pin(half_handshake(to)),
    },
];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Connects from the attackers' address.
async fn connect(to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((ATTACKERS, 0))).ok()?;
    timeout(PATIENCE, socket.connect(to)).await.ok()?.ok()
}

/// Sends a byte of a head each second; connects again when it is closed.
async fn slow_head(to: SocketAddr) {
    loop {
        if let Some(mut stream) = connect(to).await {
            for byte in b"GET / HTTP/1.1\r\nhost: live.example\r\nx: ".iter().chain([b'a'; 60].iter()) {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Requests an object and reads none of it.
async fn no_reader(to: SocketAddr, number: usize) {
    loop {
        if let Some(mut stream) = connect(to).await {
            let head = format!("GET /bytes/1000000/{} HTTP/1.1\r\nhost: live.example\r\n\r\n", number % 100);
            if stream.write_all(head.as_bytes()).await.is_ok() {
                sleep(Duration::from_secs(20)).await;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends requests on one connection, as fast as they are answered, 40 a second at most.
async fn requests(to: SocketAddr, number: usize, target: fn(usize, usize) -> String, fields: &'static str) {
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    let mut count = 0;
    loop {
        let Some(stream) = connect(to).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut connection = Connection::over(stream, b"").await;
        loop {
            pace.tick().await;
            count += 1;
            let target = target(number, count);
            let head = format!("GET {target} HTTP/1.1\r\nhost: live.example\r\n{fields}\r\n");
            connection.send(head.as_bytes()).await;
            if timeout(PATIENCE, connection.response("GET")).await.map_or(0, |response| response.status) == 0
            {
                break;
            }
        }
    }
}

async fn read_to_end(mut reading: OwnedReadHalf) {
    let mut buffer = [0; 4096];
    while matches!(reading.read(&mut buffer).await, Ok(1..)) {}
}

/// Writes `first`, then `more` again and again, and reads what comes.
async fn frames(to: SocketAddr, first: Vec<u8>, more: Vec<u8>) {
    let more = more.repeat(200);
    loop {
        let Some(stream) = connect(to).await else { continue };
        let (reading, mut writing) = stream.into_split();
        let write = async {
            if writing.write_all(&[PREFACE, &first].concat()).await.is_err() {
                return;
            }
            while writing.write_all(&more).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! { () = read_to_end(reading) => {}, () = write => {} }
        sleep(Duration::from_millis(100)).await;
    }
}

/// HTTP/2 with a window of this size.
async fn http2(to: SocketAddr, window: u32) -> Option<(h2::client::SendRequest<Bytes>, TaskTracker)> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).max_concurrent_reset_streams(10_000);
    let (requests, connection) = builder.handshake(connect(to).await?).await.ok()?;
    let driving = TaskTracker::new();
    driving.spawn(async move { _ = connection.await });
    Some((requests, driving))
}

fn request(target: &str) -> http::Request<()> {
    http::Request::get(format!("http://live.example{target}")).body(()).unwrap_or_default()
}

/// Sends requests for cold objects, and resets each.
async fn resets(to: SocketAddr, number: usize) {
    let mut count = 0;
    loop {
        if let Some((requests, _driving)) = http2(to, 65_535).await {
            let mut requests = requests;
            while let Ok(ready) = requests.ready().await {
                requests = ready;
                count += 1;
                let target = format!("/bytes/1000000/{number}-{count}");
                let Ok((_, mut sending)) = requests.send_request(request(&target), true) else { break };
                tokio::task::yield_now().await;
                sending.send_reset(h2::Reason::CANCEL);
                sleep(Duration::from_millis(2)).await;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Requests, each with a frame for which the server has to reset the stream.
async fn made_you_reset(to: SocketAddr, number: usize) {
    // A block without compression (RFC 7541 section 6.2.2).
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap_or_default()], text.as_bytes()].concat();
    let mut count = 0;
    loop {
        let Some(stream) = connect(to).await else { continue };
        let (reading, mut writing) = stream.into_split();
        let write = async {
            let mut sent = writing.write_all(PREFACE).await;
            let mut stream: u32 = 1;
            while sent.is_ok() {
                count += 1;
                let target = format!("/bytes/1000000/m{number}-{count}");
                let fields = [
                    (":method", "GET"),
                    (":scheme", "http"),
                    (":path", &target),
                    (":authority", "live.example"),
                ];
                let block: Vec<u8> = fields
                    .iter()
                    .flat_map(|(name, value)| [vec![0], text(name), text(value)].concat())
                    .collect();
                let len = u8::try_from(block.len()).unwrap_or_default();
                let id = stream.to_be_bytes();
                let head = [&[0, 0, len, 1, 5][..], &id, &block].concat();
                let overflow = [&[0, 0, 4, 8, 0][..], &id, &[0x7f, 0xff, 0xff, 0xff]].concat();
                sent = writing.write_all(&[head, overflow].concat()).await;
                stream += 2;
                sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! { () = read_to_end(reading) => {}, () = write => {} }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A hundred requests for cold objects on one connection, whose bodies are not accepted.
async fn zero_windows(to: SocketAddr, number: usize) {
    let mut count = 0;
    loop {
        if let Some((requests, _driving)) = http2(to, 0).await {
            let mut requests = requests;
            let mut open = Vec::new();
            for _stream in 0..100 {
                let Ok(ready) = requests.ready().await else { break };
                requests = ready;
                count += 1;
                let target = format!("/bytes/1000000/z{number}-{count}");
                let Ok((response, _)) = requests.send_request(request(&target), true) else { break };
                open.push(response);
            }
            sleep(Duration::from_secs(10)).await;
            drop(open);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The first bytes of a `ClientHello`, and silence.
async fn half_handshake(to: SocketAddr) {
    loop {
        if let Some(mut stream) = connect(to).await
            && stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.is_ok()
        {
            let mut end = [0; 16];
            _ = timeout(PATIENCE, stream.read(&mut end)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One viewer: a playlist and a segment on one connection, in turn.
async fn watch(to: SocketAddr, times: Arc<Mutex<Vec<Duration>>>, errors: Arc<Mutex<Vec<String>>>) {
    let mut pace = tokio::time::interval(PACE);
    let mut connection = Connection::open(to, b"").await;
    for target in [PLAYLIST, SEGMENT].iter().cycle() {
        pace.tick().await;
        let began = Instant::now();
        let head = format!("GET {target} HTTP/1.1\r\nhost: live.example\r\n\r\n");
        connection.send(head.as_bytes()).await;
        let response = timeout(PATIENCE, connection.response("GET")).await;
        match response {
            Ok(response) if response.status == 200 && response.whole => {
                let time = response.first_byte.saturating_duration_since(began);
                locked(&times).push(time);
            }
            other => {
                let what = other
                    .map_or_else(|_late| "no response".to_owned(), |response| response.status.to_string());
                locked(&errors).push(format!("{target}: {what}"));
                connection = Connection::open(to, b"").await;
            }
        }
    }
}

/// The viewers' 99th percentile over some time, in microseconds, and their errors.
async fn viewers(edge: &Process, seconds: u64) -> (f64, Vec<String>) {
    let (times, errors) = (Arc::default(), Arc::default());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    for _viewer in 0..VIEWERS {
        let watching = watch(edge.addr(), Arc::clone(&times), Arc::clone(&errors));
        tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
    }
    sleep(Duration::from_secs(seconds)).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    let (times, errors) = (std::mem::take(&mut *locked(&times)), std::mem::take(&mut *locked(&errors)));
    (quantiles(times, micros).get("p99").and_then(serde_json::Value::as_f64).unwrap_or_default(), errors)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let memory: Size = arguments.next().map_or(Ok(Size::mib(64)), |text| text.parse())?;
    let name = arguments.next().unwrap_or_default();
    ensure!(seconds > 0, "SECONDS is at least 1");
    ensure!(FLOODS.iter().any(|flood| flood.name.contains(&name)), "no flood has {name:?} in its name");
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| flood | p99 before, µs | p99 during, µs | ratio | viewers' errors | origin requests per s | edge's CPU per s | its memory, MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    let (authority, origin) = (authority(), origin().run().await);
    for flood in FLOODS.iter().filter(|flood| flood.name.contains(&name)) {
        let issued = authority.issue(&["live.example"]);
        // A process says where it listens without TLS only.
        let tls_addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let edge = edge().origin(&origin).with(|config| {
            config.listen.tls = Some(tls::Listen { address: tls_addr, ..issued.listen() });
            config.limits = Limits::default();
            (config.cache.memory, config.cache.object_max) = (memory, Size::mib(16));
        });
        let edge = edge.spawn().await;
        for target in [PLAYLIST, SEGMENT] {
            ensure!(viewer(edge.addr()).get(target).await.status == 200, "{target} is served");
        }
        let (before, _) = viewers(&edge, seconds).await;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let to = if flood.is_tls { tls_addr } else { edge.addr() };
        for number in 0..flood.clients {
            tasks.spawn(stop.clone().run_until_cancelled_owned((flood.attack)(to, number)));
        }
        sleep(Duration::from_secs(2)).await;
        let (requests, processor) = (origin.total(), edge.processor_time());
        let (during, errors) = viewers(&edge, seconds).await;
        let requests = origin.total() - requests;
        let processor = edge.processor_time().saturating_sub(processor);
        let memory = edge.resident_bytes() >> 20;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        let per_second = Duration::from_secs(seconds).as_secs_f64();
        writeln!(
            out,
            "| {} | {before:.0} | {during:.0} | {:.2} | {} | {:.1} | {:.2} | {memory} |",
            flood.name,
            during / before,
            errors.len(),
            f64::from(u32::try_from(requests)?) / per_second,
            processor.as_secs_f64() / per_second,
        )?;
        if let Some(first) = errors.first() {
            writeln!(std::io::stderr(), "{}: {first}", flood.name)?;
        }
    }
    Ok(())
}
