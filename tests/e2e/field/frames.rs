//! HTTP/2 by frames: what a strict client may rely on (RFC 9113), with TLS and with prior knowledge.

use tidegate_origin_stub::synthetic_bytes;
use tidegate_tests::{PATIENCE, authority, edge, origin, viewer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame without settings (RFC 9113 section 6.5).
pub(crate) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

const GOAWAY: u8 = 7;
/// Frames that are an error of the connection, each with its section. The code of the GOAWAY is the
/// library's: for some it is `PROTOCOL_ERROR` where the RFC has a more special one.
pub(crate) const WRONG: &[(&str, &[u8])] = &[
    ("3.4 a PING first", &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ("4.2 a frame of 16385 bytes", &[0, 64, 1, 0, 0, 0, 0, 0, 1]),
    ("4.3 a field block that is none", &[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x80]),
    ("5.1 DATA on an idle stream", &[0, 0, 1, 0, 0, 0, 0, 0, 1, 0]),
    ("5.1 RST_STREAM on an idle stream", &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]),
    ("5.1 WINDOW_UPDATE on an idle stream", &[0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
    ("5.1.1 a stream of an even number", &[0, 0, 1, 1, 5, 0, 0, 0, 2, 0x82]),
    ("5.4.1 a PING on a stream", &[0, 0, 8, 6, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("6.1 DATA on stream 0", &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
    ("6.2 HEADERS on stream 0", &[0, 0, 1, 1, 5, 0, 0, 0, 0, 0x82]),
    ("6.5 SETTINGS on a stream", &[0, 0, 0, 4, 0, 0, 0, 0, 1]),
    ("6.5 SETTINGS of 3 bytes", &[0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 3, 0]),
    ("6.5 an acknowledgement with a setting", &[0, 0, 6, 4, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1]),
    ("6.5.2 ENABLE_PUSH 2", &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2]),
    ("6.5.2 INITIAL_WINDOW_SIZE 2^31", &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x80, 0, 0, 0]),
    ("6.5.2 MAX_FRAME_SIZE 1", &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1]),
    ("6.6 PUSH_PROMISE of a client", &[0, 0, 4, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2]),
    ("6.7 a PING of 6 bytes", &[0, 0, 6, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("6.8 GOAWAY on a stream", &[0, 0, 8, 7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("6.9 WINDOW_UPDATE of 3 bytes", &[0, 0, 3, 8, 0, 0, 0, 0, 0, 0, 0, 1]),
    ("6.9 WINDOW_UPDATE by nothing", &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("6.9.1 a window beyond 2^31-1", &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
    ("6.10 CONTINUATION of nothing", &[0, 0, 1, 9, 4, 0, 0, 0, 1, 0x82]),
];

/// Sends frames after the preface and reads to the end. Returns the code of the last GOAWAY.
pub(crate) async fn code_of(mut stream: impl AsyncRead + AsyncWrite + Unpin, sent: &[u8]) -> Option<u32> {
    stream.write_all(sent).await.unwrap();
    let mut received = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(end.is_ok(), "it stays open");
    let (mut rest, mut code) = (&received[..], None);
    while let Some((head, after)) = rest.split_at_checked(9) {
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, next)) = after.split_at_checked(len) else { break };
        if head[3] == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        rest = next;
    }
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn each_error_of_a_connection_is_named_before_it_closes() {
    let origin = origin().run().await;
    let authority = authority();
    let issued = authority.issue(&["live.example"]);
    let edge = edge().origin(&origin).with(|config| config.listen.tls = Some(issued.listen())).run().await;
    let tls = authority.viewer_tls("live.example").http2();
    let mut wrong = Vec::new();
    for (name, frame) in WRONG {
        let settings = if name.starts_with("3.4") { &[][..] } else { SETTINGS };
        let sent = [PREFACE, settings, frame].concat();
        let plain = TcpStream::connect(edge.addr()).await.unwrap();
        let secured = TcpStream::connect(edge.tls_addr()).await.unwrap();
        let codes =
            (code_of(plain, &sent).await, code_of(tls.handshake(secured).await.unwrap(), &sent).await);
        if !matches!(codes, (Some(1..), Some(1..))) {
            wrong.push(format!("{name}: {codes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let errors = edge.count("tidegate_http2_errors_total", "").await;
    // The preface is read before the library: a first frame that is none of it has no count.
    assert_eq!(errors, 2 * (WRONG.len() - 1) as u64, "each is counted");
    viewer(edge.addr()).get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_preface_gets_no_response_that_looks_like_a_frame() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    let mut stream = TcpStream::connect(edge.addr()).await.unwrap();
    stream.write_all(b"INVALID CONNECTION PREFACE\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    end.expect("it closes").expect("without a reset");
    assert!(received.is_empty(), "{}", received.escape_ascii());
}

#[tokio::test(flavor = "multi_thread")]
async fn header_fields_without_an_end_close_the_connection_and_are_counted() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    let begin: &[u8] = &[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82];
    // A field `x: abc` in each CONTINUATION.
    let more = [&[0, 0, 7, 9, 0, 0, 0, 0, 1, 0, 1, b'x', 3][..], b"abc"].concat().repeat(3000);
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let sent = [PREFACE, SETTINGS, begin, &more].concat();
    assert_eq!(code_of(stream, &sent).await, Some(11), "ENHANCE_YOUR_CALM");
    let calm = edge.count("tidegate_http2_errors_total", "error=\"enhance_your_calm\"").await;
    assert_eq!((calm, origin.total()), (1, 0));
    viewer(edge.addr()).get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
}
