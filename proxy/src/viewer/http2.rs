//! One HTTP/2 connection: accepts its HTTP/2 streams, and closes it when the client resets too many of them.
//!
//! A request that is reset costs the client two small frames, and the tier a request upstream. The limit of
//! concurrent streams does not bound that: a stream that is reset is not open any more (the attack is known
//! as "rapid reset").

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use parking_lot::Mutex;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora_core::protocols::{Digest, Stream};
use pingora_core::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::observe::metrics::Http2Error;

/// The end of a request on an HTTP/2 stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The response was sent, or this side ended the HTTP/2 stream.
    Served,
    /// The client reset the HTTP/2 stream before it had the response.
    Reset,
}

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long the connection stays open without a request.
    pub(super) idle_timeout: Duration,
    /// Requests that the client may reset within [`WINDOW`].
    pub(super) resets_max: u32,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The client closed it, it was idle, or the tier drains.
    InOrder,
    /// The client has reset too many requests.
    TooManyResets,
    /// The client has sent frames that are an error of the connection.
    Error(Http2Error),
}

impl Closed {
    /// The end of a connection by this error: of its client's frames, or of the network.
    fn by(error: &pingora_core::BError) -> Self {
        let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<h2::Error>());
        match cause.filter(|cause| cause.is_go_away() && cause.is_library()).and_then(h2::Error::reason) {
            Some(Reason::NO_ERROR) | None => Self::InOrder,
            Some(Reason::PROTOCOL_ERROR) => Self::Error(Http2Error::Protocol),
            Some(Reason::FLOW_CONTROL_ERROR) => Self::Error(Http2Error::FlowControl),
            Some(Reason::FRAME_SIZE_ERROR) => Self::Error(Http2Error::FrameSize),
            Some(Reason::COMPRESSION_ERROR) => Self::Error(Http2Error::Compression),
            Some(Reason::ENHANCE_YOUR_CALM) => Self::Error(Http2Error::EnhanceYourCalm),
            Some(_) => Self::Error(Http2Error::Other),
        }
    }
}

/// Serves a connection until it ends. `serve` is called for each request; its future runs as a task of its
/// own, which `tasks` counts.
pub(super) async fn serve_connection<F>(
    stream: Stream,
    limits: Limits,
    mut shutdown: ShutdownWatch,
    tasks: &TaskTracker,
    serve: impl Fn(ServerSession) -> F,
) -> Closed
where
    F: Future<Output = Ended> + Send + 'static,
{
    let mut connection = match handshake(stream, None).await {
        Ok(connection) => connection,
        Err(error) => return Closed::by(&error),
    };
    let digest = Arc::new(Digest::default());
    let resets = Arc::new(Resets::new(limits.resets_max));
    let streams = TaskTracker::new();
    // A closed tracker accepts tasks; `wait` resolves whenever it has none.
    streams.close();
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            _ = shutdown.changed(), if !is_draining => {
                connection.graceful_shutdown();
                is_draining = true;
            }
            () = resets.too_many.notified() => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                let sent = async { while let Some(Ok(_refused)) = connection.accept().await {} };
                // A client that does not read the reason is not waited for.
                let _sent = timeout(GOAWAY_TIMEOUT, sent).await;
                return Closed::TooManyResets;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => match accepted {
                Ok(Some(H2Accept::Session(session))) => {
                    let (serving, resets) = (serve(ServerSession::new_http2(session)), Arc::clone(&resets));
                    streams.spawn(tasks.track_future(async move {
                        if serving.await == Ended::Reset {
                            resets.count();
                        }
                    }));
                }
                // A malformed request costs the client as little.
                Ok(Some(H2Accept::Rejected)) => resets.count(),
                Ok(None) => return Closed::InOrder,
                Err(error) => return Closed::by(&error),
            },
            () = idle(&streams, limits.idle_timeout), if !is_draining => return Closed::InOrder,
        }
    }
}

/// Resolves when the connection has had no request for so long.
async fn idle(streams: &TaskTracker, limit: Duration) {
    streams.wait().await;
    sleep(limit).await;
}

/// Counts the requests that the client of one connection has reset.
#[derive(Debug)]
struct Resets {
    max: u32,
    /// The start of the present window, and the resets since.
    window: Mutex<(Instant, u32)>,
    too_many: Notify,
}

impl Resets {
    fn new(max: u32) -> Self {
        Self { max, window: Mutex::new((Instant::now(), 0)), too_many: Notify::new() }
    }

    fn count(&self) {
        let mut window = self.window.lock();
        if window.0.elapsed() >= WINDOW {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        if window.1 > self.max {
            self.too_many.notify_one();
        }
    }
}

/// The time over which resets are counted. A player that seeks resets a few requests each time.
const WINDOW: Duration = Duration::from_secs(10);

/// How long the connection stays open for the frame with the reason.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    async fn is_too_many(resets: &Resets) -> bool {
        let mut notified = pin!(resets.too_many.notified());
        poll_fn(|cx| Poll::Ready(notified.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn resets_are_counted_for_ten_seconds() {
        let resets = Resets::new(3);
        for _ in 0..3 {
            resets.count();
        }
        assert!(!is_too_many(&resets).await);
        tokio::time::advance(WINDOW).await;
        for _ in 0..3 {
            resets.count();
        }
        assert!(!is_too_many(&resets).await, "the earlier ones count no more");
        resets.count();
        assert!(is_too_many(&resets).await);
    }
}
