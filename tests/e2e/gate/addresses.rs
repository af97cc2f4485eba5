//! Who the client is: by the connection, by a PROXY header, or by a field that a trusted proxy sends; and
//! what the log says of it.

use serde_json::{Value, json};
use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::access::{LoggedAddresses, ProxyProtocol, RealIpHeader};
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Running, authority, edge, origin, until, viewer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATH: &str = "/bytes/1000";
const REQUEST: &[u8] = b"GET /bytes/1000 HTTP/1.1\r\nhost: live.example\r\nconnection: close\r\n\r\n";

/// What the log says of the clients of `send`, sorted: a line may come after the next request.
async fn logged(
    change: impl FnOnce(&mut tidegate_edge::Config),
    send: impl AsyncFnOnce(&Running),
) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.log.access = file.display().to_string();
        change(config);
    });
    let edge = edge.run().await;
    send(&edge).await;
    edge.drain();
    edge.ended().await;
    let text = std::fs::read_to_string(file).unwrap();
    let client = |line: &str| serde_json::from_str::<Value>(line).unwrap()["client"].clone();
    let mut clients: Vec<Value> = text.lines().map(client).collect();
    clients.sort_by_key(Value::to_string);
    clients
}

fn behind_a_load_balancer(config: &mut tidegate_edge::Config) {
    config.listen.proxy_protocol = ProxyProtocol::On;
    config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

/// A header of version 2 with these bytes after its signature.
fn binary(rest: &[u8]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n", rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_the_one_that_a_proxy_header_names() {
    let logged = logged(behind_a_load_balancer, async |edge| {
        for address in ["192.0.2.7", "2001:db8::7"] {
            viewer(edge.addr()).proxied_for(address).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
        }
        let v4 = binary(&[0x21, 0x11, 0, 12, 192, 0, 2, 8, 127, 0, 0, 1, 0, 1, 0, 2]);
        let health_check = binary(&[0x20, 0, 0, 0]);
        for header in [v4, health_check, b"PROXY UNKNOWN\r\n".to_vec()] {
            let answer = viewer(edge.addr()).raw(&[&header, REQUEST].concat()).await;
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
        }
    });
    let expected = ["127.0.0.1", "127.0.0.1", "192.0.2.7", "192.0.2.8", "2001:db8::7"];
    assert_eq!(logged.await, expected.map(|ip| json!({ "ip": ip })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_header_comes_before_tls() {
    let authority = authority();
    let issued = authority.issue(&["live.example"]);
    let listen = issued.listen();
    let change = |config: &mut tidegate_edge::Config| {
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.listen.tls =
            Some(tidegate_proxy::config::tls::Listen { proxy_protocol: ProxyProtocol::On, ..listen });
    };
    let logged = logged(change, async |edge| {
        let tls = authority.viewer_tls("live.example");
        let secured = viewer(edge.tls_addr()).tls(&tls).proxied_for("192.0.2.7").get(PATH).await;
        secured.is(200, &synthetic_bytes(PATH, 0..1000));
        // The other listener has no headers.
        viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    });
    assert_eq!(logged.await, [json!({ "ip": "127.0.0.1" }), json!({ "ip": "192.0.2.7" })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_header_may_arrive_in_parts() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(behind_a_load_balancer).run().await;
    let mut stream = TcpStream::connect(edge.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_its_proxy_header_is_closed_without_a_response() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        behind_a_load_balancer(config);
        config.viewers.head_timeout = Period::millis(100);
    });
    let edge = edge.run().await;
    let wrong_checksum = [&[0x21, 0x11, 0, 19, 192, 0, 2, 8, 127, 0, 0, 1, 0, 1, 0, 2, 3, 0, 4][..], &[0; 4]];
    for start in [
        REQUEST.to_vec(),
        b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
        // It does not end in time.
        b"PROXY TCP4 192.0.2.7 ".to_vec(),
        binary(&[0x21, 0x11, 0, 4, 192, 0, 2, 8]),
        binary(&wrong_checksum.concat()),
        binary(&[0x21, 0x11, 0xff, 0xff]),
    ] {
        assert_eq!(viewer(edge.addr()).raw(&start).await, b"", "{}", start.escape_ascii());
    }
    assert_eq!(edge.count("tidegate_refused_connections_total", "reason=\"proxy_header\"").await, 6);
    assert_eq!(origin.requests(PATH), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_not_trusted_cannot_name_a_client() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        behind_a_load_balancer(config);
        config.listen.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let edge = edge.run().await;
    let start = [b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n", REQUEST].concat();
    assert_eq!(viewer(edge.addr()).raw(&start).await, b"");
    until("the refusal is counted", async || {
        edge.count("tidegate_refused_connections_total", "reason=\"untrusted_proxy\"").await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_names_the_client_only_if_a_trusted_proxy_sends_it() {
    let send = async |edge: &Running| {
        // A miss on the slow path, and a hit on the fast path.
        for _ in 0..2 {
            viewer(edge.addr())
                .header("x-forwarded-for", "203.0.113.9, 192.0.2.7, 127.0.0.9")
                .get(PATH)
                .await;
        }
        viewer(edge.addr()).header("forwarded", "for=\"[2001:db8::7]:4711\"").get(PATH).await;
    };
    let trust = |config: &mut tidegate_edge::Config| {
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let ip = |ip: &str| json!({ "ip": ip });
    assert_eq!(logged(trust, send).await, [ip("127.0.0.1"), ip("192.0.2.7"), ip("192.0.2.7")]);
    let forwarded = |config: &mut tidegate_edge::Config| {
        trust(config);
        config.listen.real_ip_header = RealIpHeader::Forwarded;
    };
    assert_eq!(logged(forwarded, send).await, [ip("127.0.0.1"), ip("127.0.0.1"), ip("2001:db8::7")]);
    assert_eq!(logged(|_| {}, send).await, [ip("127.0.0.1"), ip("127.0.0.1"), ip("127.0.0.1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_of_an_address_what_is_configured() {
    let with = async |addresses| {
        let change = |config: &mut tidegate_edge::Config| {
            behind_a_load_balancer(config);
            config.log.addresses = addresses;
        };
        logged(change, async |edge: &Running| {
            for address in ["192.0.2.7", "192.0.2.7", "2001:db8:1:2::7"] {
                viewer(edge.addr()).proxied_for(address).get(PATH).await;
            }
        })
        .await
    };
    let truncated = with(LoggedAddresses::Truncated).await;
    let [v4, v6] = ["192.0.2.0", "2001:db8:1::"].map(|ip| json!({ "ip": ip }));
    assert_eq!(truncated, [v4.clone(), v4, v6]);
    assert_eq!(with(LoggedAddresses::Off).await, [Value::Null, Value::Null, Value::Null]);
    let mut hashed = with(LoggedAddresses::Hashed).await;
    assert!(hashed[0]["address"].as_str().is_some_and(|hash| hash.len() == 24), "{hashed:?}");
    assert_eq!(hashed.len(), 3);
    hashed.dedup();
    assert_eq!(hashed.len(), 2, "one of them sent two requests");
}
