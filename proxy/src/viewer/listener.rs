//! Connections: accepting them within a limit, speaking HTTP/1.1 or HTTP/2 on them, and ending them politely.
//!
//! The accept loop is ours, so that connections can be counted, bounded and waited for. HTTP/2 is pingora's, and so is
//! HTTP/1.1 where a request has a body or anything unusual; plain hits (`fast_path.rs`) and all other requests (`http1.rs`) are
//! answered here. An idle HTTP/1.1 connection waits for its next request without a buffer.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::{Stream, l4};
use pingora_core::server::ShutdownWatch;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::answer;
use crate::observe::account::Account;
use crate::observe::facts::{Known, TurnedAway};
use crate::observe::metrics::Held;
use crate::refusal::Refusal;
use crate::request;
use crate::tier::{Shared, Tier};
use crate::viewer::client::{Client, Speaks};
use crate::viewer::fast_path::{self, Next};
use crate::viewer::head;
use crate::viewer::http1::Http1;
use crate::viewer::lingering_close;
use crate::viewer::tls::{Acceptor, Failed};
use crate::viewer::transport::{Flusher, Transport};

/// Where connections come in.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Without TLS.
    pub(crate) plain: TcpListener,
    /// With TLS.
    pub(crate) tls: Option<(TcpListener, Acceptor)>,
}

/// Accepts connections until the tier drains.
pub(crate) async fn accept(tier: Shared, listeners: Listeners) {
    let places = Arc::new(Semaphore::new(tier.settings().listen.connections_max));
    let (closing, shutdown) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            biased;
            () = tier.draining().given() => break,
            accepted = admitted(&places, &listeners) => accepted,
        };
        let Some((place, stream, peer, acceptor)) = accepted else { continue };
        let (mine, shutdown) = (Arc::clone(&tier), shutdown.clone());
        tier.tasks().spawn(async move {
            let _open = Held::new(&mine.metrics().connections);
            // The connection comes first: when it is cut off, it still closes the account of its request.
            let speaking = pin!(connection(&mine, stream, peer, acceptor, shutdown));
            let _cut_off = mine.cutting_off().unless(speaking).await;
            drop(place);
        });
    }
    // From here on nobody can connect; HTTP/2 connections are told that no new request is taken.
    drop(listeners);
    closing.send_replace(true);
    // The sender must live as long as connections look at the receiver.
    tier.tasks().close();
    tier.tasks().wait().await;
}

type Accepted = (OwnedSemaphorePermit, TcpStream, SocketAddr, Option<Acceptor>);

