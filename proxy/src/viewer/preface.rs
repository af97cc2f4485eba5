//! The first bytes of a connection that may be HTTP/2 (RFC 9113 section 3.4): they are read here, within the
//! header timeout, because an HTTP/2 connection has no timeout of its own before its first HTTP/2 stream.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a client sends first over HTTP/2. No HTTP/1.1 request begins with it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The head of the SETTINGS frame that follows the preface.
const FRAME_HEAD: usize = 9;
/// The place of a frame's type in its head.
const FRAME_TYPE: usize = 3;
/// The type of a SETTINGS frame.
const SETTINGS: u8 = 4;

/// The response to an invalid preface: this side's empty SETTINGS frame, and GOAWAY with `PROTOCOL_ERROR`.
pub(super) const GOAWAY: &[u8] =
    &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The protocol that the first bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// They are not the preface.
    Http1,
    /// The preface and the head of a SETTINGS frame.
    Http2,
    /// The preface and another frame (RFC 9113 section 3.4).
    Invalid,
    /// The connection ended before they showed one.
    None,
}

/// Whether bytes at the start of a connection may begin the preface.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    bytes.iter().zip(PREFACE).all(|(byte, expected)| byte == expected)
}

/// Whether the first line is of neither protocol: it has three words, as a request line has, and neither a
/// target nor a version of HTTP/1.1. That is an invalid preface, and the connection closes without a response
/// (RFC 9113 section 3.4): a client of HTTP/2 would read one as a frame.
pub(super) fn is_invalid(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return false };
    let mut words = bytes.get(..end).unwrap_or_default().split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let is_target = target.is_empty() || target.starts_with(b"/") || target == b"*" || target.contains(&b':');
    !method.is_empty()
        && method.iter().all(u8::is_ascii_uppercase)
        && !is_target
        && !version.starts_with(b"HTTP")
}

/// Bytes of a connection that are enough to see an invalid preface of the usual length.
pub(super) const PEEK_LEN: usize = 48;

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
            let kind = bytes.get(PREFACE.len() + FRAME_TYPE);
            return if kind == Some(&SETTINGS) { Protocol::Http2 } else { Protocol::Invalid };
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
        let with = |kind: u8| [PREFACE, &[0, 0, 0, kind, 0, 0, 0, 0, 0]].concat();
        let whole = with(SETTINGS);
        for (sent, expected) in [
            (&whole[..], (Protocol::Http2, 33)),
            (&with(6), (Protocol::Invalid, 33)),
            (b"POST / HTTP/1.1", (Protocol::Http1, 2)),
            (b"PRI * HTTP/1.1", (Protocol::Http1, 12)),
            (b"PRI", (Protocol::None, 3)),
            (PREFACE, (Protocol::None, 24)),
            (b"", (Protocol::None, 0)),
        ] {
            assert_eq!(protocol(sent).await, expected, "{}", sent.escape_ascii());
        }
        for invalid in [&b"INVALID CONNECTION PREFACE\r\n\r\n"[..], b"PRI x SM\r\n"] {
            assert!(is_invalid(invalid), "{}", invalid.escape_ascii());
        }
        // HTTP/1.1 has a response to these, or waits for more.
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"GET a HTTP/1.1\r\n",
            b"GET / HTTQ\r\n",
            b"GET / \r\n",
            b"GET  /\r\n",
            b"SSH-2.0-a\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"INVALID CONNECTION PREF",
            b"",
        ] {
            assert!(!is_invalid(other), "{}", other.escape_ascii());
        }
        assert!(is_whole(&whole) && is_whole(PREFACE) && !is_whole(b"PRI * HTTP/2.0\r\n\r\nSM"));
    }
}
