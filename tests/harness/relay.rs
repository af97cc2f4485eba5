//! A TCP relay on loopback, for a link between two servers that can be slow, narrow, or broken.
//!
//! The state of the link can be changed while it is used; the change affects open connections, too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::member::SEPARATE_LOOPBACK;

/// Bytes that are read in one go.
const CHUNK: usize = 16 * 1024;
/// Chunks on their way in one direction of one connection.
const CHUNKS_MAX: usize = 64;
/// Bytes that a throttled link takes in one go.
const STEP: usize = 1024;

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Everything passes.
    Open,
    /// Connections are refused, open ones are closed.
    Refusing,
    /// Connections are accepted and nothing is forwarded: the other end seems to hang.
    Blackhole,
    /// Bytes per second, in each direction of each connection.
    Throttled(u64),
}

/// A relay; dropping this value ends it.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    link: watch::Sender<Link>,
    in_force: watch::Receiver<Link>,
    accepted: Arc<AtomicU64>,
    _carrying: JoinSet<()>,
}

/// The part of a relay's state that each connection uses.
#[derive(Debug, Clone)]
struct Shared {
    target: SocketAddr,
    delay: Duration,
    link: watch::Receiver<Link>,
}

impl Relay {
    /// An open link to `target` without delay.
    pub async fn to(target: SocketAddr) -> Self {
        Self::with_delay(target, Duration::ZERO).await
    }

    /// An open link to `target` with a `delay` in each direction.
    pub async fn with_delay(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind((SEPARATE_LOOPBACK, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let (link, seen) = watch::channel(Link::Open);
        let (sender, in_force) = watch::channel(Link::Open);
        let accepted = Arc::default();
        let mut carrying = JoinSet::new();
        let shared = Shared { target, delay, link: seen };
        carrying.spawn(forward_all(listener, shared, sender, Arc::clone(&accepted)));
        Self { addr, link, in_force, accepted, _carrying: carrying }
    }

    /// The address to connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the link, and waits until the change is in force.
    pub async fn set(&self, link: Link) {
        self.link.send_replace(link);
        let mut in_force = self.in_force.clone();
        in_force.wait_for(|now| *now == link).await.expect("a relay that runs");
    }

    /// The number of connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn forward_all(
    listener: TcpListener,
    shared: Shared,
    sender: watch::Sender<Link>,
    accepted: Arc<AtomicU64>,
) {
    let addr = listener.local_addr().expect("its address");
    let mut link = shared.link.clone();
    let mut open = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *link.borrow_and_update();
        if now == Link::Refusing {
            open = None;
            connections.shutdown().await;
        } else if open.is_none() {
            open = Some(TcpListener::bind(addr).await.expect("the port that was given up"));
        }
        sender.send_replace(now);
        loop {
            tokio::select! {
                changed = link.changed() => if changed.is_err() { return } else { break },
                stream = accept(open.as_ref()) => {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(forward(stream, shared.clone()));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            // A connection that closes before it is accepted does not end the relay.
            Some(listener) => match listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_gone) => sleep(Duration::from_millis(1)).await,
            },
            None => std::future::pending().await,
        }
    }
}

async fn forward(near: TcpStream, mut shared: Shared) {
    // While nothing is forwarded, no connection to the other end is opened.
    if shared.link.wait_for(|link| *link != Link::Blackhole).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(shared.target).await else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("a socket");
    }
    let (near, far) = (near.into_split(), far.into_split());
    tokio::join!(forward_one_way(near.0, far.1, shared.clone()), forward_one_way(far.0, near.1, shared));
}

/// Forwards one direction until it ends, and its end as well.
async fn forward_one_way(from: OwnedReadHalf, mut to: OwnedWriteHalf, mut shared: Shared) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let delay = shared.delay;
    let written = async move {
        while let Some((due, chunk)) = pieces.recv().await {
            sleep_until(due).await;
            if write(&mut to, &chunk, &mut shared.link).await.is_none() {
                return;
            }
        }
        // The other side may have closed already.
        let _gone = to.shutdown().await;
    };
    tokio::join!(read(from, sender, delay), written);
}

async fn read(mut from: OwnedReadHalf, sender: mpsc::Sender<(Instant, Vec<u8>)>, delay: Duration) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = tokio::select! {
            read = from.read_buf(&mut chunk) => read,
            () = sender.closed() => return,
        };
        if !read.is_ok_and(|read| read > 0) || sender.send((Instant::now() + delay, chunk)).await.is_err() {
            return;
        }
    }
}

/// Writes at the rate of the link; `None` when the reader has gone.
async fn write(to: &mut OwnedWriteHalf, chunk: &[u8], link: &mut watch::Receiver<Link>) -> Option<()> {
    let mut rest = chunk;
    while !rest.is_empty() {
        let now = *link.wait_for(|link| *link != Link::Blackhole).await.ok()?;
        let step = match now {
            Link::Throttled(_) => STEP.min(rest.len()),
            _ => rest.len(),
        };
        let (head, tail) = rest.split_at(step);
        to.write_all(head).await.ok()?;
        if let Link::Throttled(bytes_per_second) = now {
            sleep(
                Duration::from_secs(step as u64) / u32::try_from(bytes_per_second.max(1)).unwrap_or(u32::MAX),
            )
            .await;
        }
        rest = tail;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{origin, viewer};

    const SMALL: &str = "/bytes/1000";

    #[tokio::test]
    async fn a_delayed_link_delays_each_direction() {
        let origin = origin().run().await;
        let relay = Relay::with_delay(origin.addr(), Duration::from_millis(80)).await;
        let began = Instant::now();
        viewer(relay.addr()).get(SMALL).await.is(200, &tidegate_origin_stub::synthetic_bytes(SMALL, 0..1000));
        assert!(began.elapsed() >= Duration::from_millis(160), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_refusing_link_closes_open_connections_and_can_be_opened_again() {
        let origin = origin().run().await;
        let relay = Relay::to(origin.addr()).await;
        let mut persistent = viewer(relay.addr()).start("GET", SMALL).await;
        assert_eq!(persistent.response("GET").await.status, 200);
        relay.set(Link::Refusing).await;
        assert!(persistent.some().await.is_empty(), "the open connection closes");
        assert!(TcpStream::connect(relay.addr()).await.is_err());
        relay.set(Link::Open).await;
        assert_eq!(viewer(relay.addr()).get(SMALL).await.status, 200);
    }

    #[tokio::test]
    async fn a_blackhole_link_forwards_nothing_until_it_is_open() {
        let origin = origin().run().await;
        let relay = Relay::to(origin.addr()).await;
        relay.set(Link::Blackhole).await;
        let mut waiting = viewer(relay.addr()).start("GET", SMALL).await;
        let waited = tokio::time::timeout(Duration::from_millis(50), waiting.head()).await;
        assert!(waited.is_err(), "no response arrives");
        assert_eq!(origin.requests(SMALL), 0);
        relay.set(Link::Open).await;
        assert_eq!(waiting.response("GET").await.status, 200);
    }

    #[tokio::test]
    async fn a_throttled_link_is_slow() {
        let origin = origin().run().await;
        let relay = Relay::to(origin.addr()).await;
        relay.set(Link::Throttled(20 * 1024)).await;
        let began = Instant::now();
        assert_eq!(viewer(relay.addr()).get("/bytes/5120").await.body.len(), 5120);
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    }
}
