//! The fast path of HTTP/1.1: simple requests that are hits are answered here, without a session.
//!
//! A head is read into a buffer of the thread, so that an idle connection holds no buffer, and the codec
//! `http1/` parses it there. If it is simple (`simple_head.rs`), `request/try_hit.rs` looks for a hit. The
//! response to a hit (`hit_response.rs`) leaves in one write: a head that was rendered when the object was
//! first served, then the fields that differ from response to response, then the chunks of the cached body.
//! Every other request takes the slow path, with its parsed head.

pub(crate) mod copies;
mod head;
mod hit_response;
mod outgoing;
mod representation;
pub(crate) mod simple_head;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io::Result;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tidegate_http1::{RequestHead, Room};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::audience::count;
use crate::request::access;
use crate::request::try_hit::try_hit;
use crate::signal::Wait;
use crate::tier::Tier;
use crate::viewer::head::{Start, limits};
use crate::viewer::peer::Peer;
use crate::viewer::stalled;
use crate::viewer::transport::Transport;
use crate::viewer::unsent::Unsent;

use hit_response::{HitResponse, Viewer};
use outgoing::Outgoing;
use simple_head::SimpleHead;

/// How a connection continues after the fast path.
#[derive(Debug)]
pub(crate) enum Next {
    /// A request takes the slow path.
    SlowPath(Start),
    /// It closes: the viewer has closed it, or it was idle for too long, or the node drains.
    Close,
    /// A response could not be completed.
    Broken,
}

/// Answers requests until one takes the slow path or the connection ends, the first from `already_read`.
pub(crate) async fn serve_hits(
    tier: &Tier,
    transport: &mut Transport,
    peer: &Peer,
    mut already_read: BytesMut,
) -> Next {
    let is_tls = transport.is_tls();
    let viewer = Viewer {
        peer,
        can_send_files: transport.can_send_files(),
        is_tls,
        is_redirected: !is_tls && tier.settings().listen.https_redirect,
    };
    // Created once per call and not per request: their locks are shared by all connections.
    let mut draining = tier.draining().wait();
    let mut timeout = pin!(sleep(tier.settings().viewers.idle_timeout.get()));
    let mut idle_since = Instant::now();
    loop {
        let hit_response = if already_read.is_empty() {
            let mut idle = Idle { draining: &mut draining, timeout: timeout.as_mut(), since: idle_since };
            match poll_fn(|cx| idle.poll(tier, transport, viewer, cx)).await {
                Some(Read::Answer(hit_response, rest)) => {
                    already_read = rest;
                    hit_response
                }
                Some(Read::SlowPath(start)) => return Next::SlowPath(start),
                None => return Next::Close,
            }
        } else {
            match examine(tier, viewer, &already_read) {
                Examined::Answer(hit_response, len) => {
                    already_read.advance(len);
                    hit_response
                }
                Examined::SlowPath(start) => return Next::SlowPath(start),
            }
        };
        match send(tier, transport, hit_response).await {
            Ok(since) => idle_since = since,
            Err(Unsent) => return Next::Broken,
        }
    }
}

/// A request that has been read.
enum Read {
    /// The response to a hit, and the bytes received after the request.
    Answer(Box<HitResponse>, BytesMut),
    SlowPath(Start),
}

/// What becomes of the request at the start of some bytes.
enum Examined {
    /// It is a hit. The response, and the length of the head.
    Answer(Box<HitResponse>, usize),
    SlowPath(Start),
}

/// A connection that waits for its next request.
struct Idle<'a, 't> {
    draining: &'a mut Wait<'t>,
    timeout: Pin<&'a mut Sleep>,
    since: Instant,
}

impl Idle<'_, '_> {
    /// The next request; `None` if the connection ends instead.
    fn poll(
        &mut self,
        tier: &Tier,
        transport: &mut Transport,
        viewer: Viewer<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Read>> {
        if let Poll::Ready(read) = read(tier, transport, viewer, cx) {
            return Poll::Ready(read.ok().flatten());
        }
        if Pin::new(&mut *self.draining).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        while self.timeout.as_mut().poll(cx).is_ready() {
            let until = self.since + tier.settings().viewers.idle_timeout.get();
            if until <= Instant::now() {
                return Poll::Ready(None);
            }
            // The timeout was set before the last request; it is not reset on each one.
            self.timeout.as_mut().reset(until);
        }
        Poll::Pending
    }
}

/// Reads the available bytes into the thread's buffer and tries to answer from there; `None` at the end of
/// the connection.
fn read(
    tier: &Tier,
    transport: &mut Transport,
    viewer: Viewer<'_>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Read>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(transport).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let read = match examine(tier, viewer, bytes) {
            Examined::Answer(hit_response, len) => {
                Read::Answer(hit_response, bytes.get(len..).unwrap_or_default().into())
            }
            Examined::SlowPath(start) => Read::SlowPath(start),
        };
        Poll::Ready(Ok(Some(read)))
    })
}