/// The next connection, once there is a place for it. Those with and without TLS share the places.
async fn admitted(places: &Arc<Semaphore>, listeners: &Listeners) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (accepted, acceptor) = match &listeners.tls {
        None => (listeners.plain.accept().await, None),
        Some((listener, acceptor)) => tokio::select! {
            accepted = listeners.plain.accept() => (accepted, None),
            accepted = listener.accept() => (accepted, Some(acceptor.clone())),
        },
    };
    match accepted {
        Ok((stream, peer)) => {
            // A last small packet must not wait for the viewer's acknowledgement.
            stream.set_nodelay(true).ok()?;
            Some((place, stream, peer, acceptor))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            // Out of descriptors, most likely: give others the time to close some.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Speaks on one connection until it ends.
async fn connection(
    tier: &Shared,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<Acceptor>,
    shutdown: ShutdownWatch,
) {
    match acceptor {
        None => plain(tier, stream, peer, shutdown).await,
        // Boxed, so that a connection without TLS does not hold the room for a handshake.
        Some(acceptor) => Box::pin(secured(tier, stream, peer, acceptor, shutdown)).await,
    }
}

async fn plain(tier: &Shared, stream: TcpStream, peer: SocketAddr, shutdown: ShutdownWatch) {
    let idle = tier.settings().viewers.idle_timeout.get();
    let mut start = [0; 3];
    let waited = tokio::select! {
        biased;
        peeked = timeout(idle, stream.peek(&mut start)) => peeked,
        () = tier.draining().given() => return,
    };
    let Ok(Ok(peeked)) = waited else { return };
    // RFC 9113 section 3.4: an HTTP/2 connection with prior knowledge begins with "PRI". So does no method.
    if peeked == start.len() && start == *b"PRI" {
        http2(tier, Box::new(l4::stream::Stream::from(stream)), None, peer, shutdown).await;
    } else {
        http1(tier, Box::new(Transport::SimpleHead(stream)), peer).await;
    }
}

/// Shakes hands, then speaks what was agreed on.
async fn secured(
    tier: &Shared,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Acceptor,
    shutdown: ShutdownWatch,
) {
    let patience = tier.settings().viewers.head_timeout.get();
    let shaken = tokio::select! {
        biased;
        shaken = timeout(patience, acceptor.handshake(stream)) => shaken,
        () = tier.draining().given() => return,
    };
    match shaken {
        Ok(Ok(transport)) if transport.speaks_http2() => {
            let (transport, flusher) = transport.record_writer();
            http2(tier, Box::new(transport), flusher, peer, shutdown).await;
        }
        Ok(Ok(transport)) => http1(tier, Box::new(transport), peer).await,
        Ok(Err(Failed { error, stream })) => {
            tier.metrics().tls_handshake_failures.inc();
            tracing::debug!(%peer, %error, "TLS handshake failed");
            lingering_close::part(Box::new(Transport::SimpleHead(stream))).await;
        }
        Err(_) => {
            tier.metrics().tls_handshake_failures.inc();
            tracing::debug!(%peer, "TLS handshake timed out");
        }
    }
}

/// Speaks HTTP/2. What an outlet keeps is sent at the end of each turn, with all that the streams have said until then.
/// At the end of the connection nothing is left in it: h2 shuts it down, which sends what is kept.
async fn http2(
    tier: &Shared,
    stream: Stream,
    flusher: Option<Flusher>,
    peer: SocketAddr,
    shutdown: ShutdownWatch,
) {
    let app = Arc::new(Http2::new(tier, peer));
    let mut speaking = pin!(ServerApp::process_new(&app, stream, &shutdown));
    poll_fn(|cx| {
        // Nothing comes back from HTTP/2: its connection is over.
        let spoken = speaking.as_mut().poll(cx).map(drop);
        match flusher.as_ref().map(|flusher| flusher.poll_send(cx)) {
            Some(Poll::Ready(Err(_gone))) => Poll::Ready(()),
            _ => spoken,
        }
    })
    .await;
}

/// Serves requests one after the other: on the fast lane, and those that it does not take on the long way.
async fn http1(tier: &Shared, mut transport: Box<Transport>, peer: SocketAddr) {
    let viewers = &tier.settings().viewers;
    let mut ahead = BytesMut::new();
    loop {
        let begun = match fast_path::serve(tier, &mut transport, peer, ahead).await {
            Next::LongWay(bytes) => bytes,
            Next::Over => {
                // TLS says that it ends, so that nobody has to guess whether something was cut away.
                let _over = timeout(lingering_close::PATIENCE, transport.shutdown()).await;
                return;
            }
            Next::Broken => return,
        };
        let head = head::read(&mut transport, begun, viewers.head_max.bytes());
        let head = match timeout(viewers.head_timeout.get(), head).await {
            Ok(Ok(Some(head))) => head,
            Ok(Ok(None)) => return,
            Ok(Err(refusal)) => return turn_away(tier, transport, peer, &refusal).await,
            Err(_) => return turn_away(tier, transport, peer, &Refusal::Slow).await,
        };
        // Boxed, so that an idle connection does not hold the room that a request takes, nor a request that is held that of
        // the steps before and after.
        let speaks = match Http1::begin(transport, head) {
            Ok(http1) => Speaks::Http1(http1),
            Err((transport, head)) => match Box::pin(session(tier, transport, head, peer)).await {
                Some(session) => Speaks::Session(Box::new(session)),
                None => return,
            },
        };
        let client = Box::new(Client::new(tier, speaks, peer));
        let Some(again) = Box::pin(serve(tier, client)).await else { return };
        (transport, ahead) = again;
    }
}

/// Has pingora read a request that begins with these bytes.
async fn session(
    tier: &Shared,
    transport: Box<Transport>,
    head: BytesMut,
    peer: SocketAddr,
) -> Option<ServerSession> {
    let mut session = ServerSession::new_http1(transport);
    session.set_pipelining_enabled(true);
    session.set_pipelined_prefix(head);
    read(tier, session, peer).await
}

/// Reads the head of a request; whoever sends none that can be read is turned away.
async fn read(tier: &Shared, mut session: ServerSession, peer: SocketAddr) -> Option<ServerSession> {
    let viewers = &tier.settings().viewers;
    let refusal = match timeout(viewers.head_timeout.get(), session.read_request()).await {
        Ok(Ok(true)) => return Some(session),
        Ok(Ok(false)) => return None,
        Ok(Err(_)) => Refusal::Malformed,
        Err(_) => Refusal::Slow,
    };
    if let ServerSession::H1(session) = session {
        turn_away(tier, session.into_inner(), peer, &refusal).await;
    }
    None
}

/// Answers one request. Gives the connection back where it can be used again.
async fn serve(tier: &Shared, mut client: Box<Client>) -> Option<(Box<Transport>, BytesMut)> {
    let _open = tier.requests().token();
    let account = answered(tier, &mut client).await;
    account.close(tier, &client.served());
    if !account.is_whole() {
        Box::pin(client.abort()).await;
        return None;
    }
    Box::pin(client.finish(!tier.draining().is_given())).await
}

/// Answers the request, or cuts the answer off where it stands when the time to drain is over.
async fn answered(tier: &Shared, client: &mut Client) -> Account {
    let account = tokio::select! {
        biased;
        account = settled(tier, client) => account,
        () = tier.cutting_off().given() => Account::cut_off(client.known()),
    };
    if account.is_whole() || !tier.cutting_off().is_given() {
        return account;
    }
    tier.requests_cut_off().fetch_add(1, Ordering::Relaxed);
    account.broken()
}

/// Serves a request until all of its answer has left.
async fn settled(tier: &Shared, client: &mut Client) -> Account {
    let account = request::serve(tier, client).await;
    if account.is_whole() { account.sent(client.settle().await) } else { account }
}

/// Answers where there is no request to answer to: a status, and the connection ends.
async fn turn_away(tier: &Tier, mut stream: Stream, peer: SocketAddr, refusal: &Refusal) {
    let at = Instant::now();
    let (head, body) = answer::unasked(tier, refusal);
    let answer = [&head, body.as_bytes()].concat();
    let written = timeout(tier.settings().viewers.write_timeout.get(), stream.write_all(&answer)).await;
    let account = Account::refused(refusal, &Known::default());
    let (account, body_bytes) = match written {
        Ok(Ok(())) => (account, body.len() as u64),
        _ => (account.broken(), 0),
    };
    account.close_unread(tier, &TurnedAway { at, peer, status: refusal.status(), body_bytes });
    if account.is_whole() {
        lingering_close::part(stream).await;
    }
}

/// One HTTP/2 connection; pingora calls it for every stream.
struct Http2 {
    tier: Shared,
    peer: SocketAddr,
    options: HttpServerOptions,
}

impl Http2 {
    fn new(tier: &Shared, peer: SocketAddr) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(tier.settings().viewers.idle_timeout.get());
        Self { tier: Arc::clone(tier), peer, options }
    }
}

#[async_trait]
impl HttpServerApp for Http2 {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if let ServerSession::H1(session) = session {
            // It began like HTTP/2 and went on as nothing.
            turn_away(&self.tier, session.into_inner(), self.peer, &Refusal::Malformed).await;
            return None;
        }
        // A stream ends with its answer; only HTTP/1.1 gives something back.
        if let Some(session) = Box::pin(read(&self.tier, session, self.peer)).await {
            let client = Box::new(Client::new(&self.tier, Speaks::Session(Box::new(session)), self.peer));
            let _nothing = Box::pin(serve(&self.tier, client)).await;
        }
        None
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
