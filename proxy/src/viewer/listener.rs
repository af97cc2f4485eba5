//! Connections: accepts them within a limit, serves HTTP/1.1 or HTTP/2 on them, and closes them in order.
//!
//! The proxy has its own accept loop, so that it can count, bound and drain connections. pingora serves
//! HTTP/2, and the HTTP/1.1 requests that `http1.rs` leaves to it. The rest is served here: simple hits by
//! `fast_path.rs`, others by `http1.rs`. An idle HTTP/1.1 connection holds no buffer.

use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::{Stream, l4};
use pingora_core::server::ShutdownWatch;
use tidegate_upstream::within;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::answer;
use crate::observe::account::Account;
use crate::observe::facts::{RequestFacts, UnreadRequest};
use crate::observe::metrics::GaugeGuard;
use crate::refusal::Refusal;
use crate::request;
use crate::tier::{Shared, Tier};
use crate::viewer::admission;
use crate::viewer::client::{Client, Protocol};
use crate::viewer::fast_path::{self, Next};
use crate::viewer::head;
use crate::viewer::http1::Http1;
use crate::viewer::http2::{self, Closed, Ended};
use crate::viewer::lingering_close;
use crate::viewer::peer::Peer;
use crate::viewer::preface::{self, Protocol as Begun};
use crate::viewer::tls::{Acceptor, Failed};
use crate::viewer::transport::{Flusher, Transport};

/// The sockets on which viewers connect.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Without TLS.
    pub(crate) http: TcpListener,
    /// With TLS.
    pub(crate) tls: Option<(TcpListener, Acceptor)>,
    /// Connections that may be open, with and without TLS.
    pub(crate) connections_max: usize,
}

/// Accepts connections until the tier drains.
pub(crate) async fn accept(tier: Shared, listeners: Listeners) {
    let permits = Arc::new(Semaphore::new(listeners.connections_max.min(Semaphore::MAX_PERMITS)));
    let (closing, shutdown) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            biased;
            () = tier.draining().wait() => break,
            accepted = next_connection(&permits, &listeners) => accepted,
        };
        let Some((permit, stream, peer, acceptor)) = accepted else { continue };
        let (task_tier, shutdown) = (Arc::clone(&tier), shutdown.clone());
        tier.tasks().spawn(async move {
            let _open = GaugeGuard::new(&task_tier.metrics().connections.open);
            // `run_until_set` polls the connection first: when it is cut off, it still closes the account of
            // its request.
            let serving = pin!(connection(&task_tier, stream, peer, acceptor, shutdown));
            let _cut_off = task_tier.cutting_off().run_until_set(serving).await;
            drop(permit);
        });
    }
    // From here on, no viewer can connect, and HTTP/2 connections receive GOAWAY.
    drop(listeners);
    closing.send_replace(true);
    // The sender must outlive the connections, which watch the receiver.
    tier.tasks().close();
    tier.tasks().wait().await;
}

type Accepted = (OwnedSemaphorePermit, TcpStream, SocketAddr, Option<Acceptor>);

