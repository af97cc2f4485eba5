use std::time::Duration;

use proptest::prelude::*;
use tidegate_http1::{RequestHead, Room};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::viewer::fast_path::simple_head::SimpleHead;
use crate::viewer::head::{self, Start};

/// A connection: the node's end and the viewer's end.
async fn connection() -> (Box<Transport>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let viewer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (Box::new(Transport::Tcp(stream)), viewer)
}

async fn begun_with(request: &str) -> (Http1, TcpStream) {
    let (transport, viewer) = connection().await;
    (Http1::begin(transport, received(request.as_bytes()).unwrap()).ok().unwrap(), viewer)
}

/// The request at the start of `bytes`, if it is complete and valid.
fn received(bytes: &[u8]) -> Option<Box<Received>> {
    let mut room = Room::new();
    let head = RequestHead::parse(bytes, head::limits(u64::MAX), &mut room).ok()??;
    match Start::of(&head, bytes) {
        Start::Whole(received) => Some(received),
        Start::Part(_) | Start::Refused(_) => None,
    }
}

/// The bytes that the viewer receives, up to and including `end`.
async fn sent(viewer: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let read = timeout(PATIENCE, viewer.read_buf(&mut bytes)).await.expect("it comes").unwrap();
        assert!(read > 0, "{end:?} is not in {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

/// Over loopback, written bytes are readable when the write has returned.
async fn is_sent_nothing(viewer: &TcpStream) -> bool {
    tokio::task::yield_now().await;
    viewer.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Writes a head whose body is framed as `Client::head` frames it.
fn write_head(http1: &mut Http1, status: StatusCode, headers: &HeaderMap, is_last: bool) {
    let length = headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap().parse().unwrap());
    let framing = Framing::to_send(http1.method(), status, Version::HTTP_11, length);
    http1.head(status, headers, framing, is_last);
}

/// Far longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(30);
const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: d\r\nX-Odd: e\r\n\r\n";

#[tokio::test]
async fn a_request_without_a_body_is_begun_and_any_other_left_to_pingora() {
    let (http1, _viewer) = begun_with(GET).await;
    assert_eq!((http1.method(), http1.target()), (&Method::GET, &b"/a?b=c"[..]));
    assert_eq!(http1.headers(), &fields(&[("host", "d"), ("x-odd", "e")]));
    for other in [
        "GET /a HTTP/1.0\r\nHost: d\r\n\r\n",
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: \r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: d\r\nHost: d\r\n\r\n",
        "GET http://d/a HTTP/1.1\r\nHost: d\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: d\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let (transport, _viewer) = connection().await;
        let (_wire, bytes) = Http1::begin(transport, received(other.as_bytes()).unwrap()).err().unwrap();
        assert_eq!(bytes, other, "it is given back as it came");
    }
}

#[tokio::test]
async fn an_answer_is_framed_by_its_length_by_chunks_or_by_its_head_alone() {
    let length = fields(&[("content-length", "5"), ("content-type", "a/b")]);
    for (request, status, headers, end) in [
        (GET, StatusCode::OK, &length, "keep-alive\r\n\r\nabcde"),
        (GET, StatusCode::OK, &HeaderMap::new(), "keep-alive\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        ("HEAD / HTTP/1.1\r\nHost: d\r\n\r\n", StatusCode::OK, &length, "keep-alive\r\n\r\n"),
        (GET, StatusCode::NOT_MODIFIED, &HeaderMap::new(), "keep-alive\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: d\r\nConnection: x, Close\r\n\r\n",
            StatusCode::OK,
            &length,
            "close\r\n\r\nabcde",
        ),
    ] {
        let (mut http1, mut viewer) = begun_with(request).await;
        write_head(&mut http1, status, headers, false);
        for piece in ["abc", "", "de"] {
            http1.body(vec![piece.into()]).await.unwrap();
        }
        let again = http1.finish(true).await;
        assert_eq!(again.is_some(), end.starts_with("keep-alive"), "{request}");
        let sent = sent(&mut viewer, end).await;
        assert!(is_sent_nothing(&viewer).await || again.is_none(), "{sent}");
        assert!(sent.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{sent}");
        assert_eq!(sent.contains("Content-Type: a/b\r\n"), headers.len() == 2);
        assert!(sent.contains("\r\nDate: ") && sent.ends_with(&format!("\r\nConnection: {end}")), "{sent}");
    }
}

#[tokio::test]
async fn a_connection_whose_answer_fell_short_or_that_is_to_end_is_not_used_again() {
    for (given, is_last, keep_alive) in
        [("abcd", false, true), ("abcde", true, true), ("abcde", false, false)]
    {
        let (mut http1, mut viewer) = begun_with(GET).await;
        write_head(&mut http1, StatusCode::OK, &fields(&[("content-length", "5")]), is_last);
        http1.body(vec![given.into()]).await.unwrap();
        assert!(http1.finish(keep_alive).await.is_none());
        let sent = sent(&mut viewer, &format!("\r\n\r\n{given}")).await;
        assert_eq!(sent.contains("Connection: close"), is_last);
    }
    let (mut http1, _viewer) = begun_with(GET).await;
    write_head(&mut http1, StatusCode::OK, &fields(&[("content-length", "5")]), false);
    http1.body(vec!["abc".into(), "def".into()]).await.unwrap_err();
}

#[tokio::test]
async fn a_head_leaves_with_the_first_bytes_of_its_body_or_when_they_are_waited_for() {
    let (mut http1, mut viewer) = begun_with(GET).await;
    write_head(&mut http1, StatusCode::OK, &fields(&[("content-length", "5")]), false);
    assert!(is_sent_nothing(&viewer).await);
    tokio::select! {
        () = http1.until_gone() => panic!("the viewer is there"),
        _head = sent(&mut viewer, "\r\n\r\n") => {}
    }
    http1.body(vec!["abc".into(), "de".into()]).await.unwrap();
    assert_eq!(sent(&mut viewer, "abcde").await, "abcde");
}

#[tokio::test]
async fn a_waiting_request_notices_that_the_viewer_leaves_and_keeps_the_bytes_sent_ahead() {
    let (mut http1, mut viewer) = begun_with(&format!("{GET}GET /1")).await;
    viewer.write_all(b" HTTP").await.unwrap();
    drop(viewer);
    timeout(PATIENCE, http1.until_gone()).await.expect("it is noticed");
    assert_eq!(http1.pipelined, &b"GET /1 HTTP"[..]);
}

#[tokio::test]
async fn an_informational_head_is_sent_without_delay() {
    let (mut http1, mut viewer) = begun_with(GET).await;
    http1.inform(StatusCode::EARLY_HINTS, &fields(&[("link", "</a>")])).await.unwrap();
    assert_eq!(sent(&mut viewer, "\r\n\r\n").await, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

/// A mostly valid head, in which one byte may be replaced.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "GET /a?b=%20 HTTP/1.1",
        "HEAD / HTTP/1.1",
        "POST /a HTTP/1.1",
        "GET /a HTTP/1.0",
        "GET http://d/a HTTP/1.1",
        "\r\nGET /a HTTP/1.1",
    ]);
    let field = prop::sample::select(vec![
        "Host: d",
        "host:d:80 ",
        "Host: ",
        "X-Odd: \tb, c",
        "Range: bytes=0-1",
        "If-None-Match: \"e\"",
        "Connection: keep-alive",
        "Connection: x, close",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Accept-Encoding: gzip",
    ]);
    let fields = prop::collection::vec(field, 0..4);
    let breaks = prop::sample::select(vec!["\r\n", "\n"]);
    let odd = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (line, fields, breaks, odd).prop_map(|(line, fields, line_break, odd)| {
        let lines = [&[line, "Host: d"], &fields[..], &["", "GET / HTTP/1.1"]].concat();
        let mut head = lines.join(line_break).into_bytes();
        if let Some((at, byte)) = odd {
            let at = at.index(head.len());
            head[at] = byte;
        }
        head
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Two parsers that read one request differently allow request smuggling: this parser agrees with the
    /// fast path's.
    #[test]
    fn a_request_reads_the_same_on_the_fast_path_and_here(bytes in heads()) {
        let mut room = Room::new();
        let head = RequestHead::parse(&bytes, head::limits(u64::MAX), &mut room).ok().flatten();
        let fast = head.as_ref().and_then(SimpleHead::of);
        let read = received(&bytes).filter(|received| !is_left_to_pingora(&received.request));
        if let Some(SimpleHead { method, target, host, deciding, .. }) = fast {
            let read = &read.as_ref().unwrap().request;
            prop_assert_eq!((&read.method, &read.target[..]), (&method, target.as_bytes()));
            prop_assert_eq!(read.headers[header::HOST].as_bytes(), host.as_bytes());
            for name in deciding.keys() {
                let values = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
                prop_assert_eq!(values(&deciding), values(&read.headers));
            }
        }
        if let Some(read) = read {
            let Received { request, head, pipelined } = *read;
            prop_assert!(request.target.starts_with(b"/") && request.headers.contains_key(header::HOST));
            prop_assert!(head.ends_with(b"\n") && bytes.ends_with(&[&head[..], &pipelined[..]].concat()));
        }
    }
}
