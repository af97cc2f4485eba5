//! The operators' listener: connections with or without TLS, for axum.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::viewer::tls::Acceptor;
use crate::viewer::transport::Transport;

/// Accepts operators' connections.
#[derive(Debug)]
pub(crate) struct OperatorsListener {
    tcp: TcpListener,
    acceptor: Option<Acceptor>,
    /// Handshakes that are under way: a client that is slow does not delay the others.
    handshakes: JoinSet<Option<Accepted>>,
}

type Accepted = (Transport, SocketAddr);

impl OperatorsListener {
    /// A listener with TLS if there is an acceptor.
    pub(crate) fn new(tcp: TcpListener, acceptor: Option<Acceptor>) -> Self {
        Self { tcp, acceptor, handshakes: JoinSet::new() }
    }

    /// Its address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl axum::serve::Listener for OperatorsListener {
    type Io = Transport;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Accepted {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                Some(handshake) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = handshake {
                        return accepted;
                    }
                }
                (stream, address) = axum::serve::Listener::accept(&mut self.tcp), if has_room => {
                    let Some(acceptor) = self.acceptor.clone() else { return (Transport::Tcp(stream), address) };
                    self.handshakes.spawn(handshake(acceptor, stream, address));
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.address()
    }
}

async fn handshake(acceptor: Acceptor, stream: TcpStream, address: SocketAddr) -> Option<Accepted> {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.handshake(stream)).await {
        Ok(Ok(transport)) => Some((transport, address)),
        Ok(Err(failed)) => {
            tracing::debug!(%address, error = %failed.error, "TLS handshake of an operator failed");
            None
        }
        Err(_late) => None,
    }
}

/// The time for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes that run in parallel; further connections wait to be accepted.
const HANDSHAKES_MAX: usize = 64;
