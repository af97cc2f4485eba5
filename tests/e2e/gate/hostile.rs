//! Bad input, while 100 viewers watch: each row gets its answer and moves its metric, and no viewer notices.
//!
//! The rows are the table of docs/bad-input.md. `TIDEGATE_WRITE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use http::Method;
use tidegate_access::token::Claims;
use tidegate_proxy::config::access::ProxyProtocol;
use tidegate_proxy::site::config::Verb;
use tidegate_tests::{Connection, PATIENCE, Running, Swarm, edge, origin, shield};
use tokio::net::TcpStream;

use super::token::{SECRET, now, signed};
use crate::field::frames::{PREFACE, SETTINGS, WRONG, code_of};

const PLAYLIST: &str = "/live/one/ts/144p/index.m3u8";
const REFUSED: &str = "tidegate_requests_total{fate=\"refused\"}";
const NONE: &str = "";

/// One bad input.
struct Row {
    group: &'static str,
    what: String,
    sent: Vec<u8>,
    answer: &'static str,
    metric: &'static str,
}

/// The rows of the table, in its order.
#[derive(Default)]
struct Rows(Vec<Row>);

impl Rows {
    fn add(
        &mut self,
        group: &'static str,
        answer: &'static str,
        metric: &'static str,
        rows: &[(&str, &[u8])],
    ) {
        self.0.extend(rows.iter().map(|(what, sent)| Row {
            group,
            what: (*what).to_owned(),
            sent: sent.to_vec(),
            answer,
            metric,
        }));
    }

