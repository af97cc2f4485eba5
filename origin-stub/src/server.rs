//! The data listener: accepts connections, and is down when a fault says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::RawConnection;
use crate::faults::Down;
use crate::request;
use crate::shared::Shared;

/// Serves until `shutdown`, then gives open responses the configured time.
pub(crate) async fn run(
    listener: TcpListener,
    addr: SocketAddr,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let server = Server {
        slots: Arc::new(Semaphore::new(usize::try_from(shared.config.connections_max)?)),
        shared,
        shutdown,
    };
    let outcome = server.accept_all(listener, addr).await;
    server.shared.tasks.close();
    if timeout(server.shared.config.drain_timeout, server.shared.tasks.wait()).await.is_err() {
        server.shared.killed.cancel();
        server.shared.tasks.wait().await;
    }
    outcome
}

#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Server {
    async fn accept_all(&self, listener: TcpListener, addr: SocketAddr) -> anyhow::Result<()> {
        let mut down = self.shared.faults.down();
        let mut listener = Some(listener);
        loop {
            let wanted = *down.borrow_and_update();
            match (wanted, &listener) {
                (Some(Down::Refuse), _) => listener = None,
                (_, Some(_)) => {}
                (_, None) => {
                    let again = TcpListener::bind(addr).await;
                    listener =
                        Some(again.with_context(|| format!("origin-stub: cannot listen on {addr} again"))?);
                }
            }
            self.shared.applied.send_replace(wanted);
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                changed = down.changed() => changed.context("origin-stub: the faults are gone")?,
                (stream, slot) = self.accept(listener.as_ref()) => self.begin(stream, slot, wanted),
            }
        }
    }

    /// The next connection, as soon as there is room for one. A closed listener accepts none.
    async fn accept(&self, listener: Option<&TcpListener>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        let Some(listener) = listener else { return std::future::pending().await };
        // The semaphore is never closed.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, slot),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of descriptors, most likely: the queue would report it again immediately.
                    sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn begin(&self, stream: TcpStream, slot: Option<OwnedSemaphorePermit>, down: Option<Down>) {
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        let raw = RawConnection::new(stream);
        if down.is_some() {
            self.shared.resets.fetch_add(1, Ordering::Relaxed);
            raw.reset_now();
            self.shared.faults.connection_reset();
            return;
        }
        let server = self.clone();
        self.shared.tasks.spawn(async move {
            server.shared.open.fetch_add(1, Ordering::Relaxed);
            Box::pin(server.serve(raw)).await;
            server.shared.open.fetch_sub(1, Ordering::Relaxed);
            drop(slot);
        });
    }

    /// One connection, until it ends by itself, is broken on command, or the time is up.
    async fn serve(&self, raw: RawConnection) {
        raw.set_nodelay();
        let builder = self.builder(&raw);
        let service = service_fn(|request| request::serve(&self.shared, &raw, request));
        let connection = builder.serve_connection(TokioIo::new(raw.transport()), service);
        let mut connection = std::pin::pin!(connection);
        let mut down = self.shared.faults.down();
        let mut draining = false;
        // hyper's own limit begins when it knows the protocol: after the first bytes.
        let mut first_head = std::pin::pin!(sleep(self.shared.config.idle_timeout));
        let mut is_new = true;
        loop {
            tokio::select! {
                () = raw.over().cancelled() => break,
                _ = down.wait_for(Option::is_some) => {
                    self.shared.resets.fetch_add(1, Ordering::Relaxed);
                    raw.reset_now();
                    break;
                }
                () = self.shutdown.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = first_head.as_mut(), if is_new => {
                    is_new = false;
                    if !raw.is_used() {
                        break;
                    }
                }
                () = self.shared.killed.cancelled() => {
                    raw.reset_now();
                    break;
                }
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended early");
                    }
                    break;
                }
            }
        }
    }

    fn builder(&self, raw: &RawConnection) -> Builder<OnTracker> {
        let executor = OnTracker { tracker: self.shared.tasks.clone(), over: raw.over().clone() };
        let mut builder = Builder::new(executor);
        let idle = self.shared.config.idle_timeout;
        builder.http1().timer(TokioTimer::new()).header_read_timeout(idle);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000).keep_alive_interval(Some(idle));
        builder
    }
}

/// Runs the requests of an HTTP/2 connection; they end with it, so that its socket is closed when it must
/// break.
#[derive(Clone)]
struct OnTracker {
    tracker: TaskTracker,
    over: CancellationToken,
}

impl<F> Executor<F> for OnTracker
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let over = self.over.clone();
        self.tracker.spawn(async move { over.run_until_cancelled_owned(future).await });
    }
}
