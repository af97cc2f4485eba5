//! HTTP/2 with prior knowledge behaves as HTTP/1.1 does; broken bodies are reset, not ended. Tiers may pass
//! requests to each other over HTTP/2.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::Version;
use tidegate_proxy::config::units::Period;
use tidegate_proxy::site::config::Verb;
use tidegate_tests::{Origin, PATIENCE, Running, edge, origin, shield, until, viewer, viewers};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";
const SMALL: &str = "/bytes/5000";

/// One HTTP/2 connection; it closes when it is dropped.
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

/// The response on one HTTP/2 stream.
struct Response {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    /// The reason of the reset, if the stream was reset.
    reset: Option<h2::Reason>,
}

impl Connection {
    async fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        let (requests, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let _over = connection.await;
        });
        Self { requests, _driver: driver }
    }

    fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Pending {
        let mut request = Request::builder().method(method).uri(format!("http://live.example{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
        Pending { requests: self.requests.clone(), request }
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.ask(Method::GET, path, fields, b"").response().await
    }
}

/// A request that has not been sent yet.
struct Pending {
    requests: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
}

impl Pending {
    async fn head(mut self) -> http::Response<Incoming> {
        let response = self.requests.send_request(self.request);
        tokio::time::timeout(PATIENCE, response).await.expect("a response in time").expect("a response")
    }

    async fn response(self) -> Response {
        whole(self.head().await).await
    }
}

/// Reads the response to its end after its head.
async fn whole(response: http::Response<Incoming>) -> Response {
    let (head, mut incoming) = response.into_parts();
    let (mut body, mut reset) = (BytesMut::new(), None);
    while let Some(frame) = tokio::time::timeout(PATIENCE, incoming.frame()).await.expect("a frame in time") {
        match frame {
            Ok(frame) => body.extend(frame.into_data().ok()),
            Err(error) => {
                let cause =
                    std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<h2::Error>());
                assert!(cause.is_some_and(h2::Error::is_reset), "{error:?}");
                reset = cause.and_then(h2::Error::reason);
                break;
            }
        }
    }
    Response { status: head.status.as_u16(), headers: head.headers, body: body.freeze(), reset }
}

impl Response {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    fn is(&self, status: u16, body: &[u8]) {
        assert_eq!((self.status, self.reset), (status, None));
        assert!(self.body == body, "{} bytes that differ from the {} expected", self.body.len(), body.len());
    }
}

