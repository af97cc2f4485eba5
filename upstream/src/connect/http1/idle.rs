//! Idle connections, kept for the next request.
//!
//! A connection is checked when it is taken, and a sweep checks all of them now and then. None has a task or
//! a timer of its own, so that to put a connection back and to take it again is a push and a pop.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::wire::Wire;

/// How long an idle connection is kept.
pub(crate) const IDLE: Duration = Duration::from_secs(55);

/// How often connections are closed that are too old or were closed by the other side.
const SWEEP: Duration = Duration::from_secs(5);

/// Where a connection leads: connections with the same key serve the same requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) address: SocketAddr,
    /// The name in its certificate, if it uses TLS.
    pub(crate) name: Option<Arc<str>>,
}

/// Idle connections.
#[derive(Debug)]
pub(crate) struct Idle {
    /// The limit.
    max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// For each key, the connections that were used last are at the back.
    connections: BTreeMap<Key, VecDeque<Parked>>,
    count: usize,
    /// Whether a task sweeps.
    is_swept: bool,
}

#[derive(Debug)]
struct Parked {
    wire: Wire,
    since: Instant,
}

impl Parked {
    fn is_usable(&mut self) -> bool {
        self.since.elapsed() < IDLE && self.wire.is_quiet()
    }
}

impl Idle {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, kept: Mutex::default() })
    }

    /// The connection that was used last and is still usable.
    pub(crate) fn take(&self, key: &Key) -> Option<Wire> {
        loop {
            let mut parked = self.kept.lock().pop(key)?;
            if parked.is_usable() {
                return Some(parked.wire);
            }
        }
    }

    /// Keeps a connection. Above the limit, the oldest of all is closed.
    pub(crate) fn put(self: &Arc<Self>, key: Key, wire: Wire) {
        if self.max == 0 {
            return;
        }
        let (oldest, is_swept) = {
            let mut kept = self.kept.lock();
            let parked = Parked { wire, since: Instant::now() };
            kept.connections.entry(key).or_default().push_back(parked);
            kept.count += 1;
            let oldest = if kept.count > self.max { kept.pop_oldest() } else { None };
            (oldest, std::mem::replace(&mut kept.is_swept, true))
        };
        // Closed outside the lock.
        drop(oldest);
        if !is_swept {
            self.start_sweeping();
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it ends once no connection is idle or the pool is dropped, and a drain need not wait"
    )]
    fn start_sweeping(self: &Arc<Self>) {
        tokio::spawn(keep_sweeping(Arc::downgrade(self)));
    }

    /// Closes the connections that are not usable any more. Returns whether any are left; if not, the
    /// sweeping task ends.
    fn sweep(&self) -> bool {
        let mut gone = Vec::new();
        let mut kept = self.kept.lock();
        for connections in kept.connections.values_mut() {
            for mut parked in std::mem::take(connections) {
                if parked.is_usable() {
                    connections.push_back(parked);
                } else {
                    gone.push(parked);
                }
            }
        }
        kept.connections.retain(|_, connections| !connections.is_empty());
        kept.count -= gone.len();
        kept.is_swept = kept.count > 0;
        let is_left = kept.is_swept;
        drop(kept);
        is_left
    }
}

impl Kept {
    fn pop(&mut self, key: &Key) -> Option<Parked> {
        let parked = self.connections.get_mut(key)?.pop_back()?;
        self.count -= 1;
        Some(parked)
    }

    /// There are about as many keys as upstreams, so all of them are checked.
    fn pop_oldest(&mut self) -> Option<Parked> {
        let since = |connections: &VecDeque<Parked>| connections.front().map(|parked| parked.since);
        let with_some = self.connections.values_mut().filter(|connections| !connections.is_empty());
        let oldest = with_some.min_by_key(|connections| since(connections))?.pop_front()?;
        self.count -= 1;
        Some(oldest)
    }
}

