//! The fast lane of HTTP/1.1: hits that are asked for plainly are answered here, one after the other, without a session.
//!
//! A head is read into a buffer of the thread, so that a connection that waits holds none, and read once (`plain.rs`).
//! `request.rs` says whether it can be answered at once. If so, the answer (`ready.rs`) leaves in one write: a head that
//! was rendered when the object was first given out, with what differs from answer to answer behind it, and the pieces
//! of the body as they are held. Everything else takes the long way, with the bytes that were read.

pub(crate) mod copies;
mod head;
mod outgoing;
mod ready;
mod selected;
pub(crate) mod simple_head;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io::Result;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::request::try_hit::try_hit;
use crate::signal::Given;
use crate::tier::Tier;
use crate::viewer::gone::Gone;
use crate::viewer::transport::Transport;

use outgoing::Outgoing;
use ready::{Ready, Viewer};

/// What a connection goes on with.
#[derive(Debug)]
pub(crate) enum Next {
    /// These bytes begin a request that takes the long way.
    LongWay(BytesMut),
    /// It ends here: the viewer has left, or has said nothing for too long, or the node drains.
    Over,
    /// An answer could not be brought to its end.
    Broken,
}

/// Answers what can be answered at once. `ahead` has been read already.
pub(crate) async fn serve(
    tier: &Tier,
    transport: &mut Transport,
    peer: SocketAddr,
    mut ahead: BytesMut,
) -> Next {
    let viewer = Viewer { peer, takes_files: transport.takes_files() };
    // Both are set up once for all requests that follow: their locks are shared by all connections.
    let mut draining = tier.draining().given();
    let mut idle = pin!(sleep(tier.settings().viewers.idle_timeout.get()));
    let mut active = Instant::now();
    loop {
        let ready = if ahead.is_empty() {
            let mut waiting = Waiting { draining: &mut draining, idle: idle.as_mut(), since: active };
            match poll_fn(|cx| waiting.poll(tier, transport, viewer, cx)).await {
                Some(Read::Answer(ready, behind)) => {
                    ahead = behind;
                    ready
                }
                Some(Read::LongWay(bytes)) => return Next::LongWay(bytes),
                None => return Next::Over,
            }
        } else {
            match look(tier, viewer, &ahead) {
                Some((ready, len)) => {
                    ahead.advance(len);
                    ready
                }
                None => return Next::LongWay(ahead),
            }
        };
        match answer(tier, transport, ready).await {
            Ok(over) => active = over,
            Err(Gone) => return Next::Broken,
        }
    }
}

/// What has been read.
enum Read {
    /// A request that is answered at once, and what came behind it.
    Answer(Box<Ready>, BytesMut),
    LongWay(BytesMut),
}

/// A connection that waits for its next request.
struct Waiting<'a, 't> {
    draining: &'a mut Given<'t>,
    idle: Pin<&'a mut Sleep>,
    since: Instant,
}

impl Waiting<'_, '_> {
    /// What comes next; `None` where the connection ends instead.
    fn poll(
        &mut self,
        tier: &Tier,
        transport: &mut Transport,
        viewer: Viewer,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Read>> {
        if let Poll::Ready(read) = read(tier, transport, viewer, cx) {
            return Poll::Ready(read.ok().flatten());
        }
        if Pin::new(&mut *self.draining).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        while self.idle.as_mut().poll(cx).is_ready() {
            let until = self.since + tier.settings().viewers.idle_timeout.get();
            if until <= Instant::now() {
                return Poll::Ready(None);
            }
            // It has been set for a request that came before the last one.
            self.idle.as_mut().reset(until);
        }
        Poll::Pending
    }
}

/// Reads what is there into the thread's buffer and looks at it there; `None` at the end of the connection.
fn read(
    tier: &Tier,
    transport: &mut Transport,
    viewer: Viewer,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Read>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(transport).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let read = match look(tier, viewer, bytes) {
            Some((ready, len)) => Read::Answer(ready, bytes.get(len..).unwrap_or_default().into()),
            None => Read::LongWay(bytes.into()),
        };
        Poll::Ready(Ok(Some(read)))
    })
}

/// The answer to the request that the bytes begin with, and how long that is; `None` where there is none at once.
fn look(tier: &Tier, viewer: Viewer, bytes: &[u8]) -> Option<(Box<Ready>, usize)> {
    // An answer that is the last on its connection says so.
    if tier.draining().is_given() {
        return None;
    }
    simple_head::read(bytes, tier.settings().viewers.head_max.bytes(), |simple_head, len| {
        let received = Instant::now();
        let hit = try_hit(tier, simple_head, received)?;
        Some((Ready::make(tier, viewer, simple_head, &hit, received)?, len))
    })
}

/// Writes an answer and closes its account; tells since when nothing has been under way. If it went out at once, that is
/// since its request was read: the clock need not be asked again.
async fn answer(
    tier: &Tier,
    transport: &mut Transport,
    mut ready: Box<Ready>,
) -> std::result::Result<Instant, Gone> {
    let received = ready.received();
    // Taken by a slow answer until its account is closed: the end of the node waits for that.
    let mut open = None;
    let written = poll_fn(|cx| Poll::Ready(ready.outgoing.write(transport, cx))).await;
    let written = match written {
        Poll::Ready(written) => written.map_err(|_error| Gone),
        Poll::Pending => {
            open = Some(tier.requests().token());
            // Boxed, so that a connection that waits for a request does not hold the room for a slow answer.
            Box::pin(patiently(tier, transport, &mut ready.outgoing)).await
        }
    };
    ready.close(tier, written);
    written.map(|()| if open.is_some() { Instant::now() } else { received })
}

/// Writes the rest of an answer as the viewer takes it, with time for each piece, until the time to drain is over.
async fn patiently(
    tier: &Tier,
    transport: &mut Transport,
    outgoing: &mut Outgoing,
) -> std::result::Result<(), Gone> {
    let patience = tier.settings().viewers.write_timeout.get();
    let mut clock = pin!(sleep(patience));
    let mut mark = outgoing.sent();
    let writing = pin!(poll_fn(|cx| {
        if let Poll::Ready(written) = outgoing.write(transport, cx) {
            return Poll::Ready(written.map_err(|_error| Gone));
        }
        if outgoing.sent() - mark >= PIECE {
            mark = outgoing.sent();
            clock.as_mut().reset(Instant::now() + patience);
        }
        clock.as_mut().poll(cx).map(|()| Err(Gone))
    }));
    let written = tier.cutting_off().unless(writing).await;
    if written.is_none() {
        tier.requests_cut_off().fetch_add(1, Ordering::Relaxed);
    }
    written.unwrap_or(Err(Gone))
}

/// A slow viewer is given time for a piece of this size, not for the whole answer.
const PIECE: u64 = 64 * 1024;

/// What is read at once.
const BUFFER_LEN: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_LEN].into());
}