    /// Requests with these lines after the request line and the host.
    fn fields(
        &mut self,
        group: &'static str,
        answer: &'static str,
        method: &str,
        rows: &[(&'static str, &[u8])],
    ) {
        for (what, fields) in rows {
            let head = format!("{method} /live/a.ts HTTP/1.1\r\nhost: live.example\r\n");
            self.add(group, answer, REFUSED, &[(what, &[head.as_bytes(), fields].concat())]);
        }
    }

    /// Requests for these targets, with a `Host` field of the site.
    fn targets(&mut self, group: &'static str, answer: &'static str, rows: &[(&'static str, String)]) {
        for (what, target) in rows {
            let request = format!("GET {target} HTTP/1.1\r\nhost: live.example\r\n\r\n");
            self.add(group, answer, REFUSED, &[(what, request.as_bytes())]);
        }
    }
}

fn request_lines(rows: &mut Rows) {
    let closes: &[(&str, &[u8])] = &[
        ("bytes that are not HTTP", b"\x00\x01\x02\x03\r\n\r\n"),
        ("a TLS handshake on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("another protocol (`SSH-2.0`)", b"SSH-2.0-a\r\n\r\n"),
        ("a response", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("no version", b"GET /\r\n\r\n"),
        ("HTTP/0.9", b"GET / HTTP/0.9\r\nhost: live.example\r\n\r\n"),
        ("HTTP/1.2", b"GET / HTTP/1.2\r\nhost: live.example\r\n\r\n"),
        ("HTTP/2.0 in text", b"GET / HTTP/2.0\r\nhost: live.example\r\n\r\n"),
        ("a version in small letters", b"GET / http/1.1\r\nhost: live.example\r\n\r\n"),
        ("two spaces after the method", b"GET  / HTTP/1.1\r\nhost: live.example\r\n\r\n"),
        ("a tab after the method", b"GET\t/ HTTP/1.1\r\nhost: live.example\r\n\r\n"),
        ("a space in the target", b"GET /a b HTTP/1.1\r\nhost: live.example\r\n\r\n"),
        ("a space before the method", b" GET / HTTP/1.1\r\nhost: live.example\r\n\r\n"),
        ("a method with a parenthesis", b"GE(T / HTTP/1.1\r\nhost: live.example\r\n\r\n"),
        ("a control character in the target", b"GET /\x07 HTTP/1.1\r\nhost: live.example\r\n\r\n"),
        ("a byte beyond ASCII in the target", b"GET /\xff HTTP/1.1\r\nhost: live.example\r\n\r\n"),
    ];
    rows.add("request line", "400, closes", REFUSED, closes);
}

fn fields(rows: &mut Rows) {
    rows.fields(
        "header fields",
        "400, closes",
        "GET",
        &[
            ("a line without a colon", b"a\r\n\r\n"),
            ("a space in a name", b"a b: c\r\n\r\n"),
            ("a space before the colon", b"a : b\r\n\r\n"),
            ("an empty name", b": a\r\n\r\n"),
            ("a name with a quote", b"\"a\": b\r\n\r\n"),
            ("a byte beyond ASCII in a name", b"a\xe9: b\r\n\r\n"),
            ("a folded line (obs-fold)", b"a: b\r\n c\r\n\r\n"),
            ("a NUL in a value", b"a: b\0c\r\n\r\n"),
            ("a control character in a value", b"a: \x01\r\n\r\n"),
            ("a CR alone in a value", b"a: b\rc: d\r\n\r\n"),
        ],
    );
    let many: String = (0..400).fold(String::new(), |text, number| text + &format!("x-{number}: a\r\n"));
    rows.fields(
        "header fields",
        "431, closes",
        "GET",
        &[
            ("a field of 100 KiB", format!("x: {}\r\n\r\n", "a".repeat(100 * 1024)).as_bytes()),
            ("400 fields", format!("{many}\r\n").as_bytes()),
        ],
    );
    rows.fields("header fields", "408, closes", "GET", &[("a head that never ends", b"x: a\r\n")]);
    let hosts: &[(&str, &[u8])] = &[
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("an empty host", b"GET / HTTP/1.1\r\nhost:\r\n\r\n"),
        ("a list of hosts", b"GET / HTTP/1.1\r\nhost: live.example, other.example\r\n\r\n"),
        ("a host with a user", b"GET / HTTP/1.1\r\nhost: a@live.example\r\n\r\n"),
        ("a host with a path", b"GET / HTTP/1.1\r\nhost: live.example/a\r\n\r\n"),
        ("a port that is no number", b"GET / HTTP/1.1\r\nhost: live.example:http\r\n\r\n"),
    ];
    rows.add("host", "400", REFUSED, hosts);
    rows.add(
        "host",
        "421",
        REFUSED,
        &[("a host that no site has", b"GET / HTTP/1.1\r\nhost: other.example\r\n\r\n")],
    );
}

fn targets(rows: &mut Rows) {
    rows.targets(
        "target",
        "400",
        &[
            ("`/../`", "/live/../a.ts".to_owned()),
            ("`/./`", "/live/./a.ts".to_owned()),
            ("`%2e%2e`", "/live/%2e%2e/a.ts".to_owned()),
            ("`%2f..%2f`", "/live%2f..%2fa.ts".to_owned()),
            ("`\\..\\`", "/live\\..\\a.ts".to_owned()),
            ("`%00`", "/live/a%00.ts".to_owned()),
            ("`%0d%0a`", "/live/a%0d%0ax:1".to_owned()),
            ("`%` without two hex digits", "/live/a%zz.ts".to_owned()),
            ("another scheme", "ftp://live.example/a.ts".to_owned()),
            ("no slash", "live/a.ts".to_owned()),
            ("`*`", "*".to_owned()),
            ("`_HLS_msn` that is no number", format!("{PLAYLIST}?_HLS_msn=a")),
            ("`_HLS_part` without `_HLS_msn`", format!("{PLAYLIST}?_HLS_part=1")),
        ],
    );
    rows.targets(
        "target",
        "414",
        &[
            ("a path of 9,000 bytes", format!("/{}", "a".repeat(9_000))),
            ("a query of 17,000 bytes", format!("/a?{}", "a".repeat(17_000))),
        ],
    );
    for (what, method) in [("TRACE", "TRACE"), ("an unknown method", "BREW"), ("CONNECT", "CONNECT")] {
        let target = if method == "CONNECT" { "live.example:80" } else { "/live/a.ts" };
        let host = if method == "CONNECT" { "live.example:80" } else { "live.example" };
        let request = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
        rows.add("method", "405", REFUSED, &[(what, request.as_bytes())]);
    }
}

fn lengths(rows: &mut Rows) {
    const BODY: &str = "\r\n\r\nGET /live/hidden.ts HTTP/1.1\r\nhost: live.example\r\n\r\n";
    let post = |rows: &mut Rows, answer, list: &[(&'static str, &str)]| {
        for (what, fields) in list {
            rows.fields("body length", answer, "POST", &[(*what, format!("{fields}{BODY}").as_bytes())]);
        }
    };
    post(
        rows,
        "400, closes",
        &[
            ("two lengths", "content-length: 49\r\ncontent-length: 5"),
            ("the same length twice", "content-length: 49\r\ncontent-length: 49"),
            ("a list of lengths", "content-length: 49, 49"),
            ("`+49`", "content-length: +49"),
            ("`-1`", "content-length: -1"),
            ("`0x31`", "content-length: 0x31"),
            ("`4 9`", "content-length: 4 9"),
            ("a quoted length", "content-length: \"49\""),
            ("an empty length", "content-length:"),
            ("a length beyond 64 bits", "content-length: 99999999999999999999"),
            ("a space before the colon", "content-length : 49"),
            ("a length in a folded line", "x: a\r\n content-length: 49"),
            ("a length after a lone LF", "x: a\ncontent-length: 49"),
            ("length and chunks (CL.TE)", "content-length: 49\r\ntransfer-encoding: chunked"),
            ("chunks and length (TE.CL)", "transfer-encoding: chunked\r\ncontent-length: 49"),
            ("chunked twice (TE.TE)", "transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
            ("`chunked, identity`", "transfer-encoding: chunked, identity"),
            ("`xchunked`", "transfer-encoding: xchunked"),
            ("`chunked;q=1`", "transfer-encoding: chunked;q=1"),
            ("a quoted coding", "transfer-encoding: \"chunked\""),
            ("a vertical tab before the coding", "transfer-encoding: \x0bchunked"),
        ],
    );
    post(
        rows,
        "501, closes",
        &[
            ("`gzip, chunked`", "transfer-encoding: gzip, chunked"),
            ("`identity, chunked`", "transfer-encoding: identity, chunked"),
        ],
    );
    rows.fields(
        "body length",
        "400, closes",
        "GET",
        &[
            ("GET with a body", b"content-length: 1\r\n\r\na"),
            ("GET with chunks", b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
        ],
    );
}

fn chunks(rows: &mut Rows) {
    let chunked = |sent: &str| {
        let head = "POST /live/a.ts HTTP/1.1\r\nhost: live.example\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{sent}").into_bytes()
    };
    for (what, sent) in [
        ("`+5`", "+5\r\nhello\r\n0\r\n\r\n"),
        ("`0x5`", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a lone LF after the size", "5\nhello\n0\n\n"),
        ("more bytes than the size", "5\r\nhello!\r\n0\r\n\r\n"),
        ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ] {
        rows.add("chunks", "400, closes", REFUSED, &[(what, &chunked(sent))]);
    }
    rows.add(
        "body length",
        "413, closes",
        REFUSED,
        &[(
            "a body beyond `viewers.body_max`",
            b"POST /live/a.ts HTTP/1.1\r\nhost: live.example\r\ncontent-length: 99999999999\r\n\r\n",
        )],
    );
}

fn tokens(rows: &mut Rows) {
    const METRIC: &str = "tidegate_token_refusals_total";
    let claims = |path: &str| Claims { exp: now() + 3600, path: path.to_owned(), ..Claims::default() };
    let good = signed(&claims("/live/"), SECRET, "a");
    let expired = signed(&Claims { exp: now() - 1, ..claims("/live/") }, SECRET, "a");
    let early = signed(&Claims { nbf: Some(now() + 60), ..claims("/live/") }, SECRET, "a");
    let elsewhere = signed(&Claims { ip: Some("192.0.2.1".to_owned()), ..claims("/live/") }, SECRET, "a");
    let flipped = format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { "B" } else { "A" });
    for (what, prefix) in [
        ("none", String::new()),
        ("an empty one", "/~".to_owned()),
        ("a truncated one", format!("/~{}", &good[..good.len() - 2])),
        ("a changed one", format!("/~{flipped}")),
        ("signed by another secret", format!("/~{}", signed(&claims("/"), &SECRET.replace('0', "1"), "a"))),
        ("signed by an unknown key", format!("/~{}", signed(&claims("/"), SECRET, "z"))),
        ("expired", format!("/~{expired}")),
        ("not yet valid", format!("/~{early}")),
        ("for another address", format!("/~{elsewhere}")),
        ("for another path", format!("/~{}", signed(&claims("/other/"), SECRET, "a"))),
        ("for a name that begins like it", format!("/~{}", signed(&claims("/live/on"), SECRET, "a"))),
        ("a JWT without a signature (`alg: none`)", "/~eyJhbGciOiJub25lIn0.eyJleHAiOjk5fQ.".to_owned()),
        ("`%00` in it", "/~%00".to_owned()),
    ] {
        let request = format!("GET {prefix}{PLAYLIST} HTTP/1.1\r\nhost: paid.example\r\n\r\n");
        rows.add("token", "403", METRIC, &[(what, request.as_bytes())]);
    }
}

fn proxy_headers(rows: &mut Rows) {
    const METRIC: &str = "tidegate_refused_connections_total{reason=\"proxy_header\"}";
    rows.add(
        "PROXY header",
        "closes",
        METRIC,
        &[
            ("none", b"GET / HTTP/1.1\r\nhost: live.example\r\n\r\n"),
            ("two spaces", b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            ("an address that is none", b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"),
            ("an unknown family", b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            ("a port beyond 65535", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"),
            ("a line without an end", &[b'P', b'R', b'O', b'X', b'Y', b' '].repeat(40)),
            (
                "version 2 with an unknown command",
                b"\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02",
            ),
            ("version 3", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02"),
            (
                "version 2 with a length that is too small",
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xc0\0\x02\x01",
            ),
        ],
    );
}

fn frames(rows: &mut Rows) {
    for (what, frame) in WRONG {
        let settings = if what.starts_with("3.4") { &[][..] } else { SETTINGS };
        rows.add("HTTP/2", "GOAWAY", NONE, &[(what, &[PREFACE, settings, *frame].concat())]);
    }
}

/// What the edge answers.
async fn answer(edge: &Running, row: &Row) -> String {
    if row.group == "HTTP/2" {
        let code = code_of(TcpStream::connect(edge.addr()).await.unwrap(), &row.sent).await;
        return if code.is_some() { "GOAWAY" } else { "closes" }.to_owned();
    }
    let mut connection = Connection::open(edge.addr(), &row.sent).await;
    let response = tokio::time::timeout(PATIENCE, connection.response("GET")).await.expect("an answer");
    match response.status {
        0 => "closes".to_owned(),
        status if response.header("connection") == "close" => {
            assert!(connection.some().await.is_empty(), "{}: a second answer", row.what);
            format!("{status}, closes")
        }
        status => status.to_string(),
    }
}

/// The table as it stands in the documentation.
fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | input | answer | metric |\n|---|---|---|---|\n");
    for row in rows {
        let metric = if row.metric.is_empty() { String::new() } else { format!("`{}`", row.metric) };
        writeln!(text, "| {} | {} | {} | {metric} |", row.group, row.what, row.answer).unwrap();
    }
    text
}

/// The value of a series of the table: a name, or a name with one label.
async fn value(edge: &Running, metric: &str) -> u64 {
    let (name, label) = metric.split_once('{').unwrap_or((metric, ""));
    edge.count(name, label.trim_end_matches('}')).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_its_answer_while_viewers_watch() {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("a.key"), SECRET).unwrap();
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| config.site[0].methods = vec![Verb(Method::POST)]);
    let shield = shield.run().await;
    let configure = |config: &mut tidegate_edge::Config| {
        config.viewers.head_timeout = "2s".parse().unwrap();
        let mut paid = config.site[0].clone();
        // The viewers use the address.
        config.site[0].hosts = vec!["live.example".to_owned(), "127.0.0.1".to_owned()];
        config.site[0].methods = vec![Verb(Method::POST)];
        paid.name = tidegate_proxy::config::NodeName::literal("paid");
        paid.hosts = vec!["paid.example".to_owned()];
        paid.token.keys = vec![keys.path().to_owned()];
        config.site.push(paid);
    };
    let edge_ = edge().shield(&shield).with(configure).run().await;
    let behind_proxy = edge().shield(&shield).with(|config| {
        config.listen.proxy_protocol = ProxyProtocol::On;
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.viewers.head_timeout = "2s".parse().unwrap();
    });
    let behind_proxy = behind_proxy.run().await;
    let mut rows = Rows::default();
    for add in [request_lines, fields, targets, lengths, chunks, tokens, proxy_headers, frames] {
        add(&mut rows);
    }
    let rows = rows.0;
    assert!(rows.len() >= 80, "{} rows", rows.len());

    let viewers = Swarm::start(100, &[edge_.addr()], &[PLAYLIST]);
    viewers.wait_until_playing().await;
    let mut wrong = Vec::new();
    for row in &rows {
        let edge = if row.group == "PROXY header" { &behind_proxy } else { &edge_ };
        let before = if row.metric.is_empty() { 0 } else { value(edge, row.metric).await };
        let answer = answer(edge, row).await;
        if answer != row.answer {
            wrong.push(format!("{}: {}: {answer}, not {}", row.group, row.what, row.answer));
        }
        if !row.metric.is_empty() {
            let moves = tidegate_tests::until(row.metric, async || value(edge, row.metric).await > before);
            if tokio::time::timeout(std::time::Duration::from_secs(20), moves).await.is_err() {
                wrong.push(format!("{}: {}: {} does not move", row.group, row.what, row.metric));
            }
        }
    }
    let report = viewers.stop().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(report.errors(), 0, "{report}");
    assert_eq!(origin.requests("/live/hidden.ts"), 0);

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bad-input.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let start = page.find("| what |").unwrap_or(page.len());
    let expected = format!("{}{}", &page[..start], table(&rows));
    if std::env::var_os("TIDEGATE_WRITE_DOCS").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    let is_current = std::fs::read_to_string(&file).unwrap() == expected;
    assert!(is_current, "docs/bad-input.md: run this test with TIDEGATE_WRITE_DOCS=1, which writes it");
}