/// Parses the head at the start of `bytes`, and looks for a hit.
fn examine(tier: &Tier, viewer: Viewer<'_>, bytes: &[u8]) -> Examined {
    let mut room = Room::new();
    let limits = limits(tier.settings().viewers.head_max.bytes());
    let head = match RequestHead::parse(bytes, limits, &mut room) {
        Ok(Some(head)) => head,
        Ok(None) => return Examined::SlowPath(Start::Part(bytes.into())),
        Err(error) => return Examined::SlowPath(Start::Refused(error.into())),
    };
    match try_answer(tier, viewer, &head) {
        Some(hit_response) => Examined::Answer(hit_response, head.len),
        None => Examined::SlowPath(Start::of(&head, bytes)),
    }
}

/// The response to a request; `None` if it takes the slow path.
fn try_answer(tier: &Tier, viewer: Viewer<'_>, head: &RequestHead<'_>) -> Option<Box<HitResponse>> {
    // While the node drains, responses carry `Connection: close`, which the slow path writes.
    if tier.draining().is_set() || viewer.is_redirected {
        return None;
    }
    let simple_head = SimpleHead::of(head)?;
    let received = Instant::now();
    let hit = try_hit(tier, &simple_head, viewer.peer, received)?;
    let allowed = access::may_answer(tier, viewer.peer, &hit.target.site, || simple_head.headers())?;
    let hit_response = HitResponse::make(tier, viewer, &simple_head, &hit, received)?;
    let body_bytes = hit_response.outgoing.body_len();
    allowed.count(tier, &hit.target.site, hit.token_usage.as_deref(), body_bytes);
    count::hit(tier, viewer.peer, &simple_head, &hit);
    Some(hit_response)
}

/// Writes a response and closes its account. Returns the start of the idle period that follows: for a
/// response that one write sends, the time when its request was read, which saves a reading of the clock.
async fn send(
    tier: &Tier,
    transport: &mut Transport,
    mut hit_response: Box<HitResponse>,
) -> std::result::Result<Instant, Unsent> {
    let received = hit_response.received();
    // A slow response is in progress until its account is closed, and shutdown waits for that.
    let mut in_progress = None;
    let written = poll_fn(|cx| Poll::Ready(hit_response.outgoing.write(transport, cx))).await;
    let written = match written {
        Poll::Ready(written) => written.map_err(|_error| Unsent),
        Poll::Pending => {
            in_progress = Some(tier.requests().token());
            // Boxed, so that an idle connection does not hold the state of a slow response.
            Box::pin(write_rest(tier, transport, &mut hit_response.outgoing)).await
        }
    };
    hit_response.close(tier, written);
    written.map(|()| if in_progress.is_some() { Instant::now() } else { received })
}

/// Writes the rest of a response to a slow viewer. Fails when the viewer takes fewer than [`PROGRESS_MIN`]
/// bytes within the write timeout, and when the drain timeout cuts the response off.
async fn write_rest(
    tier: &Tier,
    transport: &mut Transport,
    outgoing: &mut Outgoing,
) -> std::result::Result<(), Unsent> {
    let limit = tier.settings().viewers.write_timeout.get();
    let mut timeout = pin!(sleep(limit));
    let mut sent_before = outgoing.sent();
    let mut progress = Instant::now();
    let mut shortage = pin!(tier.cache().until_short_of_memory());
    let writing = pin!(poll_fn(|cx| {
        if let Poll::Ready(written) = outgoing.write(transport, cx) {
            return Poll::Ready(written.map_err(|_error| Unsent));
        }
        if outgoing.sent() - sent_before >= PROGRESS_MIN {
            sent_before = outgoing.sent();
            progress = Instant::now();
            timeout.as_mut().reset(progress + limit);
        }
        while shortage.as_mut().poll(cx).is_ready() {
            if stalled::is_given_up(tier, progress) {
                return Poll::Ready(Err(Unsent));
            }
            shortage.set(tier.cache().until_short_of_memory());
        }
        timeout.as_mut().poll(cx).map(|()| Err(Unsent))
    }));
    let written = tier.cutting_off().run_until_set(writing).await;
    if written.is_none() {
        tier.requests_cut_off().fetch_add(1, Ordering::Relaxed);
    }
    written.unwrap_or(Err(Unsent))
}

/// Bytes that a slow viewer must take within each write timeout.
const PROGRESS_MIN: u64 = 64 * 1024;

/// Bytes per read.
const BUFFER_LEN: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_LEN].into());
}
