//! Conditional requests (RFC 9110 section 13) of viewers, and renewal between the tiers (RFC 9111 section 4.3).

use tidegate_origin_stub::{Fault, synthetic_bytes, synthetic_variant};
use tidegate_tests::{Answer, Origin, Running, edge, origin, shield, until, viewer, viewers};

const SIZE: u64 = 5000;
const OBJECT: &str = "/bytes/5000";
/// The same with nothing that says how long it lives.
const UNDATED: &str = "/bytes/5000?cc=";

struct Cluster {
    origin: Origin,
    shield: Running,
    edge: Running,
}

impl Cluster {
    async fn new() -> Self {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).run().await;
        Self { origin, shield, edge }
    }

    /// Asks, and waits until what came is held on both tiers.
    async fn get(&self, target: &str) -> Answer {
        let answer = viewer(self.edge.addr()).get(target).await;
        self.edge.settled().await;
        self.shield.settled().await;
        answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_has_the_object_is_told_so_by_the_edge() {
    let cluster = Cluster::new().await;
    let whole = cluster.get(OBJECT).await;
    let etag = whole.header("etag").to_owned();
    let weak = format!("W/{etag}");
    let several = format!("\"x\", {weak}");
    let modified = whole.header("last-modified").to_owned();
    let (before, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
    for (fields, status) in [
        (&[("if-none-match", &*etag)][..], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", &several)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-modified-since", &modified)], 304),
        (&[("if-modified-since", later)], 304),
        (&[("if-modified-since", before)], 200),
        (&[("if-modified-since", "whenever")], 200),
        // RFC 9110 section 13.2.2: the tag decides.
        (&[("if-none-match", "\"x\""), ("if-modified-since", &modified)], 200),
        (&[("if-none-match", &etag), ("if-modified-since", before)], 304),
        (&[("if-match", &etag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "\"x\"")], 412),
        (&[("if-match", &weak)], 412),
        (&[("if-unmodified-since", before)], 412),
        (&[("if-unmodified-since", &modified)], 200),
        (&[("if-match", &etag), ("if-none-match", &etag)], 304),
        (&[("range", "bytes=0-9"), ("if-none-match", &etag)], 304),
    ] {
        for method in ["GET", "HEAD"] {
            let mut asking = viewer(cluster.edge.addr());
            for (name, value) in fields {
                asking = asking.header(name, value);
            }
            let answer = asking.ask(method, OBJECT).await;
            assert_eq!((answer.status, answer.whole), (status, true), "{method} {fields:?}");
            assert_eq!(answer.header("etag"), etag, "{method} {fields:?}");
            if status == 304 {
                let described = (answer.header("content-type"), answer.header("content-length"));
                assert_eq!(described, ("", ""), "RFC 9110 section 15.4.5");
                assert_eq!(answer.header("cache-control"), "max-age=60");
            }
        }
    }
    assert_eq!(cluster.origin.requests(OBJECT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_a_lifetime_is_renewed_from_tier_to_tier_and_its_body_not_sent_again() {
    let cluster = Cluster::new().await;
    let first = cluster.get(UNDATED).await;
    let second = cluster.get(UNDATED).await;

    for answer in [&first, &second] {
        answer.is(200, &synthetic_bytes(OBJECT, 0..SIZE));
    }
    let seen = cluster.origin.seen(OBJECT);
    let statuses: Vec<_> = seen.iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(200), Some(304)]);
    assert_eq!(seen[1].header("if-none-match"), first.header("etag"));
    assert_eq!(second.header("x-cache"), "REVALIDATED, REVALIDATED");
    let marks: Vec<_> = second.header("cache-status").split(", ").collect();
    assert_eq!(marks.len(), 2, "{marks:?}");
    for (mark, node) in marks.iter().zip(["shield-1", "edge-1"]) {
        assert!(mark.starts_with(&format!("{node}; fwd=stale; fwd-status=304; stored")), "{mark}");
    }
    for tier in [&cluster.shield, &cluster.edge] {
        assert_eq!(tier.count("tidegate_fills_total", "revalidated").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_viewers_at_once_make_one_conditional_request() {
    let cluster = Cluster::new().await;
    cluster.get(UNDATED).await;
    cluster.origin.fault(Fault::on(OBJECT).hold("renewal")).unwrap();

    let crowd = viewers(50, &[&cluster.edge]);
    let answers = tokio::spawn(async move { crowd.get(UNDATED).await });
    cluster.origin.waiting("renewal", 1).await;
    until("all wait", async || cluster.edge.status().await["fills"]["viewers"] == 50).await;
    cluster.origin.release("renewal");

    for answer in answers.await.unwrap() {
        answer.is(200, &synthetic_bytes(OBJECT, 0..SIZE));
    }
    assert_eq!(cluster.origin.requests(OBJECT), 2);
    assert_eq!(cluster.origin.seen(OBJECT)[1].status, Some(304));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_has_changed_replaces_the_one_that_is_held() {
    let cluster = Cluster::new().await;
    cluster.get(UNDATED).await;
    let changed = cluster.origin.fault(Fault::on(OBJECT).variant(1)).unwrap();
    let second = cluster.get(UNDATED).await;
    let third = cluster.get(UNDATED).await;

    for answer in [second, third] {
        answer.is(200, &synthetic_variant(OBJECT, 1, 0..SIZE));
    }
    let statuses: Vec<_> = cluster.origin.seen(OBJECT).iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(304)]);
    assert!(cluster.origin.remove(changed));
    cluster.get(UNDATED).await.is(200, &synthetic_bytes(OBJECT, 0..SIZE));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_validators_is_fetched_again() {
    let cluster = Cluster::new().await;
    for _ in 0..2 {
        let answer = cluster.get("/bytes/5000?cc=&etag=&lm=0").await;
        answer.is(200, &synthetic_bytes(OBJECT, 0..SIZE));
    }
    let seen = cluster.origin.seen(OBJECT);
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!((seen.header("if-none-match"), seen.header("if-modified-since")), ("", ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_304_says_is_told_from_then_on() {
    let cluster = Cluster::new().await;
    cluster.get(UNDATED).await;
    let said = Fault::on(OBJECT).header("cache-control", "max-age=600").header("x-note", "renewed");
    cluster.origin.fault(said).unwrap();
    for _renewed_then_hit in 0..2 {
        let answer = cluster.get(UNDATED).await;
        answer.is(200, &synthetic_bytes(OBJECT, 0..SIZE));
        assert_eq!((answer.header("cache-control"), answer.header("x-note")), ("max-age=600", "renewed"));
    }
    assert_eq!(cluster.origin.requests(OBJECT), 2, "a lifetime from the 304 counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_condition_is_never_a_fills() {
    let cluster = Cluster::new().await;
    let conditional = viewer(cluster.edge.addr())
        .header("if-none-match", "\"viewer\"")
        .header("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")
        .header("range", "bytes=0-9");
    conditional.get(OBJECT).await.is(206, &synthetic_bytes(OBJECT, 0..10));
    let seen = &cluster.origin.seen(OBJECT)[0];
    for name in ["if-none-match", "if-modified-since", "range", "if-range"] {
        assert_eq!(seen.header(name), "", "{name}");
    }
}