/// The next connection, once a permit for it is free. Connections with and without TLS share the permits.
async fn next_connection(permits: &Arc<Semaphore>, listeners: &Listeners) -> Option<Accepted> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    let (accepted, acceptor) = match &listeners.tls {
        None => (listeners.http.accept().await, None),
        Some((listener, acceptor)) => tokio::select! {
            accepted = listeners.http.accept() => (accepted, None),
            accepted = listener.accept() => (accepted, Some(acceptor.clone())),
        },
    };
    match accepted {
        Ok((stream, peer)) => {
            // The last small packet of a response must not wait for an acknowledgement.
            stream.set_nodelay(true).ok()?;
            Some((permit, stream, peer, acceptor))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            // Most likely the process is out of descriptors: wait until other connections close.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves one connection until it ends.
async fn connection(
    tier: &Shared,
    mut stream: TcpStream,
    from: SocketAddr,
    acceptor: Option<Acceptor>,
    shutdown: ShutdownWatch,
) {
    let Some((peer, _open)) = admission::admit(tier, &mut stream, from, acceptor.is_some()).await else {
        return;
    };
    match acceptor {
        None => cleartext(tier, stream, &peer, shutdown).await,
        // Boxed, so that a connection without TLS does not hold the state of a handshake.
        Some(acceptor) => Box::pin(secured(tier, stream, &peer, acceptor, shutdown)).await,
    }
}

async fn cleartext(tier: &Shared, stream: TcpStream, peer: &Peer, shutdown: ShutdownWatch) {
    let idle = tier.settings().viewers.idle_timeout.get();
    let mut start = [0; preface::PEEK_LEN];
    let peeked = tokio::select! {
        biased;
        peeked = timeout(idle, stream.peek(&mut start)) => peeked,
        () = tier.draining().wait() => return,
    };
    let Ok(Ok(peeked)) = peeked else { return };
    let start = start.get(..peeked).unwrap_or_default();
    if preface::is_invalid(start) {
        tracing::debug!(peer = %tier.log().address(peer.address()), "closed: the client speaks neither HTTP/1.1 nor HTTP/2");
        return lingering_close::close(Box::new(Transport::Tcp(stream))).await;
    }
    if preface::may_begin(start) {
        // Boxed, because few connections without TLS use HTTP/2.
        Box::pin(prior_knowledge(tier, stream, peer, shutdown)).await;
    } else {
        http1(tier, Box::new(Transport::Tcp(stream)), BytesMut::new(), peer).await;
    }
}

/// Serves a connection that may begin HTTP/2 with prior knowledge (RFC 9113 section 3.3).
async fn prior_knowledge(tier: &Shared, mut stream: TcpStream, peer: &Peer, shutdown: ShutdownWatch) {
    let mut start = BytesMut::new();
    match protocol(tier, &mut stream, &mut start).await {
        Some(Begun::Http2) => {
            let mut stream = l4::stream::Stream::from(stream);
            stream.rewind(&start);
            http2(tier, Box::new(stream), None, peer, shutdown).await;
        }
        Some(Begun::Http1) => http1(tier, Box::new(Transport::Tcp(stream)), start, peer).await,
        Some(Begun::Invalid) => go_away(tier, Transport::Tcp(stream)).await,
        None if !tier.draining().is_set() && !preface::is_whole(&start) => {
            refuse(tier, Box::new(Transport::Tcp(stream)), peer, &Refusal::Slow).await;
        }
        Some(Begun::None) | None => {}
    }
}

/// The protocol that the first bytes of a connection show; `None` if they do not arrive in time, or the tier
/// drains.
async fn protocol(tier: &Tier, stream: &mut (impl AsyncRead + Unpin), start: &mut BytesMut) -> Option<Begun> {
    let limit = tier.settings().viewers.head_timeout.get();
    tokio::select! {
        biased;
        protocol = timeout(limit, preface::read(stream, start)) => protocol.ok(),
        () = tier.draining().wait() => None,
    }
}

/// Makes the TLS handshake, then serves the negotiated protocol.
async fn secured(tier: &Shared, stream: TcpStream, peer: &Peer, acceptor: Acceptor, shutdown: ShutdownWatch) {
    let limit = tier.settings().viewers.head_timeout.get();
    let handshake = tokio::select! {
        biased;
        handshake = timeout(limit, acceptor.handshake(stream)) => handshake,
        () = tier.draining().wait() => return,
    };
    match handshake {
        Ok(Ok(mut transport)) if transport.is_http2() => {
            let mut start = BytesMut::new();
            match protocol(tier, &mut transport, &mut start).await {
                Some(Begun::Http2) => {
                    let (transport, flusher) = transport.record_writer(start);
                    http2(tier, Box::new(transport), flusher, peer, shutdown).await;
                }
                Some(Begun::Invalid) => go_away(tier, transport).await,
                Some(Begun::Http1 | Begun::None) | None => {}
            }
        }
        // The authority has seen the certificate, and sends no request.
        Ok(Ok(transport)) if transport.is_challenge() => {
            lingering_close::close(Box::new(transport)).await;
        }
        Ok(Ok(transport)) => http1(tier, Box::new(transport), BytesMut::new(), peer).await,
        Ok(Err(Failed { error, stream })) => {
            tier.metrics().connections.tls_handshake_failures.inc();
            tracing::debug!(peer = %tier.log().address(peer.address()), %error, "TLS handshake failed");
            lingering_close::close(Box::new(Transport::Tcp(stream))).await;
        }
        Err(_) => {
            tier.metrics().connections.tls_handshake_failures.inc();
            tracing::debug!(peer = %tier.log().address(peer.address()), "TLS handshake timed out");
        }
    }
}

/// Ends a connection whose preface is invalid.
async fn go_away(tier: &Tier, mut transport: Transport) {
    let limit = tier.settings().viewers.write_timeout.get();
    if let Ok(Ok(())) = timeout(limit, transport.write_all(preface::GOAWAY)).await {
        lingering_close::close(Box::new(transport)).await;
    }
}

/// Serves HTTP/2. The flusher sends the kept records after each poll, with the bytes that all HTTP/2 streams
/// have written until then. Nothing is left in it at the end of the connection: the shutdown by h2 sends the
/// rest.
async fn http2(
    tier: &Shared,
    stream: Stream,
    flusher: Option<Flusher>,
    peer: &Peer,
    shutdown: ShutdownWatch,
) {
    let viewers = &tier.settings().viewers;
    let limits = http2::Limits { idle_timeout: viewers.idle_timeout.get(), resets_max: viewers.resets_max };
    // Under TLS, HTTP/2 has a flusher.
    let is_tls = flusher.is_some();
    let serving = http2::serve_connection(stream, limits, shutdown, tier.tasks(), |session| {
        let (tier, peer) = (Arc::clone(tier), peer.clone());
        async move { http2_request(&tier, session, &peer, is_tls).await }
    });
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        let served = serving.as_mut().poll(cx).map(|closed| match closed {
            Closed::InOrder => {}
            Closed::TooManyResets => {
                tier.metrics().connections.reset_floods.inc();
                tracing::debug!(peer = %tier.log().address(peer.address()), "closed: the client has reset too many requests");
            }
            Closed::Error(error) => {
                tier.metrics().connections.http2_error(error);
                tracing::debug!(peer = %tier.log().address(peer.address()), error = error.as_str(), "closed: an error of HTTP/2");
            }
        });
        match flusher.as_ref().map(|flusher| flusher.poll_send(cx)) {
            Some(Poll::Ready(Err(_gone))) => Poll::Ready(()),
            _ => served,
        }
    })
    .await;
}