async fn keep_sweeping(pool: Weak<Idle>) {
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.sweep() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    struct Server(TcpListener);

    impl Server {
        async fn run() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
        }

        fn key(&self) -> Key {
            Key { address: self.0.local_addr().unwrap(), name: None }
        }

        async fn connect(&self) -> (Wire, TcpStream) {
            let wire = Wire::plain(self.key().address, Duration::from_secs(5)).await.unwrap();
            (wire, self.0.accept().await.unwrap().0)
        }
    }

    fn port(wire: &Wire) -> u16 {
        let Wire::Plain(socket) = wire else { panic!("it is plain") };
        socket.local_addr().unwrap().port()
    }

    /// Waits until the runtime has noticed what the other side did.
    async fn until_heard(wire: &Wire) {
        let Wire::Plain(socket) = wire else { panic!("it is plain") };
        socket.readable().await.unwrap();
    }

    #[tokio::test]
    async fn the_connection_used_last_is_taken_and_the_oldest_is_closed() {
        let (a, b) = (Server::run().await, Server::run().await);
        let pool = Idle::new(3);
        let mut ports = vec![];
        let mut others = vec![];
        for server in [&a, &b, &a, &b] {
            let (wire, other) = server.connect().await;
            ports.push(port(&wire));
            others.push(other);
            pool.put(server.key(), wire);
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(pool.kept.lock().count, 3);
        assert_eq!(pool.take(&b.key()).map(|wire| port(&wire)), Some(ports[3]));
        assert_eq!(pool.take(&b.key()).map(|wire| port(&wire)), Some(ports[1]));
        assert_eq!(pool.take(&a.key()).map(|wire| port(&wire)), Some(ports[2]));
        assert!(pool.take(&a.key()).is_none(), "the oldest has gone");
        let secured = Key { name: Some("a".into()), ..a.key() };
        pool.put(a.key(), a.connect().await.0);
        assert!(pool.take(&secured).is_none(), "TLS is another place");
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_has_unread_bytes_is_not_taken() {
        let server = Server::run().await;
        let pool = Idle::new(8);
        for brings_bytes in [true, false] {
            let (good, _other) = server.connect().await;
            let expected = port(&good);
            let (bad, mut other) = server.connect().await;
            if brings_bytes {
                other.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
            } else {
                drop(other);
            }
            until_heard(&bad).await;
            pool.put(server.key(), good);
            pool.put(server.key(), bad);
            assert_eq!(pool.take(&server.key()).map(|wire| port(&wire)), Some(expected));
            assert_eq!(pool.kept.lock().count, 0);
        }
    }

    /// The runtime lets a task look at a limited number of sockets in a row, before it has to yield.
    #[tokio::test]
    async fn of_many_closed_connections_none_is_taken() {
        const MANY: usize = 200;
        let server = Server::run().await;
        let pool = Idle::new(MANY);
        for _ in 0..MANY {
            let (bad, other) = server.connect().await;
            drop(other);
            until_heard(&bad).await;
            pool.put(server.key(), bad);
        }
        assert!(pool.take(&server.key()).is_none());
        assert_eq!(pool.kept.lock().count, 0);
    }

    #[tokio::test]
    async fn a_sweep_keeps_usable_connections_and_ends_with_the_last() {
        let server = Server::run().await;
        let pool = Idle::new(8);
        let (good, other) = server.connect().await;
        let (bad, closed) = server.connect().await;
        drop(closed);
        until_heard(&bad).await;
        pool.put(server.key(), good);
        pool.put(server.key(), bad);
        assert!(pool.sweep());
        assert_eq!(pool.kept.lock().count, 1);
        drop(other);
        let good = pool.take(&server.key()).unwrap();
        until_heard(&good).await;
        pool.put(server.key(), good);
        assert!(!pool.sweep());
        assert!(pool.kept.lock().connections.is_empty() && !pool.kept.lock().is_swept);
    }

    #[tokio::test]
    async fn no_connection_is_kept_above_the_limit_or_for_too_long() {
        let server = Server::run().await;
        let none = Idle::new(0);
        none.put(server.key(), server.connect().await.0);
        assert!(none.take(&server.key()).is_none());

        let pool = Idle::new(8);
        let (wire, _other) = server.connect().await;
        pool.put(server.key(), wire);
        tokio::time::pause();
        tokio::time::advance(IDLE).await;
        assert!(pool.take(&server.key()).is_none());
    }
}