async fn cluster() -> (Origin, Running, Running) {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    (origin, shield, edge)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_2_viewer_is_served_like_an_http_1_1_viewer() {
    let (origin, _shield, edge) = cluster().await;
    let connection = Connection::to(edge.addr()).await;
    let whole = connection.get(SMALL, &[]).await;
    let etag = whole.header("etag").to_owned();
    whole.is(200, &synthetic_bytes(SMALL, 0..5000));
    assert_eq!((whole.header("content-length"), whole.header("x-cache")), ("5000", "MISS, MISS"));
    assert_eq!((whole.header("connection"), whole.header("transfer-encoding")), ("", ""));

    let head = connection.ask(Method::HEAD, SMALL, &[], b"").response().await;
    head.is(200, b"");
    assert_eq!(head.header("content-length"), "5000");
    let range = connection.get(SMALL, &[("range", "bytes=100-199")]).await;
    range.is(206, &synthetic_bytes(SMALL, 100..200));
    assert_eq!(range.header("content-range"), "bytes 100-199/5000");
    connection.get(SMALL, &[("range", "bytes=5000-")]).await.is(416, b"");
    connection.get(SMALL, &[("if-none-match", &etag)]).await.is(304, b"");
    connection.ask(Method::OPTIONS, SMALL, &[], b"").response().await.is(204, b"");
    assert_eq!(origin.requests(SMALL), 1);
    assert_eq!(origin.seen(SMALL)[0].header("via"), "2.0 edge-1, 1.1 shield-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_on_their_own_streams() {
    let (origin, _shield, edge) = cluster().await;
    let connection = Connection::to(edge.addr()).await;
    for (method, path, body, status) in [
        (Method::POST, SMALL, &b""[..], 405),
        (Method::POST, SMALL, &b"body"[..], 405),
        (Method::GET, SMALL, b"body", 400),
        (Method::GET, "/a%2f..%2fb", b"", 400),
        (Method::GET, "/a/../b", b"", 400),
        (Method::GET, "/a%00b", b"", 400),
    ] {
        let response = connection.ask(method.clone(), path, &[], body).response().await;
        assert_eq!((response.status, response.reset), (status, None), "{method} {path}");
    }
    let allowed = connection.ask(Method::POST, SMALL, &[], b"").response().await;
    assert_eq!(allowed.header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(connection.get(SMALL, &[("cdn-loop", "edge-1")]).await.status, 508);
    let long = "a".repeat(9000);
    assert_eq!(connection.get(&format!("/{long}"), &[]).await.status, 414);
    assert_eq!(origin.total(), 0);
    connection.get(SMALL, &[]).await.is(200, &synthetic_bytes(SMALL, 0..5000));
}

/// Some clients end every request with a separate frame, even a request without a body.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_final_frame_of_a_request_is_not_a_body() {
    let (_origin, _shield, edge) = cluster().await;
    let socket = TcpStream::connect(edge.addr()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
    let driving = tokio::spawn(connection);
    let request = || Request::get(format!("http://live.example{SMALL}")).body(()).unwrap();

    let (response, mut rest) = requests.send_request(request(), false).unwrap();
    rest.send_data(Bytes::new(), true).unwrap();
    let (head, mut incoming) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let mut body = BytesMut::new();
    while let Some(bytes) = incoming.data().await {
        body.extend(bytes);
    }
    assert!(body.freeze() == synthetic_bytes(SMALL, 0..5000));

    let (response, mut rest) = requests.send_request(request(), false).unwrap();
    rest.send_data(Bytes::from_static(b"x"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 400);
    driving.abort();
}

/// HLS appendix B.1: HTTP/2, and duplicate requests wait for the one that is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_streams_of_one_connection_join_one_fill() {
    let (origin, _shield, edge) = cluster().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let connection = Connection::to(edge.addr()).await;
    let mut streams = JoinSet::new();
    for _ in 0..100 {
        streams.spawn(connection.ask(Method::GET, COLD, &[], b"").response());
    }
    until("all wait", async || edge.status().await["fills"]["viewers"] == 100).await;
    origin.release("rest");

    let expected = synthetic_bytes(COLD, 0..MIB);
    for response in streams.join_all().await {
        response.is(200, &expected);
    }
    assert_eq!(origin.requests(COLD), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_is_a_reset_stream_and_never_a_short_one() {
    // So early that the permitted continuations at the same origin do not reach the end.
    for fault in [
        Fault::on(COLD).cut_at(20 * 1024),
        Fault::on(COLD).close_at(20 * 1024),
        Fault::on(COLD).truncated_chunked(20 * 1024),
    ] {
        let (origin, _shield, edge) = cluster().await;
        origin.fault(fault.clone()).unwrap();
        // A reset also cancels a head that has not been sent yet: the body breaks after the head has arrived.
        origin.fault(Fault::on(COLD).hold_at("rest", 10 * 1024).times(1)).unwrap();
        let connection = Connection::to(edge.addr()).await;

        // Without a validator the body cannot be resumed.
        let path = format!("{COLD}?etag=&lm=0");
        let head = connection.ask(Method::GET, &path, &[], b"").head().await;
        origin.release("rest");
        let broken = whole(head).await;

        assert_eq!(broken.status, 200);
        // Clients such as hyper treat a stream that is reset with NO_ERROR or CANCEL as complete.
        assert_eq!(broken.reset, Some(h2::Reason::INTERNAL_ERROR), "{} bytes: {fault:?}", broken.body.len());
        assert!(broken.body.len() < 1 << 20 && synthetic_bytes(COLD, 0..MIB).starts_with(&broken.body));
        // The connection and its other streams are unaffected.
        connection.get(SMALL, &[]).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_stream_ends_only_its_own_request() {
    let (origin, _shield, edge) = cluster().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let connection = Connection::to(edge.addr()).await;
    let cancelled = connection.ask(Method::GET, COLD, &[], b"").head().await;
    let other = connection.ask(Method::GET, COLD, &[], b"");
    let other = tokio::spawn(other.response());
    until("both read", async || edge.status().await["fills"]["viewers"] == 2).await;

    drop(cancelled);

    until("one reads", async || edge.status().await["fills"]["viewers"] == 1).await;
    origin.release("rest");
    other.await.unwrap().is(200, &synthetic_bytes(COLD, 0..MIB));
    assert_eq!(origin.requests(COLD), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_off_by_a_drain_has_its_line_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let log = file.to_str().unwrap().to_owned();
    let edge = edge().origin(&origin).with(|config| {
        config.drain.timeout = Period::millis(300);
        config.log.access = log;
    });
    let edge = edge.run().await;
    let connection = Connection::to(edge.addr()).await;
    let mut incoming = connection.ask(Method::GET, COLD, &[], b"").head().await.into_body();
    assert!(incoming.frame().await.expect("a beginning").is_ok());

    edge.drain();
    edge.ended().await;

    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(line["http"]["version"], "2");
    assert_eq!((&line["tidegate"]["fate"], &line["tidegate"]["broken"]), (&"miss".into(), &true.into()));
}

/// Tiers that use HTTP/2 with each other and with their origins.
async fn http2_cluster(origins: &[&Origin]) -> (Running, Running) {
    let verbs = vec![Verb(Method::POST)];
    let mut shield = shield();
    for origin in origins {
        shield = shield.origin(origin);
    }
    let shield = shield.with(|config| {
        config.upstream.http = Version::Http2;
        config.site[0].methods.clone_from(&verbs);
    });
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|config| {
        config.upstream.http = Version::Http2;
        config.site[0].methods.clone_from(&verbs);
    });
    (shield, edge.run().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_may_speak_http_2_with_each_other() {
    let origin = origin().run().await;
    let (_shield, edge) = http2_cluster(&[&origin]).await;
    let responses = viewers(200, &[&edge]).get(COLD).await;
    let expected = synthetic_bytes(COLD, 0..MIB);
    for response in &responses {
        response.is(200, &expected);
        assert_eq!(response.header("via"), "2.0 shield-1, 2.0 edge-1");
    }
    assert_eq!(origin.requests(COLD), 1);
    let seen = &origin.seen(COLD)[0];
    assert_eq!((&*seen.version, seen.header("via")), ("HTTP/2.0", "1.1 edge-1, 2.0 shield-1"));

    let undated = "/bytes/5000?cc=";
    for _first_then_renewed in 0..2 {
        viewer(edge.addr()).get(undated).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    }
    assert_eq!(origin.seen(SMALL)[1].status, Some(304));
    let missing = viewer(edge.addr()).get("/nothing/here").await;
    assert_eq!((missing.status, missing.whole), (404, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_are_sent_upstream_over_http_2() {
    let origin = origin().run().await;
    let (_shield, edge) = http2_cluster(&[&origin]).await;
    let body = synthetic_bytes("/body", 0..300_000);
    viewer(edge.addr()).body(&body).ask("POST", "/echo").await.is(200, &body);
    let connection = Connection::to(edge.addr()).await;
    connection.ask(Method::POST, "/echo", &[], &body).response().await.is(200, &body);
}
