//! On SIGTERM a tier accepts nothing new, finishes open responses, and exits with code 0.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Connection, Origin, Process, Signal, edge, origin, until, viewer};
use tokio::net::TcpStream;

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";

#[tokio::test(flavor = "multi_thread")]
async fn an_open_body_finishes_and_no_new_connection_is_accepted() {
    let (origin, mut edge, mut open) = with_an_open_body(Period::secs(30)).await;
    assert_eq!(viewer(edge.admin()).get("/readyz").await.status, 200);

    edge.signal(Signal::Terminate).await;

    until("no connection is accepted", async || TcpStream::connect(edge.addr()).await.is_err()).await;
    let ready = viewer(edge.admin()).get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("draining"), "{}", ready.text());
    assert_eq!(viewer(edge.admin()).get("/healthz").await.status, 200);
    assert_eq!(edge.count("tidegate_draining", "").await, 1);
    origin.release("rest");
    open.rest().await.is(200, &synthetic_bytes(COLD, 0..MIB));
    assert!(open.some().await.is_empty(), "the connection closes after its response");
    assert_eq!(edge.ended().await.code(), Some(0), "{}", edge.log_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_exceeds_the_drain_timeout_is_cut_off_visibly_and_the_exit_code_is_zero() {
    let (_origin, mut edge, mut open) = with_an_open_body(Period::millis(300)).await;

    edge.signal(Signal::Terminate).await;

    let response = open.rest().await;
    assert!(!response.whole, "a truncated body must not look complete");
    assert_eq!(edge.ended().await.code(), Some(0), "{}", edge.log_output());
    let message = "drain timeout reached node=\"edge-1\" requests=1 fills=1";
    until("the message is logged", async || edge.log_output().contains(message)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_request_has_its_line_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    origin.fault(Fault::on("/bytes/10").hold("head")).unwrap();
    let log = file.to_str().unwrap().to_owned();
    let edge = edge().origin(&origin).with(|config| {
        config.drain.timeout = Period::millis(300);
        config.log.access = log;
    });
    let edge = edge.run().await;
    let mut missing = viewer(edge.addr()).start("GET", COLD).await;
    assert!(missing.begins(1000).await);
    let mut joining = viewer(edge.addr()).header("range", "bytes=500-").start("GET", COLD).await;
    assert!(joining.begins(500).await);
    let mut passing = viewer(edge.addr()).start("GET", &format!("{COLD}?private=1")).await;
    assert!(passing.begins(1000).await);
    let waiting = viewer(edge.addr()).start("GET", "/bytes/10").await;
    origin.waiting("head", 1).await;

    edge.drain();
    edge.ended().await;

    drop(waiting);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut logged: Vec<_> = lines
        .map(|line| {
            assert_eq!(
                (&line["tidegate"]["broken"], &line["tidegate"]["site"]),
                (&true.into(), &"default".into())
            );
            let response = &line["http"]["response"];
            let (status, bytes) = (response["status_code"].as_u64(), response["body"]["bytes"].as_u64());
            (line["tidegate"]["fate"].as_str().unwrap().to_owned(), status, bytes)
        })
        .collect();
    logged.sort();
    let expected = [
        ("client-closed", None, 0),
        ("join", Some(206), 500),
        ("miss", Some(200), 1000),
        ("pass", Some(200), 1000),
    ];
    assert_eq!(logged, expected.map(|(fate, status, bytes)| (fate.to_owned(), status, Some(bytes))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_process_drain_cuts_off_bodies_that_take_too_long() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let edge = edge().origin(&origin).with(|config| config.drain.timeout = Period::millis(300)).run().await;
    let mut open = viewer(edge.addr()).start("GET", COLD).await;
    assert!(open.begins(1000).await);

    edge.drain();

    edge.ended().await;
    assert!(!open.rest().await.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_delay_the_drain() {
    let origin = origin().run().await;
    // With the default drain timeout, a drain that waits for these connections would exceed this test's
    // patience.
    let mut edge =
        edge().origin(&origin).with(|config| config.drain.timeout = Period::secs(600)).spawn().await;
    let mut idle = viewer(edge.addr()).start("GET", "/bytes/10").await;
    idle.rest().await.is(200, &synthetic_bytes("/bytes/10", 0..10));
    let mut silent = Connection::open(edge.addr(), b"").await;
    let mut scraper = viewer(edge.admin()).start("GET", "/metrics").await;
    assert_eq!(scraper.rest().await.status, 200);
    // An operator's client that never completes its request.
    let _half = Connection::open(edge.admin(), b"GET /metrics HTTP/1.1\r\n").await;

    edge.signal(Signal::Terminate).await;

    assert_eq!(edge.ended().await.code(), Some(0), "{}", edge.log_output());
    assert!(idle.some().await.is_empty() && silent.some().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_immediately() {
    let (_origin, mut edge, mut open) = with_an_open_body(Period::secs(600)).await;

    edge.signal(Signal::Terminate).await;
    until("it drains", async || viewer(edge.admin()).get("/readyz").await.status == 503).await;
    edge.signal(Signal::Terminate).await;

    assert_eq!(edge.ended().await.code(), Some(1));
    assert!(!open.rest().await.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_shield_finishes_the_bodies_that_an_edge_reads() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let mut shield = tidegate_tests::shield().origin(&origin).spawn().await;
    let edge = edge().shield(&shield).run().await;
    let mut open = viewer(edge.addr()).start("GET", COLD).await;
    assert!(open.begins(1000).await);

    shield.signal(Signal::Terminate).await;
    until("no connection is accepted", async || TcpStream::connect(shield.addr()).await.is_err()).await;
    origin.release("rest");

    open.rest().await.is(200, &synthetic_bytes(COLD, 0..MIB));
    assert_eq!(edge.count("tidegate_rescued_bodies_total", "").await, 0);
    // The idle connection in the edge's pool does not delay the drain.
    assert_eq!(shield.ended().await.code(), Some(0));
}

/// An edge in its own process, and a viewer with the first thousand bytes of a body that the origin blocks.
async fn with_an_open_body(timeout: Period) -> (Origin, Process, Connection) {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let edge = edge().origin(&origin).with(|config| config.drain.timeout = timeout).spawn().await;
    let mut open = viewer(edge.addr()).start("GET", COLD).await;
    assert!(open.begins(1000).await);
    (origin, edge, open)
}
