//! The first bytes of a connection that may be HTTP/2 (RFC 9113 section 3.4): they are read here, within the
//! header timeout, because an HTTP/2 connection has no timeout of its own before its first HTTP/2 stream.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a client sends first over HTTP/2. No HTTP/1.1 request begins with it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The head of the SETTINGS frame that follows the preface.
const FRAME_HEAD: usize = 9;

/// The protocol that the first bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// They are not the preface.
    Http1,
    /// The preface and the head of a frame.
    Http2,
    /// The connection ended before they showed one.
    None,
}

/// Whether bytes at the start of a connection may begin the preface.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    bytes.iter().zip(PREFACE).all(|(byte, expected)| byte == expected)
}

/// Whether the whole preface has arrived.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFACE)
}

/// Reads until the protocol is known. Safe to cancel: `bytes` has what was read until then.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: &mut BytesMut) -> Protocol {
    loop {
        if !may_begin(bytes) {
            return Protocol::Http1;
        }
        let missing = (PREFACE.len() + FRAME_HEAD).saturating_sub(bytes.len());
        if missing == 0 {
            return Protocol::Http2;
        }
        bytes.reserve(missing);
        match stream.take(missing as u64).read_buf(bytes).await {
            Ok(0) | Err(_) => return Protocol::None,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The protocol of a connection on which every read returns one byte.
    async fn protocol(sent: &[u8]) -> (Protocol, usize) {
        let (mut client, mut server) = tokio::io::duplex(1);
        let mut bytes = BytesMut::new();
        let sending = async {
            let _closed = client.write_all(sent).await;
            drop(client);
        };
        let (protocol, ()) = tokio::join!(
            async {
                let protocol = read(&mut server, &mut bytes).await;
                drop(server);
                protocol
            },
            sending
        );
        (protocol, bytes.len())
    }

    #[tokio::test]
    async fn the_protocol_is_known_by_the_first_bytes() {
        let whole = [PREFACE, &[0; FRAME_HEAD]].concat();
        for (sent, expected) in [
            (&whole[..], (Protocol::Http2, 33)),
            (b"POST / HTTP/1.1", (Protocol::Http1, 2)),
            (b"PRI * HTTP/1.1", (Protocol::Http1, 12)),
            (b"PRI", (Protocol::None, 3)),
            (PREFACE, (Protocol::None, 24)),
            (b"", (Protocol::None, 0)),
        ] {
            assert_eq!(protocol(sent).await, expected, "{}", sent.escape_ascii());
        }
        assert!(is_whole(&whole) && is_whole(PREFACE) && !is_whole(b"PRI * HTTP/2.0\r\n\r\nSM"));
    }
}