/// Serves one request after the other: on the fast path, or else on the slow path. The first begins with
/// `already_read`.
async fn http1(tier: &Shared, mut transport: Box<Transport>, mut already_read: BytesMut, peer: &Peer) {
    let viewers = &tier.settings().viewers;
    let is_tls = transport.is_tls();
    loop {
        let start = match fast_path::serve_hits(tier, &mut transport, peer, already_read).await {
            Next::SlowPath(start) => start,
            Next::Close => {
                // TLS sends close_notify, so that the viewer can exclude a truncation.
                let _closed = timeout(lingering_close::TIMEOUT, transport.shutdown()).await;
                return;
            }
            Next::Broken => return,
        };
        let read = head::read(&mut transport, start, head::limits(viewers.head_max.bytes()));
        let read = within(viewers.head_timeout.get(), pin!(read)).await;
        let received = match read {
            Ok(Ok(Some(received))) => received,
            Ok(Ok(None)) => return,
            Ok(Err(refusal)) => return refuse(tier, transport, peer, &refusal).await,
            Err(_) => return refuse(tier, transport, peer, &Refusal::Slow).await,
        };
        // Boxed, so that an idle connection does not hold the state of a request, nor a blocked request the
        // state of the steps before and after it.
        let protocol = match Http1::begin(transport, received) {
            Ok(http1) => Protocol::Http1(http1),
            Err((transport, bytes)) => match Box::pin(session(tier, transport, bytes, peer)).await {
                Some(session) => Protocol::Session(session),
                None => return,
            },
        };
        let client = Box::new(Client::new(tier, protocol, peer).over_tls(is_tls));
        let Some(reusable) = Box::pin(http1_request(tier, client)).await else { return };
        (transport, already_read) = reusable;
    }
}

/// Has pingora read a request that begins with these bytes.
async fn session(
    tier: &Shared,
    transport: Box<Transport>,
    bytes: BytesMut,
    peer: &Peer,
) -> Option<Box<ServerSession>> {
    let mut session = Box::new(ServerSession::new_http1(transport));
    session.set_pipelining_enabled(true);
    session.set_pipelined_prefix(bytes);
    read(tier, session, peer).await
}

