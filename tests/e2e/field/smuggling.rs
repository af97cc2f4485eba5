//! No message is read in two ways: a body has one length, or the message is refused.

use bytes::Bytes;
use http::{Method, Request};
use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::site::config::Verb;
use tidegate_tests::{Connection, Origin, PATIENCE, Running, edge, origin, shield, viewer};
use tokio::net::TcpStream;

use super::frames::{PREFACE, SETTINGS};
use super::raw::RawOrigin;

const PATH: &str = "/bytes/1000";

/// An edge and a shield that allow POST.
async fn posting() -> (Origin, Running, Running) {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| config.site[0].methods = vec![Verb(Method::POST)]);
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|config| config.site[0].methods = vec![Verb(Method::POST)]);
    let edge = edge.run().await;
    (origin, shield, edge)
}

/// The request that an attacker hides in a body.
const HIDDEN: &str = "GET /bytes/7 HTTP/1.1\r\nhost: live.example\r\nx-hidden: 1\r\n\r\n12345";

/// Request lines, and fields before the doubtful ones, that must not change what they mean.
const DISGUISES: [(&str, &str); 4] = [
    ("POST /echo HTTP/1.1", ""),
    ("POST /echo HTTP/1.0", "Connection: keep-alive\r\n"),
    ("POST /echo HTTP/1.1", "Connection: content-length, transfer-encoding\r\n"),
    ("POST /echo HTTP/1.1", "Expect: 100-continue\r\n"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_doubtful_length_never_goes_upstream() {
    let (origin, _shield, edge) = posting().await;
    for (fields, status) in [
        ("Content-Length: 60, 60", 400),
        ("Content-Length: 60,60", 400),
        ("Content-Length: 60\r\nContent-Length: 60", 400),
        ("Content-Length: 60\r\ncontent-length: 5", 400),
        ("Content-Length: +60", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 0x3c", 400),
        ("Content-Length: 6 0", 400),
        ("Content-Length: 60;q=1", 400),
        ("Content-Length: 60.", 400),
        ("Content-Length: \"60\"", 400),
        ("Content-Length: \u{b2}60", 400),
        ("Content-Length:", 400),
        ("Content-Length: ,60", 400),
        ("Content-Length: 60,", 400),
        ("Content-Length: 99999999999999999999", 400),
        ("Content-Length : 60", 400),
        ("Content-Length\t: 60", 400),
        (" Content-Length: 60", 400),
        ("X: a\r\n Content-Length: 60", 400),
        ("X: a\nContent-Length: 60", 400),
        ("X: a\rContent-Length: 60", 400),
        ("X: a\0\r\nContent-Length: 60", 400),
        ("Content-Length: 60\0", 400),
        ("Content-Length: 60\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 60", 400),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: chunked;q=1", 400),
        ("Transfer-Encoding: \"chunked\"", 400),
        ("Transfer-Encoding:", 400),
        ("Transfer-Encoding: chunked,", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding\0: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
    ] {
        for (line, before) in DISGUISES {
            let head = format!("{line}\r\nHost: live.example\r\n{before}{fields}\r\n\r\n{HIDDEN}");
            let mut attacker = Connection::open(edge.addr(), head.as_bytes()).await;
            let response = attacker.rest().await;
            let is_known = response.status == status || (line.ends_with("1.0") && response.status == 400);
            assert!(is_known, "{head:?}: {}", response.text());
            assert_eq!(
                (response.header("connection"), response.informational.len()),
                ("close", 0),
                "{head:?}"
            );
            assert!(attacker.some().await.is_empty(), "{head:?}: there is no second response");
        }
    }
    assert_eq!(origin.total(), 0);
    viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_malformed_chunks_ends_its_connections() {
    let (origin, _shield, edge) = posting().await;
    for body in [
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ] {
        let head = "POST /echo HTTP/1.1\r\nHost: live.example\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut attacker = Connection::open(edge.addr(), format!("{head}{body}{HIDDEN}").as_bytes()).await;
        let response = attacker.rest().await;
        assert_ne!(response.status, 200, "{body:?}: {}", response.text());
        assert!(attacker.some().await.is_empty(), "{body:?}: there is no second response");
    }
    // A connection to the origin on which such a body began is not used again.
    viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    assert_eq!(origin.requests("/bytes/7"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_differs_from_the_frames_is_refused() {
    let (origin, _shield, edge) = posting().await;
    for (length, body, is_right) in [
        ("5", "hello", true),
        ("5", "hello world", false),
        ("11", "hello", false),
        ("5", "", false),
        ("5, 5", "hello", false),
        ("+5", "hello", false),
        ("0x5", "hello", false),
        ("", "hello", false),
    ] {
        let stream = TcpStream::connect(edge.addr()).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        let mut driving = tokio::task::JoinSet::new();
        driving.spawn(async move { _ = connection.await });
        let request = Request::post("http://live.example/echo").header("content-length", length);
        let (response, mut sending) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        _ = sending.send_data(Bytes::from_static(body.as_bytes()), true);
        let response = tokio::time::timeout(PATIENCE, response).await.expect("an end in time");
        let status = response.map(|response| response.status().as_u16());
        assert_eq!(status.as_ref().is_ok_and(|status| *status == 200), is_right, "{length:?} {body:?}");
    }
    viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    assert_eq!(origin.requests("/bytes/7"), 0);
}

/// A field block without compression (RFC 7541 section 6.2.2).
fn field_block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let text = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// What a translation into HTTP/1.1 could read as another request (RFC 9113 section 10.3).
#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_http_2_becomes_a_line_of_http_1() {
    type Fields<'a> = &'a [(&'a [u8], &'a [u8])];
    const METHOD: (&[u8], &[u8]) = (b":method", b"GET");
    const SCHEME: (&[u8], &[u8]) = (b":scheme", b"http");
    const PATH: (&[u8], &[u8]) = (b":path", b"/bytes/7");
    const HOST: (&[u8], &[u8]) = (b":authority", b"live.example");
    let rows: [(&str, Fields<'_>); 30] = [
        ("CRLF in a value", &[METHOD, SCHEME, PATH, HOST, (b"x", b"a\r\nx-hidden: 1")]),
        ("LF in a value", &[METHOD, SCHEME, PATH, HOST, (b"x", b"a\nx-hidden: 1")]),
        ("NUL in a value", &[METHOD, SCHEME, PATH, HOST, (b"x", b"a\0b")]),
        ("CRLF in a name", &[METHOD, SCHEME, PATH, HOST, (b"x: a\r\ny", b"b")]),
        ("a colon in a name", &[METHOD, SCHEME, PATH, HOST, (b"x: a", b"b")]),
        ("a space in a name", &[METHOD, SCHEME, PATH, HOST, (b"x y", b"b")]),
        ("a capital letter in a name", &[METHOD, SCHEME, PATH, HOST, (b"X", b"b")]),
        ("an empty name", &[METHOD, SCHEME, PATH, HOST, (b"", b"b")]),
        ("Transfer-Encoding", &[METHOD, SCHEME, PATH, HOST, (b"transfer-encoding", b"chunked")]),
        ("Connection", &[METHOD, SCHEME, PATH, HOST, (b"connection", b"x")]),
        ("Keep-Alive", &[METHOD, SCHEME, PATH, HOST, (b"keep-alive", b"5")]),
        ("Proxy-Connection", &[METHOD, SCHEME, PATH, HOST, (b"proxy-connection", b"x")]),
        ("Upgrade", &[METHOD, SCHEME, PATH, HOST, (b"upgrade", b"h2c")]),
        ("TE: gzip", &[METHOD, SCHEME, PATH, HOST, (b"te", b"gzip")]),
        ("two lengths", &[METHOD, SCHEME, PATH, HOST, (b"content-length", b"1"), (b"content-length", b"2")]),
        ("a length without a body", &[METHOD, SCHEME, PATH, HOST, (b"content-length", b"5")]),
        ("a length that is no number", &[METHOD, SCHEME, PATH, HOST, (b"content-length", b"+0")]),
        ("CRLF in the path", &[METHOD, SCHEME, (b":path", b"/a HTTP/1.1\r\nx: y"), HOST]),
        ("a space in the path", &[METHOD, SCHEME, (b":path", b"/a b"), HOST]),
        ("an empty path", &[METHOD, SCHEME, (b":path", b""), HOST]),
        ("two paths", &[METHOD, SCHEME, PATH, (b":path", b"/b"), HOST]),
        ("no path", &[METHOD, SCHEME, HOST]),
        ("CRLF in the method", &[(b":method", b"GET /b HTTP/1.1\r\nx: y"), SCHEME, PATH, HOST]),
        ("no method", &[SCHEME, PATH, HOST]),
        ("no scheme", &[METHOD, PATH, HOST]),
        ("CRLF in the authority", &[METHOD, SCHEME, PATH, (b":authority", b"live.example\r\nx: y")]),
        ("a user in the authority", &[METHOD, SCHEME, PATH, (b":authority", b"a@live.example")]),
        ("another host", &[METHOD, SCHEME, PATH, HOST, (b"host", b"other.example")]),
        ("a pseudo-header after a field", &[METHOD, SCHEME, HOST, (b"x", b"a"), PATH]),
        ("an unknown pseudo-header", &[METHOD, SCHEME, PATH, HOST, (b":hidden", b"a")]),
    ];
    let (origin, _shield, edge) = posting().await;
    for (what, fields) in rows {
        let block = field_block(fields);
        let len = u8::try_from(block.len()).unwrap();
        // END_STREAM and END_HEADERS, on stream 1.
        let sent = [PREFACE, SETTINGS, &[0, 0, len, 1, 5, 0, 0, 0, 1], &block].concat();
        let mut connection = Connection::open(edge.addr(), &sent).await;
        let is_refused = async {
            let mut received = Vec::new();
            loop {
                let more = connection.some().await;
                received.extend_from_slice(&more);
                // RST_STREAM on the stream, GOAWAY, or a response, which is a refusal as nothing is cached.
                let has = |kind, stream| {
                    received.windows(9).any(|head| head[3] == kind && head[5..] == [0, 0, 0, stream])
                };
                if has(3, 1) || has(7, 0) || has(1, 1) || more.is_empty() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, is_refused).await.unwrap_or_else(|_| panic!("{what}: no answer"));
        assert_eq!(origin.total(), 0, "{what}");
    }
    viewer(edge.addr()).get(self::PATH).await.is(200, &synthetic_bytes(self::PATH, 0..1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_doubtful_length_is_a_502() {
    const RESPONSES: &[(&str, u16)] = &[
        ("Content-Length: 5\r\n\r\nhello", 200),
        ("Content-Length: 5, 5\r\n\r\nhello", 200),
        ("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 200),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 502),
        ("Content-Length: +5\r\n\r\nhello", 502),
        ("Content-Length: 0x5\r\n\r\nhello", 502),
        ("Content-Length:\r\n\r\nhello", 502),
        ("Content-Length: -1\r\n\r\nhello", 502),
        ("Content-Length: 5;a\r\n\r\nhello", 502),
        ("Content-Length: 99999999999999999999\r\n\r\nhello", 502),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 502),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 502),
        ("Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 502),
        ("Transfer-Encoding: identity\r\n\r\nhello", 502),
        ("Transfer-Encoding:\r\n\r\nhello", 502),
        ("X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", 502),
        ("X: a\rContent-Length: 5\r\n\r\nhello", 502),
        ("X: a\0\r\nContent-Length: 5\r\n\r\nhello", 502),
    ];
    let origin = RawOrigin::run(|target| {
        let number: usize = target.trim_start_matches("/response/").parse().expect("a number");
        format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{}", RESPONSES[number].0).into_bytes()
    })
    .await;
    let shield = shield().origin_at(&origin.url()).with(|config| {
        // Many bad responses in a row are the subject here, and not an unhealthy origin.
        config.upstream.health.consecutive_failures = 1000;
        config.upstream.health.error_rate_excess = "100%".parse().unwrap();
    });
    let shield = shield.run().await;
    let edge = edge().shield(&shield).run().await;
    for (number, (fields, status)) in RESPONSES.iter().enumerate() {
        for credentials in [false, true] {
            let mut viewer = viewer(edge.addr());
            if credentials {
                viewer = viewer.header("authorization", "Basic eDp5");
            }
            let response = viewer.get(&format!("/response/{number}")).await;
            assert_eq!(response.status, *status, "{fields:?}: {}", response.text());
            if *status == 200 {
                response.is(200, b"hello");
            }
        }
    }
}
