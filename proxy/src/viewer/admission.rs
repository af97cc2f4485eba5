//! The first step of a connection: who the peer is, and whether it may connect. It comes before TLS.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_access::ClientAddress;
use tidegate_access::proxy_header::{self, HeaderError};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::access::ProxyProtocol;
use crate::limits::OpenConnection;
use crate::observe::metrics::ConnectionRefusal;
use crate::tier::Tier;
use crate::viewer::pacing;
use crate::viewer::peer::Peer;

/// Finds out who the peer of a connection is, and counts the connection for its address; `None` if it is
/// refused. A refused connection is closed without a response: a proxy that is not configured for it gets
/// none, and an address that may not connect costs nothing more.
pub(super) async fn admit(
    tier: &Tier,
    stream: &mut TcpStream,
    from: SocketAddr,
    is_tls: bool,
) -> Option<(Peer, Option<OpenConnection>)> {
    let address = match address(tier, stream, from, is_tls).await {
        Ok(address) => address?,
        Err((reason, error)) => return refuse(tier, from.ip().into(), reason, error.as_ref()),
    };
    if !tier.access().may_connect(address) {
        return refuse(tier, address, ConnectionRefusal::AddressDenied, None);
    }
    let peer = Peer::new(tier, address, stream, address == from.ip().into());
    let open = match peer.usage().map(|usage| tier.limits().open(usage)) {
        Some(None) => return refuse(tier, address, ConnectionRefusal::PerAddress, None),
        open => open.flatten(),
    };
    pacing::limit(stream, tier.settings().limits.connection_rate_max.bytes());
    Some((peer, open))
}

/// The address of the peer, by its PROXY header if the listener has one; `None` if the tier drains.
async fn address(
    tier: &Tier,
    stream: &mut TcpStream,
    from: SocketAddr,
    is_tls: bool,
) -> Result<Option<ClientAddress>, (ConnectionRefusal, Option<HeaderError>)> {
    let listen = &tier.settings().listen;
    let tls = listen.tls.as_ref().filter(|_| is_tls);
    let proxy_protocol = tls.map_or(listen.proxy_protocol, |tls| tls.proxy_protocol);
    let from = ClientAddress::from(from.ip());
    if proxy_protocol == ProxyProtocol::Off {
        return Ok(Some(from));
    }
    // Served as a plain connection, a viewer would go around the load balancer, and its rules with it.
    if !tier.access().trusts(from) {
        return Err((ConnectionRefusal::UntrustedProxy, None));
    }
    let limit = tier.settings().viewers.head_timeout.get();
    // Boxed, so that connections without a header do not hold its buffer.
    let reading = Box::pin(named_client(stream, limit));
    tokio::select! {
        biased;
        client = reading => match client {
            Ok(client) => Ok(Some(client.unwrap_or(from))),
            Err(error) => Err((ConnectionRefusal::ProxyHeader, error)),
        },
        () = tier.draining().wait() => Ok(None),
    }
}

/// Reads a PROXY header and nothing behind it. An error is `None` if the header did not arrive.
async fn named_client(
    stream: &mut TcpStream,
    limit: Duration,
) -> Result<Option<ClientAddress>, Option<HeaderError>> {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            let read = bytes.len();
            bytes.resize(proxy_header::LEN_MAX, 0);
            // A look first: what follows the header belongs to TLS or HTTP.
            let seen =
                stream.peek(bytes.get_mut(read..).unwrap_or_default()).await.map_err(|_broken| None)?;
            bytes.truncate(read + seen);
            let header = proxy_header::parse(&bytes).map_err(Some)?;
            let len = header.map_or(bytes.len(), |header| header.len);
            let unread = bytes.get_mut(read..len).filter(|unread| !unread.is_empty()).ok_or(None)?;
            stream.read_exact(unread).await.map_err(|_broken| None)?;
            if let Some(header) = header {
                return Ok(header.client);
            }
        }
    };
    timeout(limit, reading).await.unwrap_or(Err(None))
}

fn refuse<T>(
    tier: &Tier,
    address: ClientAddress,
    reason: ConnectionRefusal,
    error: Option<&HeaderError>,
) -> Option<T> {
    tier.metrics().access.connection_refused(reason);
    let peer = tier.log().address(address);
    let error = error.map(tracing::field::display);
    tracing::debug!(%peer, reason = reason.as_str(), error, "connection refused");
    None
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_header_is_read_byte_by_byte_and_nothing_behind_it() {
        let (mut client, mut server) = pair().await;
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n";
        let sending = async {
            for byte in header {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.write_all(b"GET").await.unwrap();
        };
        let limit = Duration::from_secs(10);
        let (read, ()) = tokio::join!(named_client(&mut server, limit), sending);
        assert_eq!(read.unwrap().unwrap().to_string(), "192.0.2.1");
        let mut pipelined = [0; 3];
        server.read_exact(&mut pipelined).await.unwrap();
        assert_eq!(&pipelined, b"GET");
    }

    #[tokio::test]
    async fn a_header_that_does_not_arrive_is_refused() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"PROXY ").await.unwrap();
        assert_eq!(named_client(&mut server, Duration::from_millis(1)).await, Err(None));
        drop(client);
        assert_eq!(named_client(&mut server, Duration::from_secs(10)).await, Err(None), "the end");
        let (mut client, mut server) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let refused = named_client(&mut server, Duration::from_secs(10)).await;
        assert_eq!(refused, Err(Some(HeaderError::Missing)));
    }
}