/// Reads the head of a request; refuses the request if its head cannot be read. Over HTTP/2, pingora has
/// answered such a request itself.
async fn read(tier: &Shared, mut session: Box<ServerSession>, peer: &Peer) -> Option<Box<ServerSession>> {
    let viewers = &tier.settings().viewers;
    let read = within(viewers.head_timeout.get(), pin!(session.read_request())).await;
    let refusal = match read {
        Ok(Ok(true)) => return Some(session),
        Ok(Ok(false)) => return None,
        Ok(Err(_)) => Refusal::Malformed,
        Err(_) => Refusal::Slow,
    };
    if let ServerSession::H1(session) = *session {
        refuse(tier, session.into_inner(), peer, &refusal).await;
    }
    None
}

/// Serves one request. Returns the connection if it can be reused.
async fn http1_request(tier: &Shared, mut client: Box<Client>) -> Option<(Box<Transport>, BytesMut)> {
    let _in_progress = tier.requests().token();
    if !respond(tier, &mut client).await {
        Box::pin(client.abort()).await;
        return None;
    }
    Box::pin(client.finish(!tier.draining().is_set())).await
}

/// Serves one request over HTTP/2.
async fn http2_request(tier: &Shared, session: ServerSession, peer: &Peer, is_tls: bool) -> Ended {
    let Some(session) = Box::pin(read(tier, Box::new(session), peer)).await else { return Ended::Served };
    let mut client = Box::new(Client::new(tier, Protocol::Session(session), peer).over_tls(is_tls));
    let _in_progress = tier.requests().token();
    if Box::pin(respond(tier, &mut client)).await {
        // An HTTP/2 stream ends with its response; only HTTP/1.1 returns a connection.
        let _nothing = Box::pin(client.finish(true)).await;
        return Ended::Served;
    }
    let ended = if client.is_gone().await { Ended::Reset } else { Ended::Served };
    Box::pin(client.abort()).await;
    ended
}

/// Serves one request and closes its account. Returns whether the response was sent without a break.
async fn respond(tier: &Shared, client: &mut Client) -> bool {
    let account = serve_until_cut_off(tier, client).await;
    let response = client.response_facts();
    account.close(tier, &response);
    let body_bytes = response.body_bytes;
    if let Some(site) = &client.request_facts().site {
        request::access::count_bytes(tier, site, body_bytes);
    }
    account.is_intact()
}

/// Serves the request, and cuts its response off when the drain timeout is reached.
async fn serve_until_cut_off(tier: &Shared, client: &mut Client) -> Account {
    let account = tokio::select! {
        biased;
        account = serve_and_flush(tier, client) => account,
        () = tier.cutting_off().wait() => Account::cut_off(client.request_facts()),
    };
    if account.is_intact() || !tier.cutting_off().is_set() {
        return account;
    }
    tier.requests_cut_off().fetch_add(1, Ordering::Relaxed);
    account.broken()
}

/// Serves a request until all bytes of its response are written. The end of its framing follows later.
async fn serve_and_flush(tier: &Shared, client: &mut Client) -> Account {
    let account = request::serve(tier, client).await;
    if account.is_intact() { account.with_result(client.flush().await) } else { account }
}

/// Sends an error response where no request could be read, and closes the connection.
async fn refuse(tier: &Tier, mut stream: Stream, peer: &Peer, refusal: &Refusal) {
    let at = Instant::now();
    let (head, body) = answer::render_refusal(tier, refusal);
    let answer = [&head[..], &body].concat();
    let written = timeout(tier.settings().viewers.write_timeout.get(), stream.write_all(&answer)).await;
    let account = Account::refused(refusal, &RequestFacts::default());
    let (account, body_bytes) = match written {
        Ok(Ok(())) => (account, body.len() as u64),
        _ => (account.broken(), 0),
    };
    account.close_unread(
        tier,
        &UnreadRequest { at, client: peer.address(), status: refusal.status(), body_bytes },
    );
    if account.is_intact() {
        lingering_close::close(stream).await;
    }
}

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
