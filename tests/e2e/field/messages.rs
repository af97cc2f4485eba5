//! Messages as they are: what an origin sent reaches viewers, and what a request asks is answered.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{Connection, edge, origin, shield, viewer};
use tokio::net::TcpStream;

use super::raw::RawOrigin;

const PATH: &str = "/bytes/1000";
const DATE: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
const EXPIRES: &str = "Sat, 21 Nov 2026 11:00:00 GMT";

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_informational_responses_reaches_the_viewer() {
    let origin = RawOrigin::run(|_| {
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";
        format!("{}HTTP/1.1 102 Processing\r\n\r\n{last}", hint.repeat(20)).into_bytes()
    })
    .await;
    let shield = shield().origin_at(&origin.url()).run().await;
    let edge = edge().shield(&shield).run().await;
    for (field, target) in [("x-plain", "/fill"), ("authorization", "/pass")] {
        let response = viewer(edge.addr()).header(field, "x").get(target).await;
        response.is(200, b"ok");
        let expected: Vec<u16> = std::iter::repeat_n(103, 20).chain([102]).collect();
        assert_eq!(response.informational, expected, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_if_cached_makes_no_request_upstream() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let cached = || viewer(edge.addr()).header("cache-control", "only-if-cached");

    for target in [PATH, "/live/ch1/ts/index.m3u8?_HLS_msn=3"] {
        let missing = cached().get(target).await;
        assert_eq!((missing.status, missing.header("cache-control")), (504, "no-store"), "{target}");
        assert_eq!(cached().header("authorization", "x").get(target).await.status, 504, "{target}");
    }
    assert_eq!((origin.total(), shield.count("tidegate_requests_total", "").await), (0, 0));

    viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    cached().get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    // It gets the fill of another request.
    origin.fault(Fault::on("/bytes/2000").hold_at("half", 1000)).unwrap();
    let mut first = viewer(edge.addr()).start("GET", "/bytes/2000").await;
    assert!(first.begins(1000).await);
    let mut second = cached().start("GET", "/bytes/2000").await;
    assert!(second.begins(1000).await);
    origin.release("half");
    second.rest().await.is(200, &synthetic_bytes("/bytes/2000", 0..2000));
    assert_eq!(origin.requests("/bytes/2000"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_may_read_every_refusal() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.site[0].hosts = vec!["live.example".to_owned()];
        config.viewers.head_timeout = "200ms".parse().unwrap();
    });
    let edge = edge.run().await;
    let large = format!("GET / HTTP/1.1\r\nhost: live.example\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    for (request, status) in [
        (&large[..], 431),
        ("GET / HTTP/1.1\r\nhost: live.example\r\na b: c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: live.example\r\n", 408),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: other.example\r\n\r\n", 421),
        ("GET /../a HTTP/1.1\r\nhost: live.example\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: live.example\r\ncontent-length: 0\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nhost: live.example\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
    ] {
        let response = Connection::open(edge.addr(), request.as_bytes()).await.rest().await;
        let shown = &request[..request.len().min(80)];
        assert_eq!(
            (response.status, response.header("access-control-allow-origin")),
            (status, "*"),
            "{shown:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn date_and_expires_are_the_origins() {
    let origin = RawOrigin::run(|target| {
        let length = if target == "/none" { "" } else { "Content-Length: 2\r\n" };
        let (status, body) = if target == "/none" { ("204 No Content", "") } else { ("200 OK", "ok") };
        format!("HTTP/1.1 {status}\r\nDate: {DATE}\r\nExpires: {EXPIRES}\r\n{length}\r\n{body}").into_bytes()
    })
    .await;
    let shield = shield().origin_at(&origin.url()).run().await;
    let edge = edge().shield(&shield).run().await;
    for target in ["/a", "/none", "/private"] {
        for round in 0..3 {
            let mut viewer = viewer(edge.addr());
            if target == "/private" {
                viewer = viewer.header("authorization", "x");
            }
            let response = viewer.get(target).await;
            for (name, value) in [("date", DATE), ("expires", EXPIRES), ("cache-control", "")] {
                assert_eq!(response.header(name), value, "{target}, round {round}: {name}");
            }
            assert_eq!(response.headers.get_all("date").iter().count(), 1);
            let length = if target == "/none" { "" } else { "2" };
            assert_eq!(response.header("content-length"), length, "{target}, round {round}");
        }
    }
    // The lifetime is that between Date and Expires: one request for each object.
    assert_eq!(origin.heads().len(), 5, "{:?}", origin.heads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_a_date_has_that_of_its_arrival() {
    let origin = RawOrigin::run(|_| {
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok".to_vec()
    })
    .await;
    let edge = edge().with(|config| config.site[0].origins.push(origin.url().parse().unwrap())).run().await;
    let first = viewer(edge.addr()).get("/a").await.header("date").to_owned();
    assert!(first.ends_with(" GMT"), "{first:?}");
    let warm = viewer(edge.addr()).get("/a").await;
    assert_eq!((warm.header("date"), warm.header("x-cache")), (&first[..], "HIT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_about_the_request_is_not_for_the_lifetime_of_the_object() {
    let origin = RawOrigin::run(|_| {
        format!(
            "HTTP/1.1 200 OK\r\nDate: {DATE}\r\nExpires: {EXPIRES}\r\nCache-Control: public, max-age=60\r\n\
             ETag: \"a\"\r\nContent-Length: 2\r\n\r\nok"
        )
        .into_bytes()
    })
    .await;
    let edge = edge().with(|config| config.site[0].origins.push(origin.url().parse().unwrap())).run().await;
    for _cold_then_warm in 0..2 {
        for (name, value, status) in [("if-match", "\"b\"", 412), ("range", "bytes=5-", 416)] {
            let response = viewer(edge.addr()).header(name, value).get("/a").await;
            let lifetime = ["cache-control", "expires", "age"].map(|name| response.header(name).to_owned());
            assert_eq!((response.status, lifetime), (status, ["no-store", "", ""].map(str::to_owned)));
        }
    }
    assert_eq!(origin.heads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_connection_lists_end_with_their_hop() {
    let origin = RawOrigin::run(|_| {
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\
          Content-Length: 2\r\n\r\nok"
            .to_vec()
    })
    .await;
    let shield = shield().origin_at(&origin.url()).run().await;
    let edge = edge().shield(&shield).run().await;
    for (field, target) in [("x-plain", "/a"), ("x-plain", "/a"), ("authorization", "/b")] {
        let viewer = viewer(edge.addr()).header(field, "x").header("connection", "x-mine");
        let response = viewer.header("x-mine", "1").header("x-other", "2").get(target).await;
        assert_eq!((response.header("x-hop"), response.header("x-end")), ("", "2"), "{target}");
    }
    let heads = origin.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        assert!(!head.contains("X-Mine") && head.contains("X-Other: 2\r\n"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_2_request_becomes_one_of_http_1() {
    let origin = RawOrigin::run(|_| {
        b"HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\nok".to_vec()
    })
    .await;
    let edge = edge().with(|config| config.site[0].origins.push(origin.url().parse().unwrap())).run().await;
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(async move { _ = connection.await });
    let request = http::Request::get("http://live.example/a")
        .header("authorization", "x")
        .header("cookie", "a=1")
        .header("cookie", "b=2; c=3")
        .header("x-spaces", " \tb c ");
    let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    let response = tokio::time::timeout(tidegate_tests::PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let head = &origin.heads()[0];
    assert!(head.contains("Cookie: a=1; b=2; c=3\r\n"), "{head}");
    assert!(head.contains("X-Spaces: b c\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_without_waiting_for_more() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.site[0].hosts = vec!["h".to_owned()];
        config.site[0].methods = vec![tidegate_proxy::site::config::Verb(http::Method::POST)];
    });
    let edge = edge.run().await;
    let mut wrong = Vec::new();
    for (request, status) in BAD {
        let mut connection = Connection::open(edge.addr(), request).await;
        let response = tokio::time::timeout(tidegate_tests::PATIENCE, connection.response("GET")).await;
        let received = response.map_or(0, |response| response.status);
        if received != *status {
            wrong.push(format!("{}: {received}, not {status}", request.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.total(), 0);
}

/// Each is complete as it is: no answer may wait for more bytes.
const BAD: &[(&[u8], u16)] = &[
    // The request line.
    (b"GET\r\n\r\n", 400),
    (b"GET \r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / \r\n\r\n", 400),
    (b"GET / HTTP\r\n\r\n", 400),
    (b"GET / HTTP/\r\n\r\n", 400),
    (b"GET / HTTP/1\r\n\r\n", 400),
    (b"GET / HTTP/1.\r\n\r\n", 400),
    (b"GET / HTTP/1.1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/11.1\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/01.1\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/1.2\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/0.9\r\nhost: h\r\n\r\n", 400),
    (b"GET / http/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/1.1x\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\nhost: h\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET /  HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET\t/ HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET /\tHTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET / a HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b" GET / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"\x0bGET / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"\rGET / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GE(T / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"G\xc3\x89T / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"get / HTTP/1.1\r\nhost: h\r\n\r\n", 405),
    (b"GET /\x7f HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET /\xff HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET /a#b HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET a HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET h:80 HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET ftp://h/ HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET http:/// HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET http://u@h/ HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"GET http://o/ HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (b"CONNECT h:80 HTTP/1.1\r\nhost: h\r\n\r\n", 405),
    // Fields.
    (b"GET / HTTP/1.1\r\nhost: h\r\n: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na b: c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na : b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na\t: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\n a: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n a: b\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\tc\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na: b\0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na: b\rc: d\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na: \x01\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\na\xe9: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\n(a): b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\n\"a\": b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost:\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h, o\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: h/a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: o\r\n\r\n", 421),
    // Bodies.
    (b"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\na", 400),
    (b"GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na", 400),
    (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1e1\r\n\r\na", 400),
    (b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n", 405),
    // Other protocols.
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"SSH-2.0-a\r\n\r\n", 400),
    (b"HTTP/1.1 200 OK\r\n\r\n", 400),
];
