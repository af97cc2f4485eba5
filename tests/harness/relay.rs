//! A road between two servers that can be long, narrow, or broken: a TCP relay on loopback.
//!
//! What kind of road it is can be changed while it is used, and reaches the connections that are open.

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

use crate::member::APART;

/// Bytes that are carried in one go.
const PIECE: usize = 16 * 1024;
/// Pieces on their way in one direction of one connection.
const PIECES_MAX: usize = 64;
/// Bytes that a narrow road takes in one go.
const STEP: usize = 1024;

/// What a road is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// Everything goes through.
    Open,
    /// Nobody listens: connections are refused, open ones are closed.
    Refused,
    /// Connections are accepted and nothing is carried: whoever is at the other end seems to hang.
    Swallowed,
    /// So many bytes go through in a second, in each direction of each connection.
    Narrow(u64),
}

/// A relay; it ends with this value.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    road: watch::Sender<Road>,
    in_force: watch::Receiver<Road>,
    accepted: Arc<AtomicU64>,
    _carrying: JoinSet<()>,
}

/// What each connection needs to know.
#[derive(Debug, Clone)]
struct Way {
    target: SocketAddr,
    delay: Duration,
    road: watch::Receiver<Road>,
}

impl Relay {
    /// An open road to `target` of no length.
    pub async fn to(target: SocketAddr) -> Self {
        Self::of_length(target, Duration::ZERO).await
    }

    /// An open road to `target`, each direction of which takes `delay`.
    pub async fn of_length(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind((APART, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let (road, seen) = watch::channel(Road::Open);
        let (tell, in_force) = watch::channel(Road::Open);
        let accepted = Arc::default();
        let mut carrying = JoinSet::new();
        let way = Way { target, delay, road: seen };
        carrying.spawn(carry_all(listener, way, tell, Arc::clone(&accepted)));
        Self { addr, road, in_force, accepted, _carrying: carrying }
    }

    /// Where it begins.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the road, and waits until it is so.
    pub async fn is_now(&self, road: Road) {
        self.road.send_replace(road);
        let mut in_force = self.in_force.clone();
        in_force.wait_for(|now| *now == road).await.expect("a relay that runs");
    }

    /// How many connections it has accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn carry_all(listener: TcpListener, way: Way, tell: watch::Sender<Road>, accepted: Arc<AtomicU64>) {
    let addr = listener.local_addr().expect("its address");
    let mut road = way.road.clone();
    let mut open = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *road.borrow_and_update();
        if now == Road::Refused {
            open = None;
            connections.shutdown().await;
        } else if open.is_none() {
            open = Some(TcpListener::bind(addr).await.expect("the port that was given up"));
        }
        tell.send_replace(now);
        loop {
            tokio::select! {
                changed = road.changed() => if changed.is_err() { return } else { break },
                stream = accept(open.as_ref()) => {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(carry(stream, way.clone()));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            // A connection that is gone before it is accepted is no reason to end.
            Some(listener) => match listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_gone) => sleep(Duration::from_millis(1)).await,
            },
            None => std::future::pending().await,
        }
    }
}

async fn carry(near: TcpStream, mut way: Way) {
    // While nothing is carried, not even the other end is asked.
    if way.road.wait_for(|road| *road != Road::Swallowed).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(way.target).await else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("a socket");
    }
    let (near, far) = (near.into_split(), far.into_split());
    tokio::join!(one_way(near.0, far.1, way.clone()), one_way(far.0, near.1, way));
}

/// Carries one direction until it ends, and its end as well.
async fn one_way(from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: Way) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let delay = way.delay;
    let written = async move {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if write(&mut to, &piece, &mut way.road).await.is_none() {
                return;
            }
        }
        // The other side may be gone already.
        let _gone = to.shutdown().await;
    };
    tokio::join!(read(from, sender, delay), written);
}

async fn read(mut from: OwnedReadHalf, sender: mpsc::Sender<(Instant, Vec<u8>)>, delay: Duration) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = tokio::select! {
            read = from.read_buf(&mut piece) => read,
            () = sender.closed() => return,
        };
        if !read.is_ok_and(|read| read > 0) || sender.send((Instant::now() + delay, piece)).await.is_err() {
            return;
        }
    }
}

/// Writes at the pace of the road; none where nobody reads any more.
async fn write(to: &mut OwnedWriteHalf, piece: &[u8], road: &mut watch::Receiver<Road>) -> Option<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        let now = *road.wait_for(|road| *road != Road::Swallowed).await.ok()?;
        let step = match now {
            Road::Narrow(_) => STEP.min(rest.len()),
            _ => rest.len(),
        };
        let (head, tail) = rest.split_at(step);
        to.write_all(head).await.ok()?;
        if let Road::Narrow(bytes_per_second) = now {
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
    async fn a_long_road_takes_its_time_in_each_direction() {
        let origin = origin().run().await;
        let relay = Relay::of_length(origin.addr(), Duration::from_millis(80)).await;
        let began = Instant::now();
        viewer(relay.addr()).get(SMALL).await.is(200, &tidegate_origin_stub::synthetic_bytes(SMALL, 0..1000));
        assert!(began.elapsed() >= Duration::from_millis(160), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_road_that_refuses_closes_what_is_open_and_can_be_open_again() {
        let origin = origin().run().await;
        let relay = Relay::to(origin.addr()).await;
        let mut kept = viewer(relay.addr()).start("GET", SMALL).await;
        assert_eq!(kept.answer("GET").await.status, 200);
        relay.is_now(Road::Refused).await;
        assert!(kept.some().await.is_empty(), "the open connection ends");
        assert!(TcpStream::connect(relay.addr()).await.is_err());
        relay.is_now(Road::Open).await;
        assert_eq!(viewer(relay.addr()).get(SMALL).await.status, 200);
    }

    #[tokio::test]
    async fn a_road_that_swallows_carries_nothing_until_it_is_open() {
        let origin = origin().run().await;
        let relay = Relay::to(origin.addr()).await;
        relay.is_now(Road::Swallowed).await;
        let mut waiting = viewer(relay.addr()).start("GET", SMALL).await;
        let waited = tokio::time::timeout(Duration::from_millis(50), waiting.head()).await;
        assert!(waited.is_err(), "nothing comes");
        assert_eq!(origin.requests(SMALL), 0);
        relay.is_now(Road::Open).await;
        assert_eq!(waiting.answer("GET").await.status, 200);
    }

    #[tokio::test]
    async fn a_narrow_road_is_slow() {
        let origin = origin().run().await;
        let relay = Relay::to(origin.addr()).await;
        relay.is_now(Road::Narrow(20 * 1024)).await;
        let began = Instant::now();
        assert_eq!(viewer(relay.addr()).get("/bytes/5120").await.body.len(), 5120);
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    }
}
